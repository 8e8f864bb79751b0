/* SPDX-License-Identifier: MIT */
/*
 * export_ctf_metadata.c: the description of the streams, in the specification's own language (CTF
 * 1.8.3, 7 and appendix C). What comes from the container is made a name or a string of it.
 */
#include "export_ctf.h"

static const char head[] =
    "/* CTF 1.8 */\n"
    "\n"
    "typealias integer { size = 8; align = 8; signed = false; } := uint8_t;\n"
    "typealias integer { size = 16; align = 8; signed = false; } := uint16_t;\n"
    "typealias integer { size = 32; align = 8; signed = false; } := uint32_t;\n"
    "typealias integer { size = 64; align = 8; signed = false; } := uint64_t;\n"
    "typealias integer { size = 64; align = 8; signed = false; base = 16; } := hex64_t;\n"
    "typealias integer { size = 64; align = 8; signed = true; } := int64_t;\n"
    "\n"
    "trace {\n"
    "\tmajor = 1;\n"
    "\tminor = 8;\n"
    "\tbyte_order = le;\n"
    "\tpacket.header := struct {\n"
    "\t\tuint32_t magic;\n"
    "\t\tuint32_t stream_id;\n"
    "\t\tuint64_t stream_instance_id;\n"
    "\t};\n"
    "};\n";

static const char stream[] = "\n"
                             "typealias integer {\n"
                             "\tsize = 64; align = 8; signed = false; map = clock.machine.value;\n"
                             "} := clock_t;\n"
                             "\n"
                             "stream {\n"
                             "\tid = 0;\n"
                             "\tpacket.context := struct {\n"
                             "\t\tclock_t timestamp_begin;\n"
                             "\t\tclock_t timestamp_end;\n"
                             "\t\tuint64_t content_size;\n"
                             "\t\tuint64_t packet_size;\n"
                             "\t\tuint64_t packet_seq_num;\n"
                             "\t\tuint64_t events_discarded;\n"
                             "\t\tuint64_t cpu_id;\n"
                             "\t};\n"
                             "\tevent.header := struct {\n"
                             "\t\tuint16_t id;\n"
                             "\t\tclock_t timestamp;\n"
                             "\t};\n"
                             "\tevent.context := struct {\n"
                             "\t\tuint32_t task;\n"
                             "\t\tuint8_t depth;\n"
                             "\t};\n"
                             "};\n";

/* Letters, digits and underscores; all else becomes one. */
static char in_name(char c) {
    bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return is_plain ? c : '_';
}

static void put_name(struct ash__prof_out *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        ash__prof_put_char(out, in_name(text[i]));
}

static bool is_same_name(const struct ash__prof_field *a, const struct ash__prof_field *b) {
    bool is_same = a->name_len == b->name_len;
    for (uint32_t i = 0; is_same && i < a->name_len; i++)
        is_same = in_name(a->name[i]) == in_name(b->name[i]);
    return is_same;
}

/* A string's inside; readers differ in the escapes they know, so none but these two is used. */
static void put_string(struct ash__prof_out *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            ash__prof_put_char(out, '\\');
        ash__prof_put_char(out, text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?');
    }
}

static void put_env(struct ash__prof_out *out, const struct ash_prof_view *view) {
    struct ash__prof_line line = {.next = 0};
    ash__prof_put_string(out, "\nenv {\n\ttracer_name = \"ashlar\";\n");
    while (ash__prof_line_next(view, &line)) {
        ash__prof_put_string(out, "\tashlar_");
        put_name(out, line.key, line.key_len);
        ash__prof_put_string(out, " = \"");
        put_string(out, line.value, line.value_len);
        ash__prof_put_string(out, "\";\n");
    }
    ash__prof_put_string(out, "};\n");
}

/*
 * Records have the clock as it was read, and the machine's time 0 is at clock_origin: the offset is
 * -clock_origin, as whole seconds and a rest that is not negative.
 */
static void put_clock(struct ash__prof_out *out, const struct ash_prof_file_header *header) {
    uint64_t hz = header->clock_hz, rest = header->clock_origin % hz;
    uint64_t seconds = header->clock_origin / hz + (rest != 0);
    ash__prof_put_string(out, "\nclock {\n\tname = machine;\n\tfreq = ");
    ash__prof_put_u64(out, hz);
    ash__prof_put_string(out, ";\n\toffset_s = ");
    ash__prof_put_i64(out, -(int64_t)seconds);
    ash__prof_put_string(out, ";\n\toffset = ");
    ash__prof_put_u64(out, rest == 0 ? 0 : hz - rest);
    ash__prof_put_string(out, ";\n\tabsolute = false;\n};\n");
}

static void put_field(struct ash__prof_out *out, const struct ash__prof_type *type, uint32_t i) {
    const struct ash__prof_field *field = &type->fields[i];
    const char *integer = "uint64_t";
    if (field->reading == ASH__PROF_HEX)
        integer = "hex64_t";
    else if (field->reading == ASH__PROF_SIGNED || field->reading == ASH__PROF_ERROR)
        integer = "int64_t";
    ash__prof_put_string(out, "\t\t");
    ash__prof_put_string(out, integer);
    ash__prof_put_string(out, " _"); /* which readers take away: so no word is reserved */
    put_name(out, field->name, field->name_len);
    if (i == 1 && is_same_name(&type->fields[0], field))
        ash__prof_put_string(out, "_2");
    ash__prof_put_string(out, ";\n");
}

static void put_event_class(struct ash__prof_out *out, const struct ash__prof_type *type,
                            uint32_t id) {
    static const char *const kinds[ASH_EVENT_KINDS] = {
        [ASH_EVENT_BEGIN] = ":begin",
        [ASH_EVENT_END] = ":end",
        [ASH_EVENT_ASYNC_BEGIN] = ":begin",
        [ASH_EVENT_ASYNC_END] = ":end",
    };
    ash__prof_put_string(out, "\nevent {\n\tid = ");
    ash__prof_put_u64(out, id);
    ash__prof_put_string(out, ";\n\tstream_id = 0;\n\tname = \"");
    if (type->name != NULL) {
        put_string(out, type->name, ash__prof_strlen(type->name));
    } else {
        ash__prof_put_string(out, "event ");
        ash__prof_put_u64(out, id);
    }
    if (kinds[type->kind] != NULL)
        ash__prof_put_string(out, kinds[type->kind]);
    ash__prof_put_string(out, "\";\n\tfields := struct {\n");
    for (uint32_t i = 0; i < type->field_count; i++)
        put_field(out, type, i);
    ash__prof_put_string(out, "\t};\n};\n");
}

static void mark_used(const struct ash_prof_view *view, uint64_t *used) {
    struct ash_prof_record_cursor cursor;
    struct ash_trace_record record;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        ash_prof_records_begin(&cursor);
        while (ash_prof_records_next(view, cpu, &cursor, &record))
            used[ash_trace_id(&record) / 64] |= UINT64_C(1) << ash_trace_id(&record) % 64;
    }
}

void ash__ctf_metadata(struct ash__prof_out *out, const struct ash_prof_view *view,
                       const struct ash__prof_type *types) {
    uint64_t used[ASH__PROF_TYPES / 64] = {0};
    mark_used(view, used);
    ash__prof_put_string(out, head);
    put_env(out, view);
    put_clock(out, view->header);
    ash__prof_put_string(out, stream);
    for (uint32_t id = 1; id < ASH__PROF_TYPES; id++) {
        if (types[id].name != NULL || (used[id / 64] >> id % 64 & 1) != 0)
            put_event_class(out, &types[id], id);
    }
}
