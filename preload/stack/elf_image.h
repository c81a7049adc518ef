// SPDX-License-Identifier: Apache-2.0
// Reads what the walk and the module table need out of a mapped ELF file, trusting none of its
// numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

struct ElfImage {
  uintptr_t bias;               // run-time address minus ELF virtual address
  uintptr_t start, end;         // run-time range of the loadable segments, whole pages
  uintptr_t eh_frame_hdr;       // run-time address; 0: none
  uintptr_t cfi_low, cfi_high;  // the loaded segment that holds it
  uintptr_t dynamic;            // run-time address of the dynamic section; 0: none
  uintptr_t build_id_address;   // where the note holds it; 0: none
  uint8_t build_id_length;      // 0: none
  uint8_t build_id[20];
};

// Where an image lies.
struct ElfExtent {
  uintptr_t bias;        // run-time address minus ELF virtual address
  uintptr_t start, end;  // run-time range of the loadable segments, zeroed data included, whole pages
};

// The same of the image alone, for one probe. As ReadElfImage otherwise.
bool ReadElfExtent(uintptr_t header, size_t mapped, ElfExtent* extent);

// Reads the image whose ELF header is mapped at `header`, where at most `mapped` bytes from
// `header` on are known to be mapped. False when there is no ELF file of this machine, or its
// headers do not lie within its first page. Signal-safe; probes before it reads.
bool ReadElfImage(uintptr_t header, size_t mapped, ElfImage* image);

}  // namespace heapecho::stack
