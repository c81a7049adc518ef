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
    -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  if(HEAPECHO_SANITIZE STREQUAL "thread")
    # It does not see fences, and warns of each. What they order here are atomics, which it does see.
    target_compile_options(heapecho_flags INTERFACE -Wno-tsan)
  endif()
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
# In a sanitizer's build the cases carry its name. Of the labels, "tsan" asks for the test under ThreadSanitizer
# too, and "unsanitized" keeps it out of both (a test that reads foreign stacks, say, is what they forbid).
add_custom_target(unit_tests)
set(heapecho_sanitizer "")
if(HEAPECHO_SANITIZE STREQUAL "thread")
  set(heapecho_sanitizer "tsan")
elseif(HEAPECHO_SANITIZE)
  set(heapecho_sanitizer "asan")
endif()
function(heapecho_unit_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBS} heapecho_flags GTest::gtest GTest::gmock GTest::gtest_main)
  # What is tested is optimised as users get it; a test's own code is compiled once and runs for milliseconds.
  target_compile_options(${name} PRIVATE -O1)
  set(prefix "${name}.")
  set(label unit)
  if(heapecho_sanitizer)
    if("unsanitized" IN_LIST TEST_LABELS OR
       (heapecho_sanitizer STREQUAL "tsan" AND NOT "tsan" IN_LIST TEST_LABELS))
      # Still a target, so that what its folder says about it holds; but nobody asks for it.
      set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
      return()
    endif()
    set(prefix "${heapecho_sanitizer}.${name}.")
    set(label ${heapecho_sanitizer})
    # Both sanitizers' shadow memory collides with the address layouts of some kernels; a fixed layout never does.
    set_target_properties(${name} PROPERTIES CROSSCOMPILING_EMULATOR
      "${PROJECT_SOURCE_DIR}/tools/without-address-randomisation")
  endif()
  add_dependencies(unit_tests ${name})
  gtest_discover_tests(${name} TEST_PREFIX "${prefix}" PROPERTIES LABELS ${label} DISCOVERY_TIMEOUT 60)
endfunction()

# heapecho_pytest(NAME FILE f [LABELS l...]): a file of pytest as one ctest case, run from its own folder. It finds
# the build directory in BUILD_DIR. Each skip is printed with its reason (see tools/run-ctest).
find_program(HEAPECHO_PYTHON NAMES python3 HINTS "${CMAKE_BINARY_DIR}/python/bin" REQUIRED)
function(heapecho_pytest name)
  cmake_parse_arguments(TEST "" "FILE" "LABELS" ${ARGN})
  if(heapecho_sanitizer)
    return()
  endif()
  add_test(NAME ${name} WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    COMMAND "${HEAPECHO_PYTHON}" -m pytest -p no:cacheprovider -q -rs --no-header "${TEST_FILE}")
  set_tests_properties(${name} PROPERTIES LABELS "pytest;${TEST_LABELS}"
    ENVIRONMENT "BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()
