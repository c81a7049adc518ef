// SPDX-License-Identifier: Apache-2.0
// Promise: a daemon that closes every descriptor and reuses the numbers keeps its files as it
// writes them. Usage: closes_descriptors FOLDER. Works, closes 0 to 1023, opens files under every
// low number in FOLDER, works on while it writes to them, and checks what they hold in the end. Its
// exit status says: 0 well.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr int kFiles = 64, kRounds = 200;
constexpr char kLine[] = "0123456789abcdef\n";
}  // namespace

SITE void* site_daemon(size_t size) { return Escape(malloc(size)); }

namespace {

// Leaves a tenth of its blocks behind.
void Work() {
  for (uint64_t i = 0; i < 2000; ++i) {
    void* block = site_daemon(100 + i % 1000);
    std::memset(block, 1, 100);
    if (i % 10 != 0) free(block);
  }
}

void NameOf(char (&name)[64], int file) { std::snprintf(name, sizeof(name), "file-%d", file); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || chdir(argv[1]) != 0) return 2;
  for (int i = 0; i < 20; ++i) Work();
  for (int descriptor = 0; descriptor < 1024; ++descriptor) close(descriptor);
  int files[kFiles];
  char name[64];
  for (int i = 0; i < kFiles; ++i) {
    NameOf(name, i);
    files[i] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (files[i] != i) return 3;
  }
  for (int round = 0; round < kRounds; ++round) {
    for (int file : files) {
      if (write(file, kLine, sizeof(kLine) - 1) != sizeof(kLine) - 1) return 4;
    }
    Work();
  }
  for (int file : files) {
    struct stat status;
    if (fstat(file, &status) != 0 ||
        status.st_size != kRounds * static_cast<off_t>(sizeof(kLine) - 1))
      return 5;
    lseek(file, 0, SEEK_SET);
    char back[sizeof(kLine)] = {};
    for (int round = 0; round < kRounds; ++round) {
      if (read(file, back, sizeof(kLine) - 1) != sizeof(kLine) - 1 || std::strcmp(back, kLine) != 0)
        return 6;
    }
  }
  return 0;
}
