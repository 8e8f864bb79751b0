/* SPDX-License-Identifier: MIT */
/*
 * call_file.c: the calls that read, write and look after descriptors. What is read or written goes
 * through a buffer of the kernel's: a device never sees a program's address.
 */
#include <ashlar/error.h>

#include "calls.h"
#include "files.h"
#include "pipe.h"

enum {
    BOUNCE_BYTES = 16 << 10,
    SMALL_BYTES = 256,  /* not from the heap: a message also where there is no memory */
    VECTOR_MAX = 1024,  /* IOV_MAX */
    COPY_DUPLICATE = 0, /* commands of fcntl */
    GET_DESCRIPTOR_FLAGS = 1,
    SET_DESCRIPTOR_FLAGS = 2,
    GET_FLAGS = 3,
    SET_FLAGS = 4,
    DUPLICATE_CLOEXEC = 1030,
    GET_PIPE_SIZE = 1032,
};

static struct open_file *find_file(const struct process *process, uint64_t number) {
    return file_table_find(process->files, (uint32_t)number);
}

/* Bytes between a file and a program */

/* What a transfer does with one buffer: bytes, or an error. */
typedef int64_t piece_function(struct process *process, struct open_file *file, uint64_t offset,
                               void *buffer, uint64_t address, size_t len);

#define NO_OFFSET UINT64_MAX

static int64_t read_piece(struct process *process, struct open_file *file, uint64_t offset,
                          void *buffer, uint64_t address, size_t len) {
    size_t ready = user_ready(process->space, address, len);
    if (ready == 0 && len != 0)
        return -ASH_EFAULT;
    len = ready;
    int64_t got = offset == NO_OFFSET ? open_file_read(file, buffer, len)
                                      : open_file_read_at(file, offset, buffer, len);
    int error = got <= 0 ? 0 : user_write(process->space, address, buffer, (size_t)got);
    return error != 0 ? error : got;
}

static int64_t write_piece(struct process *process, struct open_file *file, uint64_t offset,
                           void *buffer, uint64_t address, size_t len) {
    int error = user_read(process->space, buffer, address, len);
    (void)offset;
    return error != 0 ? error : open_file_write(file, buffer, len);
}

/* Buffer by buffer, until one is not full, or fails: then what was done before counts. Who is to
 * end does not wait for a gigabyte. */
static int64_t transfer(struct process *process, struct open_file *file, uint64_t offset,
                        uint64_t address, uint64_t len, piece_function *piece) {
    const struct allocator *allocator = files_allocator();
    uint8_t small[SMALL_BYTES];
    size_t size = (size_t)ash_min_u64(len, BOUNCE_BYTES);
    void *buffer = size <= SMALL_BYTES ? small : allocator->alloc(allocator->context, size);
    uint64_t done = 0;
    int64_t some;
    if (buffer == NULL)
        return -ASH_ENOMEM;
    len = ash_min_u64(len, 0x7ffff000); /* as Linux: so that the result is no error */
    do {
        size_t part = (size_t)ash_min_u64(len - done, size);
        some = piece(process, file, offset == NO_OFFSET ? offset : offset + done, buffer,
                     address + done, part);
        done += some > 0 ? (uint64_t)some : 0;
        if (some < (int64_t)part)
            break;
    } while (done < len && (file->type->is_seekable || piece == write_piece) &&
             !process_is_to_end(process));
    if (buffer != small)
        allocator->free(allocator->context, buffer);
    return done != 0 || some >= 0 ? (int64_t)done : some;
}

static int64_t end_write(struct process *process, int64_t done) {
    const struct signal_info info = {.code = SIGNAL_CODE_KERNEL};
    if (done == -ASH_EPIPE)
        process_signal(process, SIGNAL_PIPE, &info);
    return done;
}

int64_t call_read(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    if (file == NULL)
        return -ASH_EBADF;
    return transfer(process, file, NO_OFFSET, args[1], args[2], read_piece);
}

int64_t call_write(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    if (file == NULL)
        return -ASH_EBADF;
    return end_write(process, transfer(process, file, NO_OFFSET, args[1], args[2], write_piece));
}

int64_t call_pread64(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    if (file == NULL)
        return -ASH_EBADF;
    if (args[3] > INT64_MAX)
        return -ASH_EINVAL;
    return transfer(process, file, args[3], args[1], args[2], read_piece);
}

/* Several buffers */

struct vector {
    uint64_t address, len;
};

/* All of them are looked at first: a total that is no number is refused before anything is done. */
static int check_vectors(struct process *process, uint64_t address, uint64_t count) {
    uint64_t total = 0;
    if (count > VECTOR_MAX)
        return -ASH_EINVAL;
    for (uint64_t i = 0; i < count; i++) {
        struct vector vector;
        int error =
            user_read(process->space, &vector, address + i * sizeof(vector), sizeof(vector));
        if (error != 0)
            return error;
        if (vector.len > INT64_MAX - total)
            return -ASH_EINVAL;
        total += vector.len;
    }
    return 0;
}

static int64_t transfer_vectors(struct process *process, const uint64_t args[6],
                                piece_function *piece) {
    struct open_file *file = find_file(process, args[0]);
    uint64_t count = args[2];
    int64_t done = 0;
    if (file == NULL)
        return -ASH_EBADF;
    int error = check_vectors(process, args[1], count);
    for (uint64_t i = 0; i < count && error == 0; i++) {
        struct vector vector;
        error = user_read(process->space, &vector, args[1] + i * sizeof(vector), sizeof(vector));
        if (error != 0 || vector.len == 0)
            continue;
        int64_t some = transfer(process, file, NO_OFFSET, vector.address, vector.len, piece);
        if (some < 0)
            error = (int)some;
        else
            done += some;
        if (some < (int64_t)vector.len)
            break;
    }
    return done != 0 || error == 0 ? done : error;
}

int64_t call_readv(struct process *process, const uint64_t args[6]) {
    return transfer_vectors(process, args, read_piece);
}

int64_t call_writev(struct process *process, const uint64_t args[6]) {
    return end_write(process, transfer_vectors(process, args, write_piece));
}

/* From one file to another, without the program's memory. The offset that is told stays the
 * caller's: files with one of their own go on by it. */
int64_t call_sendfile(struct process *process, const uint64_t args[6]) {
    const struct allocator *allocator = files_allocator();
    struct open_file *to = find_file(process, args[0]);
    struct open_file *from = find_file(process, args[1]);
    uint64_t done = 0, len = ash_min_u64(args[3], 0x7ffff000);
    int64_t some = 0, got = 0;
    if (to == NULL || from == NULL)
        return -ASH_EBADF;
    if (args[2] != 0 || !from->type->is_seekable)
        return -ASH_EINVAL;
    void *buffer = allocator->alloc(allocator->context, BOUNCE_BYTES);
    if (buffer == NULL)
        return -ASH_ENOMEM;
    while (done < len && some == got && !process_is_to_end(process)) {
        got = open_file_read(from, buffer, (size_t)ash_min_u64(len - done, BOUNCE_BYTES));
        if (got <= 0)
            break;
        some = open_file_write(to, buffer, (size_t)got);
        if (some != got) /* what was not written is read again */
            (void)open_file_seek(from, (some < 0 ? 0 : some) - got, 1);
        done += some > 0 ? (uint64_t)some : 0;
    }
    allocator->free(allocator->context, buffer);
    if (done == 0 && (got < 0 || some < 0))
        return end_write(process, got < 0 ? got : some);
    return (int64_t)done;
}

int64_t call_lseek(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    if (file == NULL)
        return -ASH_EBADF;
    return open_file_seek(file, (int64_t)args[1], (uint32_t)args[2]);
}

/* Descriptors */

int64_t call_close(struct process *process, const uint64_t args[6]) {
    return file_table_close(process->files, (uint32_t)args[0]);
}

static int64_t duplicate(struct process *process, struct open_file *file, uint64_t lowest,
                         bool close_on_exec) {
    int number = file_table_add(process->files, open_file_get(file), lowest, close_on_exec);
    if (number < 0)
        open_file_put(file);
    return number;
}

int64_t call_dup(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    return file == NULL ? -ASH_EBADF : duplicate(process, file, 0, false);
}

int64_t call_dup3(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    uint32_t to = (uint32_t)args[1], flags = (uint32_t)args[2];
    if ((flags & ~(uint32_t)OPEN_CLOEXEC) != 0 || to == (uint32_t)args[0])
        return -ASH_EINVAL;
    if (file == NULL)
        return -ASH_EBADF;
    int number = file_table_put(process->files, open_file_get(file), to, flags != 0);
    if (number < 0)
        open_file_put(file);
    return number;
}

static int64_t give_pipe(struct process *process, struct open_file *ends[2], bool close_on_exec,
                         uint64_t address) {
    int32_t numbers[2];
    int error;
    numbers[0] = file_table_add(process->files, ends[0], 0, close_on_exec);
    if (numbers[0] < 0) {
        open_file_put(ends[0]);
        open_file_put(ends[1]);
        return numbers[0];
    }
    numbers[1] = file_table_add(process->files, ends[1], 0, close_on_exec);
    if (numbers[1] < 0) {
        open_file_put(ends[1]);
        error = numbers[1];
    } else {
        error = user_write(process->space, address, numbers, sizeof(numbers));
    }
    for (uint32_t i = 0; i < 2 && error != 0; i++) {
        if (numbers[i] >= 0 && file_table_close(process->files, (uint32_t)numbers[i]) != 0)
            numbers[i] = -1;
    }
    return error;
}

int64_t call_pipe2(struct process *process, const uint64_t args[6]) {
    uint32_t flags = (uint32_t)args[1];
    struct open_file *ends[2];
    if ((flags & ~(uint32_t)(OPEN_CLOEXEC | OPEN_NONBLOCK)) != 0)
        return -ASH_EINVAL;
    int error = pipe_new(files_allocator(), flags & OPEN_NONBLOCK, &ends[0], &ends[1]);
    if (error != 0)
        return error;
    return give_pipe(process, ends, (flags & OPEN_CLOEXEC) != 0, args[0]);
}

static void set_flags(struct open_file *file, uint32_t flags) {
    uint32_t kept = file->flags & ~(uint32_t)OPEN_SETTABLE;
    ash_store_relaxed(&file->flags, kept | (flags & OPEN_SETTABLE));
}

int64_t call_fcntl(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    uint32_t number = (uint32_t)args[0], value = (uint32_t)args[2];
    if (file == NULL)
        return -ASH_EBADF;
    switch ((uint32_t)args[1]) {
    case COPY_DUPLICATE:
    case DUPLICATE_CLOEXEC:
        return duplicate(process, file, value, (uint32_t)args[1] == DUPLICATE_CLOEXEC);
    case GET_DESCRIPTOR_FLAGS:
        return file_table_closes_on_exec(process->files, number);
    case SET_DESCRIPTOR_FLAGS:
        file_table_set_close_on_exec(process->files, number, (value & 1) != 0);
        return 0;
    case GET_FLAGS:
        return file->flags;
    case SET_FLAGS:
        set_flags(file, value);
        return 0;
    case GET_PIPE_SIZE:
        return PIPE_BYTES;
    default:
        return -ASH_EINVAL;
    }
}

/* ioctl */

static const struct {
    uint32_t request;
    uint16_t in_bytes, out_bytes;
} requests[] = {
    {TERMINAL_GET_MODES, 0, sizeof(struct terminal_modes)},
    {TERMINAL_SET_MODES, sizeof(struct terminal_modes), 0},
    {TERMINAL_SET_MODES_DRAIN, sizeof(struct terminal_modes), 0},
    {TERMINAL_SET_MODES_FLUSH, sizeof(struct terminal_modes), 0},
    {TERMINAL_GET_SIZE, 0, 8},
    {TERMINAL_GET_COUNT, 0, 4},
};

int64_t call_ioctl(struct process *process, const uint64_t args[6]) {
    struct open_file *file = find_file(process, args[0]);
    uint64_t argument[8];
    if (file == NULL)
        return -ASH_EBADF;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(requests) && file->type->control != NULL; i++) {
        if (requests[i].request != (uint32_t)args[1])
            continue;
        int error = user_read(process->space, argument, args[2], requests[i].in_bytes);
        int64_t result =
            error != 0 ? error : file->type->control(file, requests[i].request, argument);
        if (result < 0)
            return result;
        error = user_write(process->space, args[2], argument, requests[i].out_bytes);
        return error != 0 ? error : result;
    }
    return -ASH_ENOTTY;
}
