/* SPDX-License-Identifier: MIT */
/*
 * view_open.c: the container is opened: whatever single items do not say of themselves is looked at
 * here, once, and what is refused is named.
 */
#include <ashlar/bits.h>
#include <ashlar/prof_view.h>

#include "file_internal.h"

/* A sentence that is cut where its room ends, and ends in 0 there. */
struct sentence {
    char *at;
    size_t room; /* for the 0, too */
};

static bool say(struct sentence *sentence, const char *words) {
    while (*words != '\0' && sentence->room > 1) {
        *sentence->at++ = *words++;
        sentence->room--;
    }
    if (sentence->room != 0)
        *sentence->at = '\0';
    return false;
}

static bool say_number(struct sentence *sentence, uint64_t number) {
    char digits[21];
    uint32_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return say(sentence, &digits[at]);
}

/* "what 5 of 3 ..." */
static bool refuse(struct sentence *sentence, const char *what, uint64_t number,
                   const char *between, uint64_t other, const char *end) {
    say(sentence, what);
    say_number(sentence, number);
    say(sentence, between);
    say_number(sentence, other);
    return say(sentence, end);
}

static bool refuse_one(struct sentence *sentence, const char *what, uint64_t number,
                       const char *end) {
    say(sentence, what);
    say_number(sentence, number);
    return say(sentence, end);
}

/* Header and table */

static bool read_header(struct ash_prof_view *view, const uint8_t *bytes, size_t len,
                        struct sentence *sentence) {
    uint64_t magic = ASH_PROF_FILE_MAGIC;
    const struct ash_prof_file_header *header = view->header;
    if (len == 0)
        return say(sentence, "empty");
    if (__builtin_memcmp(bytes, &magic, len < sizeof(magic) ? len : sizeof(magic)) != 0)
        return say(sentence, "not an Ashlar trace");
    if (len < sizeof(*header))
        return refuse(sentence, "cut short: ", len, " of at least ", sizeof(*header), " bytes");
    if (header->version != ASH_PROF_FILE_VERSION)
        return refuse(sentence, "version ", header->version, "; this program reads ",
                      ASH_PROF_FILE_VERSION, "");
    if (header->file_bytes > len)
        return refuse(sentence, "cut short: ", len, " of ", header->file_bytes, " bytes");
    if (header->file_bytes < len)
        return refuse(sentence, "", len, " bytes, where its header says ", header->file_bytes, "");
    return true;
}

static uint64_t table_end(const struct ash_prof_file_header *header) {
    return sizeof(*header) + (uint64_t)header->section_count * sizeof(struct ash_prof_file_section);
}

static bool check_sums(struct ash_prof_view *view, const uint8_t *bytes,
                       struct sentence *sentence) {
    struct ash_prof_file_header header = *view->header;
    uint64_t end_offset = header.file_bytes - sizeof(struct ash_prof_file_end);
    if (header.header_bytes != sizeof(header) || header.reserved != 0 ||
        header.section_bytes != sizeof(struct ash_prof_file_section) ||
        header.section_count > ASH_PROF_FILE_SECTIONS_MAX || table_end(&header) > end_offset ||
        !ash_is_aligned(end_offset, ASH__PROF_FILE_ALIGN))
        return say(sentence, "damaged: its header makes no sense");
    header.crc32 = 0;
    uint32_t crc = ash__prof_crc32(0, &header, sizeof(header));
    crc =
        ash__prof_crc32(crc, bytes + sizeof(header), (size_t)(table_end(&header) - sizeof(header)));
    if (crc != view->header->crc32)
        return say(sentence, "damaged: header and table do not match their check sum");
    if (header.clock_hz == 0)
        return say(sentence, "its clock has 0 Hz");

    const struct ash_prof_file_end *end = (const void *)(bytes + end_offset);
    crc = ash__prof_crc32(0, bytes + table_end(&header), (size_t)(end_offset - table_end(&header)));
    view->is_damaged = end->magic != ASH_PROF_FILE_MAGIC || end->crc32 != crc || end->reserved != 0;
    return true;
}

/* Sections */

enum owner { OF_FILE, OF_CPU, OF_SYMBOLS };

/* Of each type, from 1 on. */
static const struct section_rule {
    const char *name;
    uint32_t item_bytes;
    enum owner owner;
} rules[] = {
    [ASH_PROF_SECTION_TEXT] = {"text", 1, OF_FILE},
    [ASH_PROF_SECTION_STRINGS] = {"strings", 1, OF_FILE},
    [ASH_PROF_SECTION_EVENTS] = {"events", sizeof(struct ash_prof_event), OF_FILE},
    [ASH_PROF_SECTION_TASKS] = {"tasks", sizeof(struct ash_prof_task), OF_FILE},
    [ASH_PROF_SECTION_IMAGES] = {"images", sizeof(struct ash_prof_image), OF_FILE},
    [ASH_PROF_SECTION_SYMBOLS] = {"symbols", sizeof(struct ash_prof_symbol), OF_SYMBOLS},
    [ASH_PROF_SECTION_TRACE] = {"trace", sizeof(struct ash_prof_trace), OF_CPU},
    [ASH_PROF_SECTION_RECORDS] = {"records", sizeof(struct ash_trace_record), OF_CPU},
    [ASH_PROF_SECTION_PROFILE] = {"profile", sizeof(struct ash_prof_profile), OF_CPU},
    [ASH_PROF_SECTION_SAMPLES] = {"samples", sizeof(struct ash_prof_sample), OF_CPU},
    [ASH_PROF_SECTION_STACKS] = {"stacks", sizeof(uint64_t), OF_CPU},
};

static const struct section_rule *rule_of(uint32_t type) {
    return type != 0 && type < ASH_ARRAY_LEN(rules) ? &rules[type] : NULL;
}

static uint32_t limit_of(enum owner owner) {
    return owner == OF_FILE  ? 1
           : owner == OF_CPU ? ASH_PROF_FILE_CPUS_MAX
                             : ASH_PROF_FILE_SYMBOLS_MAX;
}

/* Where a view keeps a section: the pointer is set, so that none is taken twice. */
struct shelf {
    const void **items;
    uint32_t *count; /* NULL: there is one item */
    size_t *bytes;   /* of texts */
};

#define SHELF(place) ((const void **)(void *)&(place))

static struct shelf shelf_of(struct ash_prof_view *view, uint32_t type, uint32_t which) {
    struct ash_prof_view_cpu *cpu = &view->cpus[which];
    switch (type) {
    case ASH_PROF_SECTION_TEXT:
        return (struct shelf){SHELF(view->text), NULL, &view->text_bytes};
    case ASH_PROF_SECTION_STRINGS:
        return (struct shelf){SHELF(view->strings), NULL, &view->string_bytes};
    case ASH_PROF_SECTION_EVENTS:
        return (struct shelf){SHELF(view->events), &view->event_count, NULL};
    case ASH_PROF_SECTION_TASKS:
        return (struct shelf){SHELF(view->tasks), &view->task_count, NULL};
    case ASH_PROF_SECTION_IMAGES:
        return (struct shelf){SHELF(view->images), &view->image_count, NULL};
    case ASH_PROF_SECTION_SYMBOLS:
        return (struct shelf){SHELF(view->symbols[which]), &view->symbol_counts[which], NULL};
    case ASH_PROF_SECTION_TRACE:
        return (struct shelf){SHELF(cpu->trace), NULL, NULL};
    case ASH_PROF_SECTION_RECORDS:
        return (struct shelf){SHELF(cpu->records), &cpu->record_count, NULL};
    case ASH_PROF_SECTION_PROFILE:
        return (struct shelf){SHELF(cpu->profile), NULL, NULL};
    case ASH_PROF_SECTION_SAMPLES:
        return (struct shelf){SHELF(cpu->samples), &cpu->sample_count, NULL};
    default:
        return (struct shelf){SHELF(cpu->words), &cpu->word_count, NULL};
    }
}

static bool refuse_section(struct sentence *sentence, const struct ash_prof_file_section *section,
                           const char *why) {
    say(sentence, "section \"");
    say(sentence, rules[section->type].name);
    return refuse_one(sentence, "\" ", section->which, why);
}

static bool take_section(struct ash_prof_view *view, const uint8_t *bytes,
                         const struct ash_prof_file_section *section, struct sentence *sentence) {
    const struct section_rule *rule = rule_of(section->type);
    if (rule == NULL)
        return true;
    if (section->which >= limit_of(rule->owner))
        return refuse_section(sentence, section, ": there is no such number");
    if (section->item_bytes != rule->item_bytes || section->bytes % rule->item_bytes != 0)
        return refuse_section(sentence, section, " has items of another size");
    uint64_t count = section->bytes / rule->item_bytes;
    if (count > UINT32_MAX)
        return refuse_section(sentence, section, " has too many items");
    struct shelf shelf = shelf_of(view, section->type, section->which);
    if (*shelf.items != NULL)
        return refuse_section(sentence, section, " is there twice");
    *shelf.items = bytes + section->offset;
    if (shelf.count != NULL)
        *shelf.count = (uint32_t)count;
    else if (shelf.bytes != NULL)
        *shelf.bytes = (size_t)section->bytes;
    else if (count != 1)
        return refuse_section(sentence, section, " has not one item");
    if (rule->owner == OF_CPU && section->which >= view->cpu_count)
        view->cpu_count = section->which + 1;
    return true;
}

static bool take_sections(struct ash_prof_view *view, const uint8_t *bytes,
                          struct sentence *sentence) {
    const struct ash_prof_file_section *table = (const void *)(bytes + sizeof(*view->header));
    uint64_t end = view->header->file_bytes - sizeof(struct ash_prof_file_end);
    uint64_t behind = table_end(view->header);
    for (uint32_t i = 0; i < view->header->section_count; i++) {
        const struct ash_prof_file_section *section = &table[i];
        if (section->reserved != 0 || section->offset < behind ||
            !ash_is_aligned(section->offset, ASH__PROF_FILE_ALIGN) ||
            !ash_range_fits(section->offset, section->bytes, end))
            return refuse_one(sentence, "damaged: section ", i, " of its table lies nowhere");
        behind = section->offset + section->bytes;
        if (!take_section(view, bytes, section, sentence))
            return false;
    }
    return true;
}

/* What is in them */

static bool check_events(const struct ash_prof_view *view, struct sentence *sentence) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < view->event_count; i++) {
        const struct ash_prof_event *event = &view->events[i];
        if (event->id <= last || event->id > ASH_TRACE_ID_MAX)
            return refuse(sentence, "event ", i, " has the id ", event->id,
                          ": they rise, from 1 to 1023");
        if (event->kind >= ASH_EVENT_KINDS)
            return refuse(sentence, "event ", i, " is of the unknown kind ", event->kind, "");
        if (event->name >= view->string_bytes || event->fields >= view->string_bytes)
            return refuse_one(sentence, "event ", i, ": its name lies outside of the strings");
        last = event->id;
    }
    return true;
}

static bool check_tasks(const struct ash_prof_view *view, struct sentence *sentence) {
    for (uint32_t i = 0; i < view->task_count; i++)
        if (view->tasks[i].name[sizeof(view->tasks[i].name) - 1] != '\0')
            return refuse_one(sentence, "task ", i, ": its name does not end");
    return true;
}

static bool check_images(const struct ash_prof_view *view, struct sentence *sentence) {
    for (uint32_t i = 0; i < view->image_count; i++) {
        const struct ash_prof_image *image = &view->images[i];
        uint64_t link_end;
        if (image->end <= image->start ||
            !ash_add_u64(image->link_start, image->end - image->start, &link_end))
            return refuse_one(sentence, "image ", i, ": its addresses make no sense");
        if (image->name >= view->string_bytes)
            return refuse_one(sentence, "image ", i, ": its name lies outside of the strings");
        if (image->build_id_bytes > sizeof(image->build_id))
            return refuse_one(sentence, "image ", i, ": its build-id is too long");
        if (image->symbols > ASH_PROF_FILE_SYMBOLS_MAX ||
            (image->symbols != 0 && view->symbols[image->symbols - 1] == NULL))
            return refuse_one(sentence, "image ", i, ": its symbols are not there");
    }
    return true;
}

static bool check_symbols(const struct ash_prof_view *view, uint32_t which,
                          struct sentence *sentence) {
    uint64_t behind = 0; /* the first address that the next one may have */
    for (uint32_t i = 0; i < view->symbol_counts[which]; i++) {
        const struct ash_prof_symbol *symbol = &view->symbols[which][i];
        if ((i != 0 && symbol->start < behind) ||
            !ash_add_u64(symbol->start, symbol->bytes, &behind) ||
            (symbol->bytes == 0 && !ash_add_u64(behind, 1, &behind)))
            return refuse(sentence, "symbol ", i, " of section ", which, " is not in order");
        if (symbol->name >= view->string_bytes)
            return refuse(sentence, "symbol ", i, " of section ", which,
                          ": its name lies outside of the strings");
    }
    return true;
}

static bool check_trace(const struct ash_prof_view *view, uint32_t cpu, struct sentence *sentence) {
    const struct ash_prof_view_cpu *of = &view->cpus[cpu];
    if (of->trace == NULL)
        return of->records == NULL ||
               refuse_one(sentence, "CPU ", cpu, " has records and no section \"trace\"");
    if (!ash_is_pow2(of->trace->capacity) || of->trace->capacity > ASH_TRACE_EVENTS_MAX)
        return refuse(sentence, "CPU ", cpu, ": a ring of ", of->trace->capacity,
                      " records, which is no power of two up to 2^26");
    if (of->trace->mode > ASH_TRACE_STOP || of->trace->dropped > of->trace->emitted ||
        of->trace->emitted == UINT64_MAX)
        return refuse_one(sentence, "CPU ", cpu, ": its section \"trace\" makes no sense");
    uint64_t least = ash_min_u64(of->trace->emitted - of->trace->dropped + 1, of->trace->capacity);
    if (of->record_count > of->trace->capacity || of->record_count < least) {
        refuse(sentence, "CPU ", cpu, ": ", of->record_count, " records, where the ring has ");
        return say_number(sentence, least);
    }
    return true;
}

static bool check_profile(const struct ash_prof_view *view, uint32_t cpu,
                          struct sentence *sentence) {
    const struct ash_prof_view_cpu *of = &view->cpus[cpu];
    if (of->profile == NULL)
        return (of->samples == NULL && of->words == NULL) ||
               refuse_one(sentence, "CPU ", cpu, " has samples and no section \"profile\"");
    if (of->sample_count > of->profile->capacity ||
        (of->profile->first != 0 && (of->sample_count != of->profile->capacity ||
                                     of->profile->first >= of->profile->capacity)))
        return refuse(sentence, "CPU ", cpu, ": ", of->sample_count,
                      " samples, which are none of its ring");
    if (of->profile->trigger > ASH_PROF_CYCLES)
        return refuse(sentence, "CPU ", cpu, ": unknown trigger ", of->profile->trigger, "");
    return true;
}

static bool check_contents(struct ash_prof_view *view, struct sentence *sentence) {
    if (view->strings == NULL) {
        view->strings = "";
        view->string_bytes = 1;
    }
    if (view->string_bytes == 0 || view->strings[0] != '\0' ||
        view->strings[view->string_bytes - 1] != '\0')
        return say(sentence, "its strings do not begin and end in 0");
    if (!check_events(view, sentence) || !check_tasks(view, sentence) ||
        !check_images(view, sentence))
        return false;
    for (uint32_t i = 0; i < ASH_PROF_FILE_SYMBOLS_MAX; i++)
        if (!check_symbols(view, i, sentence))
            return false;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++)
        if (!check_trace(view, cpu, sentence) || !check_profile(view, cpu, sentence))
            return false;
    return true;
}

int ash_prof_view_open(struct ash_prof_view *view, const void *bytes, size_t len, char *message,
                       size_t message_bytes) {
    struct sentence sentence = {message, message_bytes};
    say(&sentence, "");
    __builtin_memset(view, 0, sizeof(*view));
    view->header = bytes;
    if (!ash_is_aligned((uintptr_t)bytes, ASH__PROF_FILE_ALIGN)) {
        say(&sentence, "it lies at an address that is no multiple of 64");
        return -ASH_EINVAL;
    }
    return read_header(view, bytes, len, &sentence) && check_sums(view, bytes, &sentence) &&
                   take_sections(view, bytes, &sentence) && check_contents(view, &sentence)
               ? 0
               : -ASH_EINVAL;
}
