// SPDX-License-Identifier: Apache-2.0
// What DWARF says about an address; the contract is in the header.
//
// elfutils answers for one address at a time and walks the whole unit for each. Here a unit is
// walked once for all of its addresses, and functions that none of them lies in are stepped over.
// Units are found by their own ranges: .debug_aranges is left out by some compilers.
#include "analyzer/symbolizer/dwarf_frames.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace heapecho::symbolizer {
namespace {

// Deeper nesting than any compiler makes is damage.
constexpr int kMaxDepth = 256;

std::string String(const char* text) { return text == nullptr ? std::string() : text; }

uint32_t Number(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_attr(die, name, &attribute) == nullptr || dwarf_formudata(&attribute, &value) != 0)
    return 0;
  return value <= UINT32_MAX ? static_cast<uint32_t>(value) : 0;
}

std::string LinkageName(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) == nullptr &&
      dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) == nullptr) {
    return {};
  }
  return String(dwarf_formstring(&attribute));
}

// The addresses wanted of one unit and the functions around each, outermost first.
class Walk {
 public:
  Walk(absl::Span<const uint64_t> addresses, Dwarf_Addr bias)
      : addresses_(addresses), bias_(bias), around_(addresses.size()) {}

  void Children(Dwarf_Die* parent, int depth) {
    Dwarf_Die die;
    if (depth > kMaxDepth || dwarf_child(parent, &die) != 0) return;
    do {
      Visit(&die, depth);
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  std::vector<Dwarf_Die>& Around(size_t index) { return around_[index]; }

 private:
  void Visit(Dwarf_Die* die, int depth) {
    switch (dwarf_tag(die)) {
      case DW_TAG_subprogram:
      case DW_TAG_inlined_subroutine: {
        const std::vector<size_t> inside = WantedIn(die);
        for (const size_t index : inside) around_[index].push_back(*die);
        if (!inside.empty()) Children(die, depth + 1);
        return;
      }
      case DW_TAG_namespace:
      case DW_TAG_module:
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
      case DW_TAG_lexical_block:
      case DW_TAG_try_block:
      case DW_TAG_catch_block:
        Children(die, depth + 1);
        return;
      default:
        return;
    }
  }

  // Indices into addresses_, each once.
  std::vector<size_t> WantedIn(Dwarf_Die* die) const {
    std::vector<size_t> inside;
    Dwarf_Addr base = 0, start = 0, end = 0;
    ptrdiff_t offset = 0;
    while ((offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
      const auto first = std::lower_bound(addresses_.begin(), addresses_.end(), start + bias_);
      for (auto it = first; it != addresses_.end() && *it < end + bias_; ++it)
        inside.push_back(static_cast<size_t>(it - addresses_.begin()));
    }
    std::sort(inside.begin(), inside.end());
    inside.erase(std::unique(inside.begin(), inside.end()), inside.end());
    return inside;
  }

  absl::Span<const uint64_t> addresses_;  // sorted
  Dwarf_Addr bias_;
  std::vector<std::vector<Dwarf_Die>> around_;
};

std::string FileOf(Dwarf_Die* unit, uint32_t index) {
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (index == 0 || dwarf_getsrcfiles(unit, &files, &count) != 0 || index >= count) return {};
  return String(dwarf_filesrc(files, index, nullptr, nullptr));
}

bool HasScopes(int language) {
  // Of DWARF 6, which compilers write already and dwarf.h does not know yet.
  constexpr int kCxx17 = 0x2b, kCxx20 = 0x2c;
  switch (language) {
    case kCxx17:
    case kCxx20:
    case DW_LANG_C_plus_plus:
    case DW_LANG_C_plus_plus_03:
    case DW_LANG_C_plus_plus_11:
    case DW_LANG_C_plus_plus_14:
    case DW_LANG_Rust:
      return true;
    default:
      return false;
  }
}

// The entry that first declared a function: what an inlined copy or a definition refers to.
Dwarf_Die DeclarationOf(Dwarf_Die die) {
  for (int i = 0; i < kMaxDepth; ++i) {
    Dwarf_Attribute reference;
    Dwarf_Die next;
    if ((dwarf_attr(&die, DW_AT_abstract_origin, &reference) == nullptr &&
         dwarf_attr(&die, DW_AT_specification, &reference) == nullptr) ||
        dwarf_formref_die(&reference, &next) == nullptr) {
      break;
    }
    die = next;
  }
  return die;
}

// "a::B::" for what is declared in class B of namespace a.
std::string ScopeOf(Dwarf_Die* die) {
  std::string scope;
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes_die(die, &scopes);
  for (int i = 1; i < count; ++i) {  // 0 is the entry itself
    const char* name = dwarf_diename(&scopes[i]);
    switch (dwarf_tag(&scopes[i])) {
      case DW_TAG_namespace:
        scope.insert(0, std::string(name == nullptr ? "(anonymous namespace)" : name) + "::");
        break;
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
        if (name != nullptr) scope.insert(0, std::string(name) + "::");
        break;
      default:
        break;
    }
  }
  if (count > 0) std::free(scopes);
  return scope;
}

}  // namespace

// Functions of internal linkage have no linkage name to say their scope. elfutils walks the unit
// for it: hence the cache.
std::string DwarfFrames::ScopedName(Dwarf_Die* die) {
  const std::string name = String(dwarf_diename(die));
  Dwarf_Die declaration = DeclarationOf(*die);
  Dwarf_Die unit;
  if (dwarf_diecu(&declaration, &unit, nullptr, nullptr) == nullptr ||
      !HasScopes(dwarf_srclang(&unit)))
    return name;
  const auto [entry, is_new] = scoped_names_.try_emplace(dwarf_dieoffset(&declaration));
  if (is_new) entry->second = ScopeOf(&declaration) + name;
  return entry->second;
}

// `around`: outermost first. Innermost first out; each caller's place is where the next inner one
// was called.
std::vector<DwarfFrame> DwarfFrames::FramesOf(Dwarf_Die* unit, std::vector<Dwarf_Die>& around,
                                              Dwarf_Addr address) {
  std::vector<DwarfFrame> frames;
  std::string file;
  uint32_t line = 0;
  if (Dwarf_Line* row = dwarf_getsrc_die(unit, address); row != nullptr) {
    int number = 0;
    if (dwarf_lineno(row, &number) == 0 && number > 0) line = static_cast<uint32_t>(number);
    file = String(dwarf_linesrc(row, nullptr, nullptr));
  }
  for (auto die = around.rbegin(); die != around.rend(); ++die) {
    std::string linkage_name = LinkageName(&*die);
    std::string name = linkage_name.empty() ? ScopedName(&*die) : String(dwarf_diename(&*die));
    frames.push_back({std::move(linkage_name), std::move(name), std::move(file), line});
    if (dwarf_tag(&*die) != DW_TAG_inlined_subroutine)
      break;  // a nested function's own frame ends here
    file = FileOf(unit, Number(&*die, DW_AT_call_file));
    line = Number(&*die, DW_AT_call_line);
  }
  if (frames.empty() && line != 0) frames.push_back({{}, {}, std::move(file), line});
  return frames;
}

DwarfFrames::DwarfFrames(const ModuleFile& file)
    : dwarf_(dwfl_module_getdwarf(file.dwfl(), &bias_)) {
  if (dwarf_ == nullptr) return;
  std::vector<IntervalIndex<Dwarf_Off>::Entry> ranges;
  Dwarf_CU* unit = nullptr;
  Dwarf_Die root, split;
  uint8_t type = 0;
  while (dwarf_get_units(dwarf_, unit, &unit, nullptr, &type, &root, &split) == 0) {
    if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
    Dwarf_Addr base = 0, start = 0, end = 0;
    ptrdiff_t offset = 0;
    while ((offset = dwarf_ranges(&root, offset, &base, &start, &end)) > 0)
      ranges.push_back({start + bias_, end + bias_, dwarf_dieoffset(&root)});
  }
  units_ = IntervalIndex<Dwarf_Off>(std::move(ranges));
}

uint64_t DwarfFrames::UnitOf(uint64_t address) const {
  const auto* range = units_.Find(address);
  return range == nullptr ? 0 : range->payload;
}

std::vector<std::vector<DwarfFrame>> DwarfFrames::Look(uint64_t unit,
                                                       absl::Span<const uint64_t> addresses) {
  std::vector<std::vector<DwarfFrame>> frames(addresses.size());
  Dwarf_Die root, tree;
  if (unit == 0 || dwarf_offdie(dwarf_, unit, &root) == nullptr) return frames;
  // Split DWARF: functions are in the .dwo, if it is still there; lines are in the skeleton.
  Dwarf_Die split{};
  tree = root;
  if (dwarf_cu_info(root.cu, nullptr, nullptr, nullptr, &split, nullptr, nullptr, nullptr) == 0 &&
      split.addr != nullptr) {
    tree = split;
  }
  Dwarf_Lines* lines = nullptr;
  size_t rows = 0;
  if (dwarf_getsrclines(&root, &lines, &rows) == 0) rows_ += rows;
  Walk walk(addresses, bias_);
  walk.Children(&tree, 0);
  for (size_t i = 0; i < addresses.size(); ++i)
    frames[i] = FramesOf(&root, walk.Around(i), addresses[i] - bias_);
  return frames;
}

}  // namespace heapecho::symbolizer
