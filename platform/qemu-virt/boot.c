/* SPDX-License-Identifier: MIT */
/*
 * boot.c: from start.S to kernel_main, on CPU 0: device tree, map, interrupt controller, timer,
 * console, other CPUs. Also the rest of platform.h that the device tree answers.
 */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "board.h"
#include "cpu.h"
#include "direct_map.h"
#include "gic.h"
#include "mmu.h"
#include "page.h"
#include "panic.h"
#include "platform.h"
#include "pmu.h"
#include "print.h"
#include "psci.h"
#include "sampler.h"
#include "semihosting.h"
#include "smp.h"
#include "timer.h"
#include "uart.h"
#include "user_init.h"
#include "virtio.h"

/* QEMU's `virt` has its RAM here, and puts the device tree at its start for an ELF kernel. */
#define RAM_START UINT64_C(0x40000000)

/* kernel.ld */
extern const char __image_start[], __text_start[], __text_end[], __rodata_start[], __rodata_end[];

void boot_main(uint64_t loader_argument) __attribute__((noreturn));
int kernel_main(void); /* kernel/kernel.h: all that the platform knows of it */

static struct board board;
static uint64_t fdt_base, fdt_bytes;
static char arguments[4096];

/* Where the image ends, with the stacks of all CPUs that the board has: one that did not start may
 * come late, and its guards are not mapped. */
static uint64_t image_end(void) {
    return direct_map_physical(&cpu_stacks[board.cpu_count]);
}

static void read_device_tree(uint64_t loader_argument) {
    struct fdt fdt;
    uint64_t image = direct_map_physical(__image_start);
    fdt_base = loader_argument != 0 ? loader_argument : RAM_START;
    uint64_t available = fdt_base < image ? image - fdt_base : FDT_SIZE_MAX;
    const char *wrong = fdt_open(&fdt, direct_map_pointer(fdt_base), (size_t)available);
    if (wrong == NULL)
        wrong = board_describe(&board, &fdt);
    if (wrong == NULL && fdt_base >= image &&
        fdt_base < direct_map_physical(&cpu_stacks[ASH_PORT_CPUS_MAX]))
        wrong = "it lies inside the kernel";
    if (wrong != NULL)
        panic_bad_machine("the device tree at 0x%llx cannot be used: %s",
                          (unsigned long long)fdt_base, wrong);
    fdt_bytes = fdt.size_bytes;
}

/* Is the image, stacks included, in one of the memory ranges? */
static void require_memory(void) {
    uint64_t base = direct_map_physical(__image_start), end = image_end();
    for (uint32_t i = 0; i < board.memory_count; i++) {
        const struct platform_range *range = &board.memory[i];
        if (base >= range->base && end <= range->base + range->size_bytes)
            return;
    }
    panic_bad_machine(
        "too little memory: the kernel needs 0x%llx..0x%llx; start QEMU with more (-m)",
        (unsigned long long)base, (unsigned long long)end);
}

static void map_device(const struct platform_range *range) {
    mmu_map(range->base, range->size_bytes, MMU_DEVICE);
}

static void build_map(void) {
    for (uint32_t i = 0; i < board.memory_count; i++)
        mmu_map(board.memory[i].base, board.memory[i].size_bytes, MMU_DATA);
    mmu_map(direct_map_physical(__text_start), (uint64_t)(__text_end - __text_start), MMU_TEXT);
    mmu_map(direct_map_physical(__rodata_start), (uint64_t)(__rodata_end - __rodata_start),
            MMU_RODATA);
    mmu_map(fdt_base, fdt_bytes, MMU_RODATA);
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX && i < board.cpu_count; i++) {
        mmu_map(direct_map_physical(cpu_stacks[i].exception_guard), CPU_GUARD_BYTES, MMU_NOTHING);
        mmu_map(direct_map_physical(cpu_stacks[i].guard), CPU_GUARD_BYTES, MMU_NOTHING);
    }
    map_device(&board.uart);
    map_device(&board.distributor);
    map_device(&board.gic_cpu);
    for (uint32_t i = 0; i < board.virtio_count; i++)
        map_device(&board.virtio[i].window);
    mmu_prepare_window();
    mmu_enable();
}

/* Semihosting's, whose first word is a program name, or the device tree's (-append). */
static void read_arguments(void) {
    if (semihosting_arguments(arguments, sizeof(arguments))) {
        arguments[sizeof(arguments) - 1] = '\0';
        size_t name_len = strcspn(arguments, " ");
        name_len += arguments[name_len] == ' ';
        memmove(arguments, arguments + name_len, strlen(arguments + name_len) + 1);
    } else if (board.arguments != NULL) {
        snprintf(arguments, sizeof(arguments), "%s", board.arguments);
    }
}

static void init_cpu0(void) {
    uint64_t mpidr, midr;
    __asm__ volatile("mrs %0, mpidr_el1" : "=r"(mpidr));
    __asm__ volatile("mrs %0, midr_el1" : "=r"(midr));
    cpu_init(0, mpidr);
    cpus[0].midr = (uint32_t)midr;
    cpus[0].is_online = 1;
}

void boot_main(uint64_t loader_argument) {
    init_cpu0();
    read_device_tree(loader_argument);
    require_memory();
    build_map();
    uart_init(board.uart.base);
    virtio_init(&board);
    psci_init(&board);
    gic_init(&board);
    timer_init(&board);
    pmu_init();
    sampler_init(&board);
    page_init();
    read_arguments();
    user_init();
    user_init_cpu();
    smp_init(&board);
    uart_enable_receive(board.uart_irq.intid);
    if (board.ignored != 0)
        print("ashlar: %u things of the device tree are more than this kernel takes; left out\n",
              board.ignored);
    __asm__ volatile("msr daifclr, #7" ::: "memory"); /* interrupts, and system errors */
    platform_exit(kernel_main());
}

/* platform.h */

const char *platform_name(void) {
    return board.gic_version == 3 ? "aarch64 QEMU virt, GICv3" : "aarch64 QEMU virt, GICv2";
}

const char *platform_arguments(void) {
    return arguments;
}

/* Where the device tree has no random bytes, how long the machine took to come here. */
uint64_t platform_seed(void) {
    return (board.seed + ash_port_cycles() * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

void platform_exit(int status) {
    /* Masked: of two CPUs that end the machine at once, neither stops the other. */
    __asm__ volatile("msr daifset, #15" ::: "memory");
    smp_stop_others();
    semihosting_exit(status);
    if (status != 0)
        print("ashlar: exit status %d cannot be handed over: QEMU runs without semihosting\n",
              status);
    psci_system_off();
    for (;;)
        __asm__ volatile("wfi" ::: "memory");
}

uint32_t platform_memory(struct platform_range *ranges, uint32_t max) {
    uint64_t image = direct_map_physical(__image_start);
    const struct platform_range used[] = {{image, image_end() - image}, {fdt_base, fdt_bytes}};
    return board_free_memory(&board, used, ASH_ARRAY_LEN(used), ranges, max);
}

void *platform_pointer(ash_paddr_t address) {
    return direct_map_pointer(address);
}

ash_paddr_t platform_address(const void *pointer) {
    return direct_map_physical(pointer);
}
