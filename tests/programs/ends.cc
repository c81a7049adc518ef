// SPDX-License-Identifier: Apache-2.0
// Promise: every way to end keeps its exit status, and the recording says how it ended. Usage: ends
// WAY.
#include <pthread.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstring>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 2048;
constexpr uint64_t kBlocks = 2000;
}  // namespace

SITE void* site_before_end() { return Escape(malloc(kSize)); }
SITE void* site_at_exit() { return Escape(malloc(kSize)); }

namespace {

void AtExit() {
  for (uint64_t i = 0; i < 100; ++i) site_at_exit();
  truth::Say("exit handler ran");
}

void AtQuickExit() {
  site_at_exit();
  truth::Say("quick exit handler ran");
}

void* ExitFromThread(void*) { std::exit(44); }

}  // namespace

int main(int argc, char** argv) {
  truth::Require(argc == 2, "usage: ends WAY");
  for (uint64_t i = 0; i < kBlocks; ++i) site_before_end();
  std::atexit(AtExit);
  std::at_quick_exit(AtQuickExit);
  const auto way = [&](const char* name) { return std::strcmp(argv[1], name) == 0; };
  if (way("return")) return 41;
  if (way("exit")) std::exit(42);
  if (way("_exit")) _exit(43);
  if (way("_Exit")) std::_Exit(45);
  if (way("quick_exit")) std::quick_exit(46);
  if (way("exit_in_thread")) {
    pthread_t thread;
    pthread_create(&thread, nullptr, ExitFromThread, nullptr);
    pthread_join(thread, nullptr);
  }
  if (way("pthread_exit")) pthread_exit(nullptr);
  if (way("abort")) std::abort();
  if (way("kill")) kill(getpid(), SIGKILL);
  if (way("terminate")) raise(SIGTERM);
  if (way("crash")) *static_cast<volatile int*>(nullptr) = 1;
  return 99;
}
