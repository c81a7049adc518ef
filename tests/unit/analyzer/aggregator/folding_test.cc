// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/folding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace heapecho::aggregator {
namespace {

using ::testing::ElementsAre;

constexpr uint32_t kI = kImportFrame;

Role NativeRole(const std::string& function, const std::string& module = "python3.11") {
  model::Frame frame;
  frame.function = function;
  frame.module = module;
  return RoleOf(frame, {"python3.11"});
}

Role PythonRole(const std::string& file) {
  model::Frame frame;
  frame.kind = model::Frame::Kind::kPython;
  frame.function = "f";
  frame.file = file;
  return RoleOf(frame, {});
}

TEST(RoleOf, KnowsThePlumbingByNameInTheInterpretersModuleAlone) {
  EXPECT_EQ(NativeRole("_PyEval_EvalFrameDefault"), Role::kPlumbing);
  EXPECT_EQ(NativeRole("method_vectorcall_FASTCALL"), Role::kPlumbing);
  EXPECT_EQ(NativeRole("slot_tp_init"), Role::kPlumbing);
  EXPECT_EQ(NativeRole("slot_tp_init", "_codec.so"), Role::kOther);
  EXPECT_EQ(NativeRole("list_resize"), Role::kInterpreter);
  EXPECT_EQ(NativeRole("method_vectorcallish"), Role::kInterpreter);
  EXPECT_EQ(NativeRole("PyImport_ImportModuleLevelObject"), Role::kNativeImport);
}

TEST(RoleOf, LooksPastWhatCompilersAndLinkersAppend) {
  EXPECT_EQ(NativeRole("cfunction_call.lto_priv.0"), Role::kPlumbing);
  EXPECT_EQ(NativeRole("_PyEval_EvalFrameDefault.cold"), Role::kPlumbing);
  EXPECT_EQ(NativeRole("__libc_start_main@@GLIBC_2.34", "libc.so.6"), Role::kStart);
}

TEST(RoleOf, TakesAddressesOfAStrippedInterpreterForNameless) {
  EXPECT_EQ(NativeRole("0x1a2b"), Role::kNameless);
  EXPECT_EQ(NativeRole("0x1a2b", "libarrow.so"), Role::kOther);
}

TEST(RoleOf, TellsImportlibFromOtherPython) {
  EXPECT_EQ(PythonRole("<frozen importlib._bootstrap>"), Role::kPythonImport);
  EXPECT_EQ(PythonRole("<frozen importlib._bootstrap_external>"), Role::kPythonImport);
  EXPECT_EQ(PythonRole("/usr/lib/python3.11/importlib/_bootstrap.py"), Role::kPythonImport);
  EXPECT_EQ(PythonRole("/usr/lib/python3.11/importlib/__init__.py"), Role::kPython);
  EXPECT_EQ(PythonRole("<frozen os>"), Role::kPython);
}

const std::vector<Role> kCallStack = {
    Role::kStart,    Role::kOther,    Role::kInterpreter, Role::kPlumbing,  // 0: outside
    Role::kPython,                                                          // 4
    Role::kNameless, Role::kPlumbing, Role::kInterpreter, Role::kOther,     // 5: between
    Role::kPython,                                                          // 9
    Role::kPlumbing, Role::kNameless, Role::kInterpreter, Role::kOther};    // 10: inside

TEST(Fold, LeavesOutPlumbingButNeitherLibrariesNorWhatAllocates) {
  EXPECT_THAT(Fold(kCallStack, Native::kFull, false), ElementsAre(1, 4, 7, 8, 9, 11, 12, 13));
}

TEST(Fold, KeepsNativeFramesInsideOfTheInnermostPythonFrameOrNone) {
  EXPECT_THAT(Fold(kCallStack, Native::kLeaf, false), ElementsAre(4, 9, 11, 12, 13));
  EXPECT_THAT(Fold(kCallStack, Native::kLeaf, true), ElementsAre(4, 9, 10, 11, 12, 13));
  EXPECT_THAT(Fold(kCallStack, Native::kNone, false), ElementsAre(4, 9));
  EXPECT_THAT(Fold(kCallStack, Native::kNone, true), ElementsAre(4, 9));
}

TEST(Fold, ShowsEverythingOnRequest) {
  EXPECT_THAT(Fold(kCallStack, Native::kFull, true),
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13));
}

TEST(Fold, KeepsPlumbingThatAllocatesItself) {
  EXPECT_THAT(Fold({Role::kPython, Role::kPlumbing, Role::kPlumbing}, Native::kFull, false),
              ElementsAre(0, 2));
}

TEST(Fold, LeavesStacksWithoutPythonAsTheyAre) {
  const std::vector<Role> native = {Role::kStart, Role::kPlumbing, Role::kNameless, Role::kOther};
  for (const Native choice : {Native::kFull, Native::kLeaf, Native::kNone})
    EXPECT_THAT(Fold(native, choice, false), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Fold({}, Native::kNone, false), ElementsAre());
}

TEST(Fold, MakesARunOfImportMachineryOneFrame) {
  const std::vector<Role> roles = {Role::kPython,       Role::kNativeImport, Role::kPlumbing,
                                   Role::kPythonImport, Role::kNameless,     Role::kPythonImport,
                                   Role::kPlumbing,     Role::kPython,       Role::kNativeImport,
                                   Role::kPythonImport, Role::kInterpreter};
  EXPECT_THAT(Fold(roles, Native::kFull, false), ElementsAre(0, kI, 7, kI, 10));
  EXPECT_THAT(Fold(roles, Native::kNone, false), ElementsAre(0, kI, 7, kI));
  EXPECT_THAT(Fold(roles, Native::kNone, true), ElementsAre(0, 3, 5, 7, 9));
}

TEST(RoleOf, KnowsWhereAGreenletBegins) {
  const std::string module = "_greenlet.cpython-311-x86_64-linux-gnu.so";
  for (const char* name : {"greenlet::UserGreenlet::inner_bootstrap(_greenlet*, _object*)",
                           "greenlet::UserGreenlet::g_initialstub(void*)", "g_initialstub"}) {
    EXPECT_EQ(NativeRole(name, module), Role::kGreenletStart) << name;
    EXPECT_EQ(NativeRole(name, "libother.so"), Role::kOther) << name;
  }
  EXPECT_EQ(NativeRole("greenlet::UserGreenlet::g_switch()", module), Role::kOther);
}

TEST(Fold, LeavesOutNativeFramesOutsideOfAGreenletWhateverIsAskedFor) {
  const std::vector<Role> roles = {Role::kPython, Role::kOther,         Role::kGreenletStart,
                                   Role::kOther,  Role::kGreenletStart, Role::kOther,
                                   Role::kPython, Role::kOther};
  EXPECT_THAT(Fold(roles, Native::kFull, false), ElementsAre(0, 5, 6, 7));
  EXPECT_THAT(Fold(roles, Native::kFull, true), ElementsAre(0, 5, 6, 7));
  EXPECT_THAT(Fold({Role::kOther, Role::kGreenletStart, Role::kOther}, Native::kFull, false),
              ElementsAre(2));
  EXPECT_TRUE(IsGreenlets(roles));
  EXPECT_FALSE(IsGreenlets(kCallStack));
}

TEST(Fold, KeepsImportFunctionsThatAllocate) {
  EXPECT_THAT(Fold({Role::kPython, Role::kNativeImport, Role::kOther}, Native::kFull, false),
              ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace heapecho::aggregator
