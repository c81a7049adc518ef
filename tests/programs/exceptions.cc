// SPDX-License-Identifier: Apache-2.0
// Promise: C++ exceptions find their handlers, run every destructor on the way and carry their
// data, also while each allocation they make is looked at.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/truth.h"

namespace {

thread_local uint64_t t_destroyed = 0;

struct Counted {
  std::string text = std::string(200, 'c');
  ~Counted() { t_destroyed += text.size() / 200; }
};

struct Payload : std::runtime_error {
  explicit Payload(const std::string& text) : std::runtime_error(text), values(50, 7) {}
  std::vector<int> values;
};

__attribute__((noinline)) int Descend(int depth, const std::string& text) {
  Counted counted;
  truth::Escape(&counted);
  if (depth == 0) throw Payload(text);
  try {
    return Descend(depth - 1, text) + 1;
  } catch (const std::logic_error&) {  // never thrown: the search has to pass through
    return -1;
  }
}

__attribute__((noinline)) int Rethrow(int levels) {
  try {
    if (levels == 0) return Descend(20, "inner");
    return Rethrow(levels - 1);
  } catch (const Payload&) {
    std::throw_with_nested(Payload("level " + std::to_string(levels)));
  }
}

uint64_t DepthOf(const std::exception& error) {
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& inner) {
    return 1 + DepthOf(inner);
  }
  return 1;
}

}  // namespace

int main() {
  uint64_t caught = 0, values = 0, nested = 0;
  for (int i = 0; i < 2000; ++i) {
    try {
      Descend(60, std::string(100, 'x'));
    } catch (const Payload& payload) {
      ++caught;
      for (int value : payload.values) values += static_cast<uint64_t>(value);
    }
  }
  for (int i = 0; i < 200; ++i) {
    try {
      Rethrow(8);
    } catch (const Payload& payload) {
      nested += DepthOf(payload);
    }
  }
  uint64_t carried = 0;
  for (int i = 0; i < 100; ++i) {
    std::exception_ptr pointer;
    std::thread([&] {
      try {
        Descend(30, "carried");
      } catch (...) {
        pointer = std::current_exception();
      }
    }).join();
    try {
      std::rethrow_exception(pointer);
    } catch (const Payload& payload) {
      carried += std::string(payload.what()).size();
    }
  }
  truth::Say("caught %lu values %lu destroyed %lu nested %lu carried %lu", caught, values,
             t_destroyed, nested, carried);
  return 0;
}
