/* SPDX-License-Identifier: MIT */
/* export_text.c: how exports write numbers and strings, and what they do with a sink that fails. */
#include "lib/prof/export_text.h"
#include "prof/sink.h"

static struct ash__prof_out *out_new(struct sink *sink, size_t capacity, uint64_t steps) {
    struct ash__prof_out *out = test_alloc(sizeof(*out), _Alignof(struct ash__prof_out));
    sink_init(sink, capacity);
    ash__prof_out_begin(out, &sink->sink, steps);
    return out;
}

#define PUTS(expected, ...)                                   \
    do {                                                      \
        struct sink sink;                                     \
        struct ash__prof_out *out = out_new(&sink, 65536, 0); \
        __VA_ARGS__;                                          \
        CHECK_EQ(ash__prof_out_end(out), 0);                  \
        CHECK_STR_EQ(sink_text(&sink), expected);             \
    } while (0)

TEST_CASE(prof_text, numbers_of_every_length) {
    PUTS("0", ash__prof_put_u64(out, 0));
    PUTS("18446744073709551615", ash__prof_put_u64(out, UINT64_MAX));
    PUTS("-9223372036854775808", ash__prof_put_i64(out, INT64_MIN));
    PUTS("9223372036854775807", ash__prof_put_i64(out, INT64_MAX));
    PUTS("-1", ash__prof_put_i64(out, -1));
    PUTS("0x0", ash__prof_put_hex(out, 0));
    PUTS("0xffffffffffffffff", ash__prof_put_hex(out, UINT64_MAX));
}

TEST_CASE(prof_text, fractions_are_exact_and_keep_their_zeros) {
    PUTS("0.000", ash__prof_put_fixed(out, 0, 3));
    PUTS("0.001", ash__prof_put_fixed(out, 1, 3));
    PUTS("12.040", ash__prof_put_fixed(out, 12040, 3));
    PUTS("18446744073709551.615", ash__prof_put_fixed(out, UINT64_MAX, 3));
    PUTS("1.8446744073709551615", ash__prof_put_fixed(out, UINT64_MAX, 19));
    PUTS("33.3", ash__prof_put_fixed(out, 333, 1));
}

#define JSON(expected, literal) \
    PUTS(expected, ash__prof_put_json(out, literal, sizeof(literal) - 1))
#define XML(expected, literal) PUTS(expected, ash__prof_put_xml(out, literal, sizeof(literal) - 1))
#define BAD                    "\xef\xbf\xbd"

TEST_CASE(prof_text, json_strings_are_escaped) {
    JSON("a\\\"b\\\\c/", "a\"b\\c/");
    JSON("\\n\\t\\u000d\\u0000\\u001f\\u007f", "\n\t\r\0\x1f\x7f");
    PUTS("\"a\\nb\"", ash__prof_put_json_string(out, "a\nb"));
}

TEST_CASE(prof_text, xml_is_escaped) {
    XML("&lt;a b=&quot;&#39;&amp;&#39;&quot;&gt;", "<a b=\"'&'\">");
    XML("&#9;&#10;&#13;" BAD BAD, "\t\n\r\0\x1b");
    XML(BAD BAD "\xef\xbf\xbc", "\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbc"); /* U+FFFE, U+FFFF */
}

TEST_CASE(prof_text, utf8_stays_and_what_is_none_is_replaced) {
    JSON("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    JSON("\xf4\x8f\xbf\xbf" BAD BAD BAD BAD, "\xf4\x8f\xbf\xbf\xf4\x90\x80\x80");
    JSON(BAD BAD, "\xc0\x80");         /* longer than needed */
    JSON(BAD BAD BAD, "\xe0\x9f\xbf"); /* likewise */
    JSON(BAD BAD BAD, "\xed\xa0\x80"); /* a surrogate */
    JSON("a" BAD "b", "a\xff"
                      "b"); /* never begins one */
}

TEST_CASE(prof_text, a_character_that_is_cut_off_does_not_eat_what_follows) {
    JSON(BAD BAD "\\\"", "\xe2\x82\"");
    JSON(BAD, "\xe2");
    XML(BAD BAD "&lt;", "\xf0\x9f<");
}

TEST_CASE(prof_text, what_is_longer_than_the_buffer_comes_out_whole) {
    struct sink sink;
    struct ash__prof_out *out = out_new(&sink, 1 << 18, 0);
    char *text = test_alloc(100000, 1);
    memset(text, 'x', 100000);
    ash__prof_put(out, "a", 1);
    ash__prof_put(out, text, 100000);
    ash__prof_put(out, "b", 1);
    CHECK_EQ(ash__prof_out_offset(out), 100002);
    CHECK_EQ(ash__prof_out_end(out), 0);
    CHECK_EQ(sink.used, 100002);
    CHECK(sink.bytes[0] == 'a' && sink.bytes[100001] == 'b');
    CHECK_MEM_EQ(sink.bytes + 1, text, 100000);
}

TEST_CASE(prof_text, files_begin_where_they_are_opened) {
    struct sink sink;
    struct ash__prof_out *out = out_new(&sink, 4096, 0);
    ash__prof_out_open(out, "one");
    ash__prof_put_string(out, "first");
    ash__prof_out_open(out, "two");
    CHECK_EQ(ash__prof_out_offset(out), 0);
    ash__prof_put_string(out, "2nd");
    CHECK_EQ(ash__prof_out_end(out), 0);
    CHECK_EQ(sink_file(&sink, "one")->len, 5);
    CHECK_EQ(sink_file(&sink, "two")->len, 3);
    CHECK_STR_EQ(sink_text(&sink), "first2nd");
}

TEST_CASE(prof_text, an_error_of_the_sink_sticks) {
    for (uint32_t n = 1; n < 8; n++) {
        struct sink sink;
        struct ash__prof_out *out = out_new(&sink, 1 << 18, 10);
        sink.fail_at = n;
        for (uint32_t i = 0; i < 30000; i++)
            ash__prof_put_string(out, "word ");
        ash__prof_out_open(out, "other");
        ash__prof_put_string(out, "word ");
        CHECK_EQ(ash__prof_out_end(out), -ASH_ENOSPC);
        CHECK_EQ(sink.calls_after, 0);
        CHECK_EQ(sink.progress_calls, 0);
    }
}

TEST_CASE(prof_text, progress_is_told_now_and_then_and_at_the_end) {
    struct sink sink;
    struct ash__prof_out *out = out_new(&sink, 16, 1000000);
    for (uint32_t i = 0; i < 999999; i++)
        ash__prof_out_step(out, 1);
    CHECK(sink.progress_calls > 100 && sink.progress_calls <= 200);
    CHECK_EQ(ash__prof_out_end(out), 0);
    CHECK_EQ(sink.done, 1000000);
    CHECK_EQ(sink.of, 1000000);
    CHECK(sink.progress_calls <= 201);
}
