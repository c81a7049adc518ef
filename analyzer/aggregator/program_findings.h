// SPDX-License-Identifier: Apache-2.0
// What a report says about the programs that ran rather than about their memory: they explain what
// the figures cannot.
//
//   development_server   warning: a server that is made for development: Django's runserver,
//   Flask's, werkzeug's or
//                        wsgiref's own, or one that was told to reload code
//   django_debug         warning: Django ran with DEBUG=True, so each connection keeps the text of
//   its queries allocator_inside     notice: a library that allocates with an allocator of its own,
//   linked into it, whose
//                        blocks nobody can see
//
// A server and DEBUG are known by the command line, or by a frame of theirs on any stack of the
// profile.
#pragma once

#include <vector>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

std::vector<model::Finding> FindProgramFindings(const model::Report& report);

}  // namespace heapecho::aggregator
