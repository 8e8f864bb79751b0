/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite of a port with its platform: what docs/PORTING.md promises of each
 * primitive and of platform.h, as far as a test can see it. The same cases for every platform;
 * primitives.c has those that need the port header alone.
 */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"

enum { RANGES_MAX = 16 };

/* Interrupts */

struct interrupt_probe {
    uint32_t count;
    uint32_t cpu;
};

static void count_interrupt(void *context) {
    struct interrupt_probe *probe = context;
    ash_port_pin(&probe->cpu);
    ash_port_unpin();
    ash_store_relaxed(&probe->count, probe->count + 1);
}

/* An interrupt that is unmasked may still take a few instructions to arrive. */
static bool arrives(const uint32_t *count, uint32_t expected) {
    for (uint32_t i = 0; i < 100000 && ash_load_relaxed(count) < expected; i++)
        ash_port_relax();
    return ash_load_relaxed(count) == expected;
}

TEST_CASE(port, interrupt_arrives_when_unmasked) {
    struct interrupt_probe probe = {0, UINT32_MAX};
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), 0);
    CHECK(arrives(&probe.count, 1));
    CHECK_EQ(probe.cpu, 0);
}

TEST_CASE(port, masked_interrupt_waits_for_the_last_restore) {
    struct interrupt_probe probe = {0, UINT32_MAX};
    ash_irq_t outer = ash_port_irq_save();
    ash_irq_t inner = ash_port_irq_save();
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), 0);
    for (uint32_t i = 0; i < 1000; i++)
        ash_port_relax();
    CHECK_EQ(ash_load_relaxed(&probe.count), 0);
    ash_port_irq_restore(inner);
    for (uint32_t i = 0; i < 1000; i++)
        ash_port_relax();
    CHECK_EQ(ash_load_relaxed(&probe.count), 0);
    ash_port_irq_restore(outer);
    CHECK(arrives(&probe.count, 1));
}

TEST_CASE(port, second_interrupt_is_refused_while_one_is_pending) {
    struct interrupt_probe probe = {0, UINT32_MAX};
    ash_irq_t state = ash_port_irq_save();
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), 0);
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), -ASH_EBUSY);
    ash_port_irq_restore(state);
    CHECK(arrives(&probe.count, 1));
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), 0);
    CHECK(arrives(&probe.count, 2));
}

/* The mask inside a handler: what it raises runs after it, not in it. */
struct nesting_probe {
    uint32_t depth, deepest, runs;
    int error;
};

static void raise_again(void *context) {
    struct nesting_probe *probe = context;
    probe->depth++;
    if (probe->depth > probe->deepest)
        probe->deepest = probe->depth;
    if (probe->runs++ == 0)
        probe->error = platform_interrupt_self(raise_again, probe);
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    for (uint32_t i = 0; i < 1000; i++)
        ash_port_relax();
    probe->depth--;
}

TEST_CASE(port, handler_is_not_interrupted) {
    struct nesting_probe probe = {0, 0, 0, -1};
    CHECK_EQ(platform_interrupt_self(raise_again, &probe), 0);
    CHECK(arrives(&probe.runs, 2));
    CHECK_EQ(probe.error, 0);
    CHECK_EQ(probe.deepest, 1);
}

static void interrupt_own_cpu(void *context, uint32_t cpu) {
    struct interrupt_probe *probes = context;
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probes[cpu]), 0);
    CHECK(arrives(&probes[cpu].count, 1));
    CHECK_EQ(probes[cpu].cpu, cpu);
}

TEST_CASE(port, interrupt_to_self_runs_on_the_same_cpu) {
    struct interrupt_probe probes[2] = {{0, UINT32_MAX}, {0, UINT32_MAX}};
    test_run_on_cpus(interrupt_own_cpu, probes, 2);
}

/* Two that are there both: a body that is gone would leave the other one waiting. */
static void meet(uint32_t *count) {
    ash_fetch_add(count, 1u);
    while (ash_load_acquire(count) < 2)
        ash_port_relax();
}

struct call_probe {
    uint32_t here, sent, done;
    struct target {
        uint32_t cpu, runs, elsewhere;
    } targets[2]; /* each CPU's, to which it sends */
    uint32_t early;
    int errors[2];
};

static void note_call(void *context) {
    struct target *target = context;
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_port_unpin();
    target->elsewhere += cpu != target->cpu;
    ash_store_release(&target->runs, target->runs + 1);
}

static void call_the_other(void *context, uint32_t cpu) {
    enum { CALLS = 200 };
    struct call_probe *probe = context;
    struct target *target = &probe->targets[cpu];
    int error = 0;
    target->cpu = 1 - cpu;
    meet(&probe->here);
    for (uint32_t i = 0; i < CALLS && error == 0; i++) {
        while ((error = platform_interrupt_cpu(1 - cpu, note_call, target)) == -ASH_EBUSY)
            ash_port_relax();
        while (error == 0 && ash_load_acquire(&target->runs) != i + 1)
            ash_port_relax();
    }
    probe->errors[cpu] = error;
    meet(&probe->done);
}

TEST_CASE(port, two_cpus_that_interrupt_each_other_both_get_on) {
    struct call_probe probe = {.here = 0};
    test_run_on_cpus(call_the_other, &probe, 2);
    for (uint32_t cpu = 0; cpu < 2; cpu++) {
        CHECK_EQ(probe.errors[cpu], 0);
        CHECK_EQ(probe.targets[cpu].elsewhere, 0);
    }
}

static void be_called_masked(struct call_probe *probe) {
    ash_irq_t state = ash_port_irq_save();
    meet(&probe->here);
    meet(&probe->sent);
    for (uint32_t i = 0; i < 1000; i++)
        ash_port_relax();
    probe->early = ash_load_relaxed(&probe->targets[0].runs);
    ash_port_irq_restore(state);
    (void)arrives(&probe->targets[0].runs, 1);
}

static void call_the_masked(void *context, uint32_t cpu) {
    struct call_probe *probe = context;
    if (cpu == 1) {
        be_called_masked(probe);
    } else {
        probe->targets[0].cpu = 1;
        meet(&probe->here);
        probe->errors[0] = platform_interrupt_cpu(1, note_call, &probe->targets[0]);
        probe->errors[1] = platform_interrupt_cpu(1, note_call, &probe->targets[0]);
        meet(&probe->sent);
    }
    meet(&probe->done);
}

TEST_CASE(port, interrupt_of_a_masked_cpu_waits_and_the_next_is_refused) {
    struct call_probe probe = {.here = 0};
    test_run_on_cpus(call_the_masked, &probe, 2);
    CHECK_EQ(probe.errors[0], 0);
    CHECK_EQ(probe.errors[1], -ASH_EBUSY);
    CHECK_EQ(probe.early, 0);
    CHECK_EQ(probe.targets[0].runs, 1);
    CHECK_EQ(probe.targets[0].elsewhere, 0);
}

TEST_CASE(port, interrupt_of_the_own_cpu_is_one_to_self) {
    struct interrupt_probe probe = {0, UINT32_MAX};
    ash_irq_t state = ash_port_irq_save();
    CHECK_EQ(platform_interrupt_cpu(0, count_interrupt, &probe), 0);
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), -ASH_EBUSY);
    ash_port_irq_restore(state);
    CHECK(arrives(&probe.count, 1));
    CHECK_EQ(probe.cpu, 0);
}

TEST_CASE(port, interrupt_of_a_cpu_that_there_is_not_is_refused) {
    struct interrupt_probe probe = {0, UINT32_MAX};
    CHECK_EQ(platform_interrupt_cpu(platform_cpu_count(), count_interrupt, &probe), -ASH_EINVAL);
    CHECK_EQ(platform_interrupt_cpu(UINT32_MAX, count_interrupt, &probe), -ASH_EINVAL);
    CHECK_EQ(probe.count, 0);
}

/* CPUs */

struct run_probe {
    uint32_t runs[ASH_PORT_CPUS_MAX];
    uint32_t pinned[ASH_PORT_CPUS_MAX];
};

static void note_run(void *context, uint32_t cpu) {
    struct run_probe *probe = context;
    probe->runs[cpu]++;
    ash_port_pin(&probe->pinned[cpu]);
    ash_port_unpin();
}

TEST_CASE(port, run_on_cpus_runs_each_once_on_its_own_cpu) {
    struct run_probe probe;
    uint32_t count = platform_cpu_count();
    CHECK(count >= 1 && count <= ASH_PORT_CPUS_MAX);
    for (uint32_t n = 1; n <= count; n++) {
        memset(&probe, 0, sizeof(probe));
        test_run_on_cpus(note_run, &probe, n);
        for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++) {
            CHECK_EQ(probe.runs[cpu], cpu < n ? 1 : 0);
            if (cpu < n)
                CHECK_EQ(probe.pinned[cpu], cpu);
        }
    }
}

TEST_CASE(port, run_on_cpus_refuses_none_and_too_many) {
    struct run_probe probe = {{0}, {0}};
    CHECK_EQ(platform_run_on_cpus(note_run, &probe, 0), -ASH_EINVAL);
    CHECK_EQ(platform_run_on_cpus(note_run, &probe, platform_cpu_count() + 1), -ASH_EINVAL);
    CHECK_EQ(probe.runs[0], 0);
}

TEST_CASE(port, cpu_describes_itself_within_its_buffer) {
    char text[80];
    memset(text, '#', sizeof(text));
    platform_cpu_describe(0, text, 8);
    CHECK(memchr(text, '\0', 8) != NULL && text[0] != '\0');
    CHECK_EQ(text[8], '#');
}

TEST_CASE(port, has_a_seed) {
    CHECK(platform_seed() != 0);
}

static __attribute__((noinline)) uint32_t stack_below(uintptr_t *sites, uint32_t max) {
    uint32_t count = platform_stack(sites, max);
    __asm__ volatile("" : : : "memory"); /* no tail call: this function is one of the stack */
    return count;
}

/* A platform that cannot tell says so by 0. */
TEST_CASE(port, stack_is_that_of_the_caller) {
    uintptr_t sites[4] = {0, 0, 0, 1}, other[3];
    uint64_t offset = UINT64_MAX;
    CHECK_EQ(platform_stack(sites, 0), 0);
    uint32_t count = stack_below(sites, 3), again = stack_below(other, 2);
    CHECK(count <= 3 && again == (count < 2 ? count : 2));
    CHECK_EQ(sites[3], 1);
    if (count == 0)
        return;
    CHECK(count >= 2 && sites[0] == other[0] && sites[1] != other[1]);
    CHECK(platform_function(sites[0], &offset) != NULL && offset < 4096);
}

TEST_CASE(port, no_function_is_at_address_0) {
    uint64_t offset;
    CHECK(platform_function(0, &offset) == NULL);
}

/* Locks and ordering between CPUs */

struct lock_probe {
    struct ash_spinlock lock;
    uint64_t counter; /* plain: lost updates show */
    uint32_t in_region, overlaps;
};

enum { LOCK_ROUNDS = 2000 };

/* Relaxing inside the region gives another CPU the time to come in, if it can. */
static void count_under_lock(void *context, uint32_t cpu) {
    struct lock_probe *probe = context;
    (void)cpu;
    for (uint32_t i = 0; i < LOCK_ROUNDS; i++) {
        ash_spin_lock(&probe->lock);
        probe->overlaps += ash_fetch_add(&probe->in_region, 1u) != 0;
        uint64_t before = probe->counter;
        ash_port_relax();
        probe->counter = before + 1;
        (void)ash_fetch_add(&probe->in_region, UINT32_MAX);
        ash_spin_unlock(&probe->lock);
    }
}

TEST_CASE(port, spinlock_excludes_the_other_cpus) {
    struct lock_probe probe;
    uint32_t count = platform_cpu_count() < 4 ? platform_cpu_count() : 4;
    memset(&probe, 0, sizeof(probe));
    ash_spin_init(&probe.lock);
    test_run_on_cpus(count_under_lock, &probe, count);
    CHECK_EQ(probe.counter, (uint64_t)count * LOCK_ROUNDS);
    CHECK_EQ(probe.overlaps, 0);
}

static void count_under_trylock(void *context, uint32_t cpu) {
    struct lock_probe *probe = context;
    (void)cpu;
    for (uint32_t i = 0; i < LOCK_ROUNDS; i++) {
        while (!ash_spin_trylock(&probe->lock))
            ash_port_relax();
        uint64_t before = probe->counter;
        ash_port_relax();
        probe->counter = before + 1;
        ash_spin_unlock(&probe->lock);
    }
}

TEST_CASE(port, trylock_excludes_the_other_cpus) {
    struct lock_probe probe;
    memset(&probe, 0, sizeof(probe));
    ash_spin_init(&probe.lock);
    test_run_on_cpus(count_under_trylock, &probe, 2);
    CHECK_EQ(probe.counter, 2 * LOCK_ROUNDS);
}

/*
 * Store buffering (Dekker): each CPU stores its own flag, fences and looks at the other's. One of
 * them must see the other's, whichever side is the heavy one.
 */
enum { DEKKER_ROUNDS = 200, DEKKER_FLAGS = 32 };
struct dekker_flag {
    uint32_t raised, saw_other;
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));
struct dekker {
    struct dekker_flag flags[2][DEKKER_FLAGS];
    uint32_t arrived, both_missed;
};

static void wait_for_both(struct dekker *dekker, uint32_t *meeting) {
    *meeting += 2;
    (void)ash_fetch_add(&dekker->arrived, 1u);
    for (uint32_t spins = 1; (int32_t)(ash_load_acquire(&dekker->arrived) - *meeting) < 0;
         spins++) {
        if (spins % 256 == 0)
            ash_port_relax();
    }
}

static void dekker_round(struct dekker *dekker, uint32_t cpu) {
    for (uint32_t i = 0; i < DEKKER_FLAGS; i++) {
        struct dekker_flag *own = &dekker->flags[cpu][i], *other = &dekker->flags[cpu ^ 1][i];
        ash_store_relaxed(&own->raised, 1u);
        if (cpu == 0)
            ash_port_fence_light();
        else
            ash_port_fence_heavy();
        own->saw_other = ash_load_relaxed(&other->raised);
    }
}

static void dekker_body(void *context, uint32_t cpu) {
    struct dekker *dekker = context;
    uint32_t meeting = 0;
    for (uint32_t round = 0; round < DEKKER_ROUNDS; round++) {
        wait_for_both(dekker, &meeting);
        dekker_round(dekker, cpu);
        wait_for_both(dekker, &meeting);
        for (uint32_t i = 0; cpu == 0 && i < DEKKER_FLAGS; i++)
            dekker->both_missed +=
                dekker->flags[0][i].saw_other == 0 && dekker->flags[1][i].saw_other == 0;
        for (uint32_t i = 0; cpu == 0 && i < DEKKER_FLAGS; i++)
            dekker->flags[0][i].raised = dekker->flags[1][i].raised = 0;
    }
}

TEST_CASE(port, light_and_heavy_fence_order_store_before_load) {
    struct dekker *dekker = test_alloc(sizeof(*dekker), ASH_PORT_CACHE_LINE);
    test_run_on_cpus(dekker_body, dekker, 2);
    CHECK_EQ(dekker->both_missed, 0);
}

/* CPU 0 writes plain words and publishes a number; CPU 1 must see the words of that number. */
enum { MESSAGES = 2000, MESSAGE_WORDS = 4 };
struct mailbox {
    uint64_t words[MESSAGE_WORDS];
    uint32_t published, consumed;
    uint32_t torn;
};

static void pass_messages(void *context, uint32_t cpu) {
    struct mailbox *box = context;
    for (uint32_t n = 1; n <= MESSAGES; n++) {
        if (cpu == 0) {
            for (uint32_t i = 0; i < MESSAGE_WORDS; i++)
                box->words[i] = (uint64_t)n * (i + 1);
            ash_store_release(&box->published, n);
            while (ash_load_acquire(&box->consumed) != n)
                ash_port_relax();
        } else {
            while (ash_load_acquire(&box->published) != n)
                ash_port_relax();
            for (uint32_t i = 0; i < MESSAGE_WORDS; i++)
                box->torn += box->words[i] != (uint64_t)n * (i + 1);
            ash_store_release(&box->consumed, n);
        }
    }
}

TEST_CASE(port, release_publishes_what_was_written_before) {
    struct mailbox box;
    memset(&box, 0, sizeof(box));
    test_run_on_cpus(pass_messages, &box, 2);
    CHECK_EQ(box.torn, 0);
    CHECK_EQ(box.consumed, MESSAGES);
}

static void add_many(void *context, uint32_t cpu) {
    uint64_t *sum = context;
    for (uint32_t i = 0; i < LOCK_ROUNDS; i++)
        (void)ash_fetch_add(sum, (uint64_t)cpu + 1);
}

TEST_CASE(port, fetch_add_loses_nothing_between_cpus) {
    uint64_t sum = 0;
    test_run_on_cpus(add_many, &sum, 2);
    CHECK_EQ(sum, 3 * LOCK_ROUNDS);
}

/* Events: a part declares one, the sink gets it with its arguments. */

ASH_EVENT_DEFINE(probe_event, "port.probe", "first,second");

TEST_CASE(port, enabled_event_arrives_with_its_arguments) {
    uint64_t a = 0, b = 0;
    ASH_EVENT(probe_event, 7, UINT64_MAX);
    CHECK_EQ(test_event_last("port.probe", &a, &b), 1);
    CHECK_EQ(a, 7);
    CHECK_EQ(b, UINT64_MAX);
}

TEST_CASE(port, disabled_event_emits_nothing) {
    ash_store_relaxed(&probe_event.enabled, 0);
    ASH_EVENT(probe_event, 1, 2);
    CHECK_EQ(test_event_count("port.probe"), 0);
}

/* Time */

TEST_CASE(port, time_never_runs_backwards) {
    ash_ns_t before = platform_now_ns();
    for (uint32_t i = 0; i < 1000; i++) {
        ash_ns_t now = platform_now_ns();
        CHECK(now >= before);
        before = now;
    }
}

TEST_CASE(port, wait_ends_at_a_deadline_that_has_passed) {
    ash_irq_t state = ash_port_irq_save();
    platform_wait(0);
    platform_wait(platform_now_ns());
    ash_port_irq_restore(state);
}

/* It may return early for no reason, so it is called until the time has come. */
TEST_CASE(port, wait_sleeps_until_its_deadline) {
    ash_ns_t deadline = platform_now_ns() + 1000000;
    uint32_t waits = 0;
    ash_irq_t state = ash_port_irq_save();
    for (; platform_now_ns() < deadline && waits < 1000000; waits++)
        platform_wait(deadline);
    ash_port_irq_restore(state);
    CHECK(platform_now_ns() >= deadline);
}

TEST_CASE(port, wait_returns_for_a_pending_interrupt_and_runs_it) {
    struct interrupt_probe probe = {0, UINT32_MAX};
    ash_irq_t state = ash_port_irq_save();
    CHECK_EQ(platform_interrupt_self(count_interrupt, &probe), 0);
    for (uint32_t i = 0; i < 1000 && ash_load_relaxed(&probe.count) == 0; i++)
        platform_wait(UINT64_MAX);
    uint32_t count = ash_load_relaxed(&probe.count);
    ash_port_irq_restore(state);
    CHECK_EQ(count, 1);
}

/* Two CPUs that wake each other in turn: a wake-up that is lost ends the case by its time. */
enum { WAKES = 200 };

struct wake_probe {
    uint32_t turn;
    ash_ns_t deadline_ns;
};

static void pass_on(void *context, uint32_t cpu) {
    struct wake_probe *probe = context;
    for (uint32_t i = 0; i < WAKES; i++) {
        ash_irq_t state = ash_port_irq_save();
        while (ash_load_acquire(&probe->turn) % 2 != cpu && platform_now_ns() < probe->deadline_ns)
            platform_wait(probe->deadline_ns);
        ash_port_irq_restore(state);
        ash_fetch_add(&probe->turn, 1u);
        platform_wake(1 - cpu);
    }
}

TEST_CASE(port, wake_ends_a_wait_on_another_cpu) {
    struct wake_probe probe = {0, platform_now_ns() + UINT64_C(10000000000)};
    test_run_on_cpus(pass_on, &probe, 2);
    CHECK_EQ(probe.turn, 2 * WAKES);
    CHECK(platform_now_ns() < probe.deadline_ns);
    platform_wake(ASH_PORT_CPUS_MAX - 1); /* perhaps not there */
}

/* Memory */

static uint32_t memory_ranges(struct platform_range *ranges) {
    uint32_t count = platform_memory(ranges, RANGES_MAX);
    CHECK(count >= 1 && count <= RANGES_MAX);
    return count;
}

TEST_CASE(port, memory_is_page_aligned_sorted_and_disjoint) {
    struct platform_range ranges[RANGES_MAX];
    uint32_t count = memory_ranges(ranges);
    ash_paddr_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(ash_is_aligned(ranges[i].base, ASH_PAGE_SIZE));
        CHECK(ash_is_aligned(ranges[i].size_bytes, ASH_PAGE_SIZE));
        CHECK(ranges[i].size_bytes != 0);
        CHECK(ranges[i].base >= end);
        CHECK(ranges[i].size_bytes <= UINT64_MAX - ranges[i].base);
        end = ranges[i].base + ranges[i].size_bytes;
    }
}

TEST_CASE(port, memory_ranges_are_no_more_than_asked_for) {
    struct platform_range ranges[2] = {{1, 2}, {3, 4}};
    CHECK(platform_memory(ranges, 1) <= 1);
    CHECK_EQ(ranges[1].base, 3);
    CHECK_EQ(ranges[1].size_bytes, 4);
}

TEST_CASE(port, address_and_pointer_are_inverse) {
    struct platform_range ranges[RANGES_MAX];
    uint32_t count = memory_ranges(ranges);
    for (uint32_t i = 0; i < count; i++) {
        const ash_paddr_t offsets[] = {0, 1, ranges[i].size_bytes / 2, ranges[i].size_bytes - 1};
        for (uint32_t n = 0; n < ASH_ARRAY_LEN(offsets); n++) {
            ash_paddr_t address = ranges[i].base + offsets[n];
            CHECK_EQ(platform_address(platform_pointer(address)), address);
        }
        const char *first = platform_pointer(ranges[i].base);
        const char *last = platform_pointer(ranges[i].base + ranges[i].size_bytes - 1);
        CHECK_EQ(last - first, ranges[i].size_bytes - 1);
    }
}

/* The runner's own arena may lie in a range: what a byte held is put back. */
TEST_CASE(port, memory_holds_what_is_written) {
    struct platform_range ranges[RANGES_MAX];
    uint32_t count = memory_ranges(ranges);
    for (uint32_t i = 0; i < count; i++) {
        volatile uint8_t *ends[] = {platform_pointer(ranges[i].base),
                                    platform_pointer(ranges[i].base + ranges[i].size_bytes - 1)};
        for (uint32_t n = 0; n < ASH_ARRAY_LEN(ends); n++) {
            uint8_t before = *ends[n];
            *ends[n] = 0x5a;
            CHECK_EQ(*ends[n], 0x5a);
            *ends[n] = before;
        }
    }
}

/* The rest */

TEST_CASE(port, machine_has_a_name_and_arguments) {
    CHECK(platform_name() != NULL && platform_name()[0] != '\0');
    CHECK(platform_arguments() != NULL);
}

TEST_CASE(port, console_write_of_nothing_is_harmless) {
    platform_console_write("", 0);
}

TEST_CASE(port, virtio_slots_show_the_magic_number) {
    for (uint32_t slot = 0; slot < platform_virtio_slots(); slot++)
        CHECK_EQ(platform_virtio_read(slot, 0, 4), 0x74726976);
}

TEST_CASE(port, virtio_slot_that_is_not_there_cannot_be_connected) {
    CHECK_EQ(platform_virtio_connect(platform_virtio_slots(), count_interrupt, NULL), -ASH_EINVAL);
}

TEST_CASE(port, panic_reaches_the_hook_with_its_message) {
    CHECK_PANICS(ash_panic("file", 1, "value %d of %s", 42, "it"), "value 42 of it");
}
