/* SPDX-License-Identifier: MIT */
/* machine.c: what the machine is, and its end. */
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

static struct hosted_config current = {
    .memory_bytes = HOSTED_MEMORY_DEFAULT, .cpus = HOSTED_CPUS_DEFAULT, .seed = 1, .arguments = ""};

const struct hosted_config *hosted_configuration(void) {
    return &current;
}

int hosted_configure(const struct hosted_config *config) {
    if (config->memory_bytes < HOSTED_MEMORY_MIN || config->memory_bytes > HOSTED_MEMORY_MAX ||
        !ash_is_aligned(config->memory_bytes, ASH_PAGE_SIZE) || config->cpus == 0 ||
        config->cpus > ASH_PORT_CPUS_MAX || config->arguments == NULL ||
        (config->deterministic && !config->clock_manual))
        return -ASH_EINVAL;
    if (hosted_cpus_running() != 1 ||
        (hosted_memory_is_mapped() && config->memory_bytes != current.memory_bytes))
        return -ASH_EBUSY;
    if (config->clock_manual && !current.clock_manual)
        hosted_clock_set_manual(0);
    else if (!config->clock_manual && current.clock_manual)
        hosted_clock_set_real();
    hosted_fibers_seed(config->seed);
    current = *config;
    return 0;
}

const char *platform_name(void) {
    static char name[80];
    snprintf(name, sizeof(name), "hosted Linux, %u %s, %s clock", current.cpus,
             current.deterministic ? "deterministic CPUs"
             : current.cpus == 1   ? "CPU"
                                   : "CPUs as threads",
             current.clock_manual ? "manual" : "real");
    return name;
}

const char *platform_arguments(void) {
    return current.arguments;
}

uint64_t platform_seed(void) {
    return current.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/* An unwinder would call libc where an interrupt may come. */
uint32_t platform_stack(uintptr_t *sites, uint32_t max) {
    (void)sites, (void)max;
    return 0;
}

/* By the program: addr2line(1) goes on from there. */
const char *platform_function(uintptr_t address, uint64_t *offset) {
    Dl_info info;
    ash_irq_t state = ash_port_irq_save(); /* dladdr takes the dynamic linker's lock */
    bool found = dladdr((void *)address, &info) != 0;
    ash_port_irq_restore(state);
    if (!found || info.dli_fname == NULL)
        return NULL;
    const char *slash = strrchr(info.dli_fname, '/');
    *offset = address - (uintptr_t)info.dli_fbase;
    return slash == NULL ? info.dli_fname : slash + 1;
}

/* A process may not ask the CPU's counters without leave of its owner. */
bool platform_counts_instructions(void) {
    return false;
}

uint32_t platform_cost(void) {
    return (uint32_t)ash_port_cycles();
}

/* exit() takes locks of libc that an interrupted function may hold. Masked: who is switched away
 * in here would hold them for ever. */
void platform_exit(int status) {
    ash_irq_t state = ash_port_irq_save();
    int lost = hosted_console_write_error();
    hosted_console_restore();
    if (lost != 0) {
        char message[128];
        snprintf(message, sizeof(message),
                 "hosted: output was lost, standard output cannot be written: %s\n",
                 strerror(lost));
        (void)hosted_write_all(STDERR_FILENO, message, strlen(message));
        status = status == 0 ? 1 : status;
    }
    if (hosted_disk_report() && status == 0)
        status = 1;
    if (HOSTED_CPU_READ(index) == 0 && state == 0 && hosted_cpus_running() == 1)
        exit(status);
    _exit(status);
}
