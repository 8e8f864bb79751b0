/* SPDX-License-Identifier: MIT */
/* dump.c: see dump.h. Names are gathered twice: first to measure them, then into memory of that
 * size: what has come in between is left out. */
#include "dump.h"

#include <ashlar/bits.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dump_internal.h"
#include "images.h"
#include "mutex.h"
#include "platform.h"
#include "platform/sample.h"
#include "prof.h"
#include "thread.h"
#include "trace.h"
#include "trace_text.h"

enum { SECTION_ALIGN = 64 };

/* Books */

static uint32_t add_string(struct dump_book *book, const char *string) {
    uint32_t at = book->string_bytes, bytes = (uint32_t)strlen(string) + 1;
    if (book->pages != NULL && bytes > book->string_room - at)
        return 0;
    if (book->pages != NULL)
        memcpy(book->strings + at, string, bytes);
    book->string_bytes += bytes;
    return at;
}

static void add_event(struct dump_book *book, const struct ash_event *event) {
    const struct ash_prof_event entry = {.id = event->id,
                                         .kind = event->kind,
                                         .name = add_string(book, event->name),
                                         .fields = add_string(book, event->fields)};
    if (book->pages != NULL && book->event_count == book->event_room)
        return;
    if (book->pages != NULL)
        book->events[book->event_count] = entry;
    book->event_count++;
}

static void add_named(struct dump_book *book, uint64_t start, uint64_t end, uint32_t name) {
    if (book->pages != NULL && book->symbol_count == book->symbol_room)
        return;
    const struct ash_prof_symbol symbol = {
        .start = start, .bytes = (uint32_t)(end - start), .name = name};
    if (book->pages != NULL)
        book->symbols[book->symbol_count] = symbol;
    book->symbol_count++;
}

static void add_symbol(void *context, uint64_t start, uint64_t end, const char *name) {
    struct dump_book *book = context;
    if (book->pages == NULL || book->symbol_count < book->symbol_room)
        add_named(book, start, end, add_string(book, name));
}

/* What was added since the last group; 1 + its number, 0: nothing was. */
static uint32_t end_group(struct dump_book *book) {
    uint32_t before = book->group_count == 0 ? 0 : book->group_ends[book->group_count - 1];
    if (book->symbol_count == before || book->group_count == ASH_PROF_FILE_SYMBOLS_MAX) {
        book->symbol_count = before;
        return 0;
    }
    book->group_ends[book->group_count++] = book->symbol_count;
    return book->group_count;
}

static void add_image(struct dump_book *book, const struct ash_prof_image *image) {
    if (book->pages != NULL && book->image_count == book->image_room)
        return;
    if (book->pages != NULL)
        book->images[book->image_count] = *image;
    book->image_count++;
}

static void add_kernel(struct dump_book *book) {
    const uint8_t *id;
    uint64_t start, end;
    const char *name;
    struct ash_prof_image image = {.name = add_string(book, "kernel")};
    for (uint32_t i = 0; platform_code_function(i, &start, &end, &name); i++)
        add_symbol(book, start, end, name);
    image.symbols = end_group(book);
    platform_code(&image.start, &image.end, &id, &image.build_id_bytes);
    image.link_start = image.start;
    image.build_id_bytes = (uint32_t)ash_min_u64(image.build_id_bytes, sizeof(image.build_id));
    if (image.build_id_bytes != 0)
        memcpy(image.build_id, id, image.build_id_bytes);
    add_image(book, &image);
}

static const char *file_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* What lies between functions with names are its own, without: "[libc.so.6]". */
static void add_library_functions(struct dump_book *book, uint32_t i,
                                  const struct platform_library *library) {
    char text[64];
    const char *name;
    uint64_t start, end, at = library->link_start;
    snprintf(text, sizeof(text), "[%.60s]", file_of(library->name));
    uint32_t own = add_string(book, text);
    for (uint32_t j = 0; platform_library_function(i, j, &start, &end, &name); j++) {
        if (start > at)
            add_named(book, at, start, own);
        add_symbol(book, start, end, name);
        at = end;
    }
    end = library->link_start + (library->end - library->start);
    if (at < end)
        add_named(book, at, end, own);
}

static void add_libraries(struct dump_book *book) {
    struct platform_library library;
    for (uint32_t i = 0; platform_library(i, &library); i++) {
        struct ash_prof_image image = {.name = add_string(book, library.name),
                                       .start = library.start,
                                       .end = library.end,
                                       .link_start = library.link_start};
        add_library_functions(book, i, &library);
        image.symbols = end_group(book);
        image.build_id_bytes =
            (uint32_t)ash_min_u64(library.build_id_bytes, sizeof(image.build_id));
        if (image.build_id_bytes != 0)
            memcpy(image.build_id, library.build_id, image.build_id_bytes);
        add_image(book, &image);
    }
}

/* Several processes may have run the same program: its functions are there once. */
static void add_programs(struct dump_book *book) {
    static uint8_t group_of[IMAGES_MAX];
    struct program_image from;
    for (uint32_t i = 0; i < IMAGES_MAX && images_get(i, &from); i++) {
        struct ash_prof_image image = {.process = from.process,
                                       .name = add_string(book, from.path),
                                       .start = from.start,
                                       .end = from.end,
                                       .link_start = from.link_start,
                                       .build_id_bytes = from.build_id_bytes};
        group_of[i] = 0;
        if (from.program < i)
            group_of[i] = group_of[from.program];
        else if (images_functions(&from, add_symbol, book) == 0)
            group_of[i] = (uint8_t)end_group(book);
        image.symbols = group_of[i];
        memcpy(image.build_id, from.build_id, sizeof(image.build_id));
        add_image(book, &image);
    }
}

static void fill(struct dump_book *book, bool with_programs) {
    const struct ash_event *event;
    book->string_bytes = book->event_count = book->image_count = 0;
    book->symbol_count = book->group_count = 0;
    (void)add_string(book, "");
    for (uint32_t i = 0; (event = trace_event(i)) != NULL; i++) {
        if (event->id != 0)
            add_event(book, event);
    }
    add_kernel(book);
    if (with_programs) {
        add_libraries(book);
        add_programs(book);
    }
}

static uint64_t place(uint64_t *bytes, uint64_t len) {
    uint64_t at = *bytes;
    *bytes = ash_align_up(at + len, SECTION_ALIGN);
    return at;
}

int dump_book_make(struct dump_book *book, struct kernel_memory *memory, bool with_programs) {
    *book = (struct dump_book){.memory = memory};
    fill(book, with_programs);
    uint64_t bytes = 0;
    uint64_t symbols = place(&bytes, book->symbol_count * sizeof(*book->symbols));
    uint64_t images = place(&bytes, book->image_count * sizeof(*book->images));
    uint64_t events = place(&bytes, book->event_count * sizeof(*book->events));
    uint64_t strings = place(&bytes, book->string_bytes);
    book->order = memory_order_of(bytes);
    uint8_t *pages = memory_pages_alloc(memory, book->order);
    if (pages == NULL)
        return -ASH_ENOMEM;
    book->pages = pages;
    book->symbols = (struct ash_prof_symbol *)(pages + symbols);
    book->images = (struct ash_prof_image *)(pages + images);
    book->events = (struct ash_prof_event *)(pages + events);
    book->strings = (char *)(pages + strings);
    book->symbol_room = book->symbol_count;
    book->image_room = book->image_count;
    book->event_room = book->event_count;
    book->string_room = book->string_bytes;
    fill(book, with_programs);
    return 0;
}

void dump_book_free(struct dump_book *book) {
    if (book->pages != NULL)
        memory_pages_free(book->memory, book->pages, book->order);
    book->pages = NULL;
}

/* Parts */

static void add_part(struct dump *dump, uint32_t type, uint32_t which, const void *bytes,
                     uint32_t item_bytes, uint64_t count) {
    if (count == 0 || dump->part_count == DUMP_PARTS_MAX)
        return;
    dump->parts[dump->part_count++] = (struct ash_prof_part){.type = type,
                                                             .which = which,
                                                             .item_bytes = item_bytes,
                                                             .bytes = bytes,
                                                             .len = count * item_bytes};
}

static void add_book(struct dump *dump) {
    const struct dump_book *book = &dump->book;
    if (book->pages == NULL)
        return;
    add_part(dump, ASH_PROF_SECTION_STRINGS, 0, book->strings, 1, book->string_bytes);
    add_part(dump, ASH_PROF_SECTION_EVENTS, 0, book->events, sizeof(*book->events),
             book->event_count);
    add_part(dump, ASH_PROF_SECTION_IMAGES, 0, book->images, sizeof(*book->images),
             book->image_count);
    for (uint32_t i = 0; i < book->group_count; i++) {
        uint32_t first = i == 0 ? 0 : book->group_ends[i - 1];
        add_part(dump, ASH_PROF_SECTION_SYMBOLS, i, book->symbols + first, sizeof(*book->symbols),
                 book->group_ends[i] - first);
    }
}

/* The thread of a process that has ended no longer says that it was one. */
static bool was_process(const struct dump_book *book, uint32_t id) {
    for (uint32_t i = 0; i < book->image_count; i++) {
        if (book->images[i].process == id)
            return true;
    }
    return false;
}

static void add_tasks(struct dump *dump, bool in_panic) {
    static struct thread_name names[TRACE_NAMES_MAX];
    uint32_t count = thread_names(names, TRACE_NAMES_MAX, in_panic);
    /* No thread: to a trace, a CPU that idles; to samples, which know idleness by a flag, who has
     * the machine alone. */
    const char *nobody = (dump->what & DUMP_TRACE) != 0 ? "idle" : "kernel";
    dump->tasks[0] = (struct ash_prof_task){.id = 0};
    memcpy(dump->tasks[0].name, nobody, strlen(nobody));
    for (uint32_t i = 0; i < count; i++) {
        struct ash_prof_task *task = &dump->tasks[i + 1];
        *task = (struct ash_prof_task){.id = names[i].id, .process = names[i].process};
        if (task->process == 0 && was_process(&dump->book, task->id))
            task->process = task->id;
        memcpy(task->name, names[i].name, sizeof(names[i].name));
    }
    add_part(dump, ASH_PROF_SECTION_TASKS, 0, dump->tasks, sizeof(*dump->tasks), count + 1);
}

static void add_trace(struct dump *dump) {
    const struct trace *trace = trace_get();
    for (uint32_t cpu = 0; trace->rings != NULL && cpu < trace->cpus; cpu++) {
        struct ash_trace_counts counts;
        uint32_t capacity;
        const struct ash_trace_record *records = ash_trace_records(&trace->rings[cpu], &capacity);
        ash_trace_count(&trace->rings[cpu], &counts);
        uint64_t last = counts.emitted - counts.dropped;
        dump->traces[cpu] = (struct ash_prof_trace){.emitted = counts.emitted,
                                                    .dropped = counts.dropped,
                                                    .capacity = capacity,
                                                    .mode = trace->mode};
        add_part(dump, ASH_PROF_SECTION_TRACE, cpu, &dump->traces[cpu], sizeof(*dump->traces), 1);
        add_part(dump, ASH_PROF_SECTION_RECORDS, cpu, records, sizeof(*records),
                 ash_min_u64(last + 1, capacity));
    }
}

/* "key=value\n" */
static size_t put(char *text, size_t used, const char *key, const char *value) {
    int len = snprintf(text + used, DUMP_TEXT_BYTES - used, "%s=%.400s\n", key, value);
    if (len < 0 || (size_t)len >= DUMP_TEXT_BYTES - used)
        return used;
    for (char *at = text + used; at < text + used + len - 1; at++)
        *at = (uint8_t)*at < ' ' ? ' ' : *at;
    return used + (size_t)len;
}

static void add_text(struct dump *dump, const char *reason) {
    const uint8_t *id;
    uint64_t start, end;
    uint32_t id_len;
    char hex[65] = "", number[12];
    platform_code(&start, &end, &id, &id_len);
    for (uint32_t i = 0; i < id_len && i < 32; i++)
        snprintf(hex + 2 * i, sizeof(hex) - 2 * i, "%02x", id[i]);
    snprintf(number, sizeof(number), "%" PRIu32, platform_cpu_count());
    size_t used = put(dump->text, 0, "machine", platform_name());
    used = put(dump->text, used, "cpus", number);
    used = put(dump->text, used, "arguments", platform_arguments());
    used = put(dump->text, used, "build_id", hex);
    used = put(dump->text, used, "reason", reason);
    if ((dump->what & DUMP_PROFILE) != 0)
        used += prof_text(dump->text + used, DUMP_TEXT_BYTES - used);
    add_part(dump, ASH_PROF_SECTION_TEXT, 0, dump->text, 1, used);
}

void dump_fill(struct dump *dump, struct dump_room *room, const char *reason, bool in_panic) {
    dump->parts = room->parts;
    dump->tasks = room->tasks;
    dump->traces = room->traces;
    dump->part_count = 0;
    dump->clocks = (struct ash_prof_file_header){.clock_hz = platform_clock_hz(),
                                                 .clock_origin = trace_clock_origin(),
                                                 .clock_now = ash_port_cycles()};
    add_text(dump, reason);
    add_book(dump);
    add_tasks(dump, in_panic);
    if ((dump->what & DUMP_TRACE) != 0)
        add_trace(dump);
    if ((dump->what & DUMP_PROFILE) != 0)
        dump->part_count +=
            prof_parts(dump->parts + dump->part_count, DUMP_PARTS_MAX - dump->part_count);
}

/* Dumps */

static struct mutex one_at_a_time = MUTEX_INIT(one_at_a_time);

int dump_begin(struct dump *dump, struct kernel_memory *memory, uint32_t what) {
    static struct dump_room room;
    memset(dump, 0, sizeof(*dump));
    dump->what = what;
    mutex_lock(&one_at_a_time);
    int error = dump_book_make(&dump->book, memory, true);
    if (error != 0) {
        mutex_unlock(&one_at_a_time);
        return error;
    }
    trace_pause();
    dump_fill(dump, &room, "dump", false);
    return 0;
}

uint64_t dump_bytes(const struct dump *dump) {
    return ash_prof_file_bytes(dump->parts, dump->part_count);
}

int dump_write(const struct dump *dump, int (*write)(void *context, const void *bytes, size_t len),
               void *context) {
    return ash_prof_file_write(&dump->clocks, dump->parts, dump->part_count, write, context);
}

void dump_end(struct dump *dump) {
    dump_book_free(&dump->book);
    trace_resume();
    mutex_unlock(&one_at_a_time);
}
