/* SPDX-License-Identifier: MIT */
/*
 * export_ctf.c: Common Trace Format 1.8: every record as it is, a stream a CPU. `metadata` says how
 * the streams are to be read (export_ctf_metadata.c).
 *
 * A packet has PACKET_RECORDS at most and says how many records its CPU had lost up to its end. So
 * that every loss is a difference, which is what readers count, empty packets stand before what was
 * overwritten and behind what was dropped.
 *
 * Source: Common Trace Format specification 1.8.3, 5 (packets) and 6 (events).
 */
#include "export_ctf.h"
#include "export_internal.h"

#define PACKET_MAGIC   UINT32_C(0xc1fc1fc1)
#define PACKET_BYTES   72u /* of header and context */
#define PACKET_RECORDS 2048u

struct ctf {
    struct ash__prof_out out;
    const struct ash_prof_view *view;
    struct ash__prof_type *types;
    struct ash_trace_record *records; /* of the packet that is made */
};

static void put_le(struct ash__prof_out *out, uint64_t value, uint32_t bytes) {
    unsigned char le[8];
    for (uint32_t i = 0; i < bytes; i++)
        le[i] = (unsigned char)(value >> 8 * i);
    ash__prof_put(out, le, bytes);
}

static uint64_t event_bytes(const struct ctf *ctf, const struct ash_trace_record *record) {
    return 2 + 8 + 4 + 1 + 8ull * ctf->types[ash_trace_id(record)].field_count;
}

static void put_event(struct ctf *ctf, const struct ash_trace_record *record) {
    uint32_t fields = ctf->types[ash_trace_id(record)].field_count;
    put_le(&ctf->out, ash_trace_id(record), 2);
    put_le(&ctf->out, record->clock, 8);
    put_le(&ctf->out, ash_trace_task(record), 4);
    put_le(&ctf->out, ash_trace_depth(record), 1);
    if (fields > 0)
        put_le(&ctf->out, record->a, 8);
    if (fields > 1)
        put_le(&ctf->out, record->b, 8);
}

struct packet {
    uint32_t cpu, count;
    uint64_t begin, end, number, lost;
};

static void put_packet(struct ctf *ctf, const struct packet *packet) {
    struct ash__prof_out *out = &ctf->out;
    uint64_t bytes = PACKET_BYTES;
    for (uint32_t i = 0; i < packet->count; i++)
        bytes += event_bytes(ctf, &ctf->records[i]);
    put_le(out, PACKET_MAGIC, 4);
    put_le(out, 0, 4); /* stream_id: there is one class */
    put_le(out, packet->cpu, 8);
    put_le(out, packet->begin, 8);
    put_le(out, packet->end, 8);
    put_le(out, bytes * 8, 8); /* content_size and packet_size are bits */
    put_le(out, bytes * 8, 8);
    put_le(out, packet->number, 8);
    put_le(out, packet->lost, 8);
    put_le(out, packet->cpu, 8);
    for (uint32_t i = 0; i < packet->count; i++)
        put_event(ctf, &ctf->records[i]);
}

/* "cpu_12" */
static void open_stream(struct ctf *ctf, uint32_t cpu) {
    char name[16] = "cpu_";
    uint32_t len = 4;
    for (uint32_t unit = cpu >= 100 ? 100 : cpu >= 10 ? 10 : 1; unit != 0; unit /= 10)
        name[len++] = (char)('0' + cpu / unit % 10);
    name[len] = 0;
    ash__prof_out_open(&ctf->out, name);
}

/* Up to PACKET_RECORDS of the CPU's next ones; false: their time runs backwards. */
static bool fill_packet(struct ctf *ctf, struct packet *packet,
                        struct ash_prof_record_cursor *cursor) {
    packet->count = 0;
    while (packet->count < PACKET_RECORDS &&
           ash_prof_records_next(ctf->view, packet->cpu, cursor, &ctf->records[packet->count]))
        packet->count++;
    if (packet->count != 0) {
        packet->begin = ctf->records[0].clock;
        packet->end = ctf->records[packet->count - 1].clock;
    }
    return cursor->disordered == 0;
}

/* An empty packet that has lost nothing: readers count by differences. */
static void put_start(struct ctf *ctf, struct packet *first, uint64_t overwritten) {
    struct packet start = {.cpu = first->cpu, .begin = first->begin, .end = first->begin};
    if (overwritten == 0)
        return;
    put_packet(ctf, &start);
    first->number = 1;
    first->lost = overwritten;
}

static void put_stream(struct ctf *ctf, uint32_t cpu) {
    struct ash_prof_record_cursor cursor;
    struct ash_prof_loss loss;
    struct packet packet = {.cpu = cpu, .begin = ctf->view->header->clock_now};
    packet.end = packet.begin;
    ash_prof_view_loss(ctf->view, cpu, &loss);
    open_stream(ctf, cpu);
    ash_prof_records_begin(&cursor);
    while (ctf->out.error == 0) {
        if (!fill_packet(ctf, &packet, &cursor))
            ctf->out.error = -ASH_EBADMSG;
        if (ctf->out.error != 0 || packet.count == 0)
            break;
        if (packet.number == 0)
            put_start(ctf, &packet, loss.overwritten);
        put_packet(ctf, &packet);
        packet.number++;
        ash__prof_out_step(&ctf->out, packet.count);
    }
    packet.begin = packet.end;
    if (packet.number == 0)
        put_start(ctf, &packet, loss.overwritten + loss.dropped);
    packet.lost = loss.overwritten + loss.dropped;
    if (packet.number == 0 || loss.dropped != 0)
        put_packet(ctf, &packet);
}

size_t ash__prof_ctf_work(const struct ash_prof_view *view) {
    struct ash__prof_work work = {.base = NULL};
    (void)ash__prof_take(&work, 1, sizeof(struct ctf));
    (void)ash__prof_take(&work, ASH__PROF_TYPES, sizeof(struct ash__prof_type));
    (void)ash__prof_take(&work, PACKET_RECORDS, sizeof(struct ash_trace_record));
    return ash__prof_record_total(view) == 0 ? 0 : work.used;
}

int ash__prof_ctf(const struct ash_prof_view *view, const struct ash_prof_sink *sink,
                  void *work_bytes, size_t bytes) {
    struct ash__prof_work work = {.base = work_bytes};
    struct ctf *ctf = ash__prof_take(&work, 1, sizeof(struct ctf));
    (void)bytes; /* the caller has compared them */
    ctf->view = view;
    ctf->types = ash__prof_take(&work, ASH__PROF_TYPES, sizeof(struct ash__prof_type));
    ctf->records = ash__prof_take(&work, PACKET_RECORDS, sizeof(struct ash_trace_record));
    ash__prof_types(view, ctf->types);
    ash__prof_out_begin(&ctf->out, sink, ash__prof_record_total(view));
    ash__prof_out_open(&ctf->out, "metadata");
    ash__ctf_metadata(&ctf->out, view, ctf->types);
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        if (view->cpus[cpu].trace != NULL && ctf->out.error == 0)
            put_stream(ctf, cpu);
    }
    return ash__prof_out_end(&ctf->out);
}
