/* SPDX-License-Identifier: MIT */
/* ls [-l] [NAME]...: what a directory holds, in the order of bytes; -l: kinds and sizes, too. */
#include "../lib/program.h"

struct entry {
    char *name;
    uint8_t type;
};

struct list {
    struct entry *entries;
    size_t count, room;
};

static bool is_long;

static void *must_alloc(void *memory) {
    if (memory == NULL)
        die("out of memory");
    return memory;
}

static void add(struct list *list, const struct system_entry *entry) {
    if (list->count == list->room) {
        list->room = list->room * 2 + 16;
        list->entries = must_alloc(realloc(list->entries, list->room * sizeof(list->entries[0])));
    }
    size_t len = strlen(entry->name) + 1;
    char *name = memcpy(must_alloc(malloc(len)), entry->name, len);
    list->entries[list->count++] = (struct entry){name, entry->type};
}

static void read_entries(struct list *list, int file, const char *path) {
    static _Alignas(8) char buffer[4096];
    for (;;) {
        int64_t got = must(sys_getdents64(file, buffer, sizeof(buffer)), path);
        if (got == 0)
            return;
        for (int64_t at = 0; at < got;) {
            const struct system_entry *entry = (const void *)(buffer + at);
            if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
                add(list, entry);
            at += entry->bytes;
        }
    }
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void say(const char *folder, const char *name) {
    char path[1024];
    struct system_stat stat;
    if (!is_long) {
        printf("%s\n", name);
        return;
    }
    snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name);
    must(sys_stat(path, &stat), path);
    bool is_directory = (stat.mode & MODE_TYPE) == MODE_DIRECTORY;
    printf("%c %10lld %s\n", is_directory ? 'd' : '-', (long long)stat.size_bytes, name);
}

static void list_one(const char *path) {
    struct system_stat stat;
    struct list list = {NULL, 0, 0};
    must(sys_stat(path, &stat), path);
    if ((stat.mode & MODE_TYPE) != MODE_DIRECTORY) {
        say("", path);
        return;
    }
    int file = (int)must(sys_open(path, OPEN_READ | OPEN_DIRECTORY), path);
    read_entries(&list, file, path);
    must(sys_close(file), "close");
    qsort(list.entries, list.count, sizeof(list.entries[0]), compare);
    for (size_t i = 0; i < list.count; i++) {
        say(path, list.entries[i].name);
        free(list.entries[i].name);
    }
    free(list.entries);
}

int main(int argc, char **argv) {
    is_long = argc > 1 && strcmp(argv[1], "-l") == 0;
    int first = is_long ? 2 : 1;
    if (first == argc)
        list_one(".");
    for (int i = first; i < argc; i++)
        list_one(argv[i]);
    return 0;
}
