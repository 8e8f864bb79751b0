/* SPDX-License-Identifier: MIT */
/*
 * explore.c: the machine behind port.h of this folder, and the search.
 *
 * A run is the list of its decisions: at each point where several ways were open, which was taken.
 * The next run repeats the list up to its last decision with a way not yet taken, and takes that.
 */
#include "explore.h"

#include <ashlar/check.h>
#include <ashlar/port.h>
#include <stdarg.h>
#include <stdio.h>
#include <ucontext.h>

#include "harness/asan.h"
#include "platform.h"
#ifdef TEST_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 128 << 10, DECISIONS_MAX = 8192, NOBODY = EXPLORE_CONTEXTS_MAX };

enum state { READY, WAITS_FOR_LOCK, WAITS_FOR_CPU, DONE };

struct context {
    ucontext_t machine;
    void *sanitizer; /* ASan's fake stack */
    const void *stack;
    size_t stack_bytes;
    enum state state;
    const uint32_t *lock; /* that it waits for */
    uint32_t cpu;         /* while pinned; else the last one */
    uint32_t pins, irqs, locks;
};

static struct {
    const struct explore_scenario *scenario;
    struct context contexts[EXPLORE_CONTEXTS_MAX];
    struct context home; /* who called explore */
    uint32_t count, current;
    uint32_t interrupts_due;
    uint32_t interrupted, pins_below; /* the context under the interrupt, and its pins; NOBODY */
    uint32_t preemptions, steps;
    struct {
        uint8_t taken, ways;
    } decisions[DECISIONS_MAX];
    uint32_t decision, known; /* the next one; how many are to be repeated */
    uint64_t runs;
    struct test_random random;
    char broken[300];
} explorer = {.current = NOBODY, .interrupted = NOBODY};

uint32_t explore_more;

static char stacks[EXPLORE_CONTEXTS_MAX][STACK_BYTES] __attribute__((aligned(64)));

static bool is_running(void) {
    return explorer.current != NOBODY;
}

uint32_t explore_context(void) {
    return explorer.current;
}

static struct context *self(void) {
    return &explorer.contexts[explorer.current];
}

static void switch_stacks(struct context *from, struct context *to) {
#ifdef TEST_ASAN
    __sanitizer_start_switch_fiber(&from->sanitizer, to->stack, to->stack_bytes);
#endif
    swapcontext(&from->machine, &to->machine);
#ifdef TEST_ASAN
    __sanitizer_finish_switch_fiber(from->sanitizer, NULL, NULL);
#endif
}

static void leave_for_good(void) __attribute__((noreturn));
static void leave_for_good(void) {
    switch_stacks(self(), &explorer.home);
    __builtin_unreachable();
}

/* Which decisions of the run were not the first way, as "12:1". */
static void tell(void) __attribute__((noreturn));
static void tell(void) {
    char schedule[120] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < explorer.decision && len + 12 < sizeof(schedule); i++) {
        if (explorer.decisions[i].taken != 0)
            len += (size_t)snprintf(schedule + len, sizeof(schedule) - len, " %u:%u", i,
                                    explorer.decisions[i].taken);
    }
    test_fail(__FILE__, __LINE__, "run %llu, schedule%s: %s", (unsigned long long)explorer.runs,
              schedule, explorer.broken);
}

/* Ends the run and the search: what is left of it stays on its stacks. */
static void broke(const char *format, ...) ASH_PRINTF(1, 2) __attribute__((noreturn));
static void broke(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(explorer.broken, sizeof(explorer.broken), format, args);
    va_end(args);
    if (!is_running())
        tell();
    leave_for_good();
}

void explore_broke(const char *file, int line, const char *what) {
    broke("%s:%d: does not hold: %s", file, line, what);
}

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[200];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    broke("panic at %s:%u: %s", file, line, message);
}

/* Decisions */

/* One of `ways`, 0 first. */
static uint32_t decide(uint32_t ways) {
    if (ways == 1)
        return 0;
    if (explorer.scenario->random_runs != 0)
        return (uint32_t)test_random_below(&explorer.random, ways);
    if (explorer.decision == DECISIONS_MAX)
        broke("more than %d decisions in a run", DECISIONS_MAX);
    uint32_t at = explorer.decision++;
    if (at >= explorer.known) {
        explorer.decisions[at].taken = 0;
        explorer.decisions[at].ways = (uint8_t)ways;
        explorer.known = at + 1;
    }
    if (explorer.decisions[at].ways != ways)
        broke("the run does not repeat: decision %u had %u ways, now %u", at,
              explorer.decisions[at].ways, ways);
    return explorer.decisions[at].taken;
}

static bool may_preempt(void) {
    return explorer.preemptions != explorer.scenario->preemptions + explore_more;
}

/* A way that costs a preemption: rarely taken by chance, else no run would get far. */
static uint32_t decide_to_preempt(uint32_t ways) {
    if (!may_preempt())
        return 0;
    if (explorer.scenario->random_runs != 0 && test_random_below(&explorer.random, 8) != 0)
        return 0;
    uint32_t taken = decide(ways);
    explorer.preemptions += taken != 0;
    return taken;
}

/* The first decision from the end with a way left; false: all have been taken. */
static bool next_run(void) {
    if (explorer.scenario->random_runs != 0)
        return explorer.runs < explorer.scenario->random_runs;
    explorer.known = explorer.decision;
    while (explorer.known != 0) {
        uint32_t last = explorer.known - 1;
        if (++explorer.decisions[last].taken < explorer.decisions[last].ways)
            return true;
        explorer.known = last;
    }
    return false;
}

/* Turns */

static bool cpu_is_free(uint32_t cpu) {
    for (uint32_t i = 0; i < explorer.count; i++) {
        if (explorer.contexts[i].pins != 0 && explorer.contexts[i].cpu == cpu)
            return false;
    }
    return true;
}

static uint32_t free_cpus(uint32_t *cpus) {
    uint32_t count = 0;
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++) {
        if (cpu_is_free(cpu))
            cpus[count++] = cpu;
    }
    return count;
}

static bool can_go_on(const struct context *context) {
    uint32_t cpus[ASH_PORT_CPUS_MAX];
    switch (context->state) {
    case READY:
        return true;
    case WAITS_FOR_LOCK:
        return *context->lock == 0;
    case WAITS_FOR_CPU:
        return free_cpus(cpus) != 0;
    default:
        return false;
    }
}

static uint32_t others_that_can(uint32_t *others) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < explorer.count; i++) {
        if (i != explorer.current && can_go_on(&explorer.contexts[i]))
            others[count++] = i;
    }
    return count;
}

static void give_turn_to(uint32_t next) {
    struct context *from = self();
    explorer.current = next;
    switch_stacks(from, self());
}

/* The current context cannot go on, or wants another to. */
static void give_turn_away(bool may_stay) {
    uint32_t others[EXPLORE_CONTEXTS_MAX], count = others_that_can(others);
    if (count != 0)
        give_turn_to(others[decide(count)]);
    else if (!may_stay)
        broke("deadlock: context %u can go on no more, and nobody else can", explorer.current);
}

static void count_step(void) {
    if (++explorer.steps > EXPLORE_STEPS_MAX)
        broke("the run does not end: %d points passed", EXPLORE_STEPS_MAX);
}

static void run_interrupt(void) {
    uint32_t interrupted = explorer.interrupted, pins_below = explorer.pins_below;
    explorer.interrupts_due--;
    explorer.interrupted = explorer.current;
    explorer.pins_below = self()->pins;
    self()->irqs++;
    explorer.scenario->interrupt();
    self()->irqs--;
    explorer.interrupted = interrupted;
    explorer.pins_below = pins_below;
}

void interleave_point(void) {
    if (!is_running())
        return;
    count_step();
    if (!may_preempt())
        return;
    uint32_t others[EXPLORE_CONTEXTS_MAX], count = others_that_can(others);
    bool may_interrupt = explorer.interrupts_due != 0 && self()->irqs == 0 &&
                         (explorer.scenario->interrupts == 0 || explorer.current == 0);
    uint32_t taken = decide_to_preempt(1 + count + may_interrupt);
    if (taken > count)
        run_interrupt();
    else if (taken != 0)
        give_turn_to(others[taken - 1]);
}

void interleave_relax(void) {
    if (!is_running())
        return;
    count_step();
    give_turn_away(true);
}

/* Primitives. An interrupt runs on top of its context, on the CPU of that if it is pinned. */

uint32_t interleave_pin(void) {
    if (!is_running())
        return 0;
    interleave_point();
    struct context *context = self();
    if (context->pins == 0) {
        uint32_t cpus[ASH_PORT_CPUS_MAX], count;
        while ((count = free_cpus(cpus)) == 0) {
            context->state = WAITS_FOR_CPU;
            give_turn_away(false);
            context->state = READY;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (cpus[i] == context->cpu) {
                cpus[i] = cpus[0];
                cpus[0] = context->cpu;
            }
        }
        context->cpu = cpus[decide_to_preempt(count)];
    }
    context->pins++;
    return context->cpu;
}

void interleave_unpin(void) {
    if (!is_running())
        return;
    if (self()->pins-- == 0)
        broke("an unpin without a pin");
    interleave_point();
}

uint32_t interleave_irq_save(void) {
    if (!is_running())
        return 0;
    interleave_point();
    return self()->irqs++;
}

void interleave_irq_restore(uint32_t depth) {
    if (!is_running())
        return;
    self()->irqs = depth;
    interleave_point();
}

bool interleave_trylock(uint32_t *holder) {
    interleave_point();
    if (*holder != 0)
        return false;
    *holder = 1 + explorer.current;
    if (is_running())
        self()->locks++;
    return true;
}

void interleave_lock(uint32_t *holder) {
    while (!interleave_trylock(holder)) {
        if (!is_running() || *holder == 1 + explorer.current)
            broke("context %u waits for a lock that it holds", explorer.current);
        self()->state = WAITS_FOR_LOCK;
        self()->lock = holder;
        give_turn_away(false);
        self()->state = READY;
    }
}

void interleave_unlock(uint32_t *holder) {
    if (*holder != 1 + explorer.current)
        broke("context %u releases a lock that %u holds", explorer.current, *holder - 1);
    *holder = 0;
    if (is_running())
        self()->locks--;
    interleave_point();
}

bool explore_is_free(void) {
    bool in_interrupt = explorer.interrupted == explorer.current;
    return !is_running() || (self()->pins == (in_interrupt ? explorer.pins_below : 0) &&
                             self()->locks == 0 && self()->irqs == (in_interrupt ? 1 : 0));
}

/* Runs */

static void context_main(void) {
#ifdef TEST_ASAN
    const void *stack;
    size_t stack_bytes;
    __sanitizer_finish_switch_fiber(NULL, &stack, &stack_bytes);
    if (explorer.home.stack == NULL) { /* the first context of all is entered from there */
        explorer.home.stack = stack;
        explorer.home.stack_bytes = stack_bytes;
    }
#endif
    for (;;) { /* once in each run */
        explorer.scenario->bodies[explorer.current]();
        struct context *context = self();
        if (!explore_is_free())
            broke("context %u ends with %u pins, %u locks, %u masks", explorer.current,
                  context->pins, context->locks, context->irqs);
        context->state = DONE;
        uint32_t others[EXPLORE_CONTEXTS_MAX], count = others_that_can(others);
        if (count != 0)
            give_turn_to(others[decide(count)]);
        else
            switch_stacks(context, &explorer.home); /* all are done, or wait: run() looks */
    }
}

static void make_context(uint32_t which) {
    struct context *context = &explorer.contexts[which];
    *context = (struct context){.stack = stacks[which], .stack_bytes = sizeof(stacks[which])};
    test_permit(stacks[which], sizeof(stacks[which])); /* an abandoned run's frames */
    getcontext(&context->machine);
    context->machine.uc_stack = (stack_t){.ss_sp = stacks[which], .ss_size = sizeof(stacks[which])};
    makecontext(&context->machine, context_main, 0);
}

static void reset_context(uint32_t which) {
    struct context *context = &explorer.contexts[which];
    context->state = READY;
    context->cpu = which;
    context->pins = context->irqs = context->locks = 0;
}

static void run(void) {
    explorer.decision = explorer.preemptions = explorer.steps = 0;
    explorer.interrupts_due = explorer.scenario->interrupt == NULL ? 0
                              : explorer.scenario->interrupts == 0 ? 1
                                                                   : explorer.scenario->interrupts;
    explorer.interrupted = NOBODY;
    explorer.broken[0] = '\0';
    for (uint32_t i = 0; i < explorer.count; i++)
        reset_context(i);
    explorer.scenario->setup();
    explorer.current = 0;
    switch_stacks(&explorer.home, self());
    explorer.current = NOBODY;
    for (uint32_t i = 0; i < explorer.count && explorer.broken[0] == '\0'; i++) {
        if (explorer.contexts[i].state != DONE)
            snprintf(explorer.broken, sizeof(explorer.broken),
                     "deadlock: context %u waits, and all the others have ended", i);
    }
}

uint64_t explore(const struct explore_scenario *scenario) {
    explorer.scenario = scenario;
    explorer.count = 0;
    while (explorer.count < EXPLORE_CONTEXTS_MAX && scenario->bodies[explorer.count] != NULL)
        make_context(explorer.count++);
    explorer.known = 0;
    explorer.runs = 0;
    explorer.random = test_random_from(scenario->random_runs != 0 ? test_seed() : 1);
    do {
        run();
        if (explorer.broken[0] != '\0')
            tell();
        scenario->finish();
        explorer.runs++;
    } while (next_run());
    return explorer.runs;
}
