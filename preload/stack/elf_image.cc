// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/elf_image.h"

#include <elf.h>

#include <cstring>

#include "preload/base/memory.h"
#include "preload/base/memory_probe.h"

namespace heapecho::stack {
namespace {

using base::kPageSize;

// Notes are small; one that says otherwise is not believed.
constexpr size_t kMostNoteBytes = size_t{1} << 16;

bool RangeReadable(uintptr_t low, size_t bytes) {
  for (uintptr_t page = low & ~(kPageSize - 1); page < low + bytes; page += kPageSize) {
    if (!base::Readable(page)) return false;
  }
  return true;
}

constexpr size_t Align4(size_t value) { return (value + 3) & ~size_t{3}; }

void ReadBuildId(uintptr_t notes, size_t bytes, ElfImage* image) {
  size_t at = 0;
  while (at <= bytes && bytes - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, reinterpret_cast<const void*>(notes + at), sizeof(note));
    const size_t name = at + sizeof(note);
    const size_t description = name + Align4(note.n_namesz);
    const size_t end = description + note.n_descsz;
    if (end > bytes) return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(reinterpret_cast<const void*>(notes + name), "GNU", 4) == 0) {
      const size_t length =
          note.n_descsz < sizeof(image->build_id) ? note.n_descsz : sizeof(image->build_id);
      std::memcpy(image->build_id, reinterpret_cast<const void*>(notes + description), length);
      image->build_id_length = static_cast<uint8_t>(length);
      image->build_id_address = notes + description;
      return;
    }
    at = Align4(end);
  }
}

// The program headers of a mapped file.
class Segments {
 public:
  // False when there is no ELF file of this machine, or its headers do not lie within its first page.
  __attribute__((noinline)) bool Read(uintptr_t header, size_t mapped) {
    if (header % kPageSize != 0 || mapped < kPageSize || !base::Readable(header)) return false;
    Elf64_Ehdr elf;
    std::memcpy(&elf, reinterpret_cast<const void*>(header), sizeof(elf));
    if (std::memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
        elf.e_machine != EM_X86_64 || elf.e_phentsize != sizeof(Elf64_Phdr) ||
        elf.e_phoff > kPageSize || elf.e_phoff % alignof(Elf64_Phdr) != 0 ||
        elf.e_phnum > (kPageSize - elf.e_phoff) / sizeof(Elf64_Phdr)) {
      return false;
    }
    table_ = reinterpret_cast<const Elf64_Phdr*>(header + elf.e_phoff);
    count_ = elf.e_phnum;
    return true;
  }
  size_t count() const { return count_; }
  // In place: a copy would be on the application's stack.
  const Elf64_Phdr& At(size_t i) const { return table_[i]; }

 private:
  const Elf64_Phdr* table_ = nullptr;
  size_t count_ = 0;
};

// Not inlined, like Read(): what they need of the stack, which is the application's, is over when they return.
__attribute__((noinline)) bool ExtentOf(const Segments& segments, uintptr_t header, ElfExtent* extent) {
  constexpr uint64_t kMostVirtual = uint64_t{1} << 47;
  uint64_t low = kMostVirtual, high = 0;
  for (size_t i = 0; i < segments.count(); ++i) {
    const Elf64_Phdr& segment = segments.At(i);
    if (segment.p_type != PT_LOAD) continue;
    if (segment.p_vaddr >= kMostVirtual || segment.p_memsz >= kMostVirtual ||
        segment.p_filesz > segment.p_memsz) {
      return false;
    }
    if (segment.p_vaddr < low) low = segment.p_vaddr;
    if (segment.p_vaddr + segment.p_memsz > high) high = segment.p_vaddr + segment.p_memsz;
  }
  if (low >= high) return false;
  low &= ~uint64_t{kPageSize - 1};
  extent->bias = header - low;
  extent->start = header;
  extent->end = extent->bias + base::RoundUp(high, kPageSize);
  return extent->end >= extent->start;
}

}  // namespace

bool ReadElfExtent(uintptr_t header, size_t mapped, ElfExtent* extent) {
  Segments segments;
  return segments.Read(header, mapped) && ExtentOf(segments, header, extent);
}

bool ReadElfImage(uintptr_t header, size_t mapped, ElfImage* image) {
  *image = {};
  Segments segments;
  ElfExtent extent;
  if (!segments.Read(header, mapped) || !ExtentOf(segments, header, &extent)) return false;
  image->bias = extent.bias;
  image->start = extent.start;
  image->end = extent.end;

  for (size_t i = 0; i < segments.count(); ++i) {
    const Elf64_Phdr& segment = segments.At(i);
    if (segment.p_type != PT_GNU_EH_FRAME && segment.p_type != PT_NOTE && segment.p_type != PT_DYNAMIC) continue;
    for (size_t j = 0; j < segments.count(); ++j) {
      const Elf64_Phdr& load = segments.At(j);
      if (load.p_type != PT_LOAD || (load.p_flags & PF_R) == 0) continue;
      if (segment.p_vaddr < load.p_vaddr || segment.p_vaddr - load.p_vaddr > load.p_filesz ||
          load.p_filesz - (segment.p_vaddr - load.p_vaddr) < segment.p_filesz) {
        continue;
      }
      const uintptr_t address = image->bias + segment.p_vaddr;
      if (segment.p_type == PT_DYNAMIC) {
        if (RangeReadable(address, segment.p_filesz)) image->dynamic = address;
      } else if (segment.p_type == PT_GNU_EH_FRAME) {
        if (!base::Readable(address)) continue;
        image->eh_frame_hdr = address;
        image->cfi_low = image->bias + load.p_vaddr;
        image->cfi_high = image->cfi_low + load.p_filesz;
      } else if (image->build_id_length == 0 && segment.p_filesz <= kMostNoteBytes &&
                 RangeReadable(address, segment.p_filesz)) {
        ReadBuildId(address, segment.p_filesz, image);
      }
      break;
    }
  }
  return true;
}

}  // namespace heapecho::stack
