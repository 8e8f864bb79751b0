/* SPDX-License-Identifier: MIT */
/* Cases of kernel/printable.h. */
#include "harness/test.h"
#include "kernel/printable.h"

static size_t printable(const char *text) {
    return printable_len(text, strlen(text));
}

TEST_CASE(printable, is_ascii_without_its_control_characters) {
    for (int byte = 0; byte < 0x80; byte++) {
        const char text[] = {(char)byte, 'x'};
        CHECK_EQ(printable_len(text, 2), byte >= 0x20 && byte != 0x7f ? 1u : 0u);
    }
    CHECK_EQ(printable_len("x", 0), 0u);
}

TEST_CASE(printable, is_utf8_at_the_edges_of_each_length) {
    CHECK_EQ(printable("\xc2\xa0"), 2u); /* U+00A0 */
    CHECK_EQ(printable("\xdf\xbfz"), 2u);
    CHECK_EQ(printable("\xe0\xa0\x80"), 3u); /* U+0800 */
    CHECK_EQ(printable("\xed\x9f\xbf"), 3u); /* U+D7FF */
    CHECK_EQ(printable("\xee\x80\x80"), 3u); /* U+E000 */
    CHECK_EQ(printable("\xf0\x90\x80\x80"), 4u);
    CHECK_EQ(printable("\xf4\x8f\xbf\xbf"), 4u); /* U+10FFFF */
}

TEST_CASE(printable, is_no_c1_control_in_either_form) {
    CHECK_EQ(printable("\x9b"
                       "31m"),
             0u);
    CHECK_EQ(printable("\xc2\x80"), 0u);
    CHECK_EQ(printable("\xc2\x9b"
                       "31m"),
             0u);
    CHECK_EQ(printable("\xc2\x9f"), 0u);
}

TEST_CASE(printable, is_not_what_is_no_utf8) {
    CHECK_EQ(printable("\xc3"), 0u); /* cut */
    CHECK_EQ(printable("\xc3z"), 0u);
    CHECK_EQ(printable("\xe2\x82"), 0u);
    CHECK_EQ(printable("\xf0\x90\x80z"), 0u);
    CHECK_EQ(printable("\xc1\x9b"), 0u); /* too long for its number */
    CHECK_EQ(printable("\xe0\x82\x9b"), 0u);
    CHECK_EQ(printable("\xf0\x80\x82\x9b"), 0u);
    CHECK_EQ(printable("\xed\xa0\x80"), 0u);     /* a surrogate */
    CHECK_EQ(printable("\xf4\x90\x80\x80"), 0u); /* past U+10FFFF */
    CHECK_EQ(printable("\xf8\x88\x80\x80\x80"), 0u);
    CHECK_EQ(printable("\xff"), 0u);
}
