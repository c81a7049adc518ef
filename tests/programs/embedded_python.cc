// SPDX-License-Identifier: Apache-2.0
// Promise: an interpreter that a program loads for itself, and keeps to itself, is met like any other, in a second life
// too. Usage: embedded_python LIBPYTHON ROUNDS ARGUMENT...: runs `python ARGUMENT...` that many times.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  using Main = int (*)(int, char**);
  const Main run = reinterpret_cast<Main>(dlsym(library, "Py_BytesMain"));
  if (run == nullptr) return 2;
  char name[] = "python";
  std::vector<char*> arguments = {name};
  arguments.insert(arguments.end(), argv + 3, argv + argc);
  for (int left = atoi(argv[2]); left > 0; --left) {
    const int status = run(static_cast<int>(arguments.size()), arguments.data());
    if (status != 0) return status;
  }
  return 0;
}
