/* SPDX-License-Identifier: MIT */
/*
 * start.c: from the entry to main: moves a position-independent program's addresses to where it
 * was loaded, gives it its thread's variables (the C library's errno is one), and ends the process
 * with what main returns.
 *
 * Until the addresses are moved nothing here may use one that is stored: no call of the C library,
 * no table.
 */
#include "program.h"
#include "system.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* The file's own header, which the first segment has; the linker says where. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

void start_program(uint64_t *stack) __attribute__((noreturn));
int main(int argc, char **argv);

enum { TLS_BYTES = 4096, TLS_HEAD_BYTES = 16, RELATIVE = 1027 /* R_AARCH64_RELATIVE */ };

char **program_environment;
static const uint64_t *aux_vector;

/* A program header of this kind, or NULL. */
static const Elf64_Phdr *find_header(uint32_t kind) {
    const uint8_t *file = (const uint8_t *)&__ehdr_start;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(const void *)(file + __ehdr_start.e_phoff);
    for (uint32_t i = 0; i < __ehdr_start.e_phnum; i++) {
        if (headers[i].p_type == kind)
            return &headers[i];
    }
    return NULL;
}

/* What is to be added to the addresses in the file. */
static uint64_t load_bias(void) {
    return __ehdr_start.e_type == ET_DYN ? (uint64_t)(uintptr_t)&__ehdr_start : 0;
}

static void *at(uint64_t address) {
    return (void *)(uintptr_t)address;
}

/* ELF for the Arm 64-bit Architecture, 5.7.16: of a static program these are all there are. */
static void relocate(uint64_t bias) {
    const Elf64_Phdr *header = find_header(PT_DYNAMIC);
    uint64_t table = 0, bytes = 0;
    if (header == NULL || bias == 0)
        return;
    for (const Elf64_Dyn *entry = at(bias + header->p_vaddr); entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_RELA)
            table = bias + entry->d_un.d_ptr;
        if (entry->d_tag == DT_RELASZ)
            bytes = entry->d_un.d_val;
    }
    const Elf64_Rela *entries = at(table);
    for (uint64_t i = 0; i < bytes / sizeof(*entries); i++) {
        if (ELF64_R_TYPE(entries[i].r_info) != RELATIVE)
            sys_exit_group(127);
        *(uint64_t *)at(bias + entries[i].r_offset) = bias + (uint64_t)entries[i].r_addend;
    }
}

/* A block as the ABI wants it (variant 1): the thread pointer, 16 bytes, then the variables. */
static void begin_thread(uint64_t bias) {
    static uint8_t block[TLS_BYTES] __attribute__((aligned(64)));
    const Elf64_Phdr *header = find_header(PT_TLS);
    if (header != NULL) {
        uint64_t align = header->p_align > TLS_HEAD_BYTES ? header->p_align : TLS_HEAD_BYTES;
        if (align > 64 || align + header->p_memsz > TLS_BYTES)
            sys_exit_group(126);
        memcpy(block + align, at(bias + header->p_vaddr), header->p_filesz);
    }
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(block) : "memory");
}

void start_program(uint64_t *stack) {
    uint64_t bias = load_bias();
    relocate(bias);
    begin_thread(bias);
    int argc = (int)stack[0];
    char **argv = (char **)(void *)(stack + 1);
    program_environment = argv + argc + 1;
    program_name = argc > 0 ? argv[0] : "";
    char **end = program_environment;
    while (*end != NULL)
        end++;
    aux_vector = (const uint64_t *)(void *)(end + 1);
    exit(main(argc, argv));
}

uint64_t program_aux(uint64_t kind, uint64_t otherwise) {
    for (const uint64_t *entry = aux_vector; entry[0] != 0; entry += 2) {
        if (entry[0] == kind)
            return entry[1];
    }
    return otherwise;
}
