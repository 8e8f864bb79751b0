/* SPDX-License-Identifier: MIT */
/*
 * auxv [-a]: what the kernel has told the program at its start is true; -a prints an address each
 * of its code, its stack and of memory that it asks for, which differ from run to run.
 */
#include "../lib/program.h"

#include <elf.h>

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
extern const char _start[] __attribute__((visibility("hidden")));

static void expect(bool holds, const char *what) {
    if (!holds)
        die("%s", what);
}

int main(int argc, char **argv) {
    const uint8_t *file = (const uint8_t *)&__ehdr_start;
    const uint64_t *random = (const uint64_t *)(uintptr_t)program_aux(AT_RANDOM, 0);
    const char *path = (const char *)(uintptr_t)program_aux(AT_EXECFN, 0);
    const char *platform = (const char *)(uintptr_t)program_aux(AT_PLATFORM, 0);
    expect(program_aux(AT_PAGESZ, 0) == 4096, "AT_PAGESZ is not 4096");
    expect(program_aux(AT_PHDR, 0) == (uint64_t)(uintptr_t)file + __ehdr_start.e_phoff,
           "AT_PHDR is not where the program headers are");
    expect(program_aux(AT_PHNUM, 0) == __ehdr_start.e_phnum, "AT_PHNUM is wrong");
    expect(program_aux(AT_PHENT, 0) == sizeof(Elf64_Phdr), "AT_PHENT is wrong");
    expect(program_aux(AT_ENTRY, 0) == (uint64_t)(uintptr_t)_start, "AT_ENTRY is not the entry");
    expect(program_aux(AT_CLKTCK, 0) == 100, "AT_CLKTCK is not 100");
    expect(program_aux(AT_SECURE, 1) == 0, "AT_SECURE is not 0");
    expect(program_aux(AT_UID, 1) == program_aux(AT_EUID, 2), "AT_UID is not AT_EUID");
    expect((program_aux(AT_HWCAP, 0) & 3) == 3, "AT_HWCAP does not say that there is an FPU");
    expect(random != NULL && (random[0] | random[1]) != 0, "AT_RANDOM is no random number");
    expect(path != NULL && path[0] != '\0', "AT_EXECFN is empty");
    expect(platform != NULL && strcmp(platform, "aarch64") == 0, "AT_PLATFORM is not aarch64");
    expect(((uintptr_t)argv & 15) == 8, "the stack pointer was no multiple of 16");
    expect(argv[argc] == NULL, "the arguments do not end in NULL");
    if (argc > 1 && strcmp(argv[1], "-a") == 0)
        printf("code %p stack %p memory %p\n", (const void *)_start, (void *)argv, map_pages(4096));
    printf("auxv: all as it should be\n");
    return 0;
}
