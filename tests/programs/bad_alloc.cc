// SPDX-License-Identifier: Apache-2.0
// Promise: operator new fails, calls handlers, and sized and aligned deletion match, as without
// heapecho.
#include "tests/programs/bad_alloc.h"

int main() {
  bad_alloc::Run([](const char* line) { truth::Say("%s", line); });
  return 0;
}
