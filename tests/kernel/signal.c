/* SPDX-License-Identifier: MIT */
/* Cases of kernel/signal.h. */
#include "kernel/signal.h"

#include <ashlar/error.h>

#include "harness/test.h"

enum { HANDLER = 0x4000 };

static struct signals signals;
static const struct signal_info nobody;

static void set_handler(uint32_t number, uint64_t handler, uint64_t flags) {
    const struct signal_action action = {.handler = handler, .flags = flags};
    CHECK_EQ(signals_set_action(&signals, number, &action, NULL), 0);
}

static void take(uint32_t number, struct signal_action *action) {
    struct signal_info info;
    CHECK_EQ(signals_next(&signals), number);
    signals_take(&signals, number, action, &info);
}

TEST_CASE(signal, one_is_pending_once_with_what_was_sent_last) {
    struct signal_action action;
    struct signal_info info = {.sender = 3};
    signals_init(&signals);
    CHECK(signals_post(&signals, SIGNAL_USR1, &info));
    info.sender = 4;
    CHECK(signals_post(&signals, SIGNAL_USR1, &info));
    info.sender = 0;
    CHECK(signals_wait_is_over(&signals));
    signals_take(&signals, SIGNAL_USR1, &action, &info);
    CHECK_EQ(info.sender, 4);
    CHECK_EQ(signals_next(&signals), 0);
    CHECK(!signals_wait_is_over(&signals));
}

TEST_CASE(signal, what_is_masked_waits_and_what_is_ignored_is_gone) {
    signals_init(&signals);
    signals_set_mask(&signals, SIGNAL_BIT(SIGNAL_TERM) | SIGNAL_BIT(SIGNAL_CHLD));
    CHECK(signals_post(&signals, SIGNAL_TERM, &nobody));
    CHECK(signals_post(&signals, SIGNAL_CHLD, &nobody)); /* a handler may come before the unmask */
    CHECK_EQ(signals_next(&signals), 0);
    set_handler(SIGNAL_TERM, SIGNAL_IGNORE, 0);
    signals_set_mask(&signals, 0);
    CHECK(!signals_post(&signals, SIGNAL_TERM, &nobody));
    CHECK_EQ(signals_next(&signals), SIGNAL_CHLD);
    CHECK(!signals_post(&signals, SIGNAL_WINCH, &nobody));
}

TEST_CASE(signal, kill_and_stop_cannot_be_caught_ignored_or_masked) {
    const struct signal_action action = {.handler = HANDLER, .mask = UINT64_MAX};
    signals_init(&signals);
    CHECK_EQ(signals_set_action(&signals, SIGNAL_KILL, &action, NULL), -ASH_EINVAL);
    CHECK_EQ(signals_set_action(&signals, SIGNAL_STOP, &action, NULL), -ASH_EINVAL);
    CHECK_EQ(signals_set_action(&signals, 0, &action, NULL), -ASH_EINVAL);
    CHECK_EQ(signals_set_action(&signals, SIGNALS + 1, &action, NULL), -ASH_EINVAL);
    CHECK_EQ(signals_set_action(&signals, SIGNALS, &action, NULL), 0);
    CHECK_EQ(signals.actions[SIGNALS - 1].mask & SIGNAL_UNMASKABLE, 0);
    signals_set_mask(&signals, UINT64_MAX);
    CHECK(signals_post(&signals, SIGNAL_USR1, &nobody));
    CHECK(!signals_wait_is_over(&signals));
    CHECK(signals_post(&signals, SIGNAL_KILL, &nobody));
    CHECK_EQ(signals_next(&signals), SIGNAL_KILL);
}

TEST_CASE(signal, continue_and_stop_take_each_other_off) {
    signals_init(&signals);
    signals_set_mask(&signals, SIGNAL_BIT(SIGNAL_TSTP) | SIGNAL_BIT(SIGNAL_CONT));
    CHECK(signals_post(&signals, SIGNAL_TSTP, &nobody));
    CHECK(signals_post(&signals, SIGNAL_CONT, &nobody));
    CHECK_EQ(signals.pending, SIGNAL_BIT(SIGNAL_CONT));
    CHECK(signals_post(&signals, SIGNAL_TTIN, &nobody));
    CHECK_EQ(signals.pending, SIGNAL_BIT(SIGNAL_TTIN));
}

TEST_CASE(signal, faults_come_first_then_the_least) {
    struct signal_action action;
    signals_init(&signals);
    CHECK(signals_post(&signals, 40, &nobody));
    CHECK(signals_post(&signals, SIGNAL_HUP, &nobody));
    CHECK(signals_post(&signals, SIGNAL_SEGV, &nobody));
    take(SIGNAL_SEGV, &action);
    take(SIGNAL_HUP, &action);
    take(40, &action);
    CHECK_EQ(signals_next(&signals), 0);
}

TEST_CASE(signal, a_handler_may_be_for_once) {
    struct signal_action action;
    signals_init(&signals);
    set_handler(SIGNAL_USR1, HANDLER, SIGNAL_RESETHAND);
    set_handler(SIGNAL_USR2, HANDLER, 0);
    CHECK(signals_post(&signals, SIGNAL_USR1, &nobody));
    CHECK(signals_post(&signals, SIGNAL_USR2, &nobody));
    take(SIGNAL_USR1, &action);
    CHECK_EQ(action.handler, HANDLER);
    CHECK_EQ(signals.actions[SIGNAL_USR1 - 1].handler, SIGNAL_DEFAULT);
    take(SIGNAL_USR2, &action);
    CHECK_EQ(signals.actions[SIGNAL_USR2 - 1].handler, HANDLER);
}

TEST_CASE(signal, a_child_has_actions_and_mask_and_exec_keeps_what_is_ignored) {
    struct signals child;
    signals_init(&signals);
    set_handler(SIGNAL_USR1, HANDLER, 0);
    set_handler(SIGNAL_USR2, SIGNAL_IGNORE, SIGNAL_RESTART);
    signals_set_mask(&signals, SIGNAL_BIT(SIGNAL_INT));
    CHECK(signals_post(&signals, SIGNAL_INT, &nobody));
    signals_fork(&child, &signals);
    CHECK_EQ(child.pending, 0);
    CHECK_EQ(child.mask, SIGNAL_BIT(SIGNAL_INT));
    CHECK_EQ(child.actions[SIGNAL_USR1 - 1].handler, HANDLER);
    signals_exec(&child);
    CHECK_EQ(child.actions[SIGNAL_USR1 - 1].handler, SIGNAL_DEFAULT);
    CHECK_EQ(child.actions[SIGNAL_USR2 - 1].handler, SIGNAL_IGNORE);
    CHECK_EQ(child.actions[SIGNAL_USR2 - 1].flags, 0);
    CHECK_EQ(child.mask, SIGNAL_BIT(SIGNAL_INT));
}

TEST_CASE(signal, of_those_that_wait_only_unmasked_ones_by_default_end_a_process) {
    signals_init(&signals);
    CHECK(!signals_end_it(&signals));
    set_handler(SIGNAL_INT, HANDLER, 0);
    signals_set_mask(&signals, SIGNAL_BIT(SIGNAL_TERM));
    CHECK(signals_post(&signals, SIGNAL_INT, &nobody));
    CHECK(signals_post(&signals, SIGNAL_TERM, &nobody));
    CHECK(signals_post(&signals, SIGNAL_STOP, &nobody));
    CHECK(!signals_end_it(&signals));
    signals_set_mask(&signals, 0);
    CHECK(signals_end_it(&signals));
    signals_init(&signals);
    signals_set_mask(&signals, UINT64_MAX);
    CHECK(signals_post(&signals, SIGNAL_KILL, &nobody));
    CHECK(signals_end_it(&signals));
}

TEST_CASE(signal, names_and_numbers_name_them) {
    CHECK_EQ(signal_parse("9"), SIGNAL_KILL);
    CHECK_EQ(signal_parse("KILL"), SIGNAL_KILL);
    CHECK_EQ(signal_parse("SIGKILL"), SIGNAL_KILL);
    CHECK_EQ(signal_parse("64"), 64);
    CHECK_EQ(signal_parse("65"), 0);
    CHECK_EQ(signal_parse("0"), 0);
    CHECK_EQ(signal_parse("SIG"), 0);
    CHECK_EQ(signal_parse("KILLS"), 0);
    for (uint32_t i = 1; i <= 31; i++)
        CHECK_EQ(signal_parse(signal_name(i)), i);
    CHECK_STR_EQ(signal_name(32), "a real-time signal");
    CHECK_STR_EQ(signal_name(65), "no signal");
}
