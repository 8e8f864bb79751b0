/* SPDX-License-Identifier: MIT */
/* The conformance suite's part about the one-shot timer: platform_timer_*. */
#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"

/* Short, but longer than it takes to arm. */
enum { SOON_NS = 200000 };

struct alarm {
    uint32_t calls;
    uint32_t cpu;
    ash_ns_t at_ns;
    ash_ns_t period_ns; /* 0: once */
    ash_irq_t state;
};

static ash_irq_t irq_state_now(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    return state;
}

static void on_alarm(void *context) {
    struct alarm *alarm = context;
    ash_port_pin(&alarm->cpu);
    ash_port_unpin();
    alarm->state = irq_state_now();
    alarm->at_ns = platform_now_ns();
    if (alarm->period_ns != 0)
        (void)!platform_timer_arm(alarm->at_ns + alarm->period_ns, on_alarm, alarm);
    ash_store_release(&alarm->calls, alarm->calls + 1);
}

/* A minute would be an error: the machine under the test may be slow, but not so slow. */
static bool rings(const struct alarm *alarm, uint32_t calls) {
    ash_ns_t limit = platform_now_ns() + UINT64_C(60000000000);
    while (ash_load_acquire(&alarm->calls) < calls && platform_now_ns() < limit)
        ash_port_relax();
    return ash_load_acquire(&alarm->calls) >= calls;
}

static void wait_until(ash_ns_t deadline_ns) {
    ash_irq_t state = ash_port_irq_save();
    while (platform_now_ns() < deadline_ns)
        platform_wait(deadline_ns);
    ash_port_irq_restore(state);
}

TEST_CASE(timer, interrupts_who_computes_and_not_before_its_time) {
    struct alarm alarm = {.cpu = UINT32_MAX};
    ash_ns_t deadline = platform_now_ns() + SOON_NS;
    CHECK_EQ(platform_timer_arm(deadline, on_alarm, &alarm), 0);
    CHECK(rings(&alarm, 1));
    CHECK(alarm.at_ns >= deadline);
    CHECK_EQ(alarm.cpu, 0);
    CHECK(alarm.state != irq_state_now());
}

TEST_CASE(timer, rings_once) {
    struct alarm alarm = {0};
    CHECK_EQ(platform_timer_arm(platform_now_ns() + SOON_NS, on_alarm, &alarm), 0);
    CHECK(rings(&alarm, 1));
    wait_until(platform_now_ns() + 3 * SOON_NS);
    CHECK_EQ(alarm.calls, 1);
}

TEST_CASE(timer, is_armed_again_by_its_handler) {
    struct alarm alarm = {.period_ns = SOON_NS};
    ash_ns_t begin = platform_now_ns();
    CHECK_EQ(platform_timer_arm(begin + SOON_NS, on_alarm, &alarm), 0);
    bool rang = rings(&alarm, 5);
    platform_timer_disarm();
    CHECK(rang);
    CHECK(platform_now_ns() >= begin + 5 * SOON_NS);
}

TEST_CASE(timer, of_the_past_rings_at_once) {
    struct alarm alarm = {0};
    ash_ns_t past = platform_now_ns();
    ash_irq_t state = ash_port_irq_save();
    int error = platform_timer_arm(past, on_alarm, &alarm);
    uint32_t masked_calls = alarm.calls;
    ash_port_irq_restore(state);
    CHECK_EQ(error, 0);
    CHECK_EQ(masked_calls, 0);
    CHECK(rings(&alarm, 1));
}

TEST_CASE(timer, that_is_disarmed_stays_silent) {
    struct alarm alarm = {0};
    ash_irq_t state = ash_port_irq_save();
    ash_ns_t deadline = platform_now_ns() + SOON_NS;
    int error = platform_timer_arm(deadline, on_alarm, &alarm);
    while (platform_now_ns() <= deadline + SOON_NS)
        ash_port_relax();
    platform_timer_disarm(); /* after its time, but before it could be heard */
    ash_port_irq_restore(state);
    CHECK_EQ(error, 0);
    wait_until(platform_now_ns() + SOON_NS);
    CHECK_EQ(alarm.calls, 0);
}

TEST_CASE(timer, of_never_stays_silent) {
    struct alarm alarm = {0};
    CHECK_EQ(platform_timer_arm(UINT64_MAX, on_alarm, &alarm), 0);
    wait_until(platform_now_ns() + SOON_NS);
    CHECK_EQ(alarm.calls, 0);
    platform_timer_disarm();
}

TEST_CASE(timer, replaces_the_one_before) {
    struct alarm first = {0}, second = {0};
    ash_irq_t state = ash_port_irq_save();
    ash_ns_t now = platform_now_ns();
    int error = platform_timer_arm(now + SOON_NS, on_alarm, &first);
    error |= platform_timer_arm(now + 2 * SOON_NS, on_alarm, &second);
    ash_port_irq_restore(state);
    CHECK_EQ(error, 0);
    CHECK(rings(&second, 1));
    CHECK(second.at_ns >= now + 2 * SOON_NS);
    CHECK_EQ(first.calls, 0);
}

TEST_CASE(timer, ends_a_longer_wait) {
    struct alarm alarm = {0};
    ash_irq_t state = ash_port_irq_save();
    ash_ns_t now = platform_now_ns();
    int error = platform_timer_arm(now + SOON_NS, on_alarm, &alarm);
    for (uint32_t waits = 0; waits < 1000 && alarm.calls == 0; waits++)
        platform_wait(UINT64_MAX);
    ash_port_irq_restore(state);
    CHECK_EQ(error, 0);
    CHECK_EQ(alarm.calls, 1);
    CHECK(alarm.at_ns >= now + SOON_NS);
}

TEST_CASE(timer, outlives_a_shorter_wait) {
    struct alarm alarm = {0};
    ash_ns_t now = platform_now_ns(), deadline = now + 10 * SOON_NS;
    CHECK_EQ(platform_timer_arm(deadline, on_alarm, &alarm), 0);
    wait_until(now + SOON_NS);
    CHECK(rings(&alarm, 1));
    CHECK(alarm.at_ns >= deadline);
}

/* The deadline falls at every distance from the wait: before it, into it, behind it. */
TEST_CASE(timer, is_not_lost_however_it_falls) {
    enum { SHOTS = 200, STEP_NS = 100 };
    for (uint32_t shot = 1; shot <= SHOTS; shot++) {
        struct alarm alarm = {0};
        ash_irq_t state = ash_port_irq_save();
        int error = platform_timer_arm(platform_now_ns() + shot * STEP_NS, on_alarm, &alarm);
        for (uint32_t waits = 0; waits < 1000 && alarm.calls == 0; waits++)
            platform_wait(UINT64_MAX);
        ash_port_irq_restore(state);
        CHECK_EQ(error, 0);
        CHECK_EQ(alarm.calls, 1);
    }
}

struct alarms {
    struct alarm of[ASH_PORT_CPUS_MAX];
    int errors[ASH_PORT_CPUS_MAX];
};

static void ring_here(void *context, uint32_t cpu) {
    struct alarms *alarms = context;
    struct alarm *alarm = &alarms->of[cpu];
    alarms->errors[cpu] =
        platform_timer_arm(platform_now_ns() + (ash_ns_t)SOON_NS * (cpu + 1), on_alarm, alarm);
    (void)rings(alarm, 1);
}

TEST_CASE(timer, is_of_each_cpu) {
    struct alarms alarms = {0};
    uint32_t cpus = platform_cpu_count();
    test_run_on_cpus(ring_here, &alarms, cpus);
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        CHECK_EQ(alarms.errors[cpu], 0);
        CHECK_EQ(alarms.of[cpu].calls, 1);
        CHECK_EQ(alarms.of[cpu].cpu, cpu);
    }
}
