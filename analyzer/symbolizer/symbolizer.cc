// SPDX-License-Identifier: Apache-2.0
// The symbolizer over ELF files: a module at a time, answers kept; the contract is in the header.
#include "analyzer/symbolizer/symbolizer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "analyzer/symbolizer/demangle.h"
#include "analyzer/symbolizer/dwarf_frames.h"
#include "analyzer/symbolizer/module_file.h"
#include "analyzer/symbolizer/symbol_table.h"

namespace heapecho::symbolizer {
namespace {

// Decoded line tables are given back by opening the file anew once they hold this many rows (some
// 80 MB).
constexpr size_t kMaxRows = 2'000'000;

std::string FileName(const std::string& path) {
  const std::string name(absl::StripSuffix(path, " (deleted)"));
  return name.substr(name.rfind('/') + 1);
}

// Code that no file holds: the kernel's own page, code made at run time.
bool IsWithoutFile(const std::string& path) {
  return absl::StartsWith(path, "[") || absl::StartsWith(path, "linux-vdso.so") ||
         absl::StartsWith(path, "linux-gate.so");
}

class ElfSymbolizer : public Symbolizer {
 public:
  explicit ElfSymbolizer(ElfOptions options) : options_(std::move(options)) {}

  std::vector<Frames> Symbolize(const model::Module& module,
                                absl::Span<const uint64_t> addresses) override {
    if (IsWithoutFile(module.path)) {
      model::Frame frame;
      frame.kind = model::Frame::Kind::kSynthetic;
      frame.function = absl::StartsWith(module.path, "[") ? module.path : "[vdso]";
      return std::vector<Frames>(addresses.size(), {frame});
    }
    Answers& answers = answers_[{module.path, module.build_id}];
    std::vector<uint64_t> missing;
    for (const uint64_t address : addresses)
      if (!answers.frames.contains(address)) missing.push_back(address);
    std::sort(missing.begin(), missing.end());
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
    if (!missing.empty()) Look(module, missing, &answers);
    std::vector<Frames> result;
    result.reserve(addresses.size());
    for (const uint64_t address : addresses) result.push_back(answers.frames.at(address));
    return result;
  }

  std::vector<std::string> Warnings() const override { return warnings_; }

 private:
  struct Answers {
    bool unusable = false;  // the file: found out and said once
    absl::flat_hash_map<uint64_t, Frames> frames;
  };

  std::unique_ptr<ModuleFile> Open(const model::Module& module, Answers* answers) {
    if (answers->unusable) return nullptr;
    auto opened = ModuleFile::Open(module, options_);
    if (auto* file = std::get_if<std::unique_ptr<ModuleFile>>(&opened)) return std::move(*file);
    answers->unusable = true;
    warnings_.push_back(std::get<std::string>(std::move(opened)));
    return nullptr;
  }

  // `missing`: sorted, unique.
  void Look(const model::Module& module, const std::vector<uint64_t>& missing, Answers* answers) {
    std::unique_ptr<ModuleFile> file = Open(module, answers);
    std::vector<std::string> symbols(missing.size());  // as the linker spells them; empty: none
    std::vector<std::vector<DwarfFrame>> frames(missing.size());
    if (file != nullptr) {
      const SymbolTable table(*file);
      for (size_t i = 0; i < missing.size(); ++i)
        if (const char* name = table.Find(missing[i])) symbols[i] = name;
    }
    if (file != nullptr) AddDwarf(module, missing, std::move(file), answers, &frames);
    const std::string name = FileName(module.path);
    for (size_t i = 0; i < missing.size(); ++i)
      answers->frames.emplace(missing[i], ToFrames(name, missing[i], symbols[i], frames[i]));
  }

  // A unit at a time, in the order of the units.
  void AddDwarf(const model::Module& module, const std::vector<uint64_t>& addresses,
                std::unique_ptr<ModuleFile> file, Answers* answers,
                std::vector<std::vector<DwarfFrame>>* frames) {
    auto dwarf = std::make_unique<DwarfFrames>(*file);
    if (!dwarf->HasDebugInfo()) return;
    std::vector<std::pair<uint64_t, size_t>> order;  // unit, index into addresses
    for (size_t i = 0; i < addresses.size(); ++i)
      if (const uint64_t unit = dwarf->UnitOf(addresses[i])) order.emplace_back(unit, i);
    std::sort(order.begin(), order.end());
    for (size_t first = 0, last = 0; first < order.size(); first = last) {
      const uint64_t unit = order[first].first;
      std::vector<uint64_t> mine;
      for (; last < order.size() && order[last].first == unit; ++last)
        mine.push_back(addresses[order[last].second]);
      std::vector<std::vector<DwarfFrame>> found = dwarf->Look(unit, mine);
      for (size_t i = 0; i < found.size(); ++i)
        (*frames)[order[first + i].second] = std::move(found[i]);
      if (dwarf->rows() < kMaxRows) continue;
      dwarf.reset();
      file = Open(module, answers);
      if (file == nullptr) return;
      dwarf = std::make_unique<DwarfFrames>(*file);
      if (!dwarf->HasDebugInfo()) return;
    }
  }

  Frames ToFrames(const std::string& module, uint64_t address, const std::string& symbol,
                  std::vector<DwarfFrame>& dwarf) {
    if (dwarf.empty()) dwarf.emplace_back();
    Frames frames;
    for (size_t i = 0; i < dwarf.size(); ++i) {
      const bool outermost = i + 1 == dwarf.size();
      DwarfFrame& from = dwarf[i];
      model::Frame frame;
      frame.function = FunctionName(from, outermost ? symbol : std::string());
      if (frame.function.empty()) frame.function = absl::StrFormat("0x%x", address);
      frame.file = std::move(from.file);
      frame.line = from.line;
      frame.module = module;
      frame.inlined = !outermost;
      frames.push_back(std::move(frame));
    }
    return frames;
  }

  // A mangled name goes before a bare one, it says scope and parameters; the symbol table's before
  // DWARF's (malloc, not __libc_malloc), except that it knows no inlined functions. Empty: neither
  // has one.
  std::string FunctionName(const DwarfFrame& dwarf, const std::string& symbol) {
    if (IsMangled(dwarf.linkage_name)) return Demangled(dwarf.linkage_name);
    if (!symbol.empty()) return Demangled(symbol);
    return dwarf.name;
  }

  const std::string& Demangled(const std::string& name) {
    const auto [entry, is_new] = demangled_.try_emplace(name);
    if (is_new) entry->second = Demangle(name);
    return entry->second;
  }

  const ElfOptions options_;
  absl::flat_hash_map<std::pair<std::string, std::string>, Answers>
      answers_;  // by path and build-id
  absl::flat_hash_map<std::string, std::string> demangled_;
  std::vector<std::string> warnings_;
};

}  // namespace

std::unique_ptr<Symbolizer> MakeElfSymbolizer(ElfOptions options) {
  return std::make_unique<ElfSymbolizer>(std::move(options));
}

}  // namespace heapecho::symbolizer
