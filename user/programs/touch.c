/* SPDX-License-Identifier: MIT */
/*
 * touch [MEGABYTES [4k|2m]]: writes to every page of so much memory, then reads it; asks for large
 * pages, or for none, where it is said.
 */
#include "../lib/program.h"

enum { PAGE = 4096, LARGE = 2 << 20 };

int main(int argc, char **argv) {
    uint64_t megabytes = argument_number(argc, argv, 1, 64), bytes = megabytes << 20;
    const char *pages = argc > 2 ? argv[2] : "";
    uint64_t memory = (uint64_t)(uintptr_t)map_pages(bytes + LARGE);
    uint64_t start = ash_align_up(memory, LARGE), sum = 0;
    if (pages[0] != '\0')
        must(sys_madvise(start, bytes, strcmp(pages, "2m") == 0 ? ADVISE_HUGE : ADVISE_NO_HUGE),
             "madvise");
    for (uint64_t at = start; at < start + bytes; at += PAGE)
        *(volatile uint64_t *)(uintptr_t)at = at;
    for (uint64_t at = start; at < start + bytes; at += PAGE)
        sum += *(volatile uint64_t *)(uintptr_t)at == at;
    if (sum != bytes / PAGE)
        die("%llu of %llu pages are as written", (unsigned long long)sum,
            (unsigned long long)bytes / PAGE);
    printf("touch: %llu MiB, %llu pages\n", (unsigned long long)megabytes, (unsigned long long)sum);
    return 0;
}
