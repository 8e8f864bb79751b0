/* SPDX-License-Identifier: MIT */
/* main.c: the kernel as a Linux process: options, disk, then kernel_main. */
#include <stdio.h>
#include <string.h>

#include "hosted.h"
#include "platform.h"

int kernel_main(void); /* kernel/kernel.h: all that a platform knows of the kernel */

enum { EXIT_USAGE = 2, MESSAGE_BYTES = 200, ARGUMENTS_BYTES = 4096 };

static const char usage[] =
    "usage: %s [OPTION]... [WORD]...\n"
    "Runs the kernel as a Linux process. Its serial line is standard input and output; on a\n"
    "terminal, Ctrl-] ends it. The words are the kernel's: none for the shell, `test slab` to run\n"
    "a test suite.\n"
    "  --disk FILE           a disk, read-only; once more for each further one, which may be "
    "written\n"
    "  --mem SIZE            RAM, from 1M to 64G (256M)\n"
    "  --smp N               CPUs, from 1 to 8 (4)\n"
    "  --clock real|manual   manual: time jumps over every wait (real)\n"
    "  --deterministic       the CPUs take turns on one thread; the clock is manual\n"
    "  --seed N              of the order of turns, and of a hardened heap (1)\n"
    "  --help                this text\n";

static int refuse(const char *program, const char *message) {
    fprintf(stderr, "%s: %s\n", program, message);
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    static char arguments[ARGUMENTS_BYTES]; /* platform_arguments as long as the kernel runs */
    char message[MESSAGE_BYTES];
    struct hosted_config config = *hosted_configuration();
    bool help;
    int error =
        hosted_options_parse(&config, argc, argv, arguments, sizeof(arguments), message, &help);
    if (error != 0)
        return refuse(argv[0], message);
    if (help) {
        printf(usage, argv[0]);
        return 0;
    }
    if (hosted_configure(&config) != 0)
        return refuse(argv[0], "these options do not go together: see --help");
    for (uint32_t i = 0; i < config.disk_count; i++) {
        if (hosted_disk_attach(HOSTED_MMIO_SLOTS - 1 - i, config.disk_paths[i], i != 0, message,
                               sizeof(message)) != 0)
            return refuse(argv[0], message);
        if (message[0] != '\0')
            fprintf(stderr, "%s: %s\n", argv[0], message);
    }
    platform_exit(kernel_main());
}
