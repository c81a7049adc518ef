// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/threads.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr size_t kNameWords = sizeof(wire::ThreadRecord::name) / sizeof(uint64_t);

struct Name {
  uint64_t words[kNameWords];
};

Name OwnName() {
  Name name = {};
  Syscall(SYS_prctl, PR_GET_NAME, &name, 0, 0, 0);
  return name;
}

bool StoreName(wire::ThreadRecord& record, const Name& name) {
  bool changed = false;
  for (size_t i = 0; i < kNameWords; ++i) {
    auto* const word = reinterpret_cast<uint64_t*>(record.name) + i;
    changed = changed || __atomic_load_n(word, __ATOMIC_RELAXED) != name.words[i];
    __atomic_store_n(word, name.words[i], __ATOMIC_RELAXED);
  }
  return changed;
}

}  // namespace

bool ThreadTable::Initialize(uint32_t capacity) {
  records_ = static_cast<wire::ThreadRecord*>(
      base::MapPrivate(capacity * sizeof(wire::ThreadRecord), "heapecho threads"));
  capacity_ = records_ == nullptr ? 0 : capacity;
  return records_ != nullptr;
}

uint32_t ThreadTable::Add(uint32_t thread, uint32_t ordinal, uint64_t now_ns) {
  uint32_t at = taken_.load(kRelaxed);
  do {
    if (at >= capacity_) return kNone;
  } while (!taken_.compare_exchange_weak(at, at + 1, kRelaxed));
  wire::ThreadRecord& record = records_[at];
  StoreName(record, OwnName());
  __atomic_store_n(&record.first_seen_ns, now_ns, __ATOMIC_RELAXED);
  __atomic_store_n(&record.ordinal, ordinal, __ATOMIC_RELAXED);
  __atomic_store_n(&record.thread, thread, __ATOMIC_RELEASE);  // pairs with Recording::MirrorThread
  return at;
}

bool ThreadTable::RenewName(uint32_t record) { return StoreName(records_[record], OwnName()); }

uint32_t ThreadTable::used() const { return taken_.load(kRelaxed); }

void ThreadTable::AfterFork() {
  const uint32_t used = taken_.exchange(0, kRelaxed);
  if (used != 0) memset(records_, 0, used * sizeof *records_);
}

uint32_t CountThreads() {
  // Its links are itself, its parent's, and one of each thread: one call, where reading a file of
  // /proc takes three and the kernel, for most of them, a walk over all threads.
  struct stat status;
  if (Failed(Syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &status, 0))) return 0;
  return status.st_nlink > 2 ? static_cast<uint32_t>(status.st_nlink - 2) : 0;
}

}  // namespace heapecho::recording
