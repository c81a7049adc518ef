// SPDX-License-Identifier: Apache-2.0
// A library with the unwinder in it, as the preload library is one: walks from a function of its
// own.
#include <cstring>

#include "preload/stack/capture_registers.h"
#include "preload/stack/native_unwinder.h"

namespace {

using heapecho::stack::NativeFrame;

NativeFrame g_frames[64];

__attribute__((noinline)) size_t WalkInside(size_t* own) {
  heapecho::stack::Registers registers;
  heapecho::stack::CaptureRegisters(&registers);
  heapecho::stack::StackBounds bounds{};
  const auto walk = heapecho::stack::WalkNative(registers, bounds, g_frames, 64);
  *own = heapecho::stack::LeadingOwnFrames(g_frames, walk.count);
  return walk.count;
}

}  // namespace

// How many frames are this library's; `first` receives the address in the first one that is not.
extern "C" __attribute__((visibility("default"), noinline)) size_t heapecho_test_own_frames(
    uintptr_t* first) {
  heapecho::stack::InitializeNativeUnwinder();
  size_t own;
  const size_t count = WalkInside(&own);
  *first = own < count ? g_frames[own].ip : 0;
  return own;
}
