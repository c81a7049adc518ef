// SPDX-License-Identifier: Apache-2.0
#include "preload/base/options.h"

#include <string.h>

#include "preload/base/log.h"

namespace heapecho::base {
namespace {

bool ParseSizeOrAuto(const char* text, uint64_t* bytes) {
  if (strcmp(text, "auto") == 0) {
    *bytes = kAuto;
    return true;
  }
  return ParseSize(text, bytes);
}

bool ParseFlag(const char* text, bool* flag) {
  if (text[0] == '\0' || text[1] != '\0' || (text[0] != '0' && text[0] != '1')) return false;
  *flag = text[0] == '1';
  return true;
}

bool ParseShort(const char* text, bool* keep) {
  *keep = strcmp(text, "keep") == 0;
  return *keep || strcmp(text, "drop") == 0;
}

bool ParsePythonUse(const char* text, PythonUse* use) {
  *use = strcmp(text, "off") == 0      ? PythonUse::kOff
         : strcmp(text, "frames") == 0 ? PythonUse::kFrames
         : strcmp(text, "native") == 0 ? PythonUse::kNative
                                       : PythonUse::kWhole;
  return *use != PythonUse::kWhole || strcmp(text, "auto") == 0;
}

bool ParseArrow(const char* text, Arrow* arrow) {
  *arrow = strcmp(text, "off") == 0     ? Arrow::kOff
           : strcmp(text, "pools") == 0 ? Arrow::kPools
                                        : Arrow::kAll;
  return *arrow != Arrow::kAll || strcmp(text, "auto") == 0;
}

bool ParseMmap(const char* text, Mmap* mmap) {
  *mmap = strcmp(text, "off") == 0 ? Mmap::kOff : Mmap::kAll;
  return *mmap == Mmap::kOff || strcmp(text, "auto") == 0;
}

template <size_t kRoom>
bool ParseText(const char* text, char (*out)[kRoom]) {
  const size_t length = strlen(text);
  if (length >= kRoom) return false;
  memcpy(*out, text, length + 1);
  return true;
}

// One for each type that options.inc names.
struct kSize {
  static bool Parse(const char* text, uint64_t* out) { return ParseSize(text, out); }
};
struct kSizeOrAuto {
  static bool Parse(const char* text, uint64_t* out) { return ParseSizeOrAuto(text, out); }
};
struct kFlag {
  static bool Parse(const char* text, bool* out) { return ParseFlag(text, out); }
};
struct kShort {
  static bool Parse(const char* text, bool* out) { return ParseShort(text, out); }
};
struct kPythonUse {
  static bool Parse(const char* text, PythonUse* out) { return ParsePythonUse(text, out); }
};
struct kArrow {
  static bool Parse(const char* text, Arrow* out) { return ParseArrow(text, out); }
};
struct kMmap {
  static bool Parse(const char* text, Mmap* out) { return ParseMmap(text, out); }
};
struct kText {
  template <size_t kRoom>
  static bool Parse(const char* text, char (*out)[kRoom]) {
    return ParseText(text, out);
  }
};

template <typename Type, typename Field>
void ReadOne(const char* value, const char* variable, const char* standard, Field* field) {
  if (value != nullptr && value[0] != '\0') {
    if (Type::Parse(value, field)) return;
    Complain(variable, "=", value, " is not understood; using ", standard);
  }
  Type::Parse(standard, field);
}

void MakeAbsolute(const char* working_directory, char (*path)[512]) {
  if ((*path)[0] == '/' || working_directory == nullptr) return;
  const size_t prefix = strlen(working_directory);
  const size_t length = strlen(*path);
  if (prefix + 1 + length >= sizeof *path) return;
  memmove(*path + prefix + 1, *path, length + 1);
  memcpy(*path, working_directory, prefix);
  (*path)[prefix] = '/';
}

}  // namespace

void ReadOptions(char* (*lookup)(const char*), const char* working_directory, Options* options) {
#define OPTION(field, type, variable, standard, meaning) \
  ReadOne<type>(lookup(variable), variable, standard, &options->field);
#include "preload/base/options.inc"
#undef OPTION
  MakeAbsolute(working_directory, &options->directory);
}

bool ParseSize(const char* text, uint64_t* bytes) {
  uint64_t value = 0;
  const char* c = text;
  for (; *c >= '0' && *c <= '9'; ++c) {
    if (value > (uint64_t{1} << 62) / 10) return false;  // before it could wrap
    value = value * 10 + static_cast<uint64_t>(*c - '0');
    if (value > uint64_t{1} << 62) return false;
  }
  if (c == text) return false;
  int shift = 0;
  switch (*c) {
    case 'K': shift = 10; break;
    case 'M': shift = 20; break;
    case 'G': shift = 30; break;
    case '\0': break;
    default: return false;
  }
  if (shift != 0) ++c;
  if (shift != 0 && c[0] == 'i' && c[1] == 'B') c += 2;
  if (*c != '\0' || value == 0 || value > (uint64_t{1} << 62) >> shift) return false;
  *bytes = value << shift;
  return true;
}

bool IsSelected(const char* only, const char* command) {
  const size_t length = strlen(command);
  for (const char* name = only; *name != '\0';) {
    const char* comma = strchr(name, ',');
    const size_t name_length = comma != nullptr ? static_cast<size_t>(comma - name) : strlen(name);
    if (name_length == length && strncmp(name, command, length) == 0) return true;
    if (comma == nullptr) return false;
    name = comma + 1;
  }
  return false;
}

}  // namespace heapecho::base
