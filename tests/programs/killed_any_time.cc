// SPDX-License-Identifier: Apache-2.0
// Promise: whenever it is killed, its recording says what it held. Usage: killed_any_time FILE
// SMALLEST. Four threads allocate, reallocate and free for ever, and tell FILE what they hold;
// blocks have SMALLEST bytes and more.
#include <fcntl.h>
#include <pthread.h>

#include <cstring>

#include "tests/programs/mirror.h"
#include "tests/programs/truth.h"

namespace {

using mirror::Operation;
using truth::Escape;

mirror::Mirror* g_mirror;
uint64_t g_smallest;

}  // namespace

SITE void* site_kill_0(size_t size) { return Escape(malloc(size)); }
SITE void* site_kill_1(size_t size) { return Escape(calloc(1, size)); }
SITE void* site_kill_2(size_t size) { return Escape(::operator new(size)); }
SITE void* site_kill_3(void* block, size_t size) { return Escape(realloc(block, size)); }

namespace {

void* Allocate(uint64_t site, size_t size) {
  return site == 0 ? site_kill_0(size) : site == 1 ? site_kill_1(size) : site_kill_2(size);
}

uint64_t Word(void* block) { return reinterpret_cast<uint64_t>(block); }

void* Run(void* argument) {
  mirror::Thread& self = *static_cast<mirror::Thread*>(argument);
  uint64_t random = Word(argument) * 2654435761 + 1;
  for (;;) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const uint64_t bits = random >> 33;
    mirror::Slot& slot = self.slots[bits % mirror::kSlots];
    const uint64_t choice = (bits >> 10) % 4;
    const uint64_t size = g_smallest + (bits >> 12) % 9 * g_smallest;
    void* const held = reinterpret_cast<void*>(slot.address.load());

    self.slot = bits % mirror::kSlots;
    self.new_size = size;
    if (held == nullptr) {
      self.new_site = choice % 3;
      self.operation = static_cast<uint64_t>(Operation::kAllocate);
      void* block = Allocate(choice % 3, size);
      slot.site = choice % 3;
      slot.size = size;
      slot.address = Word(block);
      self.allocated_bytes += size;
    } else if (choice == 3) {
      self.new_site = 3;
      self.operation = static_cast<uint64_t>(Operation::kReallocate);
      void* block = site_kill_3(held, size);
      slot.address = 0;
      slot.site = 3;
      slot.size = size;
      slot.address = Word(block);
      self.allocated_bytes += size;
    } else {
      self.operation = static_cast<uint64_t>(Operation::kFree);
      // C++ blocks too: malloc serves operator new in this program.
      free(held);
      slot.address = 0;
    }
    self.operation = static_cast<uint64_t>(Operation::kNone);
    ++self.operations;
  }
}

}  // namespace

int main(int argc, char** argv) {
  truth::Require(argc == 3, "usage: killed_any_time FILE SMALLEST");
  g_smallest = truth::Argument(argc, argv, 2, 64);
  const int file = open(argv[1], O_RDWR | O_CLOEXEC);
  truth::Require(file >= 0, "the mirror's file opens");
  void* memory = mmap(nullptr, sizeof(mirror::Mirror), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  truth::Require(memory != MAP_FAILED, "the mirror's file maps");
  g_mirror = static_cast<mirror::Mirror*>(memory);
  pthread_t threads[mirror::kThreads];
  for (uint64_t i = 0; i < mirror::kThreads; ++i) {
    truth::Require(pthread_create(&threads[i], nullptr, Run, &g_mirror->threads[i]) == 0,
                   "a thread starts");
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}
