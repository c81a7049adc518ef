// SPDX-License-Identifier: Apache-2.0
// Sites, ranked: which whole stacks hold the most, and which functions, past the allocation
// plumbing.
#pragma once

#include <vector>

#include "analyzer/model/profile.h"
#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Every sample of the profile, largest in `unit` first (in a comparison, here and below: what
// changed most first); equal ones in the profile's order.
std::vector<model::SampleId> Sites(const model::Profile& profile, model::Unit unit);

// Whether `frame` only passes an allocation on: it says that memory was wanted, not by whom. The
// table in sites.cc is the definition: the allocators' own entry points, operator new, the C++ and
// Rust standard libraries, CPython's object allocator, Arrow's pools.
bool IsPlumbing(const model::Frame& frame);

// Whether `frame` is Python code of the application itself: not of the standard library, of an
// installed package, of a console script, or without a file.
bool IsOwnCode(const model::Frame& frame);

// The frame of a stack (root first, not empty) that a person would name it by: the innermost of the
// application's own Python code, else what GroupSites() groups by.
const model::Frame& TellingFrame(const std::vector<const model::Frame*>& frames);

// The samples grouped by the innermost line of the application's own code (where a stack has none
// and begins in text, as of `python -c`: by its innermost line of such text), largest first; equal
// ones in the order of their frames. Samples without such a line are in no group. A group may hold
// several domains; its own is that of its largest site.
std::vector<model::SiteGroup> GroupOwnCode(const model::Profile& profile, model::Unit unit);

// The samples grouped by (domain, innermost frame that is no plumbing, nor, where there are Python
// frames, without a name; where all are, the innermost), largest first; equal ones in the order of
// their frames.
std::vector<model::SiteGroup> GroupSites(const model::Profile& profile, model::Unit unit);

}  // namespace heapecho::aggregator
