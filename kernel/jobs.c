/* SPDX-License-Identifier: MIT */
/* jobs.c: see jobs.h. */
#include "jobs.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "pipe.h"
#include "wait.h"

static const char *const environment[] = {"PATH=/bin", "HOME=/", "PWD=/", "TERM=vt100", NULL};

static void *take(size_t size) {
    void *memory = files_allocator()->alloc(files_allocator()->context, size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

static void drop(void *memory) {
    files_allocator()->free(files_allocator()->context, memory);
}

/* Starting */

/* By a process's thread, at its end. */
static void note_end(void *context) {
    struct job *job = context;
    __atomic_fetch_sub(&job->running, 1u, __ATOMIC_ACQ_REL);
    kernel_wait_look();
}

static bool add_file(struct file_table *table, struct open_file *file, uint32_t number) {
    return file != NULL && file_table_put(table, file, number, false) == (int)number;
}

static struct open_file *open_input(const struct job_request *request, int *error) {
    struct open_file *file = NULL;
    if (request->input != NULL)
        *error = files_open(NULL, request->input, OPEN_READ_ONLY, &file);
    else if (request->is_background)
        *error = files_open(NULL, "/dev/null", OPEN_READ_ONLY, &file);
    else
        *error = terminal_open(request->terminal, OPEN_READ_WRITE, files_allocator(), &file);
    return *error == 0 ? file : NULL;
}

static struct open_file *open_output(const struct job_request *request) {
    struct open_file *file;
    int error = terminal_open(request->terminal, OPEN_READ_WRITE, files_allocator(), &file);
    return error == 0 ? file : NULL;
}

static void drop_table(struct file_table *table) {
    if (table != NULL)
        file_table_close_all(table);
    drop(table);
}

/* The descriptors of a stage; input, and output if it is one, are the table's then, or gone. */
static struct file_table *new_table(const struct job_request *request, struct open_file *input,
                                    struct open_file *output) {
    struct file_table *table = take(sizeof(*table));
    struct open_file *messages = open_output(request);
    if (table != NULL && add_file(table, input, 0) && add_file(table, output, 1) &&
        add_file(table, messages, 2))
        return table;
    if (input != NULL && (table == NULL || table->files[0] == NULL))
        open_file_put(input);
    if (output != NULL && (table == NULL || table->files[1] == NULL))
        open_file_put(output);
    if (messages != NULL)
        open_file_put(messages);
    drop_table(table);
    return NULL;
}

static int start_stage(struct job *job, const struct job_stage *stage,
                       const struct file_table *table, const char **reason) {
    struct process_start start = {.path = stage->path,
                                  .arguments = stage->words,
                                  .environment = environment,
                                  .files = table,
                                  .group = job->group,
                                  .ended = note_end,
                                  .context = job};
    uint32_t *id = &job->ids[job->count];
    ash_fetch_add(&job->running, 1u);
    int error = process_spawn(&start, id);
    *reason = start.reason;
    if (error != 0) {
        __atomic_fetch_sub(&job->running, 1u, __ATOMIC_ACQ_REL);
        return error;
    }
    if (job->count++ == 0)
        job->group = *id;
    return 0;
}

static int start_all(struct job *job, const struct job_request *request, const char **reason) {
    int error;
    struct open_file *input = open_input(request, &error);
    for (uint32_t i = 0; i < request->count && error == 0; i++) {
        struct open_file *next_input = NULL, *output = NULL;
        if (i + 1 == request->count)
            output = open_output(request);
        else
            error = pipe_new(files_allocator(), 0, &next_input, &output);
        struct file_table *table = new_table(request, input, error == 0 ? output : NULL);
        input = next_input;
        if (error == 0)
            error =
                table == NULL ? -ASH_ENOMEM : start_stage(job, &request->stages[i], table, reason);
        drop_table(table);
    }
    if (input != NULL)
        open_file_put(input);
    return error;
}

static void describe(struct job *job, const struct job_request *request) {
    size_t at = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const char *const *word = request->stages[i].words;
        for (uint32_t w = 0; word[w] != NULL && at < sizeof(job->text); w++) {
            const char *before = w != 0 ? " " : i != 0 ? " | " : "";
            at += (size_t)snprintf(job->text + at, sizeof(job->text) - at, "%s%s", before, word[w]);
        }
    }
}

static uint32_t free_number(const struct job_list *list) {
    uint32_t number = 1;
    for (const struct job *job = list->first; job != NULL; job = job->next)
        number = job->number >= number ? job->number + 1 : number;
    return number;
}

static void join_all(struct job *job) {
    for (uint32_t i = 0; i < job->count; i++) {
        if (process_join(job->ids[i], UINT64_MAX, &job->wait_status) != 0)
            job->wait_status = 0;
    }
}

int job_start(struct job_list *list, const struct job_request *request, struct job **started,
              struct job_failure *failure) {
    struct job *job = take(sizeof(*job));
    if (job == NULL)
        return -ASH_ENOMEM;
    job->number = free_number(list);
    describe(job, request);
    *failure = (struct job_failure){.stage = 0};
    int error = start_all(job, request, &failure->reason);
    failure->stage = job->count;
    if (error != 0) {
        if (job->count != 0 && process_kill(-(int64_t)job->group, 0, SIGNAL_KILL, NULL) == 0)
            join_all(job);
        drop(job);
        return error;
    }
    job->next = list->first;
    list->first = job;
    *started = job;
    return 0;
}

/* Waiting */

static bool has_ended(void *context) {
    struct job *job = context;
    return ash_load_acquire(&job->running) == 0;
}

/* And one that has stopped goes on, to see it: nobody else could let it. */
static void send_key(void *context, uint32_t key) {
    const struct signal_info info = {.code = SIGNAL_CODE_KERNEL};
    struct job *job = context;
    uint32_t signal = key == TERMINAL_INTERRUPT ? SIGNAL_INT : SIGNAL_QUIT;
    int error = process_kill(-(int64_t)job->group, 0, signal, &info);
    if (error == 0)
        error = process_kill(-(int64_t)job->group, 0, SIGNAL_CONT, &info);
    (void)error; /* it may just have ended */
}

static void remove_job(struct job_list *list, struct job *job) {
    struct job **link = &list->first;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
}

int job_wait(struct job_list *list, struct job *job, struct terminal *terminal) {
    const struct terminal_job service = {has_ended, send_key, job};
    terminal_serve(terminal, &service);
    join_all(job);
    remove_job(list, job);
    int wait_status = job->wait_status;
    drop(job);
    return wait_status;
}

struct job *job_ended(struct job_list *list) {
    struct job *job = list->first;
    while (job != NULL && !has_ended(job))
        job = job->next;
    if (job != NULL) {
        join_all(job);
        remove_job(list, job);
    }
    return job;
}

void job_forget(struct job *job) {
    drop(job);
}

int job_shell_status(int wait_status) {
    uint32_t status = (uint32_t)wait_status;
    return (status & 0x7f) != 0 ? (int)(128 + (status & 0x7f)) : (int)(status >> 8 & 0xff);
}
