/* SPDX-License-Identifier: MIT */
/*
 * jobs.h: the programs that the shell has started: a job is one of them, or several that a pipe
 * joins, and a process group. Called by the shell's thread alone.
 *
 *     first | second | third          pipes, and one group: keys that send signals reach all
 */
#ifndef KERNEL_JOBS_H
#define KERNEL_JOBS_H

#include "files.h"
#include "process.h"

enum {
    JOB_STAGES_MAX = 8,
    JOB_WORDS_MAX = 64, /* of one stage */
    JOB_TEXT_BYTES = 72,
};

/* A program with its words. */
struct job_stage {
    const char *path;
    const char *words[JOB_WORDS_MAX + 1]; /* NULL after the last */
};

struct job {
    uint32_t number; /* [1] */
    uint32_t group;
    uint32_t count;
    uint32_t ids[JOB_STAGES_MAX];
    uint32_t running; /* of these; also read while they end */
    int wait_status;  /* of the last one, when none runs */
    char text[JOB_TEXT_BYTES];
    struct job *next;
};

/* Begins as all zeros. */
struct job_list {
    struct job *first;
};

struct job_request {
    const struct job_stage *stages;
    uint32_t count;
    struct terminal *terminal;
    const char *input;  /* a file instead of the terminal; NULL: none */
    bool is_background; /* reads nothing */
};

/* What could not be started. */
struct job_failure {
    uint32_t stage;
    const char *reason; /* of -ASH_ENOEXEC: what the file is, a phrase */
};

/* Starts all stages, or none that would go on. Errors of process_spawn and files_open;
 * -ASH_ENOMEM. */
int job_start(struct job_list *list, const struct job_request *request, struct job **job,
              struct job_failure *failure) ASH_MUST_CHECK;

/* Serves the terminal until it has ended; forgets it. The last stage's status as wait4 has it. */
int job_wait(struct job_list *list, struct job *job, struct terminal *terminal);

/* One that has ended: it is no longer in the list; job_forget it. NULL: there is none. */
struct job *job_ended(struct job_list *list);
/* Gives back the memory of one that is in no list. */
void job_forget(struct job *job);

/* The status that a shell tells of: 0..125 as it was, 128 + the signal that ended it. */
int job_shell_status(int wait_status);

#endif
