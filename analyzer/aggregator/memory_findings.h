// SPDX-License-Identifier: Apache-2.0
// What is worth a sentence of its own about memory that no code holds.
//
//   malloc_keeps          warning: a fifth of what is resident, and 32 MiB, was freed and is kept
//   by
//                         malloc
//   python_keeps          warning: likewise by Python's allocator for small objects
//   arrow_keeps           warning: likewise by Arrow's pools
//   page_cache            notice: a third of what the control group holds are files' pages, which
//                         the kernel takes back when memory is asked for
//   shared_memory         warning: a fifth of what the control group holds, and 32 MiB, is shared
//                         memory or files on tmpfs, which stay until they are deleted
//   no_room_for_a_worker  warning: workers run side by side, and below the limit there is no room
//                         for one more of them
//
// Of retention one finding a rule, of the process that has most; the others are counted.
#pragma once

#include <vector>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

std::vector<model::Finding> FindMemoryFindings(const model::Report& report);

}  // namespace heapecho::aggregator
