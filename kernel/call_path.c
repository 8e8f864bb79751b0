/* SPDX-License-Identifier: MIT */
/* call_path.c: the calls that take a path, and those that tell what a file is. */
#include <ashlar/error.h>
#include <string.h>

#include "calls.h"
#include "file_disk.h"
#include "files.h"

enum {
    AT_HERE = -100, /* AT_FDCWD: from the process's directory */
    AT_SYMLINK_NOFOLLOW = 0x100,
    AT_EMPTY_PATH = 0x1000,
    ACCESS_WRITE = 2,
    ENTRIES_BYTES_MAX = 32 << 10,
};

/* A path of the caller's, and where it begins */

struct place {
    struct open_file *base; /* NULL: the root */
    char *path;             /* to be freed */
};

static void leave_place(struct place *place) {
    files_allocator()->free(files_allocator()->context, place->path);
}

static int read_path(struct process *process, uint64_t address, char **path) {
    const struct allocator *allocator = files_allocator();
    *path = allocator->alloc(allocator->context, FILE_PATH_MAX);
    if (*path == NULL)
        return -ASH_ENOMEM;
    int64_t len = user_string(process->space, *path, address, FILE_PATH_MAX);
    if (len >= 0)
        return 0;
    allocator->free(allocator->context, *path);
    return (int)len;
}

static int find_place(struct process *process, uint64_t directory, uint64_t address,
                      struct place *place) {
    int error = read_path(process, address, &place->path);
    if (error != 0)
        return error;
    place->base = process->files->directory;
    if (*place->path == '/' || (int32_t)directory == AT_HERE)
        return 0;
    place->base = file_table_find(process->files, (uint32_t)directory);
    if (place->base != NULL)
        return 0;
    leave_place(place);
    return -ASH_EBADF;
}

/* Opening */

int64_t call_openat(struct process *process, const uint64_t args[6]) {
    struct place place;
    struct open_file *file;
    uint32_t flags = (uint32_t)args[2];
    if ((flags & OPEN_ACCESS) == OPEN_ACCESS)
        return -ASH_EINVAL;
    int error = find_place(process, args[0], args[1], &place);
    if (error != 0)
        return error;
    error = files_open(place.base, place.path, flags, &file);
    leave_place(&place);
    if (error != 0)
        return error;
    int number = file_table_add(process->files, file, 0, (flags & OPEN_CLOEXEC) != 0);
    if (number < 0)
        open_file_put(file);
    return number;
}

/* What a file is: struct stat as Linux has it on this processor */

struct stat_record {
    uint64_t device, number;
    uint32_t mode, links, user, group;
    uint64_t special_device, unused1;
    int64_t size;
    int32_t block_size, unused2;
    int64_t blocks; /* of 512 bytes */
    int64_t accessed, accessed_ns, modified, modified_ns, changed, changed_ns;
    uint32_t unused3[2];
};

_Static_assert(sizeof(struct stat_record) == 128, "Linux's struct stat");

static int tell_status(struct process *process, uint64_t address,
                       const struct file_status *status) {
    const struct stat_record record = {.device = status->device,
                                       .number = status->number,
                                       .mode = status->mode,
                                       .links = 1,
                                       .size = (int64_t)status->size_bytes,
                                       .block_size = (int32_t)ASH_PAGE_SIZE,
                                       .blocks = (int64_t)((status->size_bytes + 511) / 512)};
    return user_write(process->space, address, &record, sizeof(record));
}

int64_t call_fstat(struct process *process, const uint64_t args[6]) {
    struct open_file *file = file_table_find(process->files, (uint32_t)args[0]);
    struct file_status status;
    if (file == NULL)
        return -ASH_EBADF;
    open_file_describe(file, &status);
    return tell_status(process, args[1], &status);
}

int64_t call_newfstatat(struct process *process, const uint64_t args[6]) {
    struct place place;
    struct file_status status;
    uint64_t flags = args[3];
    int error = find_place(process, args[0], args[1], &place);
    if (error != 0)
        return error;
    bool is_itself = *place.path == '\0' && (flags & AT_EMPTY_PATH) != 0;
    if (is_itself && place.base != NULL)
        open_file_describe(place.base, &status);
    else
        error = files_describe(place.base, is_itself ? "/" : place.path,
                               (flags & AT_SYMLINK_NOFOLLOW) == 0, &status);
    leave_place(&place);
    return error != 0 ? error : tell_status(process, args[2], &status);
}

int64_t call_faccessat(struct process *process, const uint64_t args[6]) {
    struct place place;
    struct file_status status;
    int error = find_place(process, args[0], args[1], &place);
    if (error != 0)
        return error;
    error = files_describe(place.base, place.path, true, &status);
    leave_place(&place);
    if (error == 0 && (args[2] & ACCESS_WRITE) != 0 && (status.mode & 0200) == 0)
        return -ASH_EROFS;
    return error;
}

int64_t call_readlinkat(struct process *process, const uint64_t args[6]) {
    struct place place;
    struct file_node *node;
    struct file_info info;
    int error = find_place(process, args[0], args[1], &place);
    if (error != 0)
        return error;
    error = files_look_up(place.base, place.path, false, &node);
    leave_place(&place);
    if (error != 0)
        return error;
    files_system()->describe(files_system(), node, &info);
    if (info.type != FILE_SYMLINK || (int32_t)args[3] <= 0)
        return -ASH_EINVAL;
    size_t len = (size_t)ash_min_u64(strlen(info.target), (uint32_t)args[3]);
    error = user_write(process->space, args[2], info.target, len);
    return error != 0 ? error : (int64_t)len;
}

/* Directories */

struct entry_record {
    uint64_t number;
    int64_t next;
    uint16_t len;
    uint8_t type;
    char name[]; /* NUL; the record is a multiple of 8 */
};

#define RECORD_BYTES(name_len) ash_align_up(offsetof(struct entry_record, name) + (name_len) + 1, 8)

struct entries {
    uint8_t *bytes;
    size_t used, size;
    bool is_full;
};

static bool add_entry(void *context, const struct file_entry *entry, uint64_t next) {
    static const uint8_t types[] = {
        [FILE_REGULAR] = 8, [FILE_DIRECTORY] = 4, [FILE_SYMLINK] = 10, [FILE_UNREADABLE] = 8};
    struct entries *entries = context;
    size_t name_len = strlen(entry->name), len = RECORD_BYTES(name_len);
    entries->is_full = len > entries->size - entries->used;
    if (entries->is_full)
        return false;
    struct entry_record *record = (void *)(entries->bytes + entries->used);
    memset(record, 0, len); /* and one by one: no byte between them is the kernel's */
    record->number = entry->number;
    record->next = (int64_t)next;
    record->len = (uint16_t)len;
    record->type = types[entry->type];
    memcpy((uint8_t *)record + offsetof(struct entry_record, name), entry->name, name_len);
    entries->used += len;
    return true;
}

int64_t call_getdents64(struct process *process, const uint64_t args[6]) {
    const struct allocator *allocator = files_allocator();
    struct open_file *file = file_table_find(process->files, (uint32_t)args[0]);
    struct entries entries = {.size = (size_t)ash_min_u64((uint32_t)args[2], ENTRIES_BYTES_MAX)};
    if (file == NULL)
        return -ASH_EBADF;
    entries.bytes = allocator->alloc(allocator->context, entries.size == 0 ? 1 : entries.size);
    if (entries.bytes == NULL)
        return -ASH_ENOMEM;
    int error = file_disk_entries(file, add_entry, &entries);
    if (error == 0 && entries.used == 0 && entries.is_full)
        error = -ASH_EINVAL; /* not even one fits */
    if (error == 0)
        error = user_write(process->space, args[1], entries.bytes, entries.used);
    allocator->free(allocator->context, entries.bytes);
    return error != 0 ? error : (int64_t)entries.used;
}

static void go_to(struct process *process, struct open_file *directory) {
    struct open_file *before = process->files->directory;
    process->files->directory = directory;
    if (before != NULL)
        open_file_put(before);
}

int64_t call_chdir(struct process *process, const uint64_t args[6]) {
    struct place place;
    struct open_file *directory;
    int error = find_place(process, (uint64_t)AT_HERE, args[0], &place);
    if (error != 0)
        return error;
    error = files_open(place.base, place.path, OPEN_DIRECTORY, &directory);
    leave_place(&place);
    if (error == 0)
        go_to(process, directory);
    return error;
}

int64_t call_fchdir(struct process *process, const uint64_t args[6]) {
    struct open_file *file = file_table_find(process->files, (uint32_t)args[0]);
    struct file_status status;
    if (file == NULL)
        return -ASH_EBADF;
    open_file_describe(file, &status);
    if ((status.mode & MODE_DIRECTORY) == 0 || file->node == NULL)
        return -ASH_ENOTDIR;
    go_to(process, open_file_get(file));
    return 0;
}

int64_t call_getcwd(struct process *process, const uint64_t args[6]) {
    const struct allocator *allocator = files_allocator();
    size_t size = (size_t)ash_min_u64(args[1], FILE_PATH_MAX);
    char *path = allocator->alloc(allocator->context, size == 0 ? 1 : size);
    if (path == NULL)
        return -ASH_ENOMEM;
    int len = files_path(process->files->directory, path, size);
    int error = len < 0 ? len : user_write(process->space, args[0], path, (size_t)len + 1);
    allocator->free(allocator->context, path);
    return error != 0 ? error : len + 1;
}

/* Whatever would change the disk, whatever it names. */
int64_t call_change_disk(struct process *process, const uint64_t args[6]) {
    (void)process, (void)args;
    return -ASH_EROFS;
}

/* There is nothing that is not on the disk. */
int64_t call_fsync(struct process *process, const uint64_t args[6]) {
    return file_table_find(process->files, (uint32_t)args[0]) == NULL ? -ASH_EBADF : 0;
}
