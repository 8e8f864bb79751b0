/* SPDX-License-Identifier: MIT */
/*
 * mapcat [-s] FILE...: like cat, but maps the files (-s: shared) and lets the kernel write from
 * there. What a last page has beyond the end of its file must be zeros.
 */
#include "../lib/program.h"

enum { PAGE = 4096 };

static void check_tail(const char *name, const char *bytes, size_t size) {
    for (size_t i = size; i % PAGE != 0; i++) {
        if (bytes[i] != 0)
            die("%s: byte %zu, behind its end, is %d", name, i, bytes[i]);
    }
}

static void copy(const char *name, int flags) {
    struct system_stat stat;
    int file = open_argument(name);
    must(sys_fstat(file, &stat), name);
    size_t size = (size_t)stat.size_bytes;
    if (size != 0) {
        int64_t address = sys_mmap(0, size, PROTECT_READ, flags, file, 0);
        const char *bytes = (const char *)(uintptr_t)must(address, name);
        must(sys_close(file), "close"); /* the mapping stays */
        write_all(1, bytes, size);
        check_tail(name, bytes, size);
        must(sys_munmap((uint64_t)address, size), "munmap");
    }
}

int main(int argc, char **argv) {
    bool is_shared = argc > 1 && strcmp(argv[1], "-s") == 0;
    for (int i = is_shared ? 2 : 1; i < argc; i++)
        copy(argv[i], is_shared ? MAP_SHARES : MAP_IS_PRIVATE);
    return 0;
}
