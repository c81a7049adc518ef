// SPDX-License-Identifier: Apache-2.0
// Sites, ranked: which whole stacks hold the most, and which functions, past the allocation
// plumbing.
#pragma once

#include <vector>

#include "analyzer/model/profile.h"
#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Every sample of the profile, largest in `unit` first; equal ones in the profile's order.
std::vector<model::SampleId> Sites(const model::Profile& profile, model::Unit unit);

// Whether `frame` only passes an allocation on: it says that memory was wanted, not by whom. The
// table in sites.cc is the definition: the allocators' own entry points, operator new, the C++ and
// Rust standard libraries, CPython's object allocator, Arrow's pools.
bool IsPlumbing(const model::Frame& frame);

// The samples grouped by (domain, innermost frame that is no plumbing; where all are, the
// innermost), largest first; equal ones in the order of their frames.
std::vector<model::SiteGroup> GroupSites(const model::Profile& profile, model::Unit unit);

}  // namespace heapecho::aggregator
