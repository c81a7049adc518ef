// SPDX-License-Identifier: Apache-2.0
// Where a process's memory went: what a point of its history says was resident, taken apart by what
// the recording knows of each part.
//
//   live         by domain, at the point
//   overhead     what each live block takes beside its own bytes, by the rules of the allocator
//   that
//                served it (size_classes.h); at the end, and at the point in proportion
//   python       arenas less the small objects in them, as pymalloc rounds them
//   malloc       what it says that it keeps; where it was not asked, what is present of its heap less
//                what lives there, if that is a tenth of what is resident
//   arrow        what is present of its pools' mappings less what is live
//   own          heapecho's file as far as it is present, its tables, and what malloc pays for
//   small
//                objects that were sampled
//   file_backed  what the kernel says is file or shared memory, less heapecho's own file
//
// What is left is unexplained, and stays a line of its own: no part is ever made larger to hide it.
#pragma once

#include "absl/types/span.h"
#include "analyzer/model/memory.h"
#include "analyzer/model/recording.h"

namespace heapecho::aggregator {

// Live blocks and stacks are the recording's, which may have been moved out of it. `point` is one
// of its history; where resident memory is not known there, the account is not known either.
model::MemoryAccount AccountOf(const model::Recording& recording,
                               absl::Span<const model::LiveBlock> live_blocks,
                               absl::Span<const model::Stack> stacks,
                               const model::HistoryPoint& point);

}  // namespace heapecho::aggregator
