/* SPDX-License-Identifier: MIT */
/* sim.c: virtual time, events, digest. */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

enum { STEPS_DEFAULT = 1000000 };

void sim_init(struct sim *sim, struct sim_choices *choices, struct sim_script *script) {
    *sim = (struct sim){.steps_max = STEPS_DEFAULT,
                        .choices = choices,
                        .script = script,
                        .digest = UINT64_C(0xcbf29ce484222325)};
    ash_rbtree_cached_init(&sim->events);
    sim_choices_begin(choices);
    sim_script_begin(script);
}

static struct sim_event *event_of(const struct ash_rbtree_node *node) {
    return ASH_RBTREE_ENTRY((struct ash_rbtree_node *)(uintptr_t)node, struct sim_event, node);
}

/* Two events never have the same order: no tie is left to the tree. */
static bool earlier(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    const struct sim_event *x = event_of(a), *y = event_of(b);
    return x->at_ns != y->at_ns ? x->at_ns < y->at_ns : x->order < y->order;
}

void sim_event_init(struct sim_event *event, const char *name, void (*happen)(void *context),
                    void *context) {
    *event = (struct sim_event){.name = name, .happen = happen, .context = context};
    ash_rbtree_node_init(&event->node);
}

bool sim_is_scheduled(const struct sim_event *event) {
    return ash_rbtree_is_linked(&event->node);
}

void sim_cancel(struct sim *sim, struct sim_event *event) {
    if (!sim_is_scheduled(event))
        return;
    ash_rbtree_cached_erase(&sim->events, &event->node, NULL);
    ash_rbtree_node_init(&event->node);
}

void sim_at(struct sim *sim, struct sim_event *event, ash_ns_t at_ns) {
    sim_cancel(sim, event);
    event->at_ns = ash_max_u64(at_ns, sim->now_ns);
    event->order = sim->scheduled++;
    ash_rbtree_cached_insert(&sim->events, &event->node, earlier, NULL);
}

void sim_after(struct sim *sim, struct sim_event *event, ash_ns_t delay_ns) {
    bool ends = delay_ns > UINT64_MAX - sim->now_ns;
    sim_at(sim, event, ends ? UINT64_MAX : sim->now_ns + delay_ns);
}

void sim_by(struct sim *sim, struct sim_event *event, ash_ns_t at_ns) {
    if (!sim_is_scheduled(event) || event->at_ns > at_ns)
        sim_at(sim, event, at_ns);
}

/* The first event, or any of those that have its time. */
static struct sim_event *next_event(struct sim *sim) {
    struct ash_rbtree_node *first = ash_rbtree_cached_first(&sim->events), *node = first;
    if (first == NULL || !sim->ties_open)
        return first == NULL ? NULL : event_of(first);
    uint64_t ties = 0;
    for (; node != NULL && event_of(node)->at_ns == event_of(first)->at_ns; ties++)
        node = ash_rbtree_next(node);
    node = first;
    for (uint64_t skip = sim_choose(sim->choices, ties); skip != 0; skip--)
        node = ash_rbtree_next(node);
    return event_of(node);
}

bool sim_step(struct sim *sim) {
    if (sim->broken[0] != '\0')
        return false;
    struct sim_event *event = next_event(sim);
    if (event == NULL)
        return false;
    if (sim->steps == sim->steps_max) {
        snprintf(sim->broken, sizeof(sim->broken), "no end after %llu events, the next: %s",
                 (unsigned long long)sim->steps, event->name);
        return false;
    }
    sim_cancel(sim, event);
    sim->now_ns = event->at_ns;
    sim->steps++;
    sim_note(sim, event->name, 0, 0);
    event->happen(event->context);
    return sim->broken[0] == '\0';
}

uint64_t sim_clock_ns(void *sim) {
    return ((const struct sim *)sim)->now_ns;
}

uint64_t sim_choose_of(void *sim, uint64_t limit) {
    return sim_choose(((struct sim *)sim)->choices, limit);
}

/* FNV-1a: by the letters of the name, since addresses differ from build to build. */
static uint64_t mix(uint64_t digest, uint64_t value) {
    return (digest ^ value) * UINT64_C(0x100000001b3);
}

void sim_note(struct sim *sim, const char *what, uint64_t a, uint64_t b) {
    uint64_t digest = mix(mix(mix(sim->digest, sim->now_ns), a), b);
    for (const char *c = what; *c != '\0'; c++)
        digest = mix(digest, (uint8_t)*c);
    sim->digest = digest;
    sim->trace[sim->traced++ % SIM_TRACE_KEPT] = (struct sim_trace){sim->now_ns, what, a, b};
}

void sim_broke(struct sim *sim, const char *file, int line, const char *what) {
    if (sim->broken[0] != '\0')
        return;
    const char *name = strrchr(file, '/');
    snprintf(sim->broken, sizeof(sim->broken), "%s:%d: %s, at %llu ns",
             name == NULL ? file : name + 1, line, what, (unsigned long long)sim->now_ns);
}
