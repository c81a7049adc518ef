# SPDX-License-Identifier: Apache-2.0
# Settings and functions that every subdirectory shares.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# build/heapecho and build/libheapecho.so are what users name; everything else stays in its own folder.
set(HEAPECHO_OUTPUT "${CMAKE_BINARY_DIR}")

add_library(heapecho_flags INTERFACE)
target_include_directories(heapecho_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(heapecho_flags INTERFACE -Wall -Wextra -Wshadow -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion>)
if(HEAPECHO_SANITIZE)
  target_compile_options(heapecho_flags INTERFACE -fsanitize=${HEAPECHO_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(heapecho_flags INTERFACE -fsanitize=${HEAPECHO_SANITIZE})
endif()

# heapecho_preload_room(NAME SOURCES...): a room of the preload library as a static library
# heapecho_preload_NAME. No exceptions, no RTTI, hidden symbols, no guards for statics: it must live on libc.
function(heapecho_preload_room name)
  add_library(heapecho_preload_${name} STATIC ${ARGN})
  target_compile_options(heapecho_preload_${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics>
    -fvisibility=hidden -ftls-model=initial-exec -g -O2 -fno-stack-protector -fcf-protection=none
    -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free)
  target_link_libraries(heapecho_preload_${name} PUBLIC heapecho_flags)
endfunction()

# heapecho_analyzer_room(NAME SOURCES s... LIBS l...): a room of the analyzer, library heapecho_NAME.
function(heapecho_analyzer_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LIBS" ${ARGN})
  add_library(heapecho_${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(heapecho_${name} PUBLIC heapecho_flags ${ROOM_LIBS})
endfunction()

# heapecho_unit_test(NAME SOURCES s... LIBS l... [LABELS l...]): a GoogleTest program, one ctest case a test.
function(heapecho_unit_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBS} heapecho_flags GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." PROPERTIES LABELS "unit;${TEST_LABELS}" DISCOVERY_TIMEOUT 60)
endfunction()
