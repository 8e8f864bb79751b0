/* SPDX-License-Identifier: MIT */
/*
 * A container of strange numbers: words of a good one are changed, mostly to values at which
 * something overflows or lies outside, and its check sums made good again. Whatever opens can be
 * walked and exported in every format; whatever does not has a reason.
 */
#include <ashlar/prof_export.h>

#include "choices.h"
#include "file_internal.h"
#include "prof/made.h"

enum { WORK_BYTES = 1 << 24 };

static uint8_t bytes[MADE_BYTES] __attribute__((aligned(64)));
static uint8_t work[WORK_BYTES] __attribute__((aligned(64)));
static struct ash_prof_view view;

static void change_word(struct choices *choices, size_t len) {
    static const uint64_t edges[] = {0,
                                     1,
                                     63,
                                     64,
                                     255,
                                     65535,
                                     UINT32_MAX,
                                     UINT64_C(1) << 32,
                                     UINT64_C(1) << 42,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX - 63,
                                     UINT64_MAX};
    size_t width = (size_t)1 << choose(choices, 4);
    size_t region = choose(choices, 2) == 0 && len > 1024 ? 1024 : len; /* headers, more often */
    size_t at = choose(choices, 65536) * region / 65536 / width * width;
    uint64_t value = 0;
    if (at + width > len)
        return;
    memcpy(&value, bytes + at, width);
    switch (choose(choices, 4)) {
    case 0:
        value = edges[choose(choices, ASH_ARRAY_LEN(edges))];
        break;
    case 1:
        value += choose(choices, 64) - UINT64_C(32);
        break;
    case 2:
        value ^= UINT64_C(1) << choose(choices, (uint32_t)width * 8);
        break;
    default:
        value = choose(choices, 65536);
    }
    memcpy(bytes + at, &value, width);
}

/* So that what is changed is looked at, not only seen to be changed. */
static void make_sums_good(size_t len) {
    struct ash_prof_file_header header;
    memcpy(&header, bytes, sizeof(header));
    uint64_t table_end =
        sizeof(header) + (uint64_t)header.section_count * sizeof(struct ash_prof_file_section);
    size_t end = len - sizeof(struct ash_prof_file_end);
    if (table_end > end)
        return;
    header.crc32 = 0;
    header.crc32 = ash__prof_crc32(ash__prof_crc32(0, &header, sizeof(header)),
                                   bytes + sizeof(header), (size_t)table_end - sizeof(header));
    memcpy(bytes, &header, sizeof(header));
    uint32_t crc = ash__prof_crc32(0, bytes + table_end, end - (size_t)table_end);
    memcpy(bytes + end + offsetof(struct ash_prof_file_end, crc32), &crc, sizeof(crc));
}

struct output {
    uint64_t written, room;
};

static int put(void *context, const void *piece, size_t len) {
    struct output *output = context;
    CHECK(piece != NULL && len != 0);
    if (len > output->room - output->written)
        return -ASH_ENOSPC;
    output->written += len;
    return 0;
}

static int open_next(void *context, const char *name) {
    (void)context;
    CHECK(name[0] != '\0');
    return 0;
}

static void export_all(struct choices *choices) {
    for (uint32_t format = ASH_PROF_CHROME; format <= ASH_PROF_SUMMARY; format++) {
        struct output output = {0, choose(choices, 8) == 0 ? choose(choices, 4096) : UINT64_MAX};
        struct ash_prof_sink sink = {.write = put, .open = open_next, .context = &output};
        size_t wanted = ash_prof_export_work(&view, (enum ash_prof_format)format);
        CHECK(wanted <= WORK_BYTES);
        if (wanted == 0)
            continue;
        int error = ash_prof_export(&view, (enum ash_prof_format)format, &sink, work, wanted);
        if (error == -ASH_ENOSPC)
            CHECK(output.room != UINT64_MAX);
        else
            CHECK(error == 0 || error == -ASH_EBADMSG || error == -ASH_ENOENT);
    }
}

static void check_one(struct choices *choices, size_t len) {
    char message[128];
    int error = ash_prof_view_open(&view, bytes, len, message, sizeof(message));
    if (error == 0) {
        export_all(choices);
    } else {
        CHECK_EQ(error, -ASH_EINVAL);
        CHECK(message[0] != '\0' && strlen(message) < 96);
    }
}

void fuzz_prof_file(struct choices *choices) {
    static const char *const names[] = {"full", "wrapped", "strange", "dropped"};
    size_t len = made_container(names[choose(choices, ASH_ARRAY_LEN(names))], bytes);
    while (choices_go_on(choices)) {
        for (uint32_t i = choose(choices, 3) + 1; i != 0; i--)
            change_word(choices, len);
        make_sums_good(len);
        check_one(choices, len);
    }
}

TEST_CASE(prof_file_fuzz, strange_containers_are_refused_or_exported) {
    for (uint64_t round = 0; round < 200; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 1 + round % 8);
        fuzz_prof_file(&choices);
    }
}
