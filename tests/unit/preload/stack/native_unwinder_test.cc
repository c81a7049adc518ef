// SPDX-License-Identifier: Apache-2.0
// The walk against libunwind's, over the shapes that stacks take.
#include "preload/stack/native_unwinder.h"

#include <alloca.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "preload/base/counters.h"
#include "preload/stack/capture_registers.h"
#include "preload/stack/modules.h"
#include "tests/unit/preload/stack/walk_comparison.h"

extern "C" {
void heapecho_test_cfa_by_rbx(void (*call)());
void heapecho_test_cfa_by_expression(void (*call)());
void heapecho_test_cfa_by_rare_operators(void (*call)());
void heapecho_test_cfa_by_endless_expression(void (*call)());
void heapecho_test_rbp_in_register(void (*call)());
void heapecho_test_without_cfi(void (*call)());
void heapecho_test_trapping_leaf();
int heapecho_test_call_single_stepped(int (*call)(int), int argument);
int heapecho_test_lazily_bound(int argument);  // these two in libraries of their own
size_t heapecho_test_own_frames(uintptr_t* first);
}

namespace heapecho::stack {
namespace {

using heapecho::testing::CompareWithLibunwind;
using heapecho::testing::Comparison;
using heapecho::testing::kWalksAComparison;

// Comparisons made where no test can assert: in handlers and callbacks.
struct Tally {
  int made = 0;
  int different = 0;
  int broken = 0;
  uint32_t signal_frames = 0;
  uint32_t most_frames = 0;
  std::string first_difference;

  void Add(const Comparison& comparison) {
    ++made;
    broken += comparison.broken ? 1 : 0;
    signal_frames += comparison.signal_frames;
    if (comparison.frames > most_frames) most_frames = comparison.frames;
    if (!comparison.same && different++ == 0) first_difference = comparison.difference;
  }
};
Tally g_tally;

void AddHere() {
  g_tally.Add(CompareWithLibunwind());
  __asm__ volatile("");
}

class NativeUnwinder : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { InitializeNativeUnwinder(); }
  void SetUp() override { g_tally = {}; }
  void TearDown() override {
    EXPECT_GT(g_tally.made, 0) << "nothing was compared";
    EXPECT_EQ(g_tally.different, 0) << g_tally.first_difference;
  }
};

__attribute__((noinline)) int Recurse(int depth, void (*call)()) {
  if (depth == 0) {
    call();
    return 1;
  }
  const int result = Recurse(depth - 1, call) + 1;
  __asm__ volatile("");
  return result;
}

TEST_F(NativeUnwinder, AgreesInRecursion) {
  for (int depth = 0; depth < 100; ++depth) Recurse(depth, AddHere);
  EXPECT_EQ(g_tally.broken, 0);
  EXPECT_GT(g_tally.most_frames, 100u);
}

__attribute__((noinline)) void WithVariableArray(size_t n, void (*call)()) {
  char* array = static_cast<char*>(alloca(n));
  std::memset(array, 1, n);
  __asm__ volatile("" : : "r"(array) : "memory");
  call();
  __asm__ volatile("" : : "r"(array) : "memory");
}

TEST_F(NativeUnwinder, AgreesInFramesOfVariableSize) {
  for (const size_t n : {1u, 100u, 5000u, 70'000u, 300'000u}) WithVariableArray(n, AddHere);
}

// Alignment above the stack's own and a variable size together: the frame's CFA is kept in memory.
__attribute__((noinline)) void Realigned(size_t n, void (*call)()) {
  alignas(128) volatile char aligned[256];
  char* array = static_cast<char*>(alloca(n));
  aligned[0] = 1;
  __asm__ volatile("" : : "r"(array), "r"(aligned) : "memory");
  call();
  __asm__ volatile("" : : "r"(array), "r"(aligned) : "memory");
}

TEST_F(NativeUnwinder, AgreesWhereTheStackIsRealigned) {
  for (const size_t n : {1u, 333u, 9000u}) {
    Realigned(n, AddHere);
    Realigned(n, [] { Realigned(77, AddHere); });
  }
}

struct AddsWhenDestroyed {
  ~AddsWhenDestroyed() { AddHere(); }
};

__attribute__((noinline)) void Throw(int depth) {
  AddsWhenDestroyed guard;
  if (depth == 0) throw std::runtime_error("in flight");
  Throw(depth - 1);
  __asm__ volatile("");
}

TEST_F(NativeUnwinder, AgreesWhileAnExceptionIsInFlightAndInItsHandler) {
  try {
    Throw(5);
  } catch (const std::exception&) {
    AddHere();
    try {
      Throw(2);
    } catch (const std::exception&) {
      AddHere();
    }
  }
  EXPECT_EQ(g_tally.made, 6 + 1 + 3 + 1);
}

void AddInHandler(int) { AddHere(); }

void WithHandler(int signal, int flags, void (*handler)(int), const std::function<void()>& body) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ASSERT_EQ(sigaction(signal, &action, &before), 0);
  body();
  sigaction(signal, &before, nullptr);
}

TEST_F(NativeUnwinder, AgreesInASignalHandler) {
  WithHandler(SIGUSR1, 0, AddInHandler, [] { Recurse(10, [] { raise(SIGUSR1); }); });
  EXPECT_EQ(g_tally.signal_frames, 1u);
  EXPECT_EQ(g_tally.broken, 0);
}

TEST_F(NativeUnwinder, AgreesInAHandlerOnAnotherStackAboveOrBelow) {
  constexpr size_t kSize = 256 * 1024;
  void* const memory =
      mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  stack_t stack{};
  stack_t before{};
  stack.ss_sp = memory;
  stack.ss_size = kSize;
  ASSERT_EQ(sigaltstack(&stack, &before), 0);
  WithHandler(SIGUSR1, SA_ONSTACK, AddInHandler, [] {
    Recurse(10, [] { raise(SIGUSR1); });
    AddHere();
    Recurse(10, [] { raise(SIGUSR1); });
  });
  sigaltstack(&before, nullptr);
  munmap(memory, kSize);
  EXPECT_EQ(g_tally.signal_frames, 2u);
  EXPECT_EQ(g_tally.broken, 0);
}

TEST_F(NativeUnwinder, AgreesInASignalHandlerThatInterruptsAHandler) {
  WithHandler(SIGUSR2, 0, AddInHandler, [] {
    WithHandler(
        SIGUSR1, 0, [](int) { raise(SIGUSR2); }, [] { Recurse(3, [] { raise(SIGUSR1); }); });
  });
  EXPECT_EQ(g_tally.signal_frames, 2u);
}

int g_interrupted = 0, g_not_interrupted = 0;

void WalkAndCount(int) {
  static NativeFrame frames[512];
  static StackBounds bounds = {};
  Registers registers;
  CaptureRegisters(&registers);
  const NativeWalk walk = WalkNative(registers, bounds, frames, std::size(frames));
  ++(walk.interrupted ? g_interrupted : g_not_interrupted);
}

// Whoever waits for a lock that the interrupted code may hold relies on it.
TEST_F(NativeUnwinder, SaysWhetherASignalHandlerStandsOnTheStack) {
  g_interrupted = g_not_interrupted = 0;
  Recurse(3, [] {
    AddHere();
    WalkAndCount(0);
  });
  EXPECT_EQ(g_interrupted, 0);
  EXPECT_EQ(g_not_interrupted, 1);
  WithHandler(SIGUSR1, 0, WalkAndCount, [] { Recurse(3, [] { raise(SIGUSR1); }); });
  WithHandler(SIGTRAP, 0, WalkAndCount, [] { Recurse(3, heapecho_test_trapping_leaf); });
  WithHandler(SIGUSR1, 0, WalkAndCount, [] { raise(SIGUSR1); });  // by rules that are known now
  EXPECT_EQ(g_interrupted, 3);
  EXPECT_EQ(g_not_interrupted, 1);
}

TEST_F(NativeUnwinder, AgreesWhereALeafFunctionWasInterrupted) {
  WithHandler(SIGTRAP, 0, AddInHandler, [] { Recurse(3, heapecho_test_trapping_leaf); });
  EXPECT_EQ(g_tally.signal_frames, 1u);
  EXPECT_EQ(g_tally.broken, 0);
}

int CompareNumbers(const void* a, const void* b) {
  AddHere();
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

TEST_F(NativeUnwinder, AgreesInCallbacksThroughTheCLibrary) {
  int numbers[] = {5, 3, 8, 1, 9, 2};
  std::qsort(numbers, std::size(numbers), sizeof(numbers[0]), CompareNumbers);
  const int key = 8;
  std::bsearch(&key, numbers, std::size(numbers), sizeof(numbers[0]), CompareNumbers);
}

void AddAtEachStep(int) { AddHere(); }

// Every instruction of a call through a lazily bound stub, of the loader's resolver behind it, and
// of the prologues and epilogues on the way.
TEST_F(NativeUnwinder, AgreesAtEachInstructionOfALazilyBoundCall) {
  WithHandler(SIGTRAP, 0, AddAtEachStep, [] {
    EXPECT_EQ(heapecho_test_call_single_stepped(heapecho_test_lazily_bound, 40), 42);
  });
  EXPECT_GT(g_tally.made, 200) << "the resolver was not stepped through";
  EXPECT_EQ(g_tally.broken, 0);
}

TEST_F(NativeUnwinder, AgreesInThreads) {
  std::vector<Tally> tallies(4);
  std::vector<std::thread> threads;
  for (Tally& tally : tallies) {
    threads.emplace_back([&tally] {
      for (int i = 0; i < 200; ++i) {
        if (i % 16 == 0) ModulesMayHaveChanged();
        tally.Add(CompareWithLibunwind());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tally& tally : tallies) {
    EXPECT_EQ(tally.made, 200);
    EXPECT_EQ(tally.different, 0) << tally.first_difference;
    EXPECT_EQ(tally.broken, 0);
  }
  AddHere();
}

__attribute__((noinline)) void Prepare(ucontext_t* context, void* memory, size_t size,
                                       ucontext_t* next, void (*body)()) {
  ASSERT_EQ(getcontext(context), 0);
  context->uc_stack.ss_sp = memory;
  context->uc_stack.ss_size = size;
  context->uc_link = next;
  makecontext(context, body, 0);
}

ucontext_t g_main_context, g_coroutine_context;

void Coroutine() {
  Recurse(5, AddHere);
  swapcontext(&g_coroutine_context, &g_main_context);
  Recurse(50, AddHere);
}

TEST_F(NativeUnwinder, AgreesInCoroutines) {
  constexpr size_t kSize = 128 * 1024;
  for (int i = 0; i < 3; ++i) {
    void* const memory =
        mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    Prepare(&g_coroutine_context, memory, kSize, &g_main_context, Coroutine);
    ASSERT_EQ(swapcontext(&g_main_context, &g_coroutine_context), 0);
    AddHere();
    ASSERT_EQ(swapcontext(&g_main_context, &g_coroutine_context), 0);
    munmap(memory, kSize);
    AddHere();
  }
  EXPECT_EQ(g_tally.broken, 0);
}

TEST_F(NativeUnwinder, KeepsTheInnermostFramesAndSaysThatThereWereMore) {
  Recurse(700, [] {
    g_tally.Add(CompareWithLibunwind(512));
    EXPECT_TRUE(CompareWithLibunwind(512).truncated);
    EXPECT_EQ(CompareWithLibunwind(512).frames, 512u);
    EXPECT_FALSE(CompareWithLibunwind().truncated);
  });
}

TEST_F(NativeUnwinder, ExactlyFullIsNotTruncated) {
  const uint32_t frames = CompareWithLibunwind(4096).frames;
  const Comparison comparison = CompareWithLibunwind(frames);
  g_tally.Add(comparison);
  EXPECT_FALSE(comparison.truncated);
  EXPECT_EQ(comparison.frames, frames);
}

TEST_F(NativeUnwinder, AgreesWhereTheCfaHangsOnARegisterThatIsNotFollowed) {
  Recurse(3, [] { heapecho_test_cfa_by_rbx([] { Recurse(3, AddHere); }); });
  EXPECT_EQ(g_tally.broken, 0);
}

TEST_F(NativeUnwinder, AgreesWhereTheCfaIsAnExpression) {
  heapecho_test_cfa_by_expression([] { Recurse(3, AddHere); });
  EXPECT_EQ(g_tally.broken, 0);
}

TEST_F(NativeUnwinder, LetsLibunwindStepOverOperatorsThatItDoesNotKnow) {
  const auto& steps = base::g_counters[static_cast<size_t>(base::Counter::k_unwind_libunwind)];
  const uint64_t before = steps.load();
  heapecho_test_cfa_by_rare_operators([] {
    heapecho_test_cfa_by_rbx(
        [] { heapecho_test_cfa_by_rare_operators([] { Recurse(2, AddHere); }); });
  });
  EXPECT_EQ(g_tally.broken, 0);
  EXPECT_EQ(steps.load() - before, 2u * kWalksAComparison);
}

TEST_F(NativeUnwinder, AgreesWhereTheFramePointerIsInARegisterAndRowsAreRemembered) {
  heapecho_test_rbp_in_register([] { Recurse(3, AddHere); });
  heapecho_test_rbp_in_register([] { heapecho_test_rbp_in_register(AddHere); });
  EXPECT_EQ(g_tally.broken, 0);
}

// What follows is not compared: libunwind guesses on, or would crash.
class NativeUnwinderAlone : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { InitializeNativeUnwinder(); }
};

NativeWalk g_walk;
NativeFrame g_frames[512];
StackBounds g_bounds;

__attribute__((noinline)) void WalkHere() {
  Registers registers;
  CaptureRegisters(&registers);
  g_walk = WalkNative(registers, g_bounds, g_frames, std::size(g_frames));
  __asm__ volatile("");
}

TEST_F(NativeUnwinderAlone, SaysBrokenAtCodeWithoutFrameInformation) {
  heapecho_test_without_cfi(WalkHere);
  ASSERT_EQ(g_walk.count, 2u);
  EXPECT_TRUE(g_walk.broken);
  EXPECT_EQ(g_frames[1].cfa, 0u);
  const auto begin = reinterpret_cast<uintptr_t>(&heapecho_test_without_cfi);
  EXPECT_GE(g_frames[1].ip, begin);
  EXPECT_LT(g_frames[1].ip, begin + 16);
}

TEST_F(NativeUnwinderAlone, SaysBrokenAtGeneratedCode) {
  void* const code =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code, MAP_FAILED);
  // sub rsp, 8; call rdi; add rsp, 8; ret
  const unsigned char bytes[] = {0x48, 0x83, 0xec, 8, 0xff, 0xd7, 0x48, 0x83, 0xc4, 8, 0xc3};
  std::memcpy(code, bytes, sizeof(bytes));
  reinterpret_cast<void (*)(void (*)())>(code)(WalkHere);
  EXPECT_EQ(g_walk.count, 2u);
  EXPECT_TRUE(g_walk.broken);
  EXPECT_EQ(g_frames[1].ip, reinterpret_cast<uintptr_t>(code) + 5);
  EXPECT_EQ(LocationOf(g_frames[1].ip), g_frames[1].ip);
  munmap(code, 4096);
}

TEST_F(NativeUnwinderAlone, SaysBrokenAtAnExpressionThatNeverEnds) {
  for (int i = 0; i < 3; ++i) {
    heapecho_test_cfa_by_endless_expression(WalkHere);
    EXPECT_EQ(g_walk.count, 2u);
    EXPECT_TRUE(g_walk.broken);
  }
  // libunwind is still to be had.
  heapecho_test_cfa_by_rare_operators(WalkHere);
  EXPECT_FALSE(g_walk.broken);
}

TEST_F(NativeUnwinderAlone, EndsCleanlyAtTheOutermostFrame) {
  WalkHere();
  EXPECT_FALSE(g_walk.broken);
  EXPECT_FALSE(g_walk.truncated);
  EXPECT_NE(g_frames[g_walk.count - 1].cfa, 0u);
}

TEST_F(NativeUnwinderAlone, CountsTheLeadingFramesOfItsOwnLibrary) {
  uintptr_t first = 0;
  EXPECT_EQ(heapecho_test_own_frames(&first), 2u);
  uintptr_t start = 0, end = 0;
  ASSERT_TRUE(ModuleRangeOf(reinterpret_cast<uintptr_t>(&Recurse), &start, &end));
  EXPECT_GE(first, start);
  EXPECT_LT(first, end);
}

TEST_F(NativeUnwinderAlone, CfasRise) {
  Recurse(30, WalkHere);
  for (uint32_t i = 1; i < g_walk.count; ++i) EXPECT_GT(g_frames[i].cfa, g_frames[i - 1].cfa);
}

TEST_F(NativeUnwinderAlone, LeavesErrnoAlone) {
  g_bounds = {};
  ModulesMayHaveChanged();
  errno = 4321;
  WalkHere();
  EXPECT_EQ(errno, 4321);
}

// Addresses of code, of which a corrupt stack is full.
std::vector<uintptr_t> SomeCode() {
  std::vector<uintptr_t> code;
  ForEachModule(
      [](const Module& module, void* context) {
        auto* const out = static_cast<std::vector<uintptr_t>*>(context);
        if (module.unloaded) return;
        for (uintptr_t at = module.start; at < module.end; at += 333) out->push_back(at);
      },
      &code);
  return code;
}

TEST_F(NativeUnwinderAlone, SurvivesCorruptRegistersAndStacks) {
  WalkHere();
  const std::vector<uintptr_t> code = SomeCode();
  ASSERT_FALSE(code.empty());
  constexpr size_t kWords = 4096;
  // Unmapped pages follow, as after the end of a real stack.
  auto* const memory = static_cast<uintptr_t*>(
      mmap(nullptr, kWords * 8 + 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(memory), MAP_FAILED);
  ASSERT_EQ(mprotect(memory, kWords * 8, PROT_READ | PROT_WRITE), 0);
  std::mt19937_64 random(1);
  const auto word = [&]() -> uintptr_t {
    const auto on_stack = reinterpret_cast<uintptr_t>(memory + random() % kWords);
    switch (random() % 8) {
      case 0:
        return random();
      case 1:
        return random() % 4096;
      case 2:
        return on_stack + random() % 8;
      case 3:
      case 4:
        return on_stack;
      default:
        return code[random() % code.size()];
    }
  };
  uint64_t frames = 0;
  for (int round = 0; round < 200; ++round) {
    for (size_t i = 0; i < kWords; ++i) memory[i] = word();
    for (int start = 0; start < 100; ++start) {
      Registers registers{word(), word(), word(), word(), word(), word(), word(), word()};
      if (start % 2 == 0) registers.ip = code[random() % code.size()];
      if (start % 3 == 0) registers.sp = reinterpret_cast<uintptr_t>(memory + random() % kWords);
      StackBounds bounds{};
      const NativeWalk walk = WalkNative(registers, bounds, g_frames, std::size(g_frames));
      ASSERT_LE(walk.count, std::size(g_frames));
      frames += walk.count;
    }
  }
  EXPECT_GT(frames, 200u * 100) << "the walks hardly went anywhere";
  munmap(memory, kWords * 8 + 65536);
}

std::atomic<bool> g_stop{false};
std::atomic<int> g_nested{0};
std::atomic<int> g_nested_wrong{0};

void WalkInHandler(int) {
  NativeFrame frames[128];
  Registers registers;
  CaptureRegisters(&registers);
  // With the bounds of the interrupted walk, as in TLS.
  const NativeWalk walk = WalkNative(registers, g_bounds, frames, std::size(frames));
  if (walk.broken || walk.count < 3) g_nested_wrong.fetch_add(1);
  g_nested.fetch_add(1);
}

TEST_F(NativeUnwinderAlone, MayBeInterruptedByAWalkAnywhere) {
  const pthread_t self = pthread_self();
  WithHandler(SIGUSR1, 0, WalkInHandler, [self] {
    g_stop = false;
    std::thread sender([self] {
      while (!g_stop) {
        pthread_kill(self, SIGUSR1);
        std::this_thread::yield();
      }
    });
    Recurse(20, WalkHere);
    const NativeWalk expected = g_walk;
    std::vector<NativeFrame> frames(g_frames, g_frames + expected.count);
    int walks = 0;
    while (g_nested < 300 || walks < 5000) {
      if (++walks % 10 == 0) ModulesMayHaveChanged();
      if (walks % 7 == 0) g_bounds = {};
      Recurse(20, WalkHere);
      ASSERT_EQ(g_walk.count, expected.count);
      ASSERT_FALSE(g_walk.broken);
      for (uint32_t i = 25; i < expected.count; ++i) ASSERT_EQ(g_frames[i].ip, frames[i].ip);
    }
    g_stop = true;
    sender.join();
  });
  EXPECT_EQ(g_nested_wrong, 0);
}

// The stack that a walk uses is the application's: painted below the caller, then looked at.
ucontext_t g_painter_context, g_painted_context;
constexpr size_t kPaintedBytes = 64 * 1024;
alignas(4096) char g_painted[kPaintedBytes];
size_t g_bytes_used;
bool g_cold;

__attribute__((noinline)) void PaintWalkAndLook() {
  Registers registers;
  CaptureRegisters(&registers);
  auto* const here = reinterpret_cast<char*>(registers.sp);
  // From far below up to just below this frame.
  for (char* at = g_painted; at < here - 256; ++at) *static_cast<volatile char*>(at) = 0x5a;
  CaptureRegisters(&registers);
  g_walk = WalkNative(registers, g_bounds, g_frames, std::size(g_frames));
  const char* lowest = g_painted;
  while (lowest < here && *lowest == 0x5a) ++lowest;
  g_bytes_used = static_cast<size_t>(here - lowest);
}

void PaintedCoroutine() {
  if (g_cold) {
    heapecho_test_cfa_by_rbx([] { heapecho_test_cfa_by_rare_operators(PaintWalkAndLook); });
  } else {
    PaintWalkAndLook();
  }
}

TEST_F(NativeUnwinderAlone, UsesAtMostOneKibibyteOfTheCallersStack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers enlarge every frame";
#endif
  for (const bool cold : {false, true}) {
    g_cold = cold;
    if (cold) ModulesMayHaveChanged();
    Prepare(&g_painted_context, g_painted, kPaintedBytes, &g_painter_context, PaintedCoroutine);
    ASSERT_EQ(swapcontext(&g_painter_context, &g_painted_context), 0);
    EXPECT_FALSE(g_walk.broken);
    EXPECT_LE(g_bytes_used, 1024u) << (cold ? "every way, nothing cached" : "warm");
  }
}

// A filter of system calls ends the process at any other than those that a walk may make: no
// mapping, no opening, no futex. Exit status 3: the kernel has no such filters.
void WalkUnderAFilter() {
  const auto allow = [](uint32_t number) {
    return std::array<sock_filter, 2>{{BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  };
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const uint32_t number : {SYS_rt_sigprocmask, SYS_exit_group, SYS_clock_gettime}) {
    for (const sock_filter& line : allow(number)) filter.push_back(line);
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  const auto walk_all = [] {
    Recurse(40, WalkHere);
    heapecho_test_cfa_by_rbx([] { heapecho_test_cfa_by_rare_operators(WalkHere); });
  };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(3);
  }
  bool broken = false;
  for (int i = 0; i < 3; ++i) {
    ModulesMayHaveChanged();
    g_bounds = {};
    walk_all();
    broken = broken || g_walk.broken;
  }
  _exit(broken ? 2 : 0);
}

TEST_F(NativeUnwinderAlone, MakesNoSystemCallButTheProbeOfMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers make system calls of their own";
#endif
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) WalkUnderAFilter();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == 3) GTEST_SKIP() << "system calls cannot be filtered here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace heapecho::stack
