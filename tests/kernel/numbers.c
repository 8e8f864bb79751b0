/* SPDX-License-Identifier: MIT */
/* Cases of kernel/numbers.h. */
#include "harness/test.h"
#include "kernel/numbers.h"

static uint64_t ns_of(const char *text) {
    ash_ns_t duration_ns;
    return duration_parse(text, &duration_ns) ? duration_ns : UINT64_MAX;
}

TEST_CASE(numbers, durations_have_a_unit) {
    CHECK_EQ(ns_of("300us"), 300000);
    CHECK_EQ(ns_of("5ms"), 5000000);
    CHECK_EQ(ns_of("1s"), 1000000000);
    CHECK_EQ(ns_of("7ns"), 7);
    CHECK_EQ(ns_of("0s"), 0);
    CHECK_EQ(ns_of("007ms"), 7000000);
}

TEST_CASE(numbers, durations_may_have_a_fraction_down_to_whole_nanoseconds) {
    CHECK_EQ(ns_of("1.5ms"), 1500000);
    CHECK_EQ(ns_of("0.000000001s"), 1);
    CHECK_EQ(ns_of("0.001us"), 1);
    CHECK_EQ(ns_of("1.500000000ms"), 1500000);
    CHECK_EQ(ns_of("0.0001us"), UINT64_MAX);
    CHECK_EQ(ns_of("1.5ns"), UINT64_MAX);
    CHECK_EQ(ns_of("1.0000000000s"), UINT64_MAX);
}

TEST_CASE(numbers, what_is_no_duration_is_refused) {
    const char *const bad[] = {"",
                               "5",
                               "ms",
                               "-5ms",
                               "+5ms",
                               "5 ms",
                               "5msx",
                               "5m",
                               "5MS",
                               ".5s",
                               "5.s",
                               "5..5s",
                               "0x5s",
                               "1e3s",
                               "5s ",
                               " 5s",
                               "5.5.5s",
                               "99999999999999999999ns",
                               "1.99999999999999999999s"};
    for (size_t i = 0; i < ASH_ARRAY_LEN(bad); i++)
        CHECK_EQ(ns_of(bad[i]), UINT64_MAX);
}

TEST_CASE(numbers, durations_that_do_not_fit_are_refused) {
    CHECK_EQ(ns_of("18446744073709551614ns"), UINT64_MAX - 1);
    CHECK_EQ(ns_of("18446744073.709551614s"), UINT64_MAX - 1);
    CHECK_EQ(ns_of("18446744073.709551616s"), UINT64_MAX);
    CHECK_EQ(ns_of("18446744074s"), UINT64_MAX);
    CHECK_EQ(ns_of("18446744073709551616ns"), UINT64_MAX);
}

TEST_CASE(numbers, durations_are_shown_by_three_digits) {
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "1ns"},
                {999, "999ns"},
                {1000, "1us"},
                {1009, "1us"},
                {1010, "1.01us"},
                {1100, "1.1us"},
                {12099, "12us"},
                {12345, "12.3us"},
                {300000, "300us"},
                {999999, "999us"},
                {1500000, "1.5ms"},
                {100900000, "100ms"},
                {1230000000, "1.23s"},
                {61000000000, "61s"},
                {1234500000000, "1234s"},
                {UINT64_MAX, "18446744073s"}};
    char text[DURATION_TEXT_BYTES];
    for (size_t i = 0; i < ASH_ARRAY_LEN(rows); i++)
        CHECK_STR_EQ(duration_text(text, rows[i].ns), rows[i].text);
}

static int32_t signed_of(const char *text) {
    int32_t value;
    return number_parse_signed(text, &value) ? value : 12345;
}

TEST_CASE(numbers, with_a_sign_are_taken_and_stop_at_the_largest) {
    CHECK_EQ(signed_of("5"), 5);
    CHECK_EQ(signed_of("-20"), -20);
    CHECK_EQ(signed_of("+19"), 19);
    CHECK_EQ(signed_of("-0"), 0);
    CHECK_EQ(signed_of("99999999999999999999999999"), INT32_MAX);
    CHECK_EQ(signed_of("-99999999999999999999999999"), -INT32_MAX);
    CHECK_EQ(signed_of(""), 12345);
    CHECK_EQ(signed_of("-"), 12345);
    CHECK_EQ(signed_of("--5"), 12345);
    CHECK_EQ(signed_of("5x"), 12345);
    CHECK_EQ(signed_of("0x5"), 12345);
    CHECK_EQ(signed_of("five"), 12345);
}
