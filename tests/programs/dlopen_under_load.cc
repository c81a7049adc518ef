// SPDX-License-Identifier: Apache-2.0
// Promise: libraries come and go while other threads allocate: nothing hangs, and what was
// allocated from an unloaded one is still counted. Usage: dlopen_under_load PLUGIN_A PLUGIN_B
// ROUNDS.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
std::atomic<bool> g_done{false};
uint64_t g_rounds;
constexpr size_t kSize = 700;
}  // namespace

SITE void* site_called_back(size_t size) { return Escape(malloc(size)); }
SITE void* site_beside(size_t size) { return Escape(malloc(size)); }

namespace {

void* AllocateBeside(void*) {
  while (!g_done.load(std::memory_order_relaxed)) free(site_beside(kSize));
  return nullptr;
}

void* OpenAndClose(void* path) {
  for (uint64_t round = 0; round < g_rounds; ++round) {
    void* plugin = dlopen(static_cast<const char*>(path), RTLD_NOW | RTLD_LOCAL);
    truth::Require(plugin != nullptr, "the plugin opens");
    using Call = void* (*)(void* (*)(size_t), size_t);
    const Call call = reinterpret_cast<Call>(dlsym(plugin, "plugin_call"));
    truth::Require(call != nullptr, "the plugin has its function");
    for (int i = 0; i < 8; ++i) {
      void* block = call(site_called_back, kSize);
      if (i % 2 == 1) free(block);
    }
    truth::Require(dlclose(plugin) == 0, "the plugin closes");
    truth::Require(dlopen("libno-such-thing.so", RTLD_NOW) == nullptr,
                   "a missing library does not open");
    truth::Require(dlerror() != nullptr, "and says so");
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  truth::Require(argc == 4, "usage: dlopen_under_load PLUGIN_A PLUGIN_B ROUNDS");
  g_rounds = truth::Argument(argc, argv, 3, 100);
  pthread_t beside[2], openers[2];
  for (pthread_t& thread : beside) pthread_create(&thread, nullptr, AllocateBeside, nullptr);
  for (int i = 0; i < 2; ++i) pthread_create(&openers[i], nullptr, OpenAndClose, argv[1 + i]);
  for (pthread_t thread : openers) pthread_join(thread, nullptr);
  g_done = true;
  for (pthread_t thread : beside) pthread_join(thread, nullptr);
  truth::SaySite("site_called_back", kSize, 2 * g_rounds * 8, 2 * g_rounds * 4);
  return 0;
}
