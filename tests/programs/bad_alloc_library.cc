// SPDX-License-Identifier: Apache-2.0
// Promise: the same as bad_alloc.cc where libstdc++ arrives by dlopen(RTLD_LOCAL), as under an
// interpreter.
#include "tests/programs/bad_alloc.h"

// Tells each line to `say`.
extern "C" __attribute__((visibility("default"))) void run_bad_alloc(
    void (*say)(const char* line)) {
  bad_alloc::Run(say);
}
