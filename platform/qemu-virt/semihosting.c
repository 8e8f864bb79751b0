/* SPDX-License-Identifier: MIT */
/* semihosting.c: see semihosting.h. */
#include "semihosting.h"

enum {
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
    ADP_STOPPED_APPLICATION_EXIT = 0x20026,
};

int64_t semihosting_call(uint64_t operation, void *block);
extern const char semihosting_hlt[];

__asm__(".pushsection .text.semihosting, \"ax\"\n"
        ".global semihosting_call, semihosting_hlt\n"
        ".type semihosting_call, %function\n"
        "semihosting_call:\n"
        "semihosting_hlt:\n"
        "    hlt #0xf000\n"
        "    ret\n"
        ".size semihosting_call, . - semihosting_call\n"
        ".popsection");

bool semihosting_is_call(uint64_t address) {
    return address == (uint64_t)(uintptr_t)semihosting_hlt;
}

bool semihosting_arguments(char *text, size_t size_bytes) {
    struct {
        char *buffer;
        uint64_t size_bytes; /* in: of the buffer; out: the length */
    } block = {text, size_bytes};
    return semihosting_call(SYS_GET_CMDLINE, &block) == 0;
}

void semihosting_exit(int status) {
    uint64_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint64_t)(int64_t)status};
    (void)semihosting_call(SYS_EXIT_EXTENDED, block);
}
