/* SPDX-License-Identifier: MIT */
/* main.c: what the kernel was started for. */
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/selftest.h"
#include "platform.h"

int kernel_main(void) {
    static const char unknown[] =
        "ashlar: arguments that this kernel knows: test [SUITE...] [seed=N]\n";
    const char *arguments = platform_arguments();
    if (strncmp(arguments, "test", 4) == 0 && (arguments[4] == '\0' || arguments[4] == ' '))
        return selftest_run(arguments + 4 + (arguments[4] == ' '));
    platform_console_write(unknown, sizeof(unknown) - 1);
    return 1;
}
