/* SPDX-License-Identifier: MIT */
/* semihosting.c: see semihosting.h. */
#include "semihosting.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_ERRNO = 0x13,
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

int64_t semihosting_open(const char *path) {
    enum { MODE_WB = 5 }; /* of fopen: "wb" */
    uint64_t block[3] = {(uint64_t)(uintptr_t)path, MODE_WB, strlen(path)};
    return semihosting_call(SYS_OPEN, block);
}

uint64_t semihosting_write(int64_t file, const void *bytes, size_t len) {
    uint64_t block[3] = {(uint64_t)file, (uint64_t)(uintptr_t)bytes, len};
    uint64_t left = (uint64_t)semihosting_call(SYS_WRITE, block);
    return left > len ? len : left;
}

bool semihosting_close(int64_t file) {
    uint64_t block[1] = {(uint64_t)file};
    return semihosting_call(SYS_CLOSE, block) == 0;
}

/* The answer -1 is not QEMU's: no errno is negative. */
bool semihosting_is_off(void) {
    return semihosting_call(SYS_ERRNO, NULL) < 0;
}
