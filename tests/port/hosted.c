/* SPDX-License-Identifier: MIT */
/* Cases of the hosted machine's own controls (hosted.h): clock, timer, lines, slots, options. */
#define _GNU_SOURCE /* sigset_t, in hosted_internal.h */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <errno.h>
#include <stdio.h>

#include "harness/test.h"
#include "hosted/hosted.h"
#include "hosted/hosted_internal.h"
#include "platform.h"
#include "port/migrate.h"
#include "user.h"

enum { MESSAGE_BYTES = 200 };

/* A case that fails between set_manual and set_real leaves the clock manual: each sets its own. */

static void count_call(void *context) {
    uint32_t *calls = context;
    ash_store_relaxed(calls, ash_load_relaxed(calls) + 1);
}

TEST_CASE(hosted, manual_clock_moves_only_when_told) {
    hosted_clock_set_manual(1000);
    CHECK_EQ(platform_now_ns(), 1000);
    CHECK_EQ(platform_now_ns(), 1000);
    hosted_clock_advance(234);
    CHECK_EQ(platform_now_ns(), 1234);
    hosted_clock_advance(UINT64_MAX);
    CHECK_EQ(platform_now_ns(), UINT64_MAX - 1);
    hosted_clock_set_real();
    CHECK(platform_now_ns() < UINT64_MAX / 2);
}

struct timer_probe {
    ash_ns_t period_ns;
    ash_ns_t fired_at_ns[8];
    uint32_t count;
};

static void fire_and_arm_again(void *context) {
    struct timer_probe *probe = context;
    ash_ns_t now = platform_now_ns();
    if (probe->count < ASH_ARRAY_LEN(probe->fired_at_ns))
        probe->fired_at_ns[probe->count++] = now;
    if (probe->period_ns != 0)
        (void)!platform_timer_arm(now + probe->period_ns, fire_and_arm_again, probe);
}

TEST_CASE(hosted, advance_stops_at_every_timer_on_the_way) {
    struct timer_probe probe = {.period_ns = 10};
    hosted_clock_set_manual(0);
    CHECK_EQ(platform_timer_arm(10, fire_and_arm_again, &probe), 0);
    hosted_clock_advance(9);
    CHECK_EQ(probe.count, 0);
    hosted_clock_advance(26);
    CHECK_EQ(probe.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(probe.fired_at_ns[i], 10 * (i + 1));
    CHECK_EQ(platform_now_ns(), 35);
    platform_timer_disarm();
    hosted_clock_advance(100);
    CHECK_EQ(probe.count, 3);
    hosted_clock_set_real();
}

TEST_CASE(hosted, timer_in_the_past_fires_at_once) {
    uint32_t calls = 0;
    hosted_clock_set_manual(100);
    CHECK_EQ(platform_timer_arm(99, count_call, &calls), 0);
    CHECK_EQ(calls, 1);
    hosted_clock_set_real();
}

TEST_CASE(hosted, timer_that_expires_while_masked_waits_for_the_restore) {
    uint32_t calls = 0;
    hosted_clock_set_manual(0);
    CHECK_EQ(platform_timer_arm(10, count_call, &calls), 0);
    ash_irq_t state = ash_port_irq_save();
    hosted_clock_advance(50);
    CHECK_EQ(calls, 0);
    ash_port_irq_restore(state);
    CHECK_EQ(calls, 1);
    hosted_clock_set_real();
}

TEST_CASE(hosted, timer_of_linux_interrupts_a_cpu_that_computes) {
    uint32_t calls = 0;
    hosted_clock_set_real();
    ash_ns_t armed = platform_now_ns();
    CHECK_EQ(platform_timer_arm(armed + 200000, count_call, &calls), 0);
    while (ash_load_relaxed(&calls) == 0 && platform_now_ns() < armed + UINT64_C(5000000000))
        ash_port_relax();
    CHECK_EQ(calls, 1);
    CHECK(platform_now_ns() >= armed + 200000);
}

TEST_CASE(hosted, timer_of_linux_wakes_a_cpu_that_waits) {
    uint32_t calls = 0;
    ash_irq_t state = ash_port_irq_save();
    CHECK_EQ(platform_timer_arm(platform_now_ns() + 200000, count_call, &calls), 0);
    for (uint32_t waits = 0; waits < 1000 && calls == 0; waits++)
        platform_wait(UINT64_MAX);
    ash_port_irq_restore(state);
    CHECK_EQ(calls, 1);
}

/* The timer expires at every distance from the wait: between its look and its sleep, too. */
TEST_CASE(hosted, no_wake_up_is_lost_however_the_timer_falls) {
    enum { SHOTS = 500, STEP_NS = 40 };
    const ash_ns_t too_late_ns = 500000000;
    for (uint32_t shot = 1; shot <= SHOTS; shot++) {
        uint32_t calls = 0;
        ash_irq_t state = ash_port_irq_save();
        ash_ns_t armed = platform_now_ns();
        CHECK_EQ(platform_timer_arm(armed + shot * STEP_NS, count_call, &calls), 0);
        while (calls == 0 && platform_now_ns() < armed + 2 * too_late_ns)
            platform_wait(armed + 2 * too_late_ns);
        ash_port_irq_restore(state);
        CHECK_EQ(calls, 1);
        CHECK(platform_now_ns() < armed + too_late_ns);
    }
}

TEST_CASE(hosted, waiting_under_the_manual_clock_jumps_to_the_deadline) {
    hosted_clock_set_manual(0);
    ash_irq_t state = ash_port_irq_save();
    platform_wait(UINT64_C(3600000000000));
    ash_port_irq_restore(state);
    CHECK_EQ(platform_now_ns(), UINT64_C(3600000000000));
    hosted_clock_set_real();
}

TEST_CASE(hosted, waiting_under_the_manual_clock_stops_at_the_timer) {
    uint32_t calls = 0;
    hosted_clock_set_manual(0);
    CHECK_EQ(platform_timer_arm(70, count_call, &calls), 0);
    ash_irq_t state = ash_port_irq_save();
    platform_wait(100);
    ash_port_irq_restore(state);
    CHECK_EQ(calls, 1);
    CHECK_EQ(platform_now_ns(), 70);
    hosted_clock_set_real();
}

/* Each CPU sleeps its own number of times; the clock must come out at the longest sleeper. */
static void sleep_by_steps(void *context, uint32_t cpu) {
    ash_ns_t *woke = context;
    ash_irq_t state = ash_port_irq_save();
    for (ash_ns_t at = 10; at <= 100 * (cpu + 1); at += 10) {
        while (platform_now_ns() < at)
            platform_wait(at);
    }
    woke[cpu] = platform_now_ns();
    ash_port_irq_restore(state);
}

TEST_CASE(hosted, manual_time_waits_for_the_slowest_cpu) {
    ash_ns_t woke[4] = {0};
    hosted_clock_set_manual(0);
    test_run_on_cpus(sleep_by_steps, woke, 4);
    CHECK_EQ(platform_now_ns(), 400);
    for (uint32_t cpu = 0; cpu < 4; cpu++)
        CHECK(woke[cpu] >= 100 * (cpu + 1));
    hosted_clock_set_real();
}

/* Two CPUs go to sleep at the same moment, again and again; one moves the clock, and spins until
 * the other has seen it. A wake-up that comes between the other's look and its sleep must not be
 * lost. */
enum { SLEEPS = 1000, SPINS_MAX = 1 << 22 };
struct sleep_probe {
    uint32_t woken[2];
    uint32_t lost;
};

static void sleep_in_step(void *context, uint32_t cpu) {
    struct sleep_probe *probe = context;
    for (uint32_t n = 1; n <= SLEEPS && ash_load_relaxed(&probe->lost) == 0; n++) {
        ash_irq_t state = ash_port_irq_save();
        while (platform_now_ns() < n * 10)
            platform_wait(n * 10);
        ash_port_irq_restore(state);
        ash_store_release(&probe->woken[cpu], n);
        for (uint32_t spins = 0; ash_load_acquire(&probe->woken[cpu ^ 1]) < n; spins++) {
            if (spins == SPINS_MAX) {
                ash_store_relaxed(&probe->lost, n);
                CHECK_EQ(hosted_interrupt_raise(cpu ^ 1, HOSTED_LINE_TEST), 0);
            }
            ash_port_relax();
        }
    }
}

TEST_CASE(hosted, no_wake_up_is_lost_when_two_cpus_fall_asleep_at_once) {
    struct sleep_probe probe = {{0, 0}, 0};
    hosted_clock_set_manual(0);
    test_run_on_cpus(sleep_in_step, &probe, 2);
    hosted_clock_set_real();
    CHECK_EQ(probe.lost, 0);
}

/* CPU 0 is done: the machine counts one CPU, but it is not the one that may start a run. */
static void do_nothing(void *context, uint32_t cpu) {
    (void)context, (void)cpu;
}

static void run_again_on_the_last(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 0)
        return;
    while (hosted_cpus_running() != 1)
        ash_port_relax();
    CHECK_EQ(platform_run_on_cpus(do_nothing, NULL, 4), -ASH_EBUSY);
    CHECK_EQ(hosted_cpus_running(), 1);
}

TEST_CASE(hosted, run_that_is_refused_counts_no_cpu) {
    test_run_on_cpus(run_again_on_the_last, NULL, 2);
}

/* Interrupt lines */

TEST_CASE(hosted, line_raised_twice_while_masked_runs_once) {
    uint32_t calls = 0;
    hosted_interrupt_connect(HOSTED_LINE_TEST, count_call, &calls);
    ash_irq_t state = ash_port_irq_save();
    CHECK_EQ(hosted_interrupt_raise(0, HOSTED_LINE_TEST), 0);
    CHECK_EQ(hosted_interrupt_raise(0, HOSTED_LINE_TEST), 0);
    CHECK_EQ(calls, 0);
    ash_port_irq_restore(state);
    CHECK_EQ(calls, 1);
    hosted_interrupt_connect(HOSTED_LINE_TEST, NULL, NULL);
    CHECK_EQ(hosted_interrupt_raise(0, HOSTED_LINE_TEST), 0);
    CHECK_EQ(calls, 1);
}

TEST_CASE(hosted, cpu_that_runs_nothing_cannot_be_interrupted) {
    uint32_t calls = 0;
    CHECK_EQ(hosted_interrupt_raise(1, HOSTED_LINE_TEST), -ASH_ENXIO);
    CHECK_EQ(hosted_interrupt_raise(ASH_PORT_CPUS_MAX, HOSTED_LINE_TEST), -ASH_EINVAL);
    CHECK_EQ(hosted_interrupt_raise(0, HOSTED_LINES), -ASH_EINVAL);
    for (uint32_t i = 0; i < 2; i++) /* a call that is refused is none */
        CHECK_EQ(platform_interrupt_cpu(1, count_call, &calls), -ASH_ENXIO);
}

/* CPU 0 raises, one at a time; CPU 1 only ever waits: a lost wake-up would hang it. */
enum { WAKE_UPS = 500 };
struct wake_probe {
    uint32_t calls;
    uint32_t listening;
};

static void raise_or_wait(void *context, uint32_t cpu) {
    struct wake_probe *probe = context;
    if (cpu == 0) {
        while (ash_load_acquire(&probe->listening) == 0)
            ash_port_relax();
        for (uint32_t n = 0; n < WAKE_UPS; n++) {
            /* At every distance from the other's look at what is pending. */
            for (volatile uint32_t delay = n * 37 % 2048; delay != 0; delay--)
                continue;
            CHECK_EQ(hosted_interrupt_raise(1, HOSTED_LINE_TEST), 0);
            while (ash_load_acquire(&probe->calls) == n)
                ash_port_relax();
        }
        return;
    }
    ash_irq_t state = ash_port_irq_save();
    ash_store_release(&probe->listening, 1);
    while (ash_load_acquire(&probe->calls) < WAKE_UPS)
        platform_wait(UINT64_MAX);
    ash_port_irq_restore(state);
}

static void count_call_release(void *context) {
    uint32_t *calls = context;
    ash_store_release(calls, ash_load_relaxed(calls) + 1);
}

TEST_CASE(hosted, no_wake_up_is_lost_between_two_cpus) {
    struct wake_probe probe = {0, 0};
    hosted_interrupt_connect(HOSTED_LINE_TEST, count_call_release, &probe.calls);
    test_run_on_cpus(raise_or_wait, &probe, 2);
    hosted_interrupt_connect(HOSTED_LINE_TEST, NULL, NULL);
    CHECK_EQ(probe.calls, WAKE_UPS);
}

/* Unmasked code of the other CPU is interrupted where it is: the plain counter must stay whole. */
static void be_interrupted(void *context, uint32_t cpu) {
    struct wake_probe *probe = context;
    if (cpu == 1) {
        ash_store_release(&probe->listening, 1);
        while (ash_load_acquire(&probe->calls) < WAKE_UPS) {
            (void)platform_now_ns(); /* TSan delivers signals at calls of libc only */
            ash_port_relax();
        }
        return;
    }
    raise_or_wait(context, cpu);
}

TEST_CASE(hosted, running_cpu_is_interrupted_by_another) {
    struct wake_probe probe = {0, 0};
    hosted_interrupt_connect(HOSTED_LINE_TEST, count_call_release, &probe.calls);
    test_run_on_cpus(be_interrupted, &probe, 2);
    hosted_interrupt_connect(HOSTED_LINE_TEST, NULL, NULL);
    CHECK_EQ(probe.calls, WAKE_UPS);
}

/* CPU 1 connects one handler or the other, CPU 0 takes the interrupts: each handler must meet the
 * context that was given with it. */
struct pair_probe {
    uint32_t first, second, wrong, done;
};
static struct pair_probe pair;

static void expect_first(void *context) {
    pair.wrong += context != &pair.first;
}

static void expect_second(void *context) {
    pair.wrong += context != &pair.second;
}

static void connect_or_raise(void *context, uint32_t cpu) {
    (void)context;
    for (uint32_t n = 0; cpu == 0 && n < 20000; n++)
        CHECK_EQ(hosted_interrupt_raise(0, HOSTED_LINE_TEST), 0);
    if (cpu == 0)
        ash_store_release(&pair.done, 1);
    while (ash_load_acquire(&pair.done) == 0) {
        hosted_interrupt_connect(HOSTED_LINE_TEST, expect_first, &pair.first);
        hosted_interrupt_connect(HOSTED_LINE_TEST, expect_second, &pair.second);
    }
}

TEST_CASE(hosted, handler_and_context_change_together) {
    pair = (struct pair_probe){0, 0, 0, 0};
    test_run_on_cpus(connect_or_raise, NULL, 2);
    hosted_interrupt_connect(HOSTED_LINE_TEST, NULL, NULL);
    CHECK_EQ(pair.wrong, 0);
}

/* Device slots */

struct fake_device {
    uint32_t offset, width, value, steps;
};

static uint32_t fake_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct fake_device *device = context;
    device->offset = offset;
    device->width = width_bytes;
    return device->value;
}

static void fake_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    *(struct fake_device *)context = (struct fake_device){offset, width_bytes, value, 0};
    hosted_mmio_interrupt(HOSTED_MMIO_SLOTS - 1);
}

static bool fake_step(void *context) {
    return ((struct fake_device *)context)->steps++ == 0;
}

TEST_CASE(hosted, empty_slot_answers_as_qemu_does) {
    uint32_t slot = HOSTED_MMIO_SLOTS - 1;
    CHECK_EQ(platform_virtio_read(slot, 0x000, 4), 0x74726976);
    CHECK_EQ(platform_virtio_read(slot, 0x004, 4), 2);
    CHECK_EQ(platform_virtio_read(slot, 0x008, 4), 0);
    platform_virtio_write(slot, 0x070, 4, 1);
    CHECK_EQ(platform_virtio_read(slot, 0x070, 4), 0);
}

TEST_CASE(hosted, attached_device_gets_the_accesses_and_interrupts) {
    struct fake_device fake = {0, 0, 0, 0};
    const struct hosted_mmio_device device = {fake_read, fake_write, fake_step, &fake};
    uint32_t slot = HOSTED_MMIO_SLOTS - 1, calls = 0;
    CHECK_EQ(hosted_mmio_attach(slot, &device), 0);
    CHECK_EQ(hosted_mmio_attach(slot, &device), -ASH_EBUSY);
    CHECK_EQ(hosted_mmio_attach(HOSTED_MMIO_SLOTS, &device), -ASH_EINVAL);
    CHECK_EQ(platform_virtio_connect(slot, count_call, &calls), 0);
    platform_virtio_write(slot, 0x50, 2, 77);
    CHECK_EQ(calls, 1);
    CHECK_EQ(fake.offset, 0x50);
    CHECK_EQ(platform_virtio_read(slot, 0x100, 1), 77);
    CHECK_EQ(fake.width, 1);
    ash_irq_t state = ash_port_irq_save();
    platform_wait(UINT64_MAX); /* the step did something: no sleep */
    ash_port_irq_restore(state);
    CHECK_EQ(fake.steps, 1);
    CHECK_EQ(platform_virtio_connect(slot, NULL, NULL), 0);
    CHECK_EQ(hosted_mmio_attach(slot, NULL), 0);
}

/* Deterministic CPUs */

struct order_probe {
    uint32_t order[64], count;
};

static void note_turns(void *context, uint32_t cpu) {
    struct order_probe *probe = context;
    for (uint32_t i = 0; i < 16; i++) {
        probe->order[probe->count++] = cpu;
        ash_port_relax();
    }
}

static void run_deterministic(uint64_t seed, void (*body)(void *context, uint32_t cpu),
                              void *context, uint32_t count) {
    struct hosted_config before = *hosted_configuration(), config = before;
    config.deterministic = config.clock_manual = true;
    config.seed = seed;
    CHECK_EQ(hosted_configure(&config), 0);
    test_run_on_cpus(body, context, count);
    CHECK_EQ(hosted_configure(&before), 0);
}

TEST_CASE(hosted, deterministic_turns_repeat_by_seed) {
    struct order_probe first = {{0}, 0}, again = {{0}, 0}, other = {{0}, 0};
    run_deterministic(3, note_turns, &first, 4);
    run_deterministic(3, note_turns, &again, 4);
    run_deterministic(4, note_turns, &other, 4);
    CHECK_EQ(first.count, 64);
    CHECK_MEM_EQ(again.order, first.order, sizeof(first.order));
    CHECK(memcmp(other.order, first.order, sizeof(first.order)) != 0);
}

TEST_CASE(hosted, deterministic_cpus_sleep_in_the_order_of_their_deadlines) {
    ash_ns_t woke[4] = {0};
    run_deterministic(1, sleep_by_steps, woke, 4);
    for (uint32_t cpu = 0; cpu < 4; cpu++)
        CHECK_EQ(woke[cpu], 100 * (cpu + 1));
}

static void wake_the_next(void *context, uint32_t cpu) {
    uint32_t *calls = context;
    ash_irq_t state = ash_port_irq_save();
    if (cpu != 3) {
        while (ash_load_acquire(calls) < 3 - cpu)
            platform_wait(UINT64_MAX);
    }
    if (cpu != 0)
        CHECK_EQ(hosted_interrupt_raise(cpu - 1, HOSTED_LINE_TEST), 0);
    ash_port_irq_restore(state);
}

TEST_CASE(hosted, deterministic_cpus_interrupt_each_other) {
    uint32_t calls = 0;
    hosted_interrupt_connect(HOSTED_LINE_TEST, count_call, &calls);
    run_deterministic(1, wake_the_next, &calls, 4);
    hosted_interrupt_connect(HOSTED_LINE_TEST, NULL, NULL);
    CHECK_EQ(calls, 3);
}

static void fail_on_cpu_two(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 2)
        CHECK_PANICS(ash_panic("file", 1, "on %u", cpu), "on 2");
    ash_port_relax();
}

TEST_CASE(hosted, deterministic_cpu_may_panic) {
    run_deterministic(1, fail_on_cpu_two, NULL, 4);
}

static void run_again(void *context, uint32_t cpu) {
    (void)context, (void)cpu;
    CHECK_EQ(platform_run_on_cpus(do_nothing, NULL, 1), -ASH_EBUSY);
}

TEST_CASE(hosted, deterministic_cpu_starts_no_run_of_its_own) {
    run_deterministic(1, run_again, NULL, 1);
    run_deterministic(1, run_again, NULL, 4);
}

/* Contexts that interrupts switch */

static void spoil_errno(void *context) {
    errno = EPERM;
    count_call(context);
}

TEST_CASE(hosted, interrupt_keeps_errno) {
    uint32_t calls = 0;
    if (HOSTED_NOTES_SIGNALS)
        test_skip("a sanitizer lets no interrupt into plain code");
    CHECK_EQ(platform_timer_arm(platform_now_ns() + 200000, spoil_errno, &calls), 0);
    errno = EDOM;
    while (ash_load_relaxed(&calls) == 0)
        ash_port_compiler_fence();
    CHECK_EQ(errno, EDOM);
}

static struct {
    stack_t before[ASH_PORT_CPUS_MAX];
    uint32_t moved, blocked;
} frames;

/* What a frame puts back when it returns: the stack of faults, and the signals that are blocked. */
static void look_at_thread(uint32_t cpu, bool after) {
    stack_t stack;
    sigset_t blocked;
    sigaltstack(NULL, after ? &stack : &frames.before[cpu]);
    if (!after)
        return;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    uint32_t is_blocked = sigismember(&blocked, HOSTED_SIGNAL_KICK) != 0 ||
                          sigismember(&blocked, HOSTED_SIGNAL_TIMER) != 0;
    (void)ash_fetch_add(&frames.moved, (uint32_t)(stack.ss_sp != frames.before[cpu].ss_sp));
    (void)ash_fetch_add(&frames.blocked, is_blocked);
}

TEST_CASE(hosted, contexts_that_migrate_leave_each_thread_what_is_its_own) {
    if (!migrate_may())
        test_skip("no context is switched away in an interrupt of this machine");
    memset(&frames, 0, sizeof(frames));
    struct migrate_result result = migrate_run(4, look_at_thread);
    CHECK_EQ(result.left, 0);
    CHECK_EQ(result.lost, 0);
    CHECK_EQ(frames.moved, 0);
    CHECK_EQ(frames.blocked, 0);
}

TEST_CASE(hosted, contexts_migrate_between_deterministic_cpus) {
    if (!migrate_may())
        test_skip("no context is switched away in an interrupt of this machine");
    struct hosted_config before = *hosted_configuration(), config = before;
    config.deterministic = config.clock_manual = true;
    CHECK_EQ(hosted_configure(&config), 0);
    struct migrate_result first = migrate_run(4, NULL);
    CHECK_EQ(hosted_configure(&config), 0); /* the seed again */
    struct migrate_result again = migrate_run(4, NULL);
    CHECK_EQ(hosted_configure(&before), 0);
    CHECK_EQ(first.left + again.left, 0);
    CHECK_EQ(first.lost + again.lost, 0);
    CHECK_EQ(first.misplaced + again.misplaced, 0);
    CHECK_EQ(first.pins_left + again.pins_left, 0);
    CHECK(first.migrations != 0);
    CHECK_EQ(again.migrations, first.migrations);
}

/* Memory and configuration */

TEST_CASE(hosted, address_outside_the_memory_panics) {
    struct platform_range range;
    char byte;
    CHECK_EQ(platform_memory(&range, 1), 1);
    CHECK_EQ(range.base, HOSTED_MEMORY_BASE);
    CHECK_EQ(range.size_bytes, hosted_configuration()->memory_bytes);
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    CHECK_PANICS((void)platform_pointer(0), "no address of RAM");
    CHECK_PANICS((void)platform_pointer(range.base + range.size_bytes + 1), "no address of RAM");
    CHECK_PANICS((void)platform_address(&byte), "does not point into RAM");
}

TEST_CASE(hosted, configuration_out_of_range_is_refused) {
    struct hosted_config config = *hosted_configuration();
    config.cpus = ASH_PORT_CPUS_MAX + 1;
    CHECK_EQ(hosted_configure(&config), -ASH_EINVAL);
    config = *hosted_configuration();
    config.deterministic = true; /* needs the manual clock */
    CHECK_EQ(hosted_configure(&config), -ASH_EINVAL);
    config = *hosted_configuration();
    config.memory_bytes += ASH_PAGE_SIZE;
    (void)platform_pointer(HOSTED_MEMORY_BASE);
    CHECK_EQ(hosted_configure(&config), -ASH_EBUSY);
}

/* The command line */

static int parse(struct hosted_config *config, char *message, const char *line) {
    static char words[256], arguments[64];
    char *argv[24] = {"hosted"};
    int argc = 1;
    bool help;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL && argc < 24; word = strtok(NULL, " "))
        argv[argc++] = word;
    *config = *hosted_configuration();
    int error =
        hosted_options_parse(config, argc, argv, arguments, sizeof(arguments), message, &help);
    return error != 0 ? error : help;
}

TEST_CASE(hosted, eight_disks_are_taken_in_their_order) {
    struct hosted_config config;
    char message[MESSAGE_BYTES];
    const char *words = "--disk 0 --disk=1 --disk 2 --disk 3 --disk 4 --disk 5 --disk 6 --disk 7";
    char nine[100];
    CHECK_EQ(parse(&config, message, words), 0);
    CHECK_EQ(config.disk_count, HOSTED_MMIO_SLOTS);
    for (uint32_t i = 0; i < HOSTED_MMIO_SLOTS; i++)
        CHECK_EQ(config.disk_paths[i][0], '0' + i);
    snprintf(nine, sizeof(nine), "%s --disk 8", words);
    CHECK_EQ(parse(&config, message, nine), -ASH_EINVAL);
    CHECK_STR_EQ(message, "--disk 8: one too many: the machine has room for 8");
}

TEST_CASE(hosted, options_are_understood) {
    struct hosted_config config;
    char message[MESSAGE_BYTES];
    CHECK_EQ(parse(&config, message, "--disk a.tar --mem=64M --smp 2 --seed 0x10 test slab"), 0);
    CHECK_EQ(config.disk_count, 1);
    CHECK_STR_EQ(config.disk_paths[0], "a.tar");
    CHECK_EQ(config.memory_bytes, 64 << 20);
    CHECK_EQ(config.cpus, 2);
    CHECK_EQ(config.seed, 16);
    CHECK(!config.deterministic && !config.clock_manual);
    CHECK_STR_EQ(config.arguments, "test slab");
    CHECK_EQ(parse(&config, message, "--deterministic -- --mem"), 0);
    CHECK(config.deterministic && config.clock_manual);
    CHECK_STR_EQ(config.arguments, "--mem");
    CHECK_EQ(parse(&config, message, "--help"), 1);
}

TEST_CASE(hosted, bad_options_say_what_to_do) {
    static const struct {
        const char *line, *part;
    } bad[] = {
        {"--mem", "needs a value"},
        {"--mem 16Q", "such as 256M"},
        {"--mem 1", "1M to 64G"},
        {"--mem -1", "1M to 64G"},
        {"--mem 65G", "1M to 64G"},
        {"--mem 1048577", "whole 4 KiB pages"},
        {"--mem 99999999999999999999G", "1M to 64G"},
        {"--smp 0", "from 1 to 8"},
        {"--smp 9", "from 1 to 8"},
        {"--smp two", "from 1 to 8"},
        {"--seed x", "give a number"},
        {"--seed 99999999999999999999", "give a number"},
        {"--clock fast", "real or manual"},
        {"--deterministic --clock real", "cannot have"},
        {"--disc x", "unknown option --disc"},
        {"0123456789012345678901234567890123456789012345678901234567890123456789", "too long"},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        struct hosted_config config;
        char message[MESSAGE_BYTES];
        CHECK_EQ(parse(&config, message, bad[i].line), -ASH_EINVAL);
        if (strstr(message, bad[i].part) == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\" says \"%s\", not \"%s\"", bad[i].line, message,
                      bad[i].part);
    }
}

/* Faults: only where no sanitizer has the signals */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void store_to_null(void) {
    volatile uint32_t *volatile null = NULL;
    *null = 1;
}

/* The frame is used after the call, so that no compiler makes a loop of it. */
static uint32_t overflow_the_stack(volatile uint32_t depth) {
    volatile uint32_t frame[128];
    frame[depth % 128] = depth;
    return depth == UINT32_MAX ? 0 : overflow_the_stack(depth + 1) + frame[depth % 128];
}

TEST_CASE(hosted, faults_end_in_the_panic_hook_again_and_again) {
    if (SANITIZED)
        test_skip("the sanitizer reports faults itself");
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_PANICS(store_to_null(), "segmentation fault at (nil)");
        CHECK_PANICS(__builtin_trap(), "undefined instruction");
    }
}

TEST_CASE(hosted, stack_overflow_ends_in_the_panic_hook) {
    if (SANITIZED)
        test_skip("the sanitizer reports faults itself");
    CHECK_PANICS((void)overflow_the_stack(0), "segmentation fault");
    CHECK_PANICS((void)overflow_the_stack(0), "segmentation fault");
}

static void fault_on_every_cpu(void *context, uint32_t cpu) {
    (void)context, (void)cpu;
    CHECK_PANICS(store_to_null(), "segmentation fault");
}

TEST_CASE(hosted, fault_on_another_cpu_stays_there) {
    if (SANITIZED)
        test_skip("the sanitizer reports faults itself");
    test_run_on_cpus(fault_on_every_cpu, NULL, 4);
}

/* Programs */

static void add_and_call(struct platform_user *user, const struct platform_translation *translation,
                         struct platform_user_event *event) {
    user->x[0] += translation->root + translation->asid;
    *event = (struct platform_user_event){.cause = PLATFORM_USER_CALL};
}

TEST_CASE(hosted, programs_are_played_by_a_function) {
    struct platform_user user = {.x = {1}};
    const struct platform_translation translation = {.root = 0x40000000, .asid = 2};
    struct platform_user_event event = {.cause = PLATFORM_USER_TRAP};
    CHECK(!platform_has_user());
    if (ASH_ENABLED(ASH_CHECKS >= 1))
        CHECK_PANICS(platform_user_run(&user, &translation, &event), "no test plays a program");
    hosted_user_program = add_and_call;
    CHECK(platform_has_user());
    platform_user_run(&user, &translation, &event);
    CHECK_EQ(event.cause, PLATFORM_USER_CALL);
    user.is_wanted = 1;
    platform_user_run(&user, &translation, &event);
    hosted_user_program = NULL;
    CHECK_EQ(user.x[0], 0x40000003);
    CHECK_EQ(event.cause, PLATFORM_USER_INTERRUPT);
}
