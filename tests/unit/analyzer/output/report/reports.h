// SPDX-License-Identifier: Apache-2.0
// A report made by hand, with every trap that text and JSON must not fall into.
#pragma once

#include "analyzer/model/report.h"

namespace heapecho::output {

// A gunicorn master, which runs, and two of its workers: one killed, one that exited. The first
// worker inherited a block, lost some samples, and ran in a container with a limit.
model::Report GunicornReport();

// A worker whose memory two lines of a view hold, some of it by way of a library; with a rest that is
// nobody's own. The interpreter is known, and its frames were walked.
model::Report DjangoReport();

// One frame whose names hold a newline, an escape, a quote and bytes that are no UTF-8.
model::Report HostileReport();

}  // namespace heapecho::output
