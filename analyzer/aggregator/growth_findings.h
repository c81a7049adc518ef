// SPDX-License-Identifier: Apache-2.0
// What is worth a sentence of its own about what piles up.
//
//   growing_site     warning: a site that only grew (steady_growth.h): how fast, since when, how
//   sure unbounded_cache  warning: the same, and the code that holds it is a cache, by its name or
//   by
//                    functools' own function on the stack
//   label_explosion  warning: a metrics library's children of labels hold a hundred thousand
//   objects
//                    or 16 MiB: one for each combination of labels that ever came
#pragma once

#include <string>
#include <vector>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

std::vector<model::Finding> FindGrowthFindings(const model::Report& report);

// The cache that a stack (root first) goes through, in words; empty: none that one could tell.
std::string CacheOf(const std::vector<const model::Frame*>& frames);

}  // namespace heapecho::aggregator
