// SPDX-License-Identifier: Apache-2.0
// Finding a function in the loaded libraries by reading their dynamic sections, without the loader's help.
//
// Instead of dlsym: that one allocates before the next allocator is known (every peer carries an arena for
// it), takes the loader's lock, and lives in another library before glibc 2.34. What is read here are symbol
// tables in memory, in the order in which the loader searches them.
#pragma once

#include <link.h>

namespace heapecho::base {

struct Symbol {
  void* address;          // null: not found
  const link_map* owner;  // the library that defines it
};

// The definition that stands next to ours in the loader's search order: what dlsym(RTLD_NEXT) gives. Reads the
// list of libraries as the loader keeps it: at start-up, or while no dlopen or dlclose runs.
Symbol FindNext(const char* name);

// The first definition in the loader's search order: what the program itself calls. May be ours.
Symbol FindFirst(const char* name);
// Whether that library is ours.
bool IsOurs(const link_map* library);

// The definition in a library whose file name begins with `library`, wherever it stands, loaded locally too.
Symbol FindIn(const char* library, const char* name);

}  // namespace heapecho::base
