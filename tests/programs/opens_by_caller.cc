// SPDX-License-Identifier: Apache-2.0
// Promise: dlopen finds what its caller may find, and nothing else. Usage: opens_by_caller OPENER
// NAME..., each opened by OPENER and closed again; says which were found.
#include <dlfcn.h>

#include "tests/programs/truth.h"

int main(int argc, char** argv) {
  truth::Require(argc > 2, "usage: opens_by_caller OPENER NAME...");
  void* const opener = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  truth::Require(opener != nullptr, "the opener opens");
  const auto open = reinterpret_cast<void* (*)(const char*)>(dlsym(opener, "opener_open"));
  truth::Require(open != nullptr, "the opener has its function");
  for (int i = 2; i < argc; ++i) {
    void* const found = open(argv[i]);
    const char* const error = dlerror();
    truth::Require((found == nullptr) == (error != nullptr), "an error is said where there is one");
    truth::Say("{\"name\": \"%s\", \"found\": %d}", argv[i], found != nullptr);
    if (found != nullptr) dlclose(found);
  }
  void* const self = open(nullptr);
  truth::Say("{\"name\": \"the program\", \"found\": %d}", self != nullptr);
  return 0;
}
