// SPDX-License-Identifier: Apache-2.0
// A shared object that comes and goes (see dlopen_under_load.cc); built as two files with different
// sites.
#include "tests/programs/truth.h"

SITE void* PLUGIN_SITE(size_t size) { return truth::Escape(malloc(size)); }

// Calls back into the program from a frame of the plugin.
extern "C" __attribute__((visibility("default"))) void* plugin_call(void* (*back)(size_t),
                                                                    size_t size) {
  free(PLUGIN_SITE(size));
  return truth::Escape(back(size));
}
