/* SPDX-License-Identifier: MIT */
/* nth_formats.c: nth.c in the other processors' formats: long, and the same code. */
#include "harness/test.h"
#include "vm/nth.h"

TEST_CASE(vm_nth, frame_that_is_refused_changes_no_bit_of_sv39) {
    nth_sweep(&mmu_shapes[1]);
}

TEST_CASE(vm_nth, frame_that_is_refused_changes_no_bit_of_sv48) {
    nth_sweep(&mmu_shapes[2]);
}

TEST_CASE(vm_nth, frame_that_is_refused_changes_no_bit_of_x86_64) {
    nth_sweep(&mmu_shapes[3]);
}
