/* SPDX-License-Identifier: MIT */
/* machine.c: what the machine is: name, memory, console, time. */
#include <ashlar/error.h>
#include <stdlib.h>
#include <time.h>

#include "platform.h"

const char *platform_name(void) {
    return "hosted Linux";
}

void platform_exit(int status) {
    exit(status);
}

ash_ns_t platform_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (ash_ns_t)now.tv_sec * 1000000000u + (ash_ns_t)now.tv_nsec;
}
