// SPDX-License-Identifier: Apache-2.0
// From the log of changes to the table of ranges.
#pragma once

#include <cstdint>

#include "preload/pools/range_log.h"
#include "preload/pools/range_table.h"

namespace heapecho::pools {

// Makes all changes that the log has, as if each had been made when the kernel made it. How many
// found no room in the table. By who has both for itself; nothing here waits or allocates.
uint32_t MakeChanges(RangeLog* log, RangeTable* table);

}  // namespace heapecho::pools
