/* SPDX-License-Identifier: MIT */
/*
 * output.c: an export into a file: first beside it, under another name, then by renaming. What is
 * no plain file (a terminal, a pipe, /dev/full) is written directly.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "ash_trace.h"

enum { PACKED_BYTES = 1 << 16, PROGRESS_AFTER_MS = 500 };

struct output {
    const char *name, *path;
    char final[PATH_MAX], temporary[PATH_MAX]; /* temporary: "" for what is written directly */
    char part[PATH_MAX];                       /* of a folder: the file that is open */
    int file;                                  /* -1: none */
    int problem;                               /* errno's */
    bool is_folder, is_packed, has_progress;
    z_stream packer;
    uint8_t packed[PACKED_BYTES];
    struct timespec begin;
};

static bool ends_in(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_stdout(const char *path) {
    return strcmp(path, "-") == 0;
}

/* The path, as a message says it. */
static const char *said(const struct output *output) {
    return is_stdout(output->path) ? "standard output" : output->path;
}

static int fail(struct output *output, int problem) {
    output->problem = problem;
    return -ASH_EIO;
}

static int put(struct output *output, const uint8_t *bytes, size_t len) {
    while (len != 0) {
        ssize_t done = write(output->file, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail(output, done < 0 ? errno : ENOSPC);
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

static int pack(struct output *output, const void *bytes, size_t len, int flush) {
    const uint8_t *next = bytes;
    for (;;) {
        uInt step = len > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)len;
        output->packer.next_in = next;
        output->packer.avail_in = step;
        int result = Z_OK;
        do {
            output->packer.next_out = output->packed;
            output->packer.avail_out = PACKED_BYTES;
            result = deflate(&output->packer, len == step ? flush : Z_NO_FLUSH);
            int error = put(output, output->packed, PACKED_BYTES - output->packer.avail_out);
            if (error != 0)
                return error;
        } while (output->packer.avail_out == 0 && result != Z_STREAM_END);
        next += step;
        len -= step;
        if (len == 0)
            return 0;
    }
}

static int sink_write(void *context, const void *bytes, size_t len) {
    struct output *output = context;
    if (output->file < 0)
        return fail(output, EBADF);
    return output->is_packed ? pack(output, bytes, len, Z_NO_FLUSH) : put(output, bytes, len);
}

static int close_file(struct output *output) {
    int file = output->file;
    output->file = -1;
    if (file < 0 || file == STDOUT_FILENO)
        return 0;
    return close(file) == 0 ? 0 : fail(output, errno);
}

/* The next file of the folder. */
static int sink_open(void *context, const char *name) {
    struct output *output = context;
    int error = close_file(output);
    if (error != 0)
        return error;
    if (snprintf(output->part, sizeof(output->part), "%s/%s", output->temporary, name) >= PATH_MAX)
        return fail(output, ENAMETOOLONG);
    output->file = open(output->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return output->file >= 0 ? 0 : fail(output, errno);
}

static void sink_progress(void *context, uint64_t done, uint64_t of) {
    struct output *output = context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (int64_t)(now.tv_sec - output->begin.tv_sec) * 1000 +
                 (now.tv_nsec - output->begin.tv_nsec) / 1000000;
    if (ms < PROGRESS_AFTER_MS || of == 0)
        return;
    output->has_progress = true;
    fprintf(stderr, "\rash-trace: %s: %3.0f %%", said(output), 100.0 * (double)done / (double)of);
}

/* Where it is written */

static mode_t usual_mode(mode_t all) {
    mode_t mask = umask(0);
    umask(mask);
    return all & ~mask;
}

static bool begin_folder(struct output *output) {
    if (snprintf(output->temporary, PATH_MAX, "%s.XXXXXX", output->final) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (mkdtemp(output->temporary) == NULL) {
        output->temporary[0] = '\0';
        return false;
    }
    return chmod(output->temporary, usual_mode(0777)) == 0;
}

static bool begin_file(struct output *output) {
    if (snprintf(output->temporary, PATH_MAX, "%s.XXXXXX", output->final) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    output->file = mkstemp(output->temporary);
    if (output->file < 0) {
        output->temporary[0] = '\0';
        return false;
    }
    return fchmod(output->file, usual_mode(0666)) == 0;
}

/* False: errno says why. */
static bool begin(struct output *output) {
    struct stat status;
    if (is_stdout(output->path)) {
        output->file = STDOUT_FILENO;
        return true;
    }
    bool exists = stat(output->path, &status) == 0;
    /* A link stays one: what it names is replaced. */
    if (exists && realpath(output->path, output->final) == NULL)
        return false;
    size_t len = strlen(output->path);
    while (!exists && len > 1 && output->path[len - 1] == '/')
        len--;
    if (!exists && snprintf(output->final, PATH_MAX, "%.*s", (int)len, output->path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (output->is_folder)
        return begin_folder(output);
    if (!exists || S_ISREG(status.st_mode))
        return begin_file(output);
    output->file = open(output->path, O_WRONLY | O_CLOEXEC); /* of a folder: EISDIR */
    return output->file >= 0;
}

/* A folder has files alone. Those that were written are known by their names. */
static void remove_temporary(struct output *output) {
    if (output->temporary[0] == '\0')
        return;
    if (!output->is_folder) {
        unlink(output->temporary);
        return;
    }
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/metadata", output->temporary) < PATH_MAX)
        unlink(path);
    for (uint32_t cpu = 0; cpu < ASH_PROF_FILE_CPUS_MAX; cpu++)
        if (snprintf(path, sizeof(path), "%s/cpu%u", output->temporary, cpu) < PATH_MAX)
            unlink(path);
    unlink(output->part);
    rmdir(output->temporary);
}

static bool finish(struct output *output, int error) {
    if (error == 0 && output->is_packed)
        error = pack(output, "", 0, Z_FINISH);
    int closed = close_file(output);
    error = error != 0 ? error : closed;
    if (error == 0 && output->temporary[0] != '\0' && rename(output->temporary, output->final) != 0)
        error = fail(output, errno);
    if (output->has_progress)
        fputs("\r\033[K", stderr);
    if (error == 0)
        return true;
    remove_temporary(output);
    if (output->is_folder && (output->problem == ENOTEMPTY || output->problem == EEXIST))
        say("%s: there is something in this folder already; name another one", output->path);
    else
        say("%s: %s; nothing of it is left there", said(output),
            output->problem != 0    ? strerror(output->problem)
            : error == -ASH_EBADMSG ? "the file has times that this format cannot say"
                                    : "the file has nothing for this format");
    return false;
}

bool output_write(const struct ash_prof_view *view, enum ash_prof_format format, const char *name,
                  const char *path) {
    static struct output output;
    output = (struct output){.name = name, .path = path, .file = -1};
    output.is_folder = format == ASH_PROF_CTF;
    output.is_packed = ends_in(path, ".gz") || (format == ASH_PROF_PPROF && !ends_in(path, ".pb"));
    output.is_packed = output.is_packed && !output.is_folder;
    size_t work_bytes = ash_prof_export_work(view, format);
    if (work_bytes == 0) {
        say("--%s: the trace has %s", name,
            format == ASH_PROF_CHROME || format == ASH_PROF_CTF ? "no events" : "no samples");
        return false;
    }
    void *work = aligned_alloc(64, (size_t)ash_align_up(work_bytes, 64));
    if (work == NULL) {
        say("--%s: no memory: %zu bytes are needed", name, work_bytes);
        return false;
    }
    clock_gettime(CLOCK_MONOTONIC, &output.begin);
    /* 15 bits of window, and 16 for gzip's header, which zlib leaves without a time. */
    if (output.is_packed && deflateInit2(&output.packer, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16,
                                         8, Z_DEFAULT_STRATEGY) != Z_OK) {
        say("--%s: no memory to pack it", name);
        free(work);
        return false;
    }
    bool good;
    if (begin(&output)) {
        struct ash_prof_sink sink = {.write = sink_write,
                                     .open = output.is_folder ? sink_open : NULL,
                                     .progress = isatty(STDERR_FILENO) ? sink_progress : NULL,
                                     .context = &output};
        good = finish(&output, ash_prof_export(view, format, &sink, work, work_bytes));
    } else {
        say("%s: %s", path, strerror(errno));
        remove_temporary(&output);
        good = false;
    }
    if (output.is_packed)
        deflateEnd(&output.packer);
    free(work);
    return good;
}
