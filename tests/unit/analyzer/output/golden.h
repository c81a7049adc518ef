// SPDX-License-Identifier: Apache-2.0
// Outputs compared to the byte with files of tests/golden.
#pragma once

#include <string>

#include "gtest/gtest.h"

namespace heapecho::output {

// Whether `text` is what tests/golden/NAME holds; else where they part. With
// HEAPECHO_WRITE_GOLDEN=1 in the environment the file is written instead, for a person to read
// through and commit.
testing::AssertionResult IsGolden(const std::string& name, const std::string& text);

}  // namespace heapecho::output
