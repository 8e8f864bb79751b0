/* SPDX-License-Identifier: MIT */
/* smp.c: see smp.h. */
#include "smp.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "direct_map.h"
#include "gic.h"
#include "platform.h"
#include "pmu.h"
#include "print.h"
#include "psci.h"
#include "user_init.h"

struct cpu cpus[ASH_PORT_CPUS_MAX];

/* At the end of the image (kernel.ld), by CPU: those of CPUs that are not there are free memory. */
struct cpu_stacks cpu_stacks[ASH_PORT_CPUS_MAX]
    __attribute__((section(".stacks"), aligned(CPU_GUARD_BYTES)));

enum { ONLINE_WAIT_S = 2, STOP_WAIT_MS = 100 };
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define DAIF_IRQ       UINT64_C(0x80)

static uint32_t online_count = 1;

static struct {
    void (*body)(void *context, uint32_t cpu);
    void *context;
    uint32_t number;
} job;

extern const char secondary_start[]; /* start.S: where a CPU begins, by its physical address */
void smp_secondary_main(void) __attribute__((noreturn));

void cpu_init(uint32_t index, uint64_t mpidr) {
    struct cpu *cpu = &cpus[index];
    memset(cpu, 0, sizeof(*cpu));
    cpu->index = index;
    cpu->timer_deadline_ns = UINT64_MAX;
    cpu->mpidr = mpidr & MPIDR_AFFINITY;
    cpu->stack_top = (uint64_t)(uintptr_t)(&cpu_stacks[index] + 1);
    cpu->exception_stack_top = (uint64_t)(uintptr_t)cpu_stacks[index].guard;
}

void smp_stop_self(void) {
    ash_store_release(&cpu_this()->is_stopped, 1u);
    for (;;)
        __asm__ volatile("msr daifset, #15\n\twfi" ::: "memory");
}

static void on_stop(void *context) {
    (void)context;
    smp_stop_self();
}

/* The interrupt itself is the message: WFI ends. */
static void on_wake(void *context) {
    (void)context;
}

void platform_wake(uint32_t cpu) {
    if (cpu < online_count)
        gic_send(cpu, GIC_SGI_WAKE);
}

/* Of a CPU's call: who has found it free fills it in. */
enum { CALL_FREE, CALL_TAKEN, CALL_READY };

static void on_call(void *context) {
    (void)context;
    struct cpu *cpu = cpu_this();
    if (ash_load_acquire(&cpu->call_state) != CALL_READY)
        return;
    void (*handler)(void *) = cpu->call_handler;
    void *argument = cpu->call_context;
    ash_store_release(&cpu->call_state, (uint32_t)CALL_FREE);
    handler(argument);
}

static int call(struct cpu *cpu, void (*handler)(void *context), void *context) {
    uint32_t free = CALL_FREE;
    if (!ash_compare_exchange(&cpu->call_state, &free, (uint32_t)CALL_TAKEN))
        return -ASH_EBUSY;
    cpu->call_handler = handler;
    cpu->call_context = context;
    ash_store_release(&cpu->call_state, (uint32_t)CALL_READY);
    gic_send(cpu->index, GIC_SGI_CALL);
    return 0;
}

int platform_interrupt_cpu(uint32_t cpu, void (*handler)(void *context), void *context) {
    if (cpu >= online_count)
        return -ASH_EINVAL;
    ash_irq_t state = ash_port_irq_save();
    int error = call(&cpus[cpu], handler, context);
    ash_port_irq_restore(state);
    return error;
}

int platform_interrupt_self(void (*handler)(void *context), void *context) {
    ash_irq_t state = ash_port_irq_save();
    struct cpu *cpu = cpu_this();
    int error = call(cpu, handler, context);
    ash_port_irq_restore(state);
    /* Unmasked, it comes within a few instructions; the caller is promised that it has. */
    while (error == 0 && (state & DAIF_IRQ) == 0 && ash_load_relaxed(&cpu->call_state) != CALL_FREE)
        ash_port_relax();
    return error;
}

enum start_result { STARTED, REFUSED, LATE };

static enum start_result start(struct cpu *cpu) {
    int64_t error =
        psci_cpu_on(cpu->mpidr, direct_map_physical(secondary_start), (uint64_t)(uintptr_t)cpu);
    if (error != 0) {
        print("smp: CPU %u does not start: PSCI CPU_ON says %lld\n", cpu->index, (long long)error);
        return REFUSED;
    }
    ash_ns_t deadline_ns = platform_now_ns() + ONLINE_WAIT_S * UINT64_C(1000000000);
    while (ash_load_acquire(&cpu->is_online) == 0) {
        if (platform_now_ns() > deadline_ns) {
            print("smp: CPU %u was started but has not come online in %d s; no more are started\n",
                  cpu->index, ONLINE_WAIT_S);
            return LATE;
        }
        ash_port_relax();
    }
    return STARTED;
}

/* CPU numbers have no gap: a CPU that is refused leaves its number to the next. One that is late
 * may still come, to its block and its stack, so that nobody else can have them: it ends the
 * start. */
void smp_init(const struct board *board) {
    gic_connect(GIC_SGI_WAKE, true, on_wake, NULL);
    gic_connect(GIC_SGI_STOP, true, on_stop, NULL);
    gic_connect(GIC_SGI_CALL, true, on_call, NULL);
    for (uint32_t i = 0; i < board->cpu_count && online_count < ASH_PORT_CPUS_MAX; i++) {
        uint64_t mpidr = board->cpu_mpidr[i] & MPIDR_AFFINITY;
        if (mpidr == cpus[0].mpidr)
            continue;
        cpu_init(online_count, mpidr);
        enum start_result result = start(&cpus[online_count]);
        if (result == LATE)
            return;
        online_count += result == STARTED;
    }
}

void smp_secondary_main(void) {
    struct cpu *cpu = cpu_this();
    uint64_t midr;
    __asm__ volatile("mrs %0, midr_el1" : "=r"(midr));
    cpu->midr = (uint32_t)midr;
    user_init_cpu();
    pmu_init_cpu();
    gic_init_cpu();
    ash_store_release(&cpu->is_online, 1u);
    __asm__ volatile("msr daifclr, #5" ::: "memory"); /* system errors, as on CPU 0 */
    for (;;) {
        uint32_t wanted = ash_load_acquire(&cpu->job_wanted);
        if (wanted != cpu->job_done) {
            __asm__ volatile("msr daifclr, #2" ::: "memory");
            job.body(job.context, cpu->index);
            __asm__ volatile("msr daifset, #2" ::: "memory");
            ash_store_release(&cpu->job_done, wanted);
        } else {
            /* Masked since the look at job_wanted, so a wake-up in between is not lost. */
            __asm__ volatile("dsb sy\n\twfi" ::: "memory");
            gic_dispatch(NULL, CPU_INTERRUPTS_WAIT);
        }
    }
}

uint32_t platform_cpu_count(void) {
    return online_count;
}

int platform_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count == 0 || count > online_count)
        return -ASH_EINVAL;
    ASH_REQUIRE(cpu_this()->index == 0, "platform_run_on_cpus: called on CPU %u, not 0",
                cpu_this()->index);
    job.body = body;
    job.context = context;
    job.number++;
    for (uint32_t i = 1; i < count; i++) {
        ash_store_release(&cpus[i].job_wanted, job.number);
        gic_send(i, GIC_SGI_WAKE);
    }
    body(context, 0);
    for (uint32_t i = 1; i < count; i++) {
        while (ash_load_acquire(&cpus[i].job_done) != job.number)
            ash_port_relax();
    }
    return 0;
}

/* A CPU that has masked interrupts finishes its section first; one that never ends it is left. */
void smp_stop_others(void) {
    uint32_t self = cpu_this()->index;
    for (uint32_t i = 0; i < online_count; i++) {
        if (i != self && ash_load_acquire(&cpus[i].is_stopped) == 0)
            gic_send(i, GIC_SGI_STOP);
    }
    ash_ns_t deadline_ns = platform_now_ns() + STOP_WAIT_MS * UINT64_C(1000000);
    for (uint32_t i = 0; i < online_count; i++) {
        while (i != self && ash_load_acquire(&cpus[i].is_stopped) == 0 &&
               platform_now_ns() < deadline_ns)
            ash_port_relax();
    }
}

/* CPUs by MIDR_EL1 (Arm ARM D17.2.100), those that QEMU's virt machine takes. */
static const char *part_name(uint32_t midr) {
    static const struct {
        uint32_t implementer_part; /* implementer << 12 | part */
        const char *name;
    } parts[] = {{0x41d03, "cortex-a53"},  {0x41d04, "cortex-a35"}, {0x41d05, "cortex-a55"},
                 {0x41d07, "cortex-a57"},  {0x41d08, "cortex-a72"}, {0x41d0b, "cortex-a76"},
                 {0x41d0c, "neoverse-n1"}, {0x46001, "a64fx"},      {0x00051, "QEMU max"}};
    uint32_t key = midr >> 24 << 12 | (midr >> 4 & 0xfff);
    for (size_t i = 0; i < ASH_ARRAY_LEN(parts); i++) {
        if (parts[i].implementer_part == key)
            return parts[i].name;
    }
    return "unknown CPU";
}

void platform_cpu_describe(uint32_t cpu, char *text, size_t len) {
    if (cpu >= online_count) {
        snprintf(text, len, "not online");
        return;
    }
    uint32_t midr = cpus[cpu].midr;
    snprintf(text, len, "%s r%up%u (MIDR 0x%08x), affinity 0x%llx, EL1", part_name(midr),
             midr >> 20 & 15, midr & 15, midr, (unsigned long long)cpus[cpu].mpidr);
}
