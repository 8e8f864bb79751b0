/* SPDX-License-Identifier: MIT */
/*
 * script.h: what goes wrong in a simulated run, as a short text: "device.death@17
 * device.interrupt_lost@3x* alloc.fail@5".
 *
 *     actor.fault @first [x count] [=value]
 *
 * The fault happens at the occasions first .. first + count - 1 of its kind, counted from 0; count
 * is 1, or * for all that come. The value is the fault's own, decimal or 0x. Entries are separated
 * by spaces, commas or new lines.
 *
 * An actor is anything that can fail: it gives the names of its faults, and asks sim_script_tells
 * at each occasion, or hands its entries on to who counts by itself (device.h).
 */
#ifndef ASHLAR_SIM_SCRIPT_H
#define ASHLAR_SIM_SCRIPT_H

#include <ashlar/base.h>

enum {
    SIM_SCRIPT_ENTRIES_MAX = 32,
    SIM_ACTORS_MAX = 8,
    SIM_FAULTS_MAX = 32, /* of an actor */
    SIM_SCRIPT_TEXT = 1024,
};

#define SIM_FOREVER UINT32_MAX

/* "device", and its faults by number; name(n) is NULL past the last. */
struct sim_actor {
    const char *name;
    const char *(*fault_name)(uint32_t fault);
};

struct sim_script_entry {
    uint32_t actor, fault; /* by number */
    uint32_t first, count; /* SIM_FOREVER: all */
    uint64_t value;
};

struct sim_script {
    const struct sim_actor *actors; /* the caller's */
    uint32_t actor_count;
    struct sim_script_entry entries[SIM_SCRIPT_ENTRIES_MAX];
    uint32_t count;
    uint32_t occasions[SIM_ACTORS_MAX][SIM_FAULTS_MAX];
};

/* 0, or -ASH_EINVAL with a sentence for people in `message`: which entry, what is wrong with it,
 * what it should be. Then the script is empty. NULL or "" is the script of a run without faults. */
int sim_script_parse(struct sim_script *script, const struct sim_actor *actors,
                     uint32_t actor_count, const char *text, char *message,
                     size_t len) ASH_MUST_CHECK;

/* The text from which it can be read again. */
void sim_script_print(const struct sim_script *script, char *text, size_t len);

/* Before each run: the occasions are counted from 0. */
void sim_script_begin(struct sim_script *script);

/* Counts one occasion; true, with the fault's value, if the script wants it here. */
bool sim_script_tells(struct sim_script *script, uint32_t actor, uint32_t fault, uint64_t *value);

#endif
