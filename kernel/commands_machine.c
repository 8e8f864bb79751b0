/* SPDX-License-Identifier: MIT */
/* commands_machine.c: cpu, uptime: the machine. */
#include "platform.h"
#include "platform/user.h"
#include "shell.h"

#include <inttypes.h>
#include <string.h>

SHELL_COMMAND(cpu, "",
              "Lists the CPUs that are online.\n"
              "And how whole pages are copied and zeroed here.") {
    char text[128];
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    for (uint32_t cpu = 0; cpu < platform_cpu_count(); cpu++) {
        platform_cpu_describe(cpu, text, sizeof(text));
        shell_print(shell, "cpu %" PRIu32 "  %s\n", cpu, text);
    }
    platform_page_describe(text, sizeof(text));
    shell_print(shell, "pages  %s\n", text);
    return 0;
}

SHELL_COMMAND(uptime, "", "Prints the time since boot, in seconds.") {
    ash_ns_t now = platform_now_ns();
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    shell_print(shell, "%" PRIu64 ".%06" PRIu64 " s\n", now / 1000000000u, now / 1000u % 1000000u);
    return 0;
}
