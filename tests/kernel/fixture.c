/* SPDX-License-Identifier: MIT */
/* fixture.c: see fixture.h. */
#include "kernel/fixture.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <stdio.h>

/* Archives */

struct image image_new(size_t capacity) {
    return (struct image){.bytes = test_alloc(capacity, 4096), .len = 0, .capacity = capacity};
}

static uint8_t *append(struct image *image, size_t len) {
    if (len > image->capacity - image->len)
        test_fail(__FILE__, __LINE__, "the image has no room for %zu bytes more", len);
    image->len += len;
    return image->bytes + image->len - len;
}

void image_octal(uint8_t *field, size_t len, uint64_t value) {
    field[len - 1] = '\0';
    for (size_t i = len - 1; i-- > 0; value >>= 3)
        field[i] = (uint8_t)('0' + (value & 7));
}

void image_seal(uint8_t *header) {
    uint32_t sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += header[i];
    image_octal(header + 148, 7, sum);
    header[155] = ' ';
}

uint8_t *image_header(struct image *image, char letter, const char *name, uint64_t size) {
    uint8_t *header = append(image, TAR_BLOCK);
    size_t len = strlen(name);
    memcpy(header, name, len < 100 ? len : 100);
    image_octal(header + 100, 8, 0644);
    image_octal(header + 108, 8, 0);
    image_octal(header + 116, 8, 0);
    image_octal(header + 124, 12, size);
    image_octal(header + 136, 12, 0);
    header[156] = (uint8_t)letter;
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    image_seal(header);
    return header;
}

void image_data(struct image *image, const void *bytes, size_t len) {
    uint8_t *data = append(image, (size_t)ash_align_up(len, TAR_BLOCK));
    if (len != 0)
        memcpy(data, bytes, len);
}

void image_file(struct image *image, const char *name, const void *bytes, size_t len) {
    image_header(image, '0', name, len);
    image_data(image, bytes, len);
}

void image_text(struct image *image, const char *name, const char *text) {
    image_file(image, name, text, strlen(text));
}

void image_directory(struct image *image, const char *name) {
    image_header(image, '5', name, 0);
}

void image_link(struct image *image, char letter, const char *name, const char *target) {
    uint8_t *header = image_header(image, letter, name, 0);
    size_t len = strlen(target);
    memcpy(header + 157, target, len < 100 ? len : 100);
    image_seal(header);
}

void image_pax(struct image *image, char letter, const char *key, const char *value) {
    size_t size = strlen(key) + strlen(value) + 32;
    char *record = test_alloc(size, 8);
    size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;
    while (len != rest + (size_t)snprintf(record, 24, "%zu", len))
        len = rest + (size_t)snprintf(record, 24, "%zu", len);
    snprintf(record, size, "%zu %s=%s\n", len, key, value);
    image_header(image, letter, "pax", len);
    image_data(image, record, len);
}

void image_end(struct image *image) {
    append(image, (size_t)2 * TAR_BLOCK);
}

/* Memory: the case's, which is given back when it ends; live counts what is not freed. */

static void *memory_alloc(void *context, size_t size_bytes) {
    struct test_memory *memory = context;
    if (++memory->calls >= memory->fail_at && memory->fail_at != 0)
        return NULL;
    memory->live++;
    return test_alloc(size_bytes, 16);
}

static void memory_free(void *context, void *pointer) {
    struct test_memory *memory = context;
    if (pointer != NULL)
        memory->live--;
}

static struct allocator allocator_of(struct test_memory *memory) {
    return (struct allocator){memory_alloc, memory_free, memory};
}

/* Mounting */

static int image_read(void *context, uint64_t offset, void *buffer, size_t len) {
    struct mounted *mounted = context;
    if (!ash_range_fits(offset, len, mounted->source.size_bytes))
        test_fail(__FILE__, __LINE__, "read of %zu bytes at %llu, of %llu", len,
                  (unsigned long long)offset, (unsigned long long)mounted->source.size_bytes);
    /* Relaxed: it must not order what threads read here. */
    if (__atomic_add_fetch(&mounted->reads, 1, __ATOMIC_RELAXED) == mounted->fail_read_at)
        return -ASH_EIO;
    memcpy(buffer, mounted->image.bytes + offset, len);
    return 0;
}

static void keep_report(void *context, const char *message) {
    struct mounted *mounted = context;
    size_t len = strlen(mounted->report);
    mounted->reports++;
    if (strchr(message, '\n') != NULL)
        test_fail(__FILE__, __LINE__, "more than one line: %s", message);
    snprintf(mounted->report + len, sizeof(mounted->report) - len, "%s\n", message);
}

struct mounted *mounted_new(const struct image *image) {
    struct mounted *mounted = test_alloc(sizeof(*mounted), 16);
    mounted->image = *image;
    mounted->source = (struct byte_source){image_read, mounted, image->len};
    return mounted;
}

void mounted_mount(struct mounted *mounted) {
    struct allocator allocator = allocator_of(&mounted->memory);
    mounted->error =
        tarfs_mount(&mounted->fs, &mounted->source, &allocator, &allocator, keep_report, mounted);
    if (mounted->error == 0 && mounted->fs.interface.check(&mounted->fs.interface) != NULL)
        test_fail(__FILE__, __LINE__, "%s", mounted->fs.interface.check(&mounted->fs.interface));
}

struct mounted *mount_image(const struct image *image) {
    struct mounted *mounted = mounted_new(image);
    mounted_mount(mounted);
    return mounted;
}

int look_up_error(struct mounted *mounted, const char *path) {
    struct file_node *node;
    return mounted->fs.interface.look_up(&mounted->fs.interface, NULL, path, true, &node);
}

struct file_node *node_at(struct mounted *mounted, const char *path) {
    struct file_node *node;
    int error = mounted->fs.interface.look_up(&mounted->fs.interface, NULL, path, true, &node);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "%s: %s", path, ash_strerror(error));
    return node;
}

struct file_info info_at(struct mounted *mounted, const char *path) {
    struct file_info info;
    mounted->fs.interface.describe(&mounted->fs.interface, node_at(mounted, path), &info);
    return info;
}

const char *text_at(struct mounted *mounted, const char *path) {
    struct file_info info = info_at(mounted, path);
    char *text = test_alloc((size_t)info.size_bytes + 1, 16);
    size_t got;
    int error = mounted->fs.interface.read(&mounted->fs.interface, node_at(mounted, path), 0, text,
                                           (size_t)info.size_bytes, &got);
    if (error != 0 || got != info.size_bytes)
        test_fail(__FILE__, __LINE__, "%s: error %d, %zu bytes", path, error, got);
    return text;
}

/* A console that types */

static void script_write(void *context, const void *bytes, size_t len) {
    struct script *script = context;
    if (len > SCRIPT_OUTPUT_MAX - script->output_len)
        test_fail(__FILE__, __LINE__, "the shell writes more than %d bytes", SCRIPT_OUTPUT_MAX);
    memcpy(script->output + script->output_len, bytes, len);
    script->output_len += len;
    script->output[script->output_len] = '\0';
}

static int script_read(void *context) {
    struct script *script = context;
    if (script->input_at == script->input_len)
        return -ASH_EPIPE;
    return (uint8_t)script->input[script->input_at++];
}

static int script_poll(void *context) {
    struct script *script = context;
    if (script->keys == NULL || *script->keys == '\0')
        return -ASH_EAGAIN;
    return (uint8_t)*script->keys++;
}

struct script *script_new(struct mounted *mounted, bool is_terminal) {
    struct script *script = test_alloc(sizeof(*script), 16);
    struct shell *shell = test_alloc(sizeof(*shell), 16);
    script->console = (struct console){script_write, script_read, script_poll, script, is_terminal};
    script->shell = shell;
    script->output = test_alloc(SCRIPT_OUTPUT_MAX + 1, 16);
    shell->console = &script->console;
    shell->fs = mounted == NULL ? NULL : &mounted->fs.interface;
    shell->no_fs = "this test has none";
    shell->chunk_bytes = 64; /* small, so that files come in many pieces */
    shell->chunk = test_alloc(shell->chunk_bytes, 16);
    shell_init(shell);
    return script;
}

int script_type(struct script *script, const char *input, size_t len) {
    script->input = input;
    script->input_len = len;
    script->input_at = 0;
    script->output_len = 0;
    script->output[0] = '\0';
    return shell_run(script->shell);
}

int script_run(struct script *script, const char *input) {
    return script_type(script, input, strlen(input));
}
