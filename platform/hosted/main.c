/* SPDX-License-Identifier: MIT */
/* main.c: the hosted machine as a program: its command line, its disk, then the kernel. */
#include <stdio.h>

#include "hosted.h"
#include "platform.h"

int kernel_main(void); /* kernel/kernel.h: all that the platform knows of it */

static const char usage[] =
    "usage: ashlar-hosted [OPTION...] [WORD...]\n"
    "Runs the kernel as a process; its console is standard input and output. WORDs go to the\n"
    "kernel: none for the shell, \"test [SUITE...]\" for the test cases.\n"
    "  --disk FILE      a file, read-only, as the virtio block device\n"
    "  --mem SIZE       memory, 1M to 64G (256M)\n"
    "  --smp N          CPUs, 1 to 8 (4)\n"
    "  --clock WHICH    real, or manual: time moves only while every CPU waits\n"
    "  --deterministic  CPUs take turns on one thread; implies --clock manual\n"
    "  --seed N         what --deterministic draws from\n";

int main(int argc, char **argv) {
    static char arguments[1024];
    char message[256];
    bool help;
    struct hosted_config config = *hosted_config();
    int error =
        hosted_options_parse(&config, argc, argv, arguments, sizeof(arguments), message, &help);
    if (error == 0 && help) {
        fputs(usage, stdout);
        return 0;
    }
    if (error != 0) {
        fprintf(stderr, "ashlar-hosted: %s\n", message);
        return 2;
    }
    if (hosted_configure(&config) != 0) {
        fprintf(stderr, "ashlar-hosted: a machine of this size cannot be made\n");
        return 2;
    }
    if (config.disk_path != NULL &&
        hosted_disk_attach(0, config.disk_path, message, sizeof(message)) != 0) {
        fprintf(stderr, "ashlar-hosted: %s\n", message);
        return 2;
    }
    platform_exit(kernel_main());
}
