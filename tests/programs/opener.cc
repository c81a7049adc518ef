// SPDX-License-Identifier: Apache-2.0
// A library that opens others: where the loader looks for them is this library's RPATH or RUNPATH,
// not the program's.
#include <dlfcn.h>

extern "C" void* opener_open(const char* name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
