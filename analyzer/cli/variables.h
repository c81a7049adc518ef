// SPDX-License-Identifier: Apache-2.0
// The library's environment variables as the command line needs them. The library's own table is
// preload/base/options.inc, which the analyzer may not see; a contract test holds the two together.
#pragma once

#include "absl/strings/string_view.h"

namespace heapecho::cli {

inline constexpr char kDirectoryVariable[] = "HEAPECHO_DIR";
inline constexpr char kIntervalVariable[] = "HEAPECHO_INTERVAL";
inline constexpr char kBudgetVariable[] = "HEAPECHO_BUDGET";
inline constexpr char kShortVariable[] = "HEAPECHO_SHORT";
inline constexpr char kNoticeVariable[] = "HEAPECHO_NOTICE";
inline constexpr char kOnlyVariable[] = "HEAPECHO_ONLY";
inline constexpr char kDisableVariable[] = "HEAPECHO_DISABLE";
inline constexpr char kDefaultDirectory[] = "/var/tmp/heapecho";

// Whether the library takes `text` for a size: "4096", "512K", "512KiB", "64M", "2GiB".
bool IsSize(absl::string_view text);

}  // namespace heapecho::cli
