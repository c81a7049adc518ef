// SPDX-License-Identifier: Apache-2.0
// A library that is found only by who opens it; where NEEDS_ANOTHER, what it needs is.
#if defined(NEEDS_ANOTHER)
extern "C" int opened_value();
extern "C" int opened_sum() { return opened_value() + 1; }
#else
extern "C" int opened_value() { return 41; }
#endif
