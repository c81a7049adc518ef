// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/libunwind_step.h"

#include <libunwind-x86_64.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"

// Exported by libunwind for its own ptrace library; its headers do not declare it.
extern "C" int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t space, unw_word_t ip,
                                                  unw_dyn_info_t* table, unw_proc_info_t* info,
                                                  int need_unwind_info, void* context);

namespace heapecho::stack {
namespace {

using base::Syscall;

// libunwind's memory: one address space and a few small objects, which it gives back to itself.
struct Arena {
  static constexpr size_t kBytes = size_t{160} << 10;
  alignas(base::kPageSize) char bytes[kBytes];
  size_t used;
};

constinit Arena g_arena{};
constinit std::atomic<bool> g_inside{true};  // nobody gets in before it is initialised
constinit unw_addr_space_t g_space = nullptr;
constinit char* g_stack_top = nullptr;
constinit int g_errno = 0;
constinit void* g_way_out[5]{};  // of __builtin_setjmp

constexpr size_t kStackBytes = size_t{128} << 10;

struct Request {
  const CfiSection* section;
  const FrameDescription* description;
  uintptr_t lookup;
  StackReader* stack;
  RegisterSet* registers;
  uintptr_t* cfa;
  CfiResult result;
  bool gave_up;
  uint32_t reads;
};

// An expression may go round in circles; each turn reads its operators anew.
constexpr uint32_t kMostReads = 20'000;

// Memory is CFI of the section or a slot of the stack.
int AccessMemory(unw_addr_space_t, unw_word_t address, unw_word_t* value, int write,
                 void* context) {
  auto* const request = static_cast<Request*>(context);
  if (write != 0 || ++request->reads > kMostReads) return -UNW_EINVAL;
  const CfiSection& section = *request->section;
  if (address >= section.low && address < section.high) {
    // libunwind asks for aligned words; the last one may reach over the end.
    uintptr_t word = 0;
    const size_t left = section.high - address;
    std::memcpy(&word, reinterpret_cast<const void*>(address),
                left < sizeof(word) ? left : sizeof(word));
    *value = word;
    return 0;
  }
  uintptr_t word;
  if (!request->stack->ReadElsewhere(address, &word)) return -UNW_EINVAL;
  *value = word;
  return 0;
}

int AccessRegister(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write,
                   void* context) {
  const auto* const request = static_cast<const Request*>(context);
  if (write != 0 || number < 0) return -UNW_EBADREG;
  if (number == UNW_X86_64_RIP) {
    *value = request->lookup;
    return 0;
  }
  const auto index = static_cast<uint32_t>(number);
  if (index >= kReturnAddress || !request->registers->Knows(index)) return -UNW_EBADREG;
  *value = request->registers->value[index];
  return 0;
}

int AccessFloat(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; }

// The description is known already; libunwind reads it in its own way through its table.
int FindProcedure(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info,
                  int need_unwind_info, void* context) {
  const auto* const request = static_cast<const Request*>(context);
  const uintptr_t header = request->section->header;
  uint32_t count;
  std::memcpy(&count, reinterpret_cast<const void*>(header + 8), sizeof(count));
  unw_dyn_info_t table;
  std::memset(&table, 0, sizeof(table));
  table.start_ip = request->description->begin;
  table.end_ip = request->description->end;
  table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  table.u.rti.segbase = header;
  table.u.rti.table_data = header + 12;
  table.u.rti.table_len = count;  // pairs of 32-bit words, counted in words of 64
  const int result =
      _Ux86_64_dwarf_search_unwind_table(space, ip, &table, info, need_unwind_info, context);
  // "Not found" would make libunwind guess.
  return result == -UNW_ENOINFO ? -UNW_EINVAL : result;
}

void PutUnwindInfo(unw_addr_space_t, unw_proc_info_t*, void*) {}

int NoDynamicInfo(unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; }

int NoResume(unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; }

int NoName(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) { return -UNW_EINVAL; }

constinit unw_accessors_t g_accessors = {FindProcedure,  PutUnwindInfo, NoDynamicInfo, AccessMemory,
                                         AccessRegister, AccessFloat,   NoResume,      NoName};

// libunwind's table search understands one kind of header, with which all linkers agree.
bool HasPlainHeader(const CfiSection& section) {
  if (section.high - section.header < 12) return false;
  uint32_t word;
  std::memcpy(&word, reinterpret_cast<const void*>(section.header), sizeof(word));
  return word ==
         0x3b031b01;  // version 1; pointer pc-relative; count absolute; pairs header-relative
}

CfiResult Step(Request* request) {
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, g_space, request) < 0) return CfiResult::kCorrupt;
  const int stepped = unw_step(&cursor);
  if (stepped < 0) return CfiResult::kCorrupt;
  unw_word_t sp, ip;
  if (unw_get_reg(&cursor, UNW_X86_64_CFA, &sp) < 0) return CfiResult::kCorrupt;
  *request->cfa = sp;
  if (stepped == 0) return CfiResult::kOutermost;
  if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0) return CfiResult::kCorrupt;
  RegisterSet caller{};
  for (uint32_t number = 0; number < kReturnAddress; ++number) {
    unw_word_t value;
    if (unw_get_reg(&cursor, static_cast<unw_regnum_t>(number), &value) < 0) continue;
    // libunwind's rsp is its CFA, unless a rule names rsp itself.
    caller.Set(number, value);
  }
  caller.Set(kReturnAddress, ip);
  *request->registers = caller;
  return CfiResult::kDone;
}

__attribute__((noinline)) void Guarded(Request* request) {
  if (__builtin_setjmp(g_way_out) == 0) {
    request->result = Step(request);
  } else {
    request->gave_up = true;
  }
}

// Calls Guarded on our own stack.
__attribute__((noinline)) void CallOnOwnStack(Request* request) {
  __asm__ volatile(
      "movq %%rsp, %%rbx\n\t"
      "movq %[top], %%rsp\n\t"
      "callq *%[call]\n\t"
      "movq %%rbx, %%rsp"
      : "+D"(request)
      : [top] "r"(g_stack_top), [call] "r"(&Guarded)
      : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3",
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15", "memory", "cc");
}

void* Allocate(size_t bytes) {
  const size_t at = base::RoundUp(g_arena.used, 16);
  if (bytes > Arena::kBytes || at > Arena::kBytes - bytes) return nullptr;
  g_arena.used = at + bytes;
  return g_arena.bytes + at;
}

}  // namespace

// What libunwind reaches in place of the C library, by libunwind_symbols.txt. Only ever called by
// the one thread that is inside.
extern "C" {

// Locks that nobody else can want, signals that are held back already, memory that is given back to
// no one, modules that libunwind is told of otherwise.
#define DOES_NOTHING(name) \
  long heapecho_libunwind_##name() { return 0; }
DOES_NOTHING(pthread_mutex_init)
DOES_NOTHING(pthread_mutex_lock)
DOES_NOTHING(pthread_mutex_unlock)
DOES_NOTHING(sigprocmask)
DOES_NOTHING(dl_iterate_phdr)
DOES_NOTHING(free)
DOES_NOTHING(munmap)
#undef DOES_NOTHING

#define REFUSES(name) \
  long heapecho_libunwind_##name() { return -1; }
REFUSES(open)
REFUSES(close)
REFUSES(read)
REFUSES(write)
REFUSES(stat)
REFUSES(fstat)
REFUSES(pipe2)
REFUSES(mincore)
REFUSES(msync)
REFUSES(syscall)
REFUSES(sysconf)
REFUSES(getpid)
REFUSES(Ux86_64_setcontext)
#undef REFUSES

int* heapecho_libunwind_errno_location() { return &g_errno; }
const char* heapecho_libunwind_strerror(int) { return ""; }
int heapecho_libunwind_getpagesize() { return base::kPageSize; }
[[noreturn]] void heapecho_libunwind_abort() { __builtin_longjmp(g_way_out, 1); }
void* heapecho_libunwind_malloc(size_t bytes) { return Allocate(bytes); }
void* heapecho_libunwind_calloc(size_t count, size_t bytes) {
  return bytes != 0 && count > Arena::kBytes / bytes ? nullptr : Allocate(count * bytes);
}
// Without memory it would go on with a reserve whose end it does not watch.
void* heapecho_libunwind_mmap(void*, size_t bytes, int, int, int, long) {
  void* const memory = Allocate(bytes);
  if (memory == nullptr) heapecho_libunwind_abort();
  return memory;
}

}  // extern "C"

void InitializeLibunwind() {
  if (g_space != nullptr) return;
  // A page that is never made accessible stands below the stack.
  const long guarded = Syscall(SYS_mmap, nullptr, kStackBytes + base::kPageSize, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base::Failed(guarded)) return;
  auto* const bottom = reinterpret_cast<char*>(guarded);
  if (base::Failed(
          Syscall(SYS_mprotect, bottom + base::kPageSize, kStackBytes, PROT_READ | PROT_WRITE))) {
    base::Unmap(bottom, kStackBytes + base::kPageSize);
    return;
  }
  g_stack_top = bottom + base::kPageSize + kStackBytes;
  if (__builtin_setjmp(g_way_out) != 0) return;
  unw_addr_space_t space = unw_create_addr_space(&g_accessors, 0);
  if (space == nullptr) return;
  unw_set_caching_policy(space, UNW_CACHE_NONE);
  g_space = space;
  g_inside.store(false, std::memory_order_release);  // pairs with the exchange in StepByLibunwind
}

CfiResult StepByLibunwind(const CfiSection& section, const FrameDescription& description,
                          uintptr_t lookup, StackReader* stack, RegisterSet* registers,
                          uintptr_t* cfa) {
  if (!HasPlainHeader(section)) return CfiResult::kBeyondUs;
  uint64_t before = 0;
  const uint64_t all = ~uint64_t{0};
  constexpr long kSetMask = 2, kMaskBytes = 8;  // SIG_SETMASK; the kernel's mask
  // First the signals, then the door: a handler that walks must find the door as another thread
  // would.
  if (base::Failed(Syscall(SYS_rt_sigprocmask, kSetMask, &all, &before, kMaskBytes))) {
    return CfiResult::kBeyondUs;
  }
  Request request{&section, &description,        lookup, stack, registers,
                  cfa,      CfiResult::kCorrupt, false,  0};
  if (g_inside.exchange(true, std::memory_order_acquire)) {
    request.result = CfiResult::kBeyondUs;
  } else {
    CallOnOwnStack(&request);
    if (!request.gave_up) {  // else what it keeps is in an unknown state: nobody enters again
      g_inside.store(false, std::memory_order_release);
    }
  }
  Syscall(SYS_rt_sigprocmask, kSetMask, &before, nullptr, kMaskBytes);
  if (request.result == CfiResult::kDone) HEAPECHO_COUNT(unwind_libunwind);
  return request.result;
}

}  // namespace heapecho::stack
