// SPDX-License-Identifier: Apache-2.0
#include "analyzer/reader/reader.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "analyzer/reader/complaints.h"
#include "analyzer/reader/parts.h"
#include "analyzer/reader/sections.h"
#include "analyzer/reader/source.h"
#include "preload/wire/format.h"

namespace heapecho::reader {
namespace {

static_assert(std::endian::native == std::endian::little, "wire records are copied as they are");

using wire::SectionKind;

absl::Status LoadHeader(Source& source, const std::string& name, wire::FileHeader* header) {
  const auto fail = [&name](auto&&... what) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", what...));
  };
  const size_t got = source.Read(0, sizeof *header, header);
  if (!source.error().empty()) return fail("cannot be read: ", source.error());
  if (got == 0) return fail("is empty");
  if (got < sizeof header->magic)
    return fail("is no heapecho recording: it has only ", got, " bytes");
  if (header->magic != wire::kMagic) {
    return fail(header->magic == 0 ? "is no heapecho recording, or one that was never begun"
                                   : "is no heapecho recording");
  }
  if (got < sizeof *header) {
    return fail("is cut off inside its header: ", source.size(), " of ", wire::kHeaderSize,
                " bytes");
  }
  if (header->version != wire::kVersion) {
    return fail("has format version ", header->version, "; this heapecho reads version ",
                wire::kVersion);
  }
  return absl::OkStatus();
}

void CheckStaticWords(const wire::FileHeader& header, const Source& source,
                      Complaints& complaints) {
  uint64_t words[offsetof(wire::FileHeader, static_check) / 8];
  __builtin_memcpy(words, &header, sizeof words);
  if (wire::CheckWords(words, std::size(words), wire::kMagic) != header.static_check) {
    complaints.Say("the header is damaged: what it says about the process may be wrong");
  }
  if (source.size() < header.file_size) {
    complaints.Say(absl::StrCat("the file is cut off: ", source.size(), " of ", header.file_size,
                                " bytes are there"));
  }
}

absl::StatusOr<model::Recording> Parse(Source& source, const std::string& name, Events events) {
  wire::FileHeader header;
  if (absl::Status status = LoadHeader(source, name, &header); !status.ok()) return status;

  model::Recording recording;
  Complaints complaints;
  recording.file = name;
  recording.file_bytes = source.size();
  recording.disk_bytes = source.disk_bytes();
  CheckStaticWords(header, source, complaints);
  ReadHeader(header, recording, complaints);

  const Sections sections(header, source, complaints);
  ReadEvents(source, sections.Find(SectionKind::kEvents), events, recording, complaints);
  ReadLive(source, sections.Find(SectionKind::kLive), recording, complaints);
  ReadRanges(source, sections.Find(SectionKind::kRanges), recording, complaints);
  ReadThreads(source, sections.Find(SectionKind::kThreads), recording);
  ReadHistory(source, sections.Find(SectionKind::kHistory), recording, complaints);
  ReadStacks(source, sections.Find(SectionKind::kStacks), header.peak_mark, recording, complaints);
  ReadNodes(source, sections.Find(SectionKind::kNativeNodes), recording, complaints);
  ReadPythonNodes(source, sections.Find(SectionKind::kPythonNodes), recording, complaints);
  const CodeIndex code_index =
      ReadPythonCode(source, sections.Find(SectionKind::kPythonCode), recording, complaints);
  ReadModules(source, sections.Find(SectionKind::kModules), recording, complaints);
  ReadIdentity(source, sections.Find(SectionKind::kIdentity), recording, complaints);
  ReadChildren(source, sections.Find(SectionKind::kChildren), recording, complaints);
  ReadCounters(source, sections.Find(SectionKind::kCounters), recording, complaints);
  recording.sections = sections.Describe();

  RepairNodes(recording, complaints);
  RepairPythonNodes(code_index, recording, complaints);
  ResolveStacks(recording, complaints);
  if (!source.error().empty()) {
    complaints.Say(absl::StrCat("parts of the file could not be read: ", source.error()));
  }
  recording.warnings = complaints.Take();
  return recording;
}

}  // namespace

absl::StatusOr<model::Recording> ReadRecording(const std::string& path, Events events) {
  absl::StatusOr<std::unique_ptr<Source>> source = OpenFile(path);
  if (!source.ok()) return source.status();
  return Parse(**source, path, events);
}

absl::StatusOr<model::Recording> ReadHead(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Source>> source = OpenFile(path);
  if (!source.ok()) return source.status();
  wire::FileHeader header;
  if (absl::Status status = LoadHeader(**source, path, &header); !status.ok()) return status;
  model::Recording recording;
  Complaints complaints;
  recording.file = path;
  recording.file_bytes = (*source)->size();
  recording.disk_bytes = (*source)->disk_bytes();
  CheckStaticWords(header, **source, complaints);
  ReadHeader(header, recording, complaints);
  const Sections sections(header, **source, complaints);
  ReadIdentity(**source, sections.Find(SectionKind::kIdentity), recording, complaints);
  ReadCounters(**source, sections.Find(SectionKind::kCounters), recording, complaints);
  recording.native_nodes.resize(1);
  recording.stacks.resize(1);
  recording.warnings = complaints.Take();
  return recording;
}

absl::StatusOr<model::Recording> ParseRecording(absl::Span<const uint8_t> bytes,
                                                const std::string& name, Events events) {
  return Parse(*MemorySource(bytes), name, events);
}

}  // namespace heapecho::reader
