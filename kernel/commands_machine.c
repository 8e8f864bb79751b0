/* SPDX-License-Identifier: MIT */
/* commands_machine.c: cpu, uptime, blk, events: the machine and what happens in it. */
#include "events.h"
#include "kernel.h"
#include "shell.h"

#include <inttypes.h>
#include <string.h>

SHELL_COMMAND(cpu, "", "Lists the CPUs that are online.") {
    char text[128];
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    for (uint32_t cpu = 0; cpu < platform_cpu_count(); cpu++) {
        platform_cpu_describe(cpu, text, sizeof(text));
        shell_print(shell, "cpu %" PRIu32 "  %s\n", cpu, text);
    }
    return 0;
}

SHELL_COMMAND(uptime, "", "Prints the time since boot, in seconds.") {
    ash_ns_t now = platform_now_ns();
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    shell_print(shell, "%" PRIu64 ".%06" PRIu64 " s\n", now / 1000000000u, now / 1000u % 1000000u);
    return 0;
}

/* blk */

static void print_disk(struct shell *shell, const struct disk *disk) {
    const struct ash_virtio_blk *blk = &disk->blk;
    struct ash_virtio_blk_counters counters;
    ash_virtio_blk_get_counters(blk, &counters);
    shell_print(
        shell, "disk       virtio slot %" PRIu32 ", %" PRIu64 " bytes, blocks of %" PRIu32 "%s\n",
        disk->slot, disk->size_bytes, blk->block_size_bytes, blk->read_only ? ", read-only" : "");
    shell_print(shell, "queue      %" PRIu32 " entries, %" PRIu32 " requests in flight at most%s\n",
                blk->queue_size, blk->in_flight_max,
                disk->dead ? "; given up: the device does not answer a reset" : "");
    shell_print(shell,
                "requests   %" PRIu64 " of %" PRIu64 " bytes in all, %" PRIu64 " kicks, %" PRIu64
                " interrupts\n",
                counters.requests[ASH_VIRTIO_BLK_READ], counters.bytes, counters.kicks,
                counters.interrupts);
    shell_print(shell,
                "bytes      %" PRIu64 " straight to where they were wanted, %" PRIu64
                " through a buffer\n",
                disk->direct_bytes, disk->bounced_bytes);
    shell_print(shell,
                "failures   %" PRIu64 " errors, %" PRIu64 " time-outs, %" PRIu64 " aborted\n",
                counters.errors, disk->timeouts, counters.aborted);
}

SHELL_COMMAND(blk, "", "Shows the disk, its queue and counters, and the archive on it.") {
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (shell->kernel == NULL || shell->kernel->disk == NULL)
        return shell_error(shell, "blk", NULL,
                           shell->kernel == NULL ? "this shell has no machine below it"
                                                 : shell->kernel->disk_reason);
    print_disk(shell, shell->kernel->disk);
    const struct tarfs *files = shell->kernel->files;
    if (files == NULL) {
        shell_print(shell, "archive    none: %s\n", shell->kernel->files_reason);
        return 0;
    }
    shell_print(shell, "archive    %" PRIu64 " entries, %" PRIu64 " names, %" PRIu64 " left out\n",
                files->entries, files->nodes - 1, files->refused);
    if (files->damage[0] != '\0') {
        shell_print(shell, "damage     ");
        shell_text(shell, files->damage);
        shell_print(shell, "\n");
    }
    return 0;
}

/* events */

SHELL_COMMAND(events, "[on|off]",
              "Turns the events of the parts on or off: they are printed after each command.") {
    if (argc == 1) {
        shell_print(shell, "events are %s\n", events_enabled() ? "on" : "off");
        return 0;
    }
    bool on = strcmp(argv[1], "on") == 0;
    if (argc > 2 || (!on && strcmp(argv[1], "off") != 0))
        return shell_usage(shell, "events", "say on or off");
    events_enable(on);
    return 0;
}
