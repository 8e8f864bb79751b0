/* SPDX-License-Identifier: MIT */
/*
 * libraries.c: platform_library of sample.h: the shared objects of the process, and their functions
 * as far as the dynamic linker knows them (.dynsym: gABI, "Dynamic Section"), all out of memory.
 * They are listed once; those that are loaded later have no names.
 */
#include <link.h>
#include <string.h>
#include <sys/mman.h>

#include "hosted_internal.h"
#include "sample.h"

enum { LIBRARIES_MAX = 32, SYMBOLS_MAX = 65536 };

struct library {
    struct platform_library told;
    struct hosted_function *functions;
    uint32_t count;
};

static struct {
    struct ash_spinlock lock; /* taken masked */
    bool is_listed;
    struct library list[LIBRARIES_MAX];
    uint32_t count;
} libraries;

/* What the dynamic section says of symbols. */
struct symbols {
    const ElfW(Sym) * entries;
    const char *strings;
    uint64_t string_bytes;
    const uint32_t *hash, *gnu_hash;
};

static void read_dynamic(const struct dl_phdr_info *object, const ElfW(Dyn) * dynamic,
                         struct symbols *symbols) {
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        /* The dynamic linker has made addresses of them, but not of the kernel's own object. */
        uint64_t value = dynamic->d_un.d_ptr;
        uint64_t address = value < object->dlpi_addr ? value + object->dlpi_addr : value;
        if (dynamic->d_tag == DT_SYMTAB)
            symbols->entries = (const ElfW(Sym) *)(uintptr_t)address;
        else if (dynamic->d_tag == DT_STRTAB)
            symbols->strings = (const char *)(uintptr_t)address;
        else if (dynamic->d_tag == DT_STRSZ)
            symbols->string_bytes = value;
        else if (dynamic->d_tag == DT_HASH)
            symbols->hash = (const uint32_t *)(uintptr_t)address;
        else if (dynamic->d_tag == DT_GNU_HASH)
            symbols->gnu_hash = (const uint32_t *)(uintptr_t)address;
    }
}

/* Only the tables for finding names say how many there are: the last of the longest chain. */
static uint32_t count_symbols(const struct symbols *symbols) {
    const uint32_t *gnu = symbols->gnu_hash;
    uint32_t last = 0;
    if (symbols->hash != NULL)
        return symbols->hash[1];
    if (gnu == NULL)
        return 0;
    const uint32_t *buckets = gnu + 4 + gnu[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chains = buckets + gnu[0];
    for (uint32_t i = 0; i < gnu[0]; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < gnu[1])
        return 0;
    while ((chains[last - gnu[1]] & 1) == 0)
        last++;
    return last + 1;
}

static void take_functions(struct library *library, const struct symbols *symbols) {
    uint32_t count = (uint32_t)ash_min_u64(count_symbols(symbols), SYMBOLS_MAX), found = 0;
    uint64_t end = library->told.link_start + (library->told.end - library->told.start);
    if (count == 0 || symbols->entries == NULL || symbols->strings == NULL)
        return;
    struct hosted_function *functions =
        mmap(NULL, count * sizeof(functions[0]), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (functions == MAP_FAILED)
        return;
    for (uint32_t i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = &symbols->entries[i];
        uint32_t type = ELF64_ST_TYPE(symbol->st_info);
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
            symbol->st_size != 0 && symbol->st_value >= library->told.link_start &&
            symbol->st_value < end && symbol->st_size <= end - symbol->st_value &&
            symbol->st_name < symbols->string_bytes)
            functions[found++] =
                (struct hosted_function){symbol->st_value, symbol->st_value + symbol->st_size,
                                         symbols->strings + symbol->st_name};
    }
    library->functions = functions;
    library->count = hosted_functions_sort(functions, found, end);
}

static bool find_code(const struct dl_phdr_info *object, struct platform_library *told) {
    for (uint32_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        const void *address = (const void *)(uintptr_t)(object->dlpi_addr + header->p_vaddr);
        if (header->p_type == PT_NOTE && told->build_id_bytes == 0)
            hosted_find_build_id(address, header->p_memsz, &told->build_id, &told->build_id_bytes);
        if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0 || told->end != 0)
            continue;
        told->link_start = header->p_vaddr;
        told->start = (uintptr_t)address;
        told->end = told->start + header->p_memsz;
    }
    return told->end > told->start;
}

/* The executable comes first, and has no name. */
static int take(struct dl_phdr_info *object, size_t size, void *context) {
    struct library *library = &libraries.list[libraries.count];
    struct symbols symbols = {NULL, NULL, 0, NULL, NULL};
    (void)size;
    (void)context;
    if (object->dlpi_name == NULL || object->dlpi_name[0] == '\0')
        return 0;
    library->told = (struct platform_library){.name = object->dlpi_name};
    if (!find_code(object, &library->told))
        return 0;
    for (uint32_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type == PT_DYNAMIC)
            read_dynamic(object,
                         (const ElfW(Dyn) *)(uintptr_t)(object->dlpi_addr + header->p_vaddr),
                         &symbols);
    }
    take_functions(library, &symbols);
    return ++libraries.count == LIBRARIES_MAX;
}

static void list_once(void) {
    ash_irq_t state = ash_port_irq_save(); /* dl_iterate_phdr takes the dynamic linker's lock */
    ash_spin_lock(&libraries.lock);
    if (!libraries.is_listed)
        (void)dl_iterate_phdr(take, NULL);
    libraries.is_listed = true;
    ash_spin_unlock(&libraries.lock);
    ash_port_irq_restore(state);
}

bool platform_library(uint32_t i, struct platform_library *library) {
    list_once();
    if (i >= libraries.count)
        return false;
    *library = libraries.list[i].told;
    return true;
}

bool platform_library_function(uint32_t i, uint32_t function, uint64_t *start, uint64_t *end,
                               const char **name) {
    if (i >= libraries.count || function >= libraries.list[i].count)
        return false;
    const struct hosted_function *it = &libraries.list[i].functions[function];
    *start = it->start;
    *end = it->end;
    *name = it->name;
    return true;
}
