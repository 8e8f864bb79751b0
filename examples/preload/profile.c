/* SPDX-License-Identifier: MIT */
/* profile.c: see profile.h. */
#include "profile.h"

#include <ashlar/port.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread const void *profile_caller;

/* The environment's word */

static void say(const char *text, int len) {
    ssize_t written = write(STDERR_FILENO, text, (size_t)len);
    (void)written;
}

static __attribute__((noreturn)) void refuse_word(const char *word) {
    char text[160];
    say(text, snprintf(text, sizeof(text),
                       "libashlar-malloc: ASHLAR_MALLOC=%.40s: there are plain, hardened and "
                       "debug\n",
                       word));
    _exit(127);
}

uint32_t profile_flags(void) {
    static const struct {
        const char *word;
        uint32_t flags;
    } profiles[] = {
        {"", 0}, {"plain", 0}, {"hardened", ASH_SLAB_HARDENED}, {"debug", ASH_SLAB_DEBUG}};
    const char *word = getenv("ASHLAR_MALLOC");
    for (size_t i = 0; i < ASH_ARRAY_LEN(profiles); i++) {
        if (strcmp(word == NULL ? "" : word, profiles[i].word) == 0)
            return profiles[i].flags;
    }
    refuse_word(word);
}

/* Where Linux has no random bytes yet, the clock, and where it has placed this library. */
uint64_t profile_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = ash_port_cycles() ^ (uint64_t)(uintptr_t)&profile_caller;
    return seed | 1;
}

/* What a debug heap notes */

static uint64_t owner(void *context) {
    (void)context;
    return (uint64_t)syscall(SYS_gettid);
}

static uint32_t stack(void *context, uintptr_t *sites, uint32_t max) {
    (void)context, (void)max;
    sites[0] = (uintptr_t)profile_caller;
    return sites[0] != 0;
}

const struct ash_slab_trace profile_trace = {.owner = owner, .stack = stack};

/* Addresses to names */

static void name_address(uintptr_t address, const char *what) {
    Dl_info info;
    char text[400];
    int len;
    if (dladdr((void *)address, &info) == 0 || info.dli_fname == NULL)
        return;
    uintptr_t in_file = address - (uintptr_t)info.dli_fbase;
    if (info.dli_sname == NULL)
        len = snprintf(text, sizeof(text), "  0x%zx%s is %.300s+0x%zx\n", (size_t)address, what,
                       info.dli_fname, (size_t)in_file);
    else
        len = snprintf(text, sizeof(text), "  0x%zx%s is %.200s+0x%zx (%.100s+0x%zx)\n",
                       (size_t)address, what, info.dli_fname, (size_t)in_file, info.dli_sname,
                       (size_t)(address - (uintptr_t)info.dli_saddr));
    say(text, len);
}

void profile_name_addresses(const char *report) {
    uintptr_t caller = (uintptr_t)profile_caller;
    bool caller_is_named = false;
    for (const char *at = report; (at = strstr(at, "0x")) != NULL; at += 2) {
        uintptr_t address = strtoull(at, NULL, 16);
        name_address(address, "");
        caller_is_named = caller_is_named || address == caller;
    }
    if (!caller_is_named)
        name_address(caller, ", which called,");
}
