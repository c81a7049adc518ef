// SPDX-License-Identifier: Apache-2.0
// Functions whose places the symbolizer's tests know: hidden labels name the addresses, MARK
// comments the lines.
#define HERE(label) asm volatile(".globl " #label "\n.hidden " #label "\n" #label ":\n nop")

namespace fixture {

class Cart {
 public:
  void Fill(int items);
};

static inline __attribute__((always_inline)) void Innermost() {
  HERE(at_innermost);  // MARK innermost
}

static inline __attribute__((always_inline)) void Middle() {
  Innermost();  // MARK middle
}

__attribute__((noinline, noclone)) void Cart::Fill(int) {
  HERE(at_fill);  // MARK fill
  Middle();       // MARK outermost
  HERE(at_fill_end);
}

static __attribute__((noinline, noclone)) void Local() { HERE(at_local); }

}  // namespace fixture

extern "C" __attribute__((noinline, noclone)) void plain_c() {
  HERE(at_plain_c);
  fixture::Local();
  HERE(at_plain_c_end);
}
extern "C" void __plain_c_alias() __attribute__((weak, alias("plain_c")));

// What rustc's two schemes make of shop::cart::fill, and a function of hand-written assembly that
// has neither type nor size.
asm(R"(
  .text
  .globl _ZN4shop4cart4fill17h0123456789abcdefE
  .type _ZN4shop4cart4fill17h0123456789abcdefE, @function
_ZN4shop4cart4fill17h0123456789abcdefE:
  nop
  nop
  .size _ZN4shop4cart4fill17h0123456789abcdefE, . - _ZN4shop4cart4fill17h0123456789abcdefE
  .globl _RNvNtCs6GmmlP4bgsG_4shop4cart5empty
  .type _RNvNtCs6GmmlP4bgsG_4shop4cart5empty, @function
_RNvNtCs6GmmlP4bgsG_4shop4cart5empty:
  nop
  nop
  .size _RNvNtCs6GmmlP4bgsG_4shop4cart5empty, . - _RNvNtCs6GmmlP4bgsG_4shop4cart5empty
  .globl unsized_function
unsized_function:
  nop
  nop
  nop
  .globl after_unsized
  .type after_unsized, @function
after_unsized:
  nop
  .size after_unsized, . - after_unsized
)");
