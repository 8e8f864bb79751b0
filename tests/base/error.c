/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/error.h>, <ashlar/check.h> and <ashlar/event.h>. */
#include "harness/test.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

TEST_CASE(error, numbers_are_errnos) {
    CHECK_EQ(ASH_ENOENT, 2);
    CHECK_EQ(ASH_ENOMEM, 12);
    CHECK_EQ(ASH_EINVAL, 22);
    CHECK_EQ(ASH_ETIMEDOUT, 110);
}

TEST_CASE(error, each_number_has_a_phrase_with_either_sign) {
#define CHECK_PHRASE(name, value, phrase)           \
    CHECK_STR_EQ(ash_strerror(ASH_##name), phrase); \
    CHECK_STR_EQ(ash_strerror(-(int)(value)), phrase);
    ASH_ERRORS(CHECK_PHRASE)
#undef CHECK_PHRASE
    CHECK_STR_EQ(ash_strerror(0), "success");
    CHECK_STR_EQ(ash_strerror(4242), "unknown error");
    CHECK_STR_EQ(ash_strerror(INT32_MIN), "unknown error");
}

TEST_CASE(error, every_phrase_is_used_once) {
    static const char *const phrases[] = {
#define PHRASE(name, value, phrase) phrase,
        ASH_ERRORS(PHRASE)
#undef PHRASE
    };
    for (size_t i = 0; i < ASH_ARRAY_LEN(phrases); i++) {
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(phrases[i], phrases[j]) != 0);
    }
}

TEST_CASE(check, require_that_holds_evaluates_once) {
    uint32_t evaluations = 0;
    ASH_REQUIRE(++evaluations == 1, "evaluated %u times", evaluations);
    CHECK_EQ(evaluations, ASH_ENABLED(ASH_CHECKS >= 1) ? 1 : 0);
}

TEST_CASE(check, require_panics_with_its_values) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("this build has no ASH_REQUIRE");
    uint64_t frame = UINT64_C(0xfedcba9876543210);
    CHECK_PANICS(ASH_REQUIRE(frame == 0, "frame 0x%llx of %s, %d left", (unsigned long long)frame,
                             "zone", -3),
                 "frame 0xfedcba9876543210 of zone, -3 left");
}

TEST_CASE(check, assert_panics_in_debug_builds_alone) {
    uint32_t one = 1;
    if (ASH_ENABLED(ASH_CHECKS >= 2))
        CHECK_PANICS(ASH_ASSERT(one == 2), "invariant does not hold: one == 2");
    else
        ASH_ASSERT(one == 2);
}

ASH_EVENT_DEFINE(event_counted, "base.counted", "left,right");
ASH_EVENT_DEFINE(event_silent, "base.silent", "none,none");

TEST_CASE(event, each_emission_reaches_the_sink) {
    CHECK_EQ(test_event_count("base.counted"), 0);
    for (uint32_t i = 0; i < 5; i++)
        ASH_EVENT(event_counted, i, UINT64_MAX);
    CHECK_EQ(test_event_count("base.counted"), 5);
    CHECK_EQ(test_event_count("base.silent"), 0);
}

TEST_CASE(event, disabled_event_is_not_emitted) {
    event_silent.enabled = 0;
    ASH_EVENT(event_silent, 1, 2);
    CHECK_EQ(test_event_count("base.silent"), 0);
    event_silent.enabled = 1;
    ASH_EVENT(event_silent, 1, 2);
    CHECK_EQ(test_event_count("base.silent"), 1);
}

TEST_CASE(event, dear_arguments_need_not_be_made_for_nobody) {
    event_silent.enabled = 0;
    CHECK(!ASH_EVENT_IS_ON(event_silent));
    event_silent.enabled = 1;
    CHECK(ASH_EVENT_IS_ON(event_silent));
}
