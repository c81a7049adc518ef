# SPDX-License-Identifier: Apache-2.0
# Writes a C++ source that holds text files as string constants, each with its SHA-256:
#   cmake -DOUT=FILE.cc -DNAMES=a;b -DFILES=/path/a;/path/b -P embed.cmake
# A raw string literal keeps every byte; its delimiter must not occur in the text.
set(code "// Made by embed.cmake.\n#include \"analyzer/output/flamegraph_page.h\"\n\n")
string(APPEND code "namespace heapecho::output {\n\n")
foreach(name file IN ZIP_LISTS NAMES FILES)
  file(READ "${file}" text)
  string(FIND "${text}" ")embedded\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "${file} contains the delimiter of the literal it is to stand in")
  endif()
  file(SHA256 "${file}" hash)
  string(APPEND code "const PagePart k${name} = {R\"embedded(${text})embedded\", \"${hash}\"};\n")
endforeach()
string(APPEND code "\n}  // namespace heapecho::output\n")
file(WRITE "${OUT}" "${code}")
