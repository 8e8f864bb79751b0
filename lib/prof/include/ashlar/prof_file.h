/* SPDX-License-Identifier: MIT */
/*
 * prof_file.h: the container of traces and profiles: arrays as they lie in memory, behind a table
 * that says what they are. Written by a kernel without scaling, sorting or naming anything; read
 * in place.
 *
 * Rules
 *  - Little-endian. Every section begins at a multiple of 64, behind the one before; no two have
 *    the same type and the same `which`, which is 0 where nothing else is said.
 *  - A reader trusts nothing: ash_prof_file_open has looked at every length, index and string
 *    before a view is handed out, and what it refuses it names. Records, samples and stacks are
 *    looked at one by one, as they are read (prof_view.h).
 *  - A writer knows all sizes before the first byte, so a file may be written without going back:
 *    in a panic, over a serial line. Two check sums say whether they arrived: one of header and
 *    table, one behind everything, of the contents.
 *
 *     +--------+-------------------+---------+---------+-- ... --+-----+
 *     | header | table of sections | section | section |         | end |
 *     +--------+-------------------+---------+---------+-- ... --+-----+
 */
#ifndef ASHLAR_PROF_FILE_H
#define ASHLAR_PROF_FILE_H

#include <ashlar/base.h>
#include <ashlar/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_PROF_FILE_MAGIC        UINT64_C(0x0a0d1a4843525341) /* "ASRCH\x1a\r\n" */
#define ASH_PROF_FILE_VERSION      1u
#define ASH_PROF_FILE_CPUS_MAX     256u
#define ASH_PROF_FILE_SECTIONS_MAX 4096u
#define ASH_PROF_FILE_SYMBOLS_MAX  64u /* sections of symbols */

struct ash_prof_file_header {
    uint64_t magic;
    uint32_t version, header_bytes; /* sizeof this */
    uint64_t file_bytes;
    uint32_t section_count, section_bytes; /* sizeof a section's entry; the table follows */
    uint64_t clock_hz;
    uint64_t clock_origin; /* what the clock was at the machine's time 0 */
    uint64_t clock_now;    /* when this was written */
    uint32_t crc32;        /* of header and table, this field as 0 (that of gzip) */
    uint32_t reserved;     /* 0 */
};

struct ash_prof_file_end { /* the file's last bytes, at a multiple of 64 */
    uint64_t magic;        /* ASH_PROF_FILE_MAGIC again */
    uint32_t crc32;        /* of all between the table and this */
    uint32_t reserved;     /* 0 */
};

enum ash_prof_section {
    ASH_PROF_SECTION_TEXT = 1, /* "key=value\n" ...: machine, trigger, asked_hz, build_id, reason */
    ASH_PROF_SECTION_STRINGS,  /* each ends in 0; offset 0 is "" */
    ASH_PROF_SECTION_EVENTS,   /* struct ash_prof_event */
    ASH_PROF_SECTION_TASKS,    /* struct ash_prof_task */
    ASH_PROF_SECTION_IMAGES,   /* struct ash_prof_image */
    ASH_PROF_SECTION_SYMBOLS,  /* struct ash_prof_symbol; which: the image's index */
    ASH_PROF_SECTION_TRACE,    /* struct ash_prof_trace; which: the CPU */
    ASH_PROF_SECTION_RECORDS,  /* struct ash_trace_record; which: the CPU */
    ASH_PROF_SECTION_PROFILE,  /* struct ash_prof_profile; which: the CPU */
    ASH_PROF_SECTION_SAMPLES,  /* struct ash_prof_sample; which: the CPU */
    ASH_PROF_SECTION_STACKS,   /* words; which: the CPU */
};

struct ash_prof_file_section {
    uint32_t type; /* enum ash_prof_section; unknown ones are passed over */
    uint32_t which;
    uint64_t offset, bytes;
    uint32_t item_bytes; /* what a writer of this version has; 1: of text */
    uint32_t reserved;   /* 0 */
};

/* struct ash_event, flat; in the order of their ids. */
struct ash_prof_event {
    uint32_t id, kind, name, fields; /* name and fields: offsets among the strings */
};

struct ash_prof_task {
    uint32_t id, process; /* process 0: a thread of the kernel */
    char name[24];        /* ends in 0 */
};

/* Code that was mapped somewhere. A program that was started twice has two. */
struct ash_prof_image {
    uint32_t process;                 /* 0: the kernel */
    uint32_t name;                    /* offset among the strings: a path */
    uint64_t start, end;              /* addresses */
    uint64_t link_start;              /* the address in the ELF file that `start` is */
    uint8_t build_id[32];             /* the first build_id_bytes of it; the rest 0 */
    uint32_t build_id_bytes, symbols; /* symbols: 1 + the `which` of its section; 0: none */
};

/* Sorted by start, disjoint; addresses as in the ELF file. One of 0 bytes ends where the next one
 * begins. */
struct ash_prof_symbol {
    uint64_t start;
    uint32_t bytes, name;
};

struct ash_prof_trace {
    uint64_t emitted;  /* events, kept or not */
    uint64_t dropped;  /* of these: they have no sequence number; the last is the difference */
    uint32_t capacity; /* records of the ring, a power of two. The RECORDS section has its slots
                        * from 0 on: all, or at least min(emitted - dropped + 1, capacity) */
    uint32_t mode;     /* enum ash_trace_mode */
};

struct ash_prof_profile {
    uint64_t taken, overwritten, weight, leaves;
    uint64_t clock_begin, clock_last; /* of the begin, of the newest sample */
    uint64_t clock_end;               /* when sampling stopped */
    uint32_t asked_hz, trigger;       /* enum ash_prof_trigger */
    uint32_t first, capacity;         /* the oldest of the SAMPLES section, of a ring of so many */
};

enum ash_prof_trigger { ASH_PROF_TIMER, ASH_PROF_CYCLES };

/* Writing: describe the sections; every byte of them is passed on in order */

struct ash_prof_part {
    uint32_t type, which, item_bytes;
    const void *bytes;
    uint64_t len;
};

/* Bytes of the file; 0: too many parts, or too large a sum. */
uint64_t ash_prof_file_bytes(const struct ash_prof_part *parts, uint32_t count);

/*
 * Hands the whole file over as pieces: header, table, sections with their padding, end. Stops at
 * the first error of `write`, and returns it. clocks: clock_hz, _origin and _now are taken from it.
 * The parts stay as they are meanwhile: records that are written in between are refused by readers
 * as damage. O(bytes), some two nanoseconds a byte. -ASH_EINVAL: ash_prof_file_bytes says 0.
 */
int ash_prof_file_write(const struct ash_prof_file_header *clocks,
                        const struct ash_prof_part *parts, uint32_t count,
                        int (*write)(void *context, const void *bytes, size_t len),
                        void *context) ASH_MUST_CHECK;

/* Reading: prof_view.h */

#ifdef __cplusplus
}
#endif

#endif
