// SPDX-License-Identifier: Apache-2.0
#include "analyzer/symbolizer/demangle.h"

#include <gtest/gtest.h>

#include <string>

namespace heapecho::symbolizer {
namespace {

TEST(Demangle, ShowsCxxNamesWithTheirParameters) {
  EXPECT_EQ(Demangle("_ZN7fixture4Cart4FillEi"), "fixture::Cart::Fill(int)");
  EXPECT_EQ(Demangle("_ZN12_GLOBAL__N_14GrowEv"), "(anonymous namespace)::Grow()");
  EXPECT_EQ(Demangle("_Znwm"), "operator new(unsigned long)");
}

TEST(Demangle, ShowsRustsOldSchemeWithoutTheHash) {
  EXPECT_EQ(Demangle("_ZN4shop4cart4fill17h0123456789abcdefE"), "shop::cart::fill");
  EXPECT_EQ(Demangle("_ZN4shop13Cart$LT$T$GT$4fill17h89f55cac65127e7aE"), "shop::Cart<T>::fill");
}

TEST(Demangle, ShowsRustsNewSchemeWithoutDisambiguators) {
  EXPECT_EQ(Demangle("_RNvNtCs6GmmlP4bgsG_4shop4cart5empty"), "shop::cart::empty");
}

TEST(Demangle, LeavesSymbolVersionsOut) {
  EXPECT_EQ(Demangle("__libc_start_main@@GLIBC_2.34"), "__libc_start_main");
  EXPECT_EQ(Demangle("memcpy@GLIBC_2.2.5"), "memcpy");
  EXPECT_EQ(Demangle("_ZNSs4swapERSs@@GLIBCXX_3.4"), "std::string::swap(std::string&)");
}

TEST(Demangle, NamesThePartsOfAFunctionAfterTheFunction) {
  EXPECT_EQ(Demangle("_ZN7fixture4Cart4FillEi.part.0"), "fixture::Cart::Fill(int)");
  EXPECT_EQ(Demangle("_ZN7fixture4Cart4FillEi.isra.0.cold"), "fixture::Cart::Fill(int)");
  EXPECT_EQ(Demangle("_ZN4shop4cart4fill17h0123456789abcdefE.llvm.123456789"), "shop::cart::fill");
  EXPECT_EQ(Demangle("_PyEval_EvalFrameDefault.cold"), "_PyEval_EvalFrameDefault");
  EXPECT_EQ(Demangle("list_resize.constprop.12"), "list_resize");
}

TEST(Demangle, LeavesOtherNamesAsTheyAre) {
  for (const char* name : {"malloc", "_Zebra", "_Rust", "_Z", "_R", "", "a.b", "runtime.mallocgc",
                           "main.0", "7", ".cold", ".part.0", "f.", "f.unknown.1"}) {
    EXPECT_EQ(Demangle(name), name);
  }
}

TEST(Demangle, LeavesNamesThatAreTooLongAsTheyAre) {
  const std::string name = "_Z" + std::string(1 << 17, 'P') + "v";
  EXPECT_EQ(Demangle(name), name);
}

}  // namespace
}  // namespace heapecho::symbolizer
