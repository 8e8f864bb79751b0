/* SPDX-License-Identifier: MIT */
/*
 * cfi_rows: prints every row that lib/prof reads out of an .eh_frame:
 *
 *     cfi_rows FILE ADDRESS aarch64|x86_64
 *
 * FILE holds the section's bytes, ADDRESS is where it lies (hexadecimal). A line is
 * "start end link frame", each of the last two as "sp+8", "fp-16", "register" or "unknown". With
 * every row it asks ash_prof_cfi_find, through an index, for the row's first and last address.
 */
#include <ashlar/check.h>
#include <ashlar/prof_cfi.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct printing {
    struct ash_prof_cfi cfi;
    uint64_t differences;
};

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    fprintf(stderr, "%s:%" PRIu32 ": %s\n", file, line, format);
    abort();
}

static void print_place(enum ash_prof_cfi_where where, int64_t offset) {
    switch (where) {
    case ASH_PROF_CFI_UNKNOWN:
        printf(" unknown");
        break;
    case ASH_PROF_CFI_REGISTER:
        printf(" register");
        break;
    default:
        printf(" %s%+" PRId64, where == ASH_PROF_CFI_STACK ? "sp" : "fp", offset);
    }
}

static void compare(struct printing *printing, const struct ash_prof_cfi_answer *row, uint64_t pc) {
    struct ash_prof_cfi_answer found;
    ash_prof_cfi_find(&printing->cfi, pc, &found);
    printing->differences += found.where != row->where || found.offset != row->offset ||
                             found.frame_where != row->frame_where ||
                             found.frame_offset != row->frame_offset || found.start != row->start ||
                             found.end != row->end;
}

static void print_row(void *context, const struct ash_prof_cfi_answer *row) {
    struct printing *printing = context;
    printf("%" PRIx64 " %" PRIx64, row->start, row->end);
    print_place(row->where, row->offset);
    print_place(row->frame_where, row->frame_offset);
    printf("\n");
    compare(printing, row, row->start);
    compare(printing, row, row->end - 1);
}

static uint8_t *contents(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        return NULL;
    *len = (size_t)ftell(file);
    uint8_t *bytes = malloc(*len + 1);
    rewind(file);
    bool is_read = bytes != NULL && fread(bytes, 1, *len, file) == *len;
    fclose(file);
    return is_read ? bytes : NULL;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "use: %s FILE ADDRESS aarch64|x86_64\n", words[0]);
        return 2;
    }
    size_t len = 0;
    uint8_t *bytes = contents(words[1], &len);
    if (bytes == NULL) {
        fprintf(stderr, "%s: cannot be read\n", words[1]);
        return 2;
    }
    uint64_t address = strtoull(words[2], NULL, 16);
    struct ash_prof_cfi arm = {bytes, len, address, ASH_PROF_CFI_AARCH64, NULL, 0};
    struct ash_prof_cfi intel = {bytes, len, address, ASH_PROF_CFI_X86_64, NULL, 0};
    struct printing printing = {strcmp(words[3], "aarch64") == 0 ? arm : intel, 0};
    size_t functions = ash_prof_cfi_index(&printing.cfi, NULL, 0);
    struct ash_prof_cfi_function *index = calloc(functions + 1, sizeof(*index));
    if (index == NULL)
        return 2;
    printing.cfi.functions_count = ash_prof_cfi_index(&printing.cfi, index, functions);
    printing.cfi.functions = index;
    ash_prof_cfi_each(&printing.cfi, print_row, &printing);
    if (printing.differences != 0)
        fprintf(stderr, "%" PRIu64 " answers of the index differ from the rows\n",
                printing.differences);
    free(index);
    free(bytes);
    return printing.differences == 0 ? 0 : 1;
}
