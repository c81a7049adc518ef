// SPDX-License-Identifier: Apache-2.0
// A library that looks to the outside as Arrow does: its memory pools and its thread pool have the
// names, tables and calling conventions of Arrow's, and do next to nothing. For what the real one
// would do too rarely to be tested: tasks that throw, libraries that go, shapes that are not as
// expected (ARROW_LIKE_...). Driven through ctypes.
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <stdexcept>
#include <thread>

#if defined(ARROW_LIKE_OLD)
#define ALIGNMENT
#elif defined(ARROW_LIKE_OTHER_POOLS)
#define ALIGNMENT , double
#else
#define ALIGNMENT , int64_t
#endif

namespace arrow {

class Status {
 public:
  Status() = default;
  explicit Status(const char* what) : state_(strdup(what)) {}
  Status(Status&& other) noexcept : state_(other.state_) { other.state_ = nullptr; }
  ~Status() { free(state_); }
  bool ok() const { return state_ == nullptr; }

 private:
  char* state_ = nullptr;
};

class MemoryPool {
 public:
  virtual ~MemoryPool() = default;
  virtual Status Allocate(int64_t size ALIGNMENT, uint8_t** out) = 0;
  virtual Status Reallocate(int64_t old_size, int64_t new_size ALIGNMENT, uint8_t** block) = 0;
  virtual void Free(uint8_t* block, int64_t size ALIGNMENT) = 0;
  virtual int64_t bytes_allocated() const = 0;
};

template <typename Allocator>
class BaseMemoryPoolImpl : public MemoryPool {
 public:
  Status Allocate(int64_t size ALIGNMENT, uint8_t** out) override {
    if (size > int64_t{1} << 40) return Status("too much");
    *out = Allocator::Allocate(size);
    bytes_ += size;
    return {};
  }
  Status Reallocate(int64_t old_size, int64_t new_size ALIGNMENT, uint8_t** block) override {
    if (new_size > int64_t{1} << 40) return Status("too much");
    uint8_t* const moved = Allocator::Allocate(new_size);
    memcpy(moved, *block, static_cast<size_t>(old_size < new_size ? old_size : new_size));
    free(*block);
    *block = moved;
    bytes_ += new_size - old_size;
    return {};
  }
  void Free(uint8_t* block, int64_t size ALIGNMENT) override {
    free(block);
    bytes_ -= size;
  }
  int64_t bytes_allocated() const override { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

namespace {
struct SystemAllocator {
  static uint8_t* Allocate(int64_t size) {
    return static_cast<uint8_t*>(malloc(static_cast<size_t>(size)));
  }
};
}  // namespace

#if defined(ARROW_LIKE_NO_POOLS)
class SystemMemoryPool : public MemoryPool {
 public:
  Status Allocate(int64_t size ALIGNMENT, uint8_t** out) override {
    *out = SystemAllocator::Allocate(size);
    return {};
  }
  Status Reallocate(int64_t, int64_t ALIGNMENT, uint8_t**) override { return Status("no"); }
  void Free(uint8_t* block, int64_t ALIGNMENT) override { free(block); }
  int64_t bytes_allocated() const override { return 0; }
};
#else
class SystemMemoryPool : public BaseMemoryPoolImpl<SystemAllocator> {};
#endif

class ProxyMemoryPool : public MemoryPool {
 public:
  explicit ProxyMemoryPool(MemoryPool* pool) : pool_(pool) {}
  Status Allocate(int64_t size ALIGNMENT, uint8_t** out) override;
  Status Reallocate(int64_t old_size, int64_t new_size ALIGNMENT, uint8_t** block) override;
  void Free(uint8_t* block, int64_t size ALIGNMENT) override;
  int64_t bytes_allocated() const override;

 private:
  MemoryPool* const pool_;
};
#if defined(ARROW_LIKE_OLD)
Status ProxyMemoryPool::Allocate(int64_t size, uint8_t** out) { return pool_->Allocate(size, out); }
Status ProxyMemoryPool::Reallocate(int64_t old_size, int64_t new_size, uint8_t** block) {
  return pool_->Reallocate(old_size, new_size, block);
}
void ProxyMemoryPool::Free(uint8_t* block, int64_t size) { pool_->Free(block, size); }
#else
Status ProxyMemoryPool::Allocate(int64_t size ALIGNMENT alignment, uint8_t** out) {
  return pool_->Allocate(size, alignment, out);
}
Status ProxyMemoryPool::Reallocate(int64_t old_size, int64_t new_size ALIGNMENT alignment,
                                   uint8_t** block) {
  return pool_->Reallocate(old_size, new_size, alignment, block);
}
void ProxyMemoryPool::Free(uint8_t* block, int64_t size ALIGNMENT alignment) {
  pool_->Free(block, size, alignment);
}
#endif
int64_t ProxyMemoryPool::bytes_allocated() const { return pool_->bytes_allocated(); }

class StopToken {
  std::shared_ptr<int> state_;
};

namespace internal {

template <typename Signature>
class FnOnce;
template <typename R, typename... A>
class FnOnce<R(A...)> {
 public:
  FnOnce() = default;
  template <typename Fn>
  FnOnce(Fn fn) : task_(new Holder<Fn>(std::move(fn))) {}  // NOLINT: as implicit as the real one
  R operator()(A... arguments) && {
    const std::unique_ptr<Task> task = std::move(task_);
    return task->Run(std::forward<A>(arguments)...);
  }

 private:
  struct Task {
    virtual ~Task() = default;
    virtual R Run(A&&... arguments) = 0;
  };
  template <typename Fn>
  struct Holder : Task {
    explicit Holder(Fn fn) : fn_(std::move(fn)) {}
    R Run(A&&... arguments) override { return fn_(std::forward<A>(arguments)...); }
    Fn fn_;
  };
  std::unique_ptr<Task> task_;
};

struct TaskHints {
  int32_t priority = 7;
  int64_t io_size = -1;
  int64_t cpu_cost = -1;
#if !defined(ARROW_LIKE_OTHER_TASKS)
  int64_t external_id = 77;
#endif
};

class Executor {
 public:
  virtual ~Executor() = default;
#if defined(ARROW_LIKE_OTHER_TASKS)
  virtual Status SpawnReal(int, TaskHints, FnOnce<void()>, StopToken,
                           FnOnce<void(const Status&)>&&) = 0;
#else
  virtual Status SpawnReal(TaskHints, FnOnce<void()>, StopToken, FnOnce<void(const Status&)>&&) = 0;
#endif
};

class ThreadPool : public Executor {
 public:
  ~ThreadPool() override;
#if defined(ARROW_LIKE_OTHER_TASKS)
  Status SpawnReal(int, TaskHints, FnOnce<void()>, StopToken,
                   FnOnce<void(const Status&)>&&) override;
#else
  Status SpawnReal(TaskHints, FnOnce<void()>, StopToken, FnOnce<void(const Status&)>&&) override;
#endif
  void Join();

 private:
  void Work();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<FnOnce<void()>> tasks_;
  bool closed_ = false;
  std::thread worker_;
};

}  // namespace internal
}  // namespace arrow

namespace {

using arrow::Status;
using arrow::internal::FnOnce;

// So that the program calls through the table, as everybody does who has but a pointer.
arrow::MemoryPool* volatile g_pool = nullptr;
arrow::internal::ThreadPool* volatile g_threads = nullptr;

arrow::MemoryPool* Pool() {
  if (g_pool == nullptr) g_pool = new arrow::SystemMemoryPool;
  return g_pool;
}

#if defined(ARROW_LIKE_OLD)
#define WITH_ALIGNMENT(...) __VA_ARGS__
#else
#define WITH_ALIGNMENT(...) __VA_ARGS__, 64
#endif

uint8_t* Allocate(int64_t size) {
  uint8_t* block = nullptr;
  return Pool()->Allocate(WITH_ALIGNMENT(size), &block).ok() ? block : nullptr;
}

}  // namespace

extern "C" {
#define SITE __attribute__((noinline, used))

void* like_allocate(int64_t size) { return Allocate(size); }
// The block's new address; the old one where that was refused.
void* like_reallocate(void* block, int64_t old_size, int64_t size) {
  auto* moved = static_cast<uint8_t*>(block);
  Pool()->Reallocate(old_size, WITH_ALIGNMENT(size), &moved);
  return moved;
}
void like_free(void* block, int64_t size) {
  Pool()->Free(static_cast<uint8_t*>(block), WITH_ALIGNMENT(size));
}
int64_t like_bytes() { return Pool()->bytes_allocated(); }

// What tasks allocate, and what their thread allocates when none runs.
SITE void* site_in_task(int64_t size) { return Allocate(size); }
SITE void* site_between_tasks(int64_t size) { return Allocate(size); }

void like_spawn(int64_t size, int depth, int throws) {
  if (g_threads == nullptr) g_threads = new arrow::internal::ThreadPool;
  arrow::internal::Executor* const executor = g_threads;
  const auto task = [size, depth, throws] {
    if (depth > 0) {
      like_spawn(size, depth - 1, throws);
    } else {
      site_in_task(size);
    }
    if (throws != 0) throw std::runtime_error("a task throws");
  };
#if defined(ARROW_LIKE_OTHER_TASKS)
  executor->SpawnReal(1, {}, task, {}, {});
#else
  executor->SpawnReal({}, task, {}, {});
#endif
}

// Until all tasks are done and their thread has ended.
void like_join() {
  if (g_threads != nullptr) g_threads->Join();
  delete g_threads;
  g_threads = nullptr;
}
}

namespace arrow::internal {

ThreadPool::~ThreadPool() { Join(); }

#if defined(ARROW_LIKE_OTHER_TASKS)
Status ThreadPool::SpawnReal(int, TaskHints hints, FnOnce<void()> task, StopToken,
                             FnOnce<void(const Status&)>&&) {
#else
Status ThreadPool::SpawnReal(TaskHints hints, FnOnce<void()> task, StopToken,
                             FnOnce<void(const Status&)>&&) {
  if (hints.external_id != 77) abort();
#endif
  if (hints.priority != 7) abort();
  const std::lock_guard<std::mutex> lock(mutex_);
  tasks_.push(std::move(task));
  if (!worker_.joinable()) worker_ = std::thread([this] { Work(); });
  changed_.notify_one();
  return {};
}

void ThreadPool::Work() {
  for (;;) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    FnOnce<void()> task = std::move(tasks_.front());
    tasks_.pop();
    lock.unlock();
    try {
      std::move(task)();
    } catch (const std::runtime_error&) {
    }
    site_between_tasks(6000);
  }
}

void ThreadPool::Join() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_one();
  }
  if (worker_.joinable()) worker_.join();
}

}  // namespace arrow::internal
