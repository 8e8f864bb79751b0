/* SPDX-License-Identifier: MIT */
/* program.c: see program.h; and what picolibc wants of a system. */
#include "program.h"

#include <stdarg.h>
#include <unistd.h>

const char *program_name = "";

/* The C library's files */

struct output {
    FILE file; /* first: the C library knows no more of it */
    int number;
    size_t used;
    char bytes[512];
};

static int flush_output(FILE *file) {
    struct output *output = (struct output *)(void *)file;
    size_t used = output->used;
    output->used = 0; /* a write that fails in die() must not come back here with the same bytes */
    write_all(output->number, output->bytes, used);
    return 0;
}

static int put_byte(char byte, FILE *file) {
    struct output *output = (struct output *)(void *)file;
    output->bytes[output->used++] = byte;
    return byte == '\n' || output->used == sizeof(output->bytes) ? flush_output(file) : 0;
}

static struct output outputs[2] = {
    {FDEV_SETUP_STREAM(put_byte, NULL, flush_output, _FDEV_SETUP_WRITE), 1, 0, ""},
    {FDEV_SETUP_STREAM(put_byte, NULL, flush_output, _FDEV_SETUP_WRITE), 2, 0, ""}};

FILE *const stdout = &outputs[0].file;
FILE *const stderr = &outputs[1].file;

/* printf and the like without floating-point numbers, which would be most of a small program. */
int __i_vfprintf(FILE *file, const char *format, va_list args);
int vfprintf(FILE *file, const char *format, va_list args) {
    return __i_vfprintf(file, format, args);
}

/* exit calls it; a process that has written nothing more is over at once. */
void _exit(int status) {
    fflush(stdout);
    fflush(stderr);
    for (;;)
        sys_exit_group(status);
}

/* malloc's; a declaration that -std=c11 hides. */
void *sbrk(ptrdiff_t bytes);
void *sbrk(ptrdiff_t bytes) {
    static uint64_t end;
    if (end == 0)
        end = sys_brk(0);
    uint64_t wanted = end + (uint64_t)bytes;
    if (sys_brk(wanted) != wanted)
        return (void *)-1;
    void *start = (void *)(uintptr_t)end;
    end = wanted;
    return start;
}

/* Ends */

void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

int64_t must(int64_t value, const char *what) {
    if (value < 0 && value >= -4095)
        die("%s: %s", what, ash_strerror((int)value));
    return value;
}

int wait_for(int64_t process) {
    int status = 0;
    must(sys_wait4(process, &status, 0), "wait4");
    return status;
}

void wait_for_success(int64_t process) {
    int status = wait_for(process);
    if (status != 0)
        die("process %lld ended with %#x", (long long)process, (unsigned)status);
}

/* Files */

void write_all(int file, const void *bytes, size_t len) {
    const char *next = bytes;
    while (len != 0) {
        int64_t done = sys_write(file, next, len);
        if (done == -ASH_EINTR)
            continue;
        if (done <= 0 && file == 2)
            exit(1); /* nobody can be told */
        must(done, "write");
        next += done;
        len -= (size_t)done;
    }
}

size_t read_some(int file, void *buffer, size_t len) {
    int64_t got;
    do {
        got = sys_read(file, buffer, len);
    } while (got == -ASH_EINTR);
    return (size_t)must(got, "read");
}

size_t read_all(int file, void *buffer, size_t len) {
    size_t done = 0, got;
    while (done < len && (got = read_some(file, (char *)buffer + done, len - done)) != 0)
        done += got;
    return done;
}

int open_argument(const char *name) {
    return strcmp(name, "-") == 0 ? 0 : (int)must(sys_open(name, OPEN_READ), name);
}

/* The rest */

uint64_t argument_number(int argc, char **argv, int index, uint64_t otherwise) {
    char *end;
    if (index >= argc)
        return otherwise;
    uint64_t number = strtoull(argv[index], &end, 0);
    if (end == argv[index] || *end != '\0')
        die("%s is no number", argv[index]);
    return number;
}

void sleep_ms(uint64_t ms) {
    struct system_time left = {(int64_t)(ms / 1000), (int64_t)(ms % 1000 * 1000000)};
    while (sys_nanosleep(&left, &left) == -ASH_EINTR)
        ;
}

uint64_t time_ms(void) {
    struct system_time now;
    must(sys_clock_gettime(1, &now), "clock_gettime");
    return (uint64_t)now.s * 1000 + (uint64_t)now.ns / 1000000;
}

void *map_pages(size_t bytes) {
    int64_t address =
        sys_mmap(0, bytes, PROTECT_READ | PROTECT_WRITE, MAP_IS_PRIVATE | MAP_IS_ANONYMOUS, -1, 0);
    return (void *)(uintptr_t)must(address, "mmap");
}

uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}
