// SPDX-License-Identifier: Apache-2.0
// Functions whose call frame information is unusual, each calling the function that it is given.
        .text

// CFA by rbx: a walk that follows rsp and rbp alone cannot know it.
        .globl  heapecho_test_cfa_by_rbx
        .type   heapecho_test_cfa_by_rbx, @function
heapecho_test_cfa_by_rbx:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rsp, %rbx
        .cfi_def_cfa_register %rbx
        subq    $0x40, %rsp
        andq    $-64, %rsp
        callq   *%rdi
        movq    %rbx, %rsp
        .cfi_def_cfa_register %rsp
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        retq
        .cfi_endproc
        .size   heapecho_test_cfa_by_rbx, .-heapecho_test_cfa_by_rbx

// CFA by an expression, as hand-written cryptography has it: what lies at rsp + 16, plus 8.
        .globl  heapecho_test_cfa_by_expression
        .type   heapecho_test_cfa_by_expression, @function
heapecho_test_cfa_by_expression:
        .cfi_startproc
        movq    %rsp, %rax
        subq    $0x58, %rsp
        .cfi_adjust_cfa_offset 0x58
        andq    $-64, %rsp
        movq    %rax, 16(%rsp)
        // DW_CFA_def_cfa_expression, 5: DW_OP_breg7 16; DW_OP_deref; DW_OP_plus_uconst 8
        .cfi_escape 0x0f, 0x05, 0x77, 0x10, 0x06, 0x23, 0x08
        callq   *%rdi
        movq    16(%rsp), %rsp
        .cfi_def_cfa %rsp, 8
        retq
        .cfi_endproc
        .size   heapecho_test_cfa_by_expression, .-heapecho_test_cfa_by_expression

// CFA by an expression with operators that are left to libunwind:
// DW_OP_breg7 0x28; DW_OP_dup; DW_OP_swap; DW_OP_drop; DW_OP_lit2; DW_OP_lit4; DW_OP_mul; DW_OP_plus
        .globl  heapecho_test_cfa_by_rare_operators
        .type   heapecho_test_cfa_by_rare_operators, @function
heapecho_test_cfa_by_rare_operators:
        .cfi_startproc
        subq    $0x28, %rsp
        .cfi_adjust_cfa_offset 0x28
        .cfi_escape 0x0f, 0x09, 0x77, 0x28, 0x12, 0x16, 0x13, 0x32, 0x34, 0x1e, 0x22
        callq   *%rdi
        addq    $0x28, %rsp
        .cfi_def_cfa %rsp, 8
        retq
        .cfi_endproc
        .size   heapecho_test_cfa_by_rare_operators, .-heapecho_test_cfa_by_rare_operators

// CFA by an expression that jumps back to its own beginning: DW_OP_skip -3.
        .globl  heapecho_test_cfa_by_endless_expression
        .type   heapecho_test_cfa_by_endless_expression, @function
heapecho_test_cfa_by_endless_expression:
        .cfi_startproc
        subq    $8, %rsp
        .cfi_escape 0x0f, 0x03, 0x2f, 0xfd, 0xff
        callq   *%rdi
        addq    $8, %rsp
        .cfi_def_cfa %rsp, 8
        retq
        .cfi_endproc
        .size   heapecho_test_cfa_by_endless_expression, .-heapecho_test_cfa_by_endless_expression

// rbp moved to another register, and a row remembered thrice.
        .globl  heapecho_test_rbp_in_register
        .type   heapecho_test_rbp_in_register, @function
heapecho_test_rbp_in_register:
        .cfi_startproc
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        movq    %rbp, %r12
        .cfi_register %rbp, %r12
        movq    $0x1234567, %rbp
        .cfi_remember_state
        .cfi_remember_state
        .cfi_remember_state
        .cfi_restore_state
        .cfi_restore_state
        .cfi_restore_state
        callq   *%rdi
        movq    %r12, %rbp
        .cfi_restore %rbp
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        retq
        .cfi_endproc
        .size   heapecho_test_rbp_in_register, .-heapecho_test_rbp_in_register

// Without any call frame information.
        .globl  heapecho_test_without_cfi
        .type   heapecho_test_without_cfi, @function
heapecho_test_without_cfi:
        subq    $8, %rsp
        callq   *%rdi
        addq    $8, %rsp
        retq
        .size   heapecho_test_without_cfi, .-heapecho_test_without_cfi

// A leaf that stops in its middle, for the handler of SIGTRAP.
        .globl  heapecho_test_trapping_leaf
        .type   heapecho_test_trapping_leaf, @function
heapecho_test_trapping_leaf:
        .cfi_startproc
        int3
        retq
        .cfi_endproc
        .size   heapecho_test_trapping_leaf, .-heapecho_test_trapping_leaf

// Calls rdi(rsi) with the processor's trap flag set from before the call until after it.
        .globl  heapecho_test_call_single_stepped
        .type   heapecho_test_call_single_stepped, @function
heapecho_test_call_single_stepped:
        .cfi_startproc
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq    %rdi, %rax
        movq    %rsi, %rdi
        pushfq
        .cfi_adjust_cfa_offset 8
        orq     $0x100, (%rsp)
        popfq
        .cfi_adjust_cfa_offset -8
        callq   *%rax
        pushfq
        .cfi_adjust_cfa_offset 8
        andq    $~0x100, (%rsp)
        popfq
        .cfi_adjust_cfa_offset -8
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        retq
        .cfi_endproc
        .size   heapecho_test_call_single_stepped, .-heapecho_test_call_single_stepped

        .section .note.GNU-stack,"",@progbits
