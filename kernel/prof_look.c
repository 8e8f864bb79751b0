/* SPDX-License-Identifier: MIT */
/* prof_look.c: see prof_look.h. */
#include "prof_look.h"

#include <ashlar/error.h>
#include <string.h>

#include "platform/sample.h"

struct sink {
    uint8_t *next;
    uint64_t left;
};

static int keep(void *context, const void *bytes, size_t len) {
    struct sink *sink = context;
    if (len > sink->left)
        return -ASH_ENOSPC;
    memcpy(sink->next, bytes, len);
    sink->next += len;
    sink->left -= len;
    return 0;
}

static int dump_into(struct prof_look *look, const struct dump *dump) {
    look->len = dump_bytes(dump);
    look->order = memory_order_of(look->len);
    look->bytes = look->len == 0 ? NULL : memory_pages_alloc(look->memory, look->order);
    if (look->bytes == NULL)
        return -ASH_ENOMEM;
    struct sink sink = {look->bytes, look->len};
    int error = dump_write(dump, keep, &sink);
    if (error == 0)
        error = ash_prof_view_open(&look->view, look->bytes, (size_t)look->len, look->message,
                                   sizeof(look->message));
    return error;
}

struct prof_look *prof_look_open(struct kernel_memory *memory, int *error) {
    struct prof_look *look = memory_pages_alloc(memory, memory_order_of(sizeof(*look)));
    *error = -ASH_ENOMEM;
    if (look == NULL)
        return NULL;
    memset(look, 0, sizeof(*look));
    look->memory = memory;
    *error = dump_begin(&look->dump, memory, DUMP_PROFILE);
    if (*error == 0) {
        *error = dump_into(look, &look->dump);
        dump_end(&look->dump);
    }
    if (*error == 0)
        return look;
    prof_look_close(look);
    return NULL;
}

void prof_look_close(struct prof_look *look) {
    if (look->work != NULL)
        memory_pages_free(look->memory, look->work, look->work_order);
    if (look->bytes != NULL)
        memory_pages_free(look->memory, look->bytes, look->order);
    memory_pages_free(look->memory, look, memory_order_of(sizeof(*look)));
}

void *prof_look_work(struct prof_look *look, size_t bytes) {
    if (look->work != NULL)
        memory_pages_free(look->memory, look->work, look->work_order);
    look->work_order = memory_order_of(ash_max_u64(bytes, 1));
    look->work = memory_pages_alloc(look->memory, look->work_order);
    return look->work;
}

static int write_host(void *context, const void *bytes, size_t len) {
    (void)context;
    return platform_host_write(bytes, len);
}

int prof_look_export(struct prof_look *look, enum ash_prof_format format, const char *path) {
    static const struct ash_prof_sink sink = {.write = write_host};
    size_t work_bytes = ash_prof_export_work(&look->view, format);
    if (work_bytes == 0)
        return -ASH_ENOENT;
    void *work = prof_look_work(look, work_bytes);
    if (work == NULL)
        return -ASH_ENOMEM;
    int error = platform_host_open(path);
    if (error != 0)
        return error;
    error = ash_prof_export(&look->view, format, &sink, work, work_bytes);
    int closed = platform_host_close();
    return error != 0 ? error : closed;
}
