// SPDX-License-Identifier: Apache-2.0
#include "analyzer/model/signals.h"

#include <cstring>

namespace heapecho::model {

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace heapecho::model
