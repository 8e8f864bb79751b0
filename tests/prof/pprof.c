/* SPDX-License-Identifier: MIT */
/* pprof.c: a profile read back by a decoder of its own, and the sink's errors handed through. */
#include "export_internal.h"
#include "harness/test.h"
#include "prof/sampled.h"
#include "prof/sink.h"

enum { OUT_BYTES = 1 << 18, MAX = 256 };

struct bytes {
    const unsigned char *at, *end;
};

static uint64_t varint(struct bytes *in) {
    uint64_t value = 0;
    for (uint32_t shift = 0;; shift += 7) {
        CHECK(in->at < in->end && shift < 70);
        value |= (uint64_t)(*in->at & 0x7f) << shift;
        if ((*in->at++ & 0x80) == 0)
            return value;
    }
}

/* The next field: its number; a varint's value, or what a nested one has. 0: there is none. */
static uint32_t field(struct bytes *in, uint64_t *value, struct bytes *nested) {
    if (in->at == in->end)
        return 0;
    uint64_t tag = varint(in);
    *value = varint(in);
    if ((tag & 7) == 2) {
        CHECK(*value <= (uint64_t)(in->end - in->at));
        *nested = (struct bytes){in->at, in->at + *value};
        in->at += *value;
    } else {
        CHECK_EQ(tag & 7, 0);
    }
    return (uint32_t)(tag >> 3);
}

struct decoded {
    struct bytes strings[MAX];
    uint64_t string_count, samples, values[2], period, time, duration, comments;
    uint64_t locations[MAX][4], location_count; /* id, mapping, address, function */
    uint64_t functions[MAX][2], function_count; /* id, name */
    uint64_t mappings[MAX][4], mapping_count;   /* start, end, name, build-id */
    uint64_t leaf[MAX], outermost[MAX];         /* of samples: ids */
};

static void decode_sample(struct decoded *profile, struct bytes in) {
    uint64_t value, labels = 0, count = 0;
    struct bytes nested = {NULL, NULL};
    for (uint32_t number; (number = field(&in, &value, &nested)) != 0;) {
        if (number == 1) {
            for (; nested.at < nested.end; count++) {
                uint64_t id = varint(&nested);
                profile->outermost[profile->samples] = id;
                if (count == 0)
                    profile->leaf[profile->samples] = id;
            }
        } else if (number == 2) {
            profile->values[0] += varint(&nested);
            profile->values[1] += varint(&nested);
            CHECK(nested.at == nested.end);
        } else {
            CHECK_EQ(number, 3);
            labels++;
        }
    }
    CHECK(count >= 1);
    CHECK_EQ(labels, 3);
    profile->samples++;
}

/* Fields by their number: to[i] is that of fields[i]; nested ones are gone into. */
static void decode_fields(struct bytes in, const uint32_t *fields, uint64_t *to, size_t count) {
    uint64_t value;
    struct bytes nested = {NULL, NULL};
    for (uint32_t number; (number = field(&in, &value, &nested)) != 0;) {
        for (size_t i = 0; i < count; i++) {
            if (fields[i] == number)
                to[i] = value;
        }
    }
}

static void decode_location(struct decoded *profile, struct bytes in) {
    static const uint32_t fields[] = {1, 2, 3};
    uint64_t *to = profile->locations[profile->location_count++], value;
    struct bytes nested, line;
    decode_fields(in, fields, to, 3);
    for (uint32_t number; (number = field(&in, &value, &nested)) != 0;) {
        if (number == 4)
            CHECK_EQ(field(&nested, &to[3], &line), 1);
    }
}

static struct decoded *decode(const struct sink *sink) {
    static const uint32_t function[] = {1, 2}, mapping[] = {2, 3, 5, 6};
    struct decoded *profile = test_alloc(sizeof(*profile), 8);
    struct bytes in = {(const unsigned char *)sink->bytes,
                       (const unsigned char *)sink->bytes + sink->used};
    struct bytes nested = {NULL, NULL};
    uint64_t value;
    for (uint32_t number; (number = field(&in, &value, &nested)) != 0;) {
        CHECK(profile->string_count < MAX && profile->samples < MAX);
        if (number == 2)
            decode_sample(profile, nested);
        else if (number == 3)
            decode_fields(nested, mapping, profile->mappings[profile->mapping_count++], 4);
        else if (number == 4)
            decode_location(profile, nested);
        else if (number == 5)
            decode_fields(nested, function, profile->functions[profile->function_count++], 2);
        else if (number == 6)
            profile->strings[profile->string_count++] = nested;
        else if (number == 9)
            profile->time = value;
        else if (number == 10)
            profile->duration = value;
        else if (number == 12)
            profile->period = value;
        else if (number == 13)
            profile->comments++;
    }
    return profile;
}

static void check_string(const struct decoded *profile, uint64_t i, const char *expected) {
    CHECK(i < profile->string_count);
    size_t len = (size_t)(profile->strings[i].end - profile->strings[i].at);
    CHECK_EQ(len, strlen(expected));
    CHECK_MEM_EQ((const void *)profile->strings[i].at, expected, len);
}

static void check_name(const struct decoded *profile, uint64_t location, const char *expected) {
    CHECK(location >= 1 && location <= profile->location_count);
    CHECK_EQ(profile->locations[location - 1][0], location);
    uint64_t function = profile->locations[location - 1][3];
    CHECK(function >= 1 && function <= profile->function_count);
    check_string(profile, profile->functions[function - 1][1], expected);
}

static struct sampled *small_scene(void) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    sampled_begin(scene, 1, 1000, "machine=m\n");
    uint32_t kernel = sampled_image(scene, 0, "kernel", 0x10000, 0x20000);
    uint32_t program = sampled_image(scene, 7, "/bin/sort", 0x400000, 0x500000);
    uint64_t call = sampled_function(scene, kernel, 64, "call");
    uint64_t main = sampled_function(scene, program, 64, "ma\xffin");
    sampled_task(scene, 7, 7, "sort");
    uint64_t chain[] = {call + 8, call + 64, main + 4, 0x30};
    uint64_t other[] = {call + 12, call + 64, main + 4, 0x30};
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 2, chain, 4), 7, 2, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 2, other, 4), 7, 3, 0);
    sampled_sample(scene, 0, SAMPLED_WORDS, 9, 1, ASH_PROF_IDLE);
    return scene;
}

TEST_CASE(prof_pprof, samples_locations_and_functions_come_back) {
    struct sampled *scene = small_scene();
    struct sink sink;
    size_t bytes = ash__prof_pprof_work(&scene->view);
    sink_init(&sink, OUT_BYTES);
    CHECK_EQ(ash__prof_pprof(&scene->view, &sink.sink, test_alloc(bytes, 64), bytes), 0);
    struct decoded *profile = decode(&sink);
    check_string(profile, 0, "");
    CHECK_EQ(profile->samples, 3);
    CHECK_EQ(profile->values[0], 6);
    CHECK_EQ(profile->values[1], 6000000);
    CHECK_EQ(profile->period, 1000000);
    CHECK_EQ(profile->time, 1000000000);
    CHECK_EQ(profile->duration, 1000000000);
    CHECK_EQ(profile->comments, 3);
    /* call + 8, call + 12, call + 63, main + 4, 0x2f, and that of the damaged one */
    CHECK_EQ(profile->location_count, 6);
    CHECK_EQ(profile->function_count, 4);
    check_name(profile, profile->leaf[0], "call");
    check_name(profile, profile->outermost[0], "0x2f");
    check_name(profile, profile->leaf[2], "[damaged]");
    CHECK_EQ(profile->mapping_count, 2);
    check_string(profile, profile->mappings[1][2], "/bin/sort");
    check_string(profile, profile->mappings[1][3], "abcd01");
    for (uint64_t i = 0; i < profile->location_count; i++) {
        if (profile->locations[i][2] == 0x400004)
            check_name(profile, i + 1, "ma\xef\xbf\xbdin");
    }
}

TEST_CASE(prof_pprof, the_sinks_first_error_ends_each_export) {
    struct sampled *scene = small_scene();
    static const struct {
        size_t (*work)(const struct ash_prof_view *view);
        int (*export)(const struct ash_prof_view *view, const struct ash_prof_sink *sink,
                      void *work, size_t work_bytes);
    } exports[] = {{ash__prof_pprof_work, ash__prof_pprof},
                   {ash__prof_folded_work, ash__prof_folded},
                   {ash__prof_flame_work, ash__prof_flame}};
    for (size_t i = 0; i < ASH_ARRAY_LEN(exports); i++) {
        size_t bytes = exports[i].work(&scene->view);
        void *work = test_alloc(bytes, 64);
        int error = -1;
        for (uint32_t n = 1; error != 0; n++) {
            struct sink sink;
            sink_init(&sink, OUT_BYTES);
            sink.fail_at = n;
            error = exports[i].export(&scene->view, &sink.sink, work, bytes);
            CHECK_EQ(sink.calls_after, 0);
            CHECK(error == 0 ? sink.calls < n : error == -ASH_ENOSPC);
        }
    }
}
