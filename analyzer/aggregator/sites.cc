// SPDX-License-Identifier: Apache-2.0
// Sites, ranked; the contract is in the header.
#include "analyzer/aggregator/sites.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "analyzer/aggregator/folding.h"

namespace heapecho::aggregator {
namespace {

// Functions that pass an allocation on, by the start of their qualified name. A name that ends in
// "::", "_" or "<" means everything below it, any other one that function alone.
constexpr absl::string_view kPlumbing[] = {
    // C
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "strdup",
    "strndup",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "__strdup",
    "__strndup",
    // C++: operator new and everything of the standard library, whose containers allocate for their
    // users
    "operator new",
    "operator new[]",
    "std::",
    "__gnu_cxx::",
    // Rust: the allocator's entry points and the library's collections
    "__rust_",
    "__rdl_",
    "__rg_",
    "alloc::alloc::",
    "alloc::boxed::",
    "alloc::collections::",
    "alloc::fmt::",
    "alloc::raw_vec::",
    "alloc::rc::",
    "alloc::slice::",
    "alloc::str::",
    "alloc::string::",
    "alloc::sync::",
    "alloc::vec::",
    "core::iter::",
    "core::ops::function::",
    "hashbrown::",
    // CPython: its allocators and the functions that make an object of any type
    "PyMem_",
    "_PyMem_",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "_PyObject_Malloc",
    "_PyObject_Calloc",
    "_PyObject_Realloc",
    "_PyObject_ArenaMalloc",
    "_PyObject_ArenaMmap",
    "pymalloc_alloc",
    "allocate_from_new_pool",
    "new_arena",
    "arena_map_get",
    "arena_map_mark_used",
    "_PyObject_New",
    "_PyObject_NewVar",
    "_PyObject_GC_Alloc",
    "_PyObject_GC_Malloc",
    "_PyObject_GC_New",
    "_PyObject_GC_NewVar",
    "_PyObject_GC_Resize",
    "gc_alloc",
    "PyType_GenericAlloc",
    "_PyType_AllocNoTrack",
    // Arrow: its pools and the buffers made of them
    "arrow::BaseMemoryPoolImpl<",
    "arrow::memory_pool::",
    "arrow::PoolBuffer::",
    "arrow::AllocateBuffer",
    "arrow::AllocateResizableBuffer",
    "arrow::AllocateEmptyBitmap",
    "arrow::AllocateBitmap",
};

// Libraries that do nothing but allocate, by the start of their file name.
constexpr absl::string_view kPlumbingModules[] = {"libheapecho.so", "libjemalloc.so", "libtcmalloc",
                                                  "libmimalloc"};

bool StartsWithOperator(absl::string_view text) {
  constexpr absl::string_view kOperator = "operator";
  return absl::StartsWith(text, kOperator) &&
         (text.size() == kOperator.size() ||
          !absl::ascii_isalnum(static_cast<unsigned char>(text[8])));
}

// The name without what a template's demangled name has in front of it (the return type) and
// without its parameters: "void std::vector<A>::f<B>(C)" is "std::vector<A>::f<B>".
absl::string_view QualifiedName(absl::string_view name) {
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (depth == 0 && (i == start || name[i - 1] == ':') && StartsWithOperator(name.substr(i))) {
      const size_t parameters =
          name.find('(', i + (absl::StartsWith(name.substr(i), "operator()") ? 10 : 8));
      return name.substr(start,
                         parameters == absl::string_view::npos ? parameters : parameters - start);
    }
    constexpr absl::string_view kAnonymous = "(anonymous namespace)";
    if (absl::StartsWith(name.substr(i), kAnonymous)) {
      i += kAnonymous.size() - 1;
    } else if (c == '(' && depth == 0 && i != start) {
      return name.substr(start, i - start);
    } else if (c == '<' || c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if (c == '>' || c == ')' || c == ']' || c == '}') {
      --depth;
    } else if (c == ' ' && depth == 0) {
      start = i + 1;
    }
  }
  return name.substr(start);
}

bool Matches(absl::string_view name, absl::string_view entry) {
  const char last = entry.back();
  if (last == ':' || last == '_' || last == '<') return absl::StartsWith(name, entry);
  return name == entry;
}

// Stable: equal ones stay in their order.
template <typename T, typename Amount>
void SortByAmount(std::vector<T>* items, Amount amount) {
  std::stable_sort(items->begin(), items->end(),
                   [&](const T& a, const T& b) { return amount(a) > amount(b); });
}

double AmountOf(const model::Estimate& estimate, model::Unit unit) {
  return unit == model::Unit::kBytes ? estimate.bytes : estimate.objects;
}

// What sites are ranked by: the amount, in a comparison how much it changed either way.
double RankOf(const model::Profile& profile, const model::Estimate& estimate,
              const model::Estimate& before, model::Unit unit) {
  if (!profile.compared) return AmountOf(estimate, unit);
  return std::abs(AmountOf(estimate, unit) - AmountOf(before, unit));
}

// An address where a name should be: of a stripped interpreter or extension, which says less than
// the Python function that it works for.
bool IsNameless(const model::Frame& frame) {
  return frame.kind == model::Frame::Kind::kNative && absl::StartsWith(frame.function, "0x");
}

// The innermost that is no plumbing: an index into `frames`, root first.
size_t InterestingFrame(const std::vector<const model::Frame*>& frames) {
  const bool python = std::any_of(frames.begin(), frames.end(), [](const model::Frame* frame) {
    return frame->IsOfPython();
  });
  for (size_t i = frames.size(); i-- > 0;) {
    if (!IsPlumbing(*frames[i]) && !(python && IsNameless(*frames[i]))) return i;
  }
  return frames.size() - 1;
}

model::FrameId InterestingFrame(const model::Profile& profile, const model::Sample& sample) {
  std::vector<const model::Frame*> frames;
  for (const model::FrameId id : sample.frames) frames.push_back(&profile.frames[id.value]);
  return sample.frames[InterestingFrame(frames)];
}

// Code that has no file because a person or another program passed it as text.
bool IsEntered(const model::Frame& frame) {
  return frame.IsOfPython() &&
         (frame.file == "<string>" || frame.file == "<stdin>" || frame.file == "<console>");
}

struct GroupKey {
  model::FrameId frame;  // of this sample
  std::tuple<std::string, std::string, uint32_t, model::Domain>
      equal;  // in all samples of the group
};

// `key_of`: the group of a sample, if any.
template <typename KeyOf>
std::vector<model::SiteGroup> Group(const model::Profile& profile, model::Unit unit, KeyOf key_of) {
  std::map<decltype(GroupKey::equal), model::SiteGroup> groups;
  for (const model::SampleId id : Sites(profile, unit)) {
    const model::Sample& sample = profile.samples[id.value];
    const std::optional<GroupKey> key = key_of(sample);
    if (!key) continue;
    model::SiteGroup& group = groups[key->equal];
    if (group.sites.empty()) {
      group.frame = key->frame;
      group.domain = sample.domain;
    }
    group.estimate += sample.estimate;
    group.before += sample.before;
    group.growth += sample.growth;
    group.oldest_ns = std::max(group.oldest_ns, sample.oldest_ns);
    group.samples += sample.samples;
    group.sites.push_back(id);
  }
  std::vector<model::SiteGroup> ranked;
  for (auto& [key, group] : groups) ranked.push_back(std::move(group));
  SortByAmount(&ranked, [&](const model::SiteGroup& group) {
    return RankOf(profile, group.estimate, group.before, unit);
  });
  return ranked;
}

}  // namespace

bool IsPlumbing(const model::Frame& frame) {
  if (frame.kind == model::Frame::Kind::kSynthetic) return frame.function == kFolded;
  if (frame.kind != model::Frame::Kind::kNative) return false;
  for (const absl::string_view module : kPlumbingModules)
    if (absl::StartsWith(frame.module, module)) return true;
  absl::string_view name = QualifiedName(frame.function);
  // Rust's "<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter" is a function of
  // alloc::vec.
  if (absl::StartsWith(name, "<")) name.remove_prefix(1);
  return std::any_of(std::begin(kPlumbing), std::end(kPlumbing),
                     [name](absl::string_view entry) { return Matches(name, entry); });
}

std::vector<model::SampleId> Sites(const model::Profile& profile, model::Unit unit) {
  std::vector<model::SampleId> sites;
  for (uint32_t i = 0; i < profile.samples.size(); ++i) sites.push_back({i});
  SortByAmount(&sites, [&](model::SampleId id) {
    const model::Sample& sample = profile.samples[id.value];
    return RankOf(profile, sample.estimate, sample.before, unit);
  });
  return sites;
}

bool IsOwnCode(const model::Frame& frame) {
  if (!frame.IsOfPython()) return false;
  const absl::string_view file = frame.file;
  if (file.empty() || absl::StartsWith(file, "<")) return false;
  for (const absl::string_view place :
       {"/site-packages/", "/dist-packages/", "/lib/python3", "/lib64/python3"})
    if (absl::StrContains(file, place)) return false;
  return !absl::StrContains(file, "/bin/") || absl::EndsWith(file, ".py");
}

const model::Frame& TellingFrame(const std::vector<const model::Frame*>& frames) {
  const auto own = std::find_if(frames.rbegin(), frames.rend(),
                                [](const model::Frame* frame) { return IsOwnCode(*frame); });
  return own != frames.rend() ? **own : *frames[InterestingFrame(frames)];
}

std::vector<model::SiteGroup> GroupSites(const model::Profile& profile, model::Unit unit) {
  return Group(profile, unit, [&](const model::Sample& sample) -> std::optional<GroupKey> {
    if (sample.frames.empty()) return std::nullopt;
    const model::FrameId id = InterestingFrame(profile, sample);
    // By function, not by line: a function is what a person looks for, its sites say the lines.
    const model::Frame& frame = profile.frames[id.value];
    const bool python = frame.IsOfPython();
    return GroupKey{id, {frame.function, python ? frame.file : frame.module, 0, sample.domain}};
  });
}

std::vector<model::SiteGroup> GroupOwnCode(const model::Profile& profile, model::Unit unit) {
  return Group(profile, unit, [&](const model::Sample& sample) -> std::optional<GroupKey> {
    const auto innermost = [&](bool (*is_one)(const model::Frame&)) {
      return std::find_if(sample.frames.rbegin(), sample.frames.rend(),
                          [&](model::FrameId id) { return is_one(profile.frames[id.value]); });
    };
    auto found = innermost(IsOwnCode);
    if (found == sample.frames.rend()) {
      const auto outermost =
          std::find_if(sample.frames.begin(), sample.frames.end(), [&](model::FrameId id) {
            return profile.frames[id.value].IsOfPython();
          });
      if (outermost == sample.frames.end() || !IsEntered(profile.frames[outermost->value]))
        return std::nullopt;
      found = innermost(IsEntered);
    }
    const model::Frame& frame = profile.frames[found->value];
    return GroupKey{*found, {frame.function, frame.file, frame.line, model::Domain::kMalloc}};
  });
}

}  // namespace heapecho::aggregator
