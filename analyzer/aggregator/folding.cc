// SPDX-License-Identifier: Apache-2.0
// Which frames of a stack with Python in it are shown; the contract is in the header.
#include "analyzer/aggregator/folding.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/match.h"

namespace heapecho::aggregator {
namespace {

// Functions of CPython 3.8 and later by name; one that ends in "_" stands for all that begin so.
constexpr absl::string_view kPlumbing[] = {
    // the evaluation loop and what prepares a frame for it
    "_PyEval_EvalFrameDefault",
    "_PyEval_EvalFrame",
    "PyEval_EvalFrame",
    "PyEval_EvalFrameEx",
    "_PyEval_EvalCode",
    "_PyEval_EvalCodeWithName",
    "PyEval_EvalCode",
    "PyEval_EvalCodeEx",
    "_PyEval_Vector",
    "function_code_fastcall",
    "_PyFunction_FastCallDict",
    "_PyFunction_FastCallKeywords",
    "_PyFunction_Vectorcall",
    "builtin_exec",
    "builtin_exec_impl",
    "builtin_eval",
    "builtin_eval_impl",
    "PyRun_",
    "_PyRun_",
    "run_eval_code_obj",
    "run_mod",
    // calls of any object
    "PyObject_Call",
    "PyObject_CallFunction",
    "PyObject_CallFunctionObjArgs",
    "PyObject_CallMethod",
    "PyObject_CallMethodObjArgs",
    "PyObject_CallNoArgs",
    "PyObject_CallObject",
    "PyObject_CallOneArg",
    "PyObject_Vectorcall",
    "PyObject_VectorcallDict",
    "PyObject_VectorcallMethod",
    "PyVectorcall_Call",
    "_PyObject_Call",
    "_PyObject_CallFunction_",
    "_PyObject_CallFunctionVa",
    "_PyObject_CallMethod",
    "_PyObject_CallMethodFormat",
    "_PyObject_CallMethodId",
    "_PyObject_CallMethodIdObjArgs",
    "_PyObject_CallMethod_",
    "_PyObject_CallNoArg",
    "_PyObject_CallNoArgs",
    "_PyObject_CallNoArgsTstate",
    "_PyObject_Call_Prepend",
    "_PyObject_FastCall",
    "_PyObject_FastCallDict",
    "_PyObject_FastCallDictTstate",
    "_PyObject_FastCallKeywords",
    "_PyObject_FastCall_Prepend",
    "_PyObject_MakeTpCall",
    "_PyObject_Vectorcall",
    "_PyObject_VectorcallMethodId",
    "_PyObject_VectorcallTstate",
    "_PyVectorcall_Call",
    "call_attribute",
    "call_function",
    "call_method",
    "call_unbound",
    "call_unbound_noarg",
    "callmethod",
    "do_call_core",
    "object_vacall",
    "vectorcall_maybe",
    "vectorcall_method",
    "vectorcall_unbound",
    // calls of functions and methods that are written in C
    "PyCFunction_Call",
    "_PyCFunction_FastCallDict",
    "_PyCFunction_FastCallKeywords",
    "_PyMethodDef_RawFastCallDict",
    "_PyMethodDef_RawFastCallKeywords",
    "_PyMethodDescr_FastCallKeywords",
    "_PyMethodDescr_Vectorcall",
    "cfunction_",
    "classmethoddescr_call",
    "method_call",
    "method_vectorcall",
    "method_vectorcall_",
    "methoddescr_call",
    "partial_call",
    "partial_call_impl",
    "partial_fastcall",
    "partial_vectorcall",
    "partial_vectorcall_fallback",
    // classes: what an operator or a call of an instance comes to
    "slot_",
    "type_call",
    "wrap_",
    "wrapper_call",
    "wrapperdescr_call",
    "wrapperdescr_raw_call",
    "property_descr_get",
    "PyObject_GenericGetAttr",
    "PyObject_GenericSetAttr",
    "PyObject_GetAttr",
    "PyObject_GetItem",
    "PyObject_GetIter",
    "PyObject_GetOptionalAttr",
    "PyObject_Hash",
    "PyObject_IsTrue",
    "PyObject_RichCompare",
    "PyObject_RichCompareBool",
    "PyObject_SetAttr",
    "PyObject_SetItem",
    "_PyObject_GenericGetAttrWithDict",
    "_PyObject_GenericSetAttrWithDict",
    "_PyObject_GetMethod",
    "_PyObject_LookupAttr",
    "do_richcompare",
    // generators and coroutines: going on with one
    "PyIter_Send",
    "_PyGen_Send",
    "gen_iternext",
    "gen_send",
    "gen_send_ex",
    "gen_send_ex2",
};

constexpr absl::string_view kNativeImportNames[] = {
    "PyImport_",           "_PyImport_", "_imp_", "builtin___import__", "builtin___import___impl",
    "exec_code_in_module", "import_",
};

// The C library's.
constexpr absl::string_view kStart[] = {
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
};

// Of greenlet's extension module, whose file begins with kGreenletModule: in 2.0 and later, before.
constexpr absl::string_view kGreenletModule = "_greenlet.";
constexpr absl::string_view kGreenletStart[] = {"greenlet::UserGreenlet::inner_bootstrap",
                                                "greenlet::UserGreenlet::g_initialstub",
                                                "g_initialstub"};

template <size_t n>
bool IsIn(const absl::string_view (&names)[n], absl::string_view name) {
  return std::any_of(std::begin(names), std::end(names), [name](absl::string_view entry) {
    return entry.back() == '_' ? absl::StartsWith(name, entry) : name == entry;
  });
}

bool IsImportlib(absl::string_view file) {
  return absl::StartsWith(file, "<frozen importlib._bootstrap") ||
         absl::EndsWith(file, "/importlib/_bootstrap.py") ||
         absl::EndsWith(file, "/importlib/_bootstrap_external.py");
}

bool IsPythonRole(Role role) { return role == Role::kPython || role == Role::kPythonImport; }

}  // namespace

Role RoleOf(const model::Frame& frame, const std::set<std::string>& interpreters) {
  switch (frame.kind) {
    case model::Frame::Kind::kPython:
    case model::Frame::Kind::kBehalf:
      return IsImportlib(frame.file) ? Role::kPythonImport : Role::kPython;
    case model::Frame::Kind::kSynthetic:
      return frame.function == kUnknownCode ? Role::kPython : Role::kOther;
    case model::Frame::Kind::kNative:
      break;
  }
  const absl::string_view function = frame.function;
  const absl::string_view name = function.substr(0, function.find_first_of(".@"));
  if (IsIn(kStart, name)) return Role::kStart;
  if (absl::StartsWith(frame.module, kGreenletModule) &&
      IsIn(kGreenletStart, name.substr(0, name.find('('))))
    return Role::kGreenletStart;
  if (!interpreters.contains(frame.module)) return Role::kOther;
  if (absl::StartsWith(name, "0x")) return Role::kNameless;
  if (IsIn(kNativeImportNames, name)) return Role::kNativeImport;
  return IsIn(kPlumbing, name) ? Role::kPlumbing : Role::kInterpreter;
}

bool IsGreenlets(const std::vector<Role>& roles) {
  return std::find(roles.begin(), roles.end(), Role::kGreenletStart) != roles.end();
}

std::vector<uint32_t> Fold(const std::vector<Role>& roles, Native native, bool internals) {
  const auto first = std::find_if(roles.begin(), roles.end(), IsPythonRole);
  const auto last = std::find_if(roles.rbegin(), roles.rend(), IsPythonRole);
  const auto outermost = static_cast<size_t>(first - roles.begin());
  const auto innermost = static_cast<size_t>(roles.rend() - last) - 1;
  // Where the stack itself begins.
  const auto greenlet = std::find(roles.rbegin(), roles.rend(), Role::kGreenletStart);
  const auto start = static_cast<size_t>(roles.rend() - greenlet);
  std::vector<uint32_t> shown;
  if (first == roles.end()) {
    for (auto i = static_cast<uint32_t>(start); i < roles.size(); ++i) shown.push_back(i);
    return shown;
  }
  for (uint32_t i = 0; i < roles.size(); ++i) {
    const bool inside = i > innermost;
    if (!IsPythonRole(roles[i])) {
      if (i < start) continue;
      if (native == Native::kNone || (native == Native::kLeaf && !inside)) continue;
    }
    bool import = false;
    if (!internals) {
      switch (roles[i]) {
        case Role::kOther:
        case Role::kPython:
        case Role::kGreenletStart:
          break;
        case Role::kInterpreter:
          if (i < outermost) continue;
          break;
        case Role::kPlumbing:
          if (i + 1 < roles.size()) continue;
          break;
        case Role::kNameless:
          if (!inside) continue;
          break;
        case Role::kStart:
          continue;  // of this thread, or of one that worked on behalf of those frames
        case Role::kPythonImport:
          import = true;
          break;
        case Role::kNativeImport:
          if (i < outermost) continue;
          import = !inside;
          break;
      }
    }
    if (!import) {
      shown.push_back(i);
    } else if (shown.empty() || shown.back() != kImportFrame) {
      shown.push_back(kImportFrame);
    }
  }
  return shown;
}

}  // namespace heapecho::aggregator
