// SPDX-License-Identifier: Apache-2.0
// Promise: destructors of thread-local data may allocate and free, in every round of them, and are
// counted. Usage: thread_ends THREADS.
#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 900;
std::atomic<uint64_t> g_key_rounds{0}, g_objects_destroyed{0};
pthread_key_t g_key;
}  // namespace

SITE void* site_in_key_destructor() { return Escape(malloc(kSize)); }
SITE void* site_in_object_destructor() { return Escape(malloc(kSize)); }

namespace {

// Comes back until it has had three rounds; leaves one block behind in each.
void KeyDestructor(void* value) {
  const uintptr_t rounds_left = reinterpret_cast<uintptr_t>(value);
  free(site_in_key_destructor());
  site_in_key_destructor();
  ++g_key_rounds;
  if (rounds_left > 1) pthread_setspecific(g_key, reinterpret_cast<void*>(rounds_left - 1));
}

struct Local {
  std::unique_ptr<std::string> text = std::make_unique<std::string>(500, 'l');
  ~Local() {
    text = std::make_unique<std::string>(700, 'm');
    site_in_object_destructor();
    ++g_objects_destroyed;
  }
};

thread_local Local t_local;

void* Run(void*) {
  pthread_setspecific(g_key, reinterpret_cast<void*>(3));
  truth::Escape(&t_local);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t threads = truth::Argument(argc, argv, 1, 300);
  truth::Require(pthread_key_create(&g_key, KeyDestructor) == 0, "a key");
  for (uint64_t i = 0; i < threads; ++i) {
    pthread_t thread;
    truth::Require(pthread_create(&thread, nullptr, Run, nullptr) == 0, "a thread starts");
    pthread_join(thread, nullptr);
  }
  truth::Require(g_key_rounds == 3 * threads && g_objects_destroyed == threads,
                 "every destructor ran");
  truth::SaySite("site_in_key_destructor", kSize, 6 * threads, 3 * threads);
  truth::SaySite("site_in_object_destructor", kSize, threads, threads);
  return 0;
}
