/* SPDX-License-Identifier: MIT */
/* view.c: containers are written and read back; what is wrong with one is said. */
#include <ashlar/prof_view.h>

#include "harness/test.h"
#include "made.h"

struct file {
    uint8_t *bytes;
    size_t len;
    struct ash_prof_view *view;
    char message[128];
    int error;
};

static void reopen(struct file *file) {
    file->error = ash_prof_view_open(file->view, file->bytes, file->len, file->message,
                                     sizeof(file->message));
}

static struct file open_made(const char *name) {
    struct file file = {.bytes = test_alloc(MADE_BYTES, 64),
                        .view = test_alloc(sizeof(struct ash_prof_view), 64)};
    file.len = made_container(name, file.bytes);
    CHECK(file.len != 0);
    reopen(&file);
    CHECK_STR_EQ(file.message, "");
    CHECK_EQ(file.error, 0);
    return file;
}

#define CHECK_REFUSED(file, expected)           \
    do {                                        \
        reopen(&(file));                        \
        CHECK_STR_EQ((file).message, expected); \
        CHECK_EQ((file).error, -ASH_EINVAL);    \
    } while (0)

/* Everything that a view hands out, so that a sanitizer sees each byte touched. */
static void walk(const struct ash_prof_view *view) {
    struct ash_prof_lane *lanes = test_alloc(sizeof(*lanes) * (view->cpu_count + 1), 64);
    struct ash_trace_record record;
    uint64_t last = 0, records = 0, exported = 0;
    uint32_t cpu;
    ash_prof_merged_begin(view, lanes);
    while (ash_prof_merged_next(view, lanes, &cpu, &record)) {
        CHECK(record.clock >= last);
        last = record.clock;
        records++;
    }
    for (cpu = 0; cpu < view->cpu_count; cpu++) {
        struct ash_prof_loss loss;
        ash_prof_view_loss(view, cpu, &loss);
        CHECK_EQ(loss.emitted, loss.exported + loss.overwritten + loss.dropped);
        exported += loss.exported;
        struct ash_prof_sample_cursor cursor;
        struct ash_prof_view_sample sample;
        struct ash_prof_place place;
        ash_prof_samples_begin(&cursor);
        while (ash_prof_samples_next(view, cpu, &cursor, &sample))
            for (uint32_t i = 0; i < sample.frame_count; i++)
                (void)ash_prof_view_place(view, i < sample.kernel_count ? 0 : sample.sample->task,
                                          sample.frames[i], i != 0, &place);
    }
    CHECK_EQ(records, exported);
}

TEST_CASE(prof_view, every_made_container_opens_whole) {
    for (const char *const *name = made_names; *name != NULL; name++) {
        struct file file = open_made(*name);
        CHECK(!file.view->is_damaged);
        walk(file.view);
    }
}

TEST_CASE(prof_view, loss_of_a_ring_that_wrapped_and_of_one_that_was_full) {
    struct ash_prof_loss loss;
    struct file file = open_made("wrapped");
    ash_prof_view_loss(file.view, 0, &loss);
    CHECK_EQ(loss.exported, 64);
    CHECK_EQ(loss.overwritten, 20 * 15 - 64);
    CHECK_EQ(loss.dropped, 0);
    file = open_made("dropped");
    ash_prof_view_loss(file.view, 0, &loss);
    CHECK_EQ(loss.exported, 64);
    CHECK_EQ(loss.overwritten, 0);
    CHECK_EQ(loss.dropped, 20 * 15 - 64);
}

TEST_CASE(prof_view, a_record_that_was_not_finished_counts_as_dropped) {
    struct file file = open_made("full");
    struct ash_prof_loss loss;
    struct ash_trace_record *records = (void *)(uintptr_t)file.view->cpus[0].records;
    records[3].header = 0;
    ash_prof_view_loss(file.view, 0, &loss);
    CHECK_EQ(loss.dropped, 1);
    CHECK_EQ(loss.exported, loss.emitted - 1);
}

TEST_CASE(prof_view, a_clock_that_is_late_for_its_number_is_sorted_in) {
    struct file file = open_made("full");
    struct ash_trace_record *records = (void *)(uintptr_t)file.view->cpus[0].records, record;
    uint64_t late = records[9].clock;
    records[2].clock = late;
    struct ash_prof_record_cursor cursor;
    ash_prof_records_begin(&cursor);
    for (uint32_t i = 0; i < 7; i++) {
        CHECK(ash_prof_records_next(file.view, 0, &cursor, &record));
        CHECK(record.clock < late);
    }
    CHECK(ash_prof_records_next(file.view, 0, &cursor, &record));
    CHECK_EQ((uint32_t)record.header, 2);
    CHECK_EQ(cursor.disordered, 0);
}

TEST_CASE(prof_view, time_never_runs_backwards_and_says_how_often_it_would) {
    struct file file = open_made("full");
    struct ash_trace_record *records = (void *)(uintptr_t)file.view->cpus[0].records, record;
    records[100].clock = 5;
    struct ash_prof_record_cursor cursor;
    uint64_t last = 0;
    ash_prof_records_begin(&cursor);
    while (ash_prof_records_next(file.view, 0, &cursor, &record)) {
        CHECK(record.clock >= last);
        last = record.clock;
    }
    CHECK_EQ(cursor.disordered, 1);
}

TEST_CASE(prof_view, clocks_of_samples_are_rebuilt_from_the_newest) {
    struct file file = open_made("profile");
    struct ash_prof_sample_cursor cursor;
    struct ash_prof_view_sample sample;
    ash_prof_samples_begin(&cursor);
    for (uint32_t i = 0; i < 40; i++) {
        CHECK(ash_prof_samples_next(file.view, 1, &cursor, &sample));
        CHECK_EQ(sample.clock, 1000000000 + 2000 * (i + 1));
        CHECK(!sample.is_damaged);
    }
    CHECK(!ash_prof_samples_next(file.view, 1, &cursor, &sample));
}

TEST_CASE(prof_view, a_place_is_in_the_function_before_the_return_address) {
    struct file file = open_made("profile");
    struct ash_prof_place place;
    CHECK(ash_prof_view_place(file.view, 10, 0x10200, true, &place));
    CHECK_STR_EQ(place.name, "main");
    CHECK_EQ(place.offset, 0x100);
    CHECK(ash_prof_view_place(file.view, 10, 0x10200, false, &place));
    CHECK_STR_EQ(place.name, "parse");
    CHECK(ash_prof_view_place(file.view, 10, 0x10300, false, &place));
    CHECK(place.name == NULL);
    CHECK_EQ(place.offset, 0x400300);
    CHECK(ash_prof_view_place(file.view, 0, 0x40080900, false, &place));
    CHECK_STR_EQ(place.name, "start"); /* it has no size: as far as the next one */
    CHECK(!ash_prof_view_place(file.view, 11, 0x10200, false, &place));
}

TEST_CASE(prof_view, the_text_has_values_by_whole_keys) {
    struct file file = open_made("empty");
    size_t len = 0;
    const char *value = ash_prof_view_text(file.view, "machine", &len);
    CHECK(value != NULL);
    CHECK_EQ(len, 7);
    CHECK_MEM_EQ(value, "made up", 7);
    CHECK(ash_prof_view_text(file.view, "mach", &len) == NULL);
    CHECK(ash_prof_view_text(file.view, "hz", &len) == NULL);
}

TEST_CASE(prof_view, nanoseconds_do_not_overflow) {
    struct file file = open_made("empty");
    CHECK_EQ(ash_prof_view_ns(file.view, 5), 0);
    CHECK_EQ(ash_prof_view_ns(file.view, 1000000007), 7);
    CHECK_EQ(ash_prof_view_ns(file.view, UINT64_MAX), -1 - 1000000000ll);
}

TEST_CASE(prof_view, every_shorter_file_is_refused) {
    struct file file = open_made("empty");
    for (size_t len = file.len; len-- > 0;) {
        file.len = len;
        reopen(&file);
        CHECK_EQ(file.error, -ASH_EINVAL);
        CHECK(file.message[0] != '\0');
    }
}

TEST_CASE(prof_view, sentences_say_what_is_wrong) {
    struct file file = open_made("trace");
    size_t whole = file.len;
    file.len = 0;
    CHECK_REFUSED(file, "empty");
    file.len = 40;
    CHECK_REFUSED(file, "cut short: 40 of at least 64 bytes");
    file.len = whole;
    file.bytes[8] = 7;
    CHECK_REFUSED(file, "version 7; this program reads 1");
    file.bytes[8] = 1;
    file.bytes[70] ^= 1;
    CHECK_REFUSED(file, "damaged: header and table do not match their check sum");
    file.bytes[0] = 'B';
    CHECK_REFUSED(file, "not an Ashlar trace");
}

TEST_CASE(prof_view, no_flipped_bit_goes_unseen) {
    struct file file = open_made("strange");
    for (uint64_t bit = test_seed() % 64; bit < file.len * 8; bit += 1009) {
        file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        reopen(&file);
        CHECK(file.error != 0 || file.view->is_damaged);
        if (file.error == 0 && bit % 16 == 0)
            walk(file.view);
        file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    reopen(&file);
    CHECK(file.error == 0 && !file.view->is_damaged);
}

static int refuse_at(void *context, const void *bytes, size_t len) {
    uint32_t *left = context;
    (void)bytes, (void)len;
    return (*left)-- == 0 ? -ASH_ENOSPC : 0;
}

TEST_CASE(prof_file, the_first_error_of_the_writer_ends_it) {
    struct ash_prof_part part = {ASH_PROF_SECTION_TEXT, 0, 1, "a=b\n", 4};
    struct ash_prof_file_header clocks = {.clock_hz = 1};
    for (uint32_t call = 0; call < 6; call++) {
        uint32_t left = call;
        CHECK_EQ(ash_prof_file_write(&clocks, &part, 1, refuse_at, &left), -ASH_ENOSPC);
        CHECK_EQ(left, UINT32_MAX);
    }
    CHECK_EQ(ash_prof_file_bytes(&part, ASH_PROF_FILE_SECTIONS_MAX + 1), 0);
    part.len = UINT64_MAX - 8;
    CHECK_EQ(ash_prof_file_bytes(&part, 1), 0);
}
