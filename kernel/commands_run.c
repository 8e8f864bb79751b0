/* SPDX-License-Identifier: MIT */
/* commands_run.c: run, jobs: programs from the disk. */
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "jobs.h"
#include "kernel.h"
#include "shell_jobs.h"
#include "shell_threads.h"

/* What is asked for */

enum { PROGRAM_PATH_BYTES = 64 };

struct line {
    struct job_stage stages[JOB_STAGES_MAX];
    char paths[JOB_STAGES_MAX]
              [PROGRAM_PATH_BYTES]; /* of programs that were named without a directory */
    uint32_t count, words;          /* words: of the last stage */
    struct job_request request;
};

static bool is_word(const char *word, const char *what) {
    return strcmp(word, what) == 0;
}

/* The reason why it cannot be; NULL: it can. */
static const char *next_stage(struct line *line) {
    if (line->words == 0)
        return "there is no program beside a |";
    if (++line->count == JOB_STAGES_MAX)
        return "more programs than 8 are joined";
    line->words = 0;
    return NULL;
}

static const char *add_word(struct line *line, const char *word) {
    struct job_stage *stage = &line->stages[line->count];
    if (line->words == JOB_WORDS_MAX)
        return "a program gets 64 words at most";
    if (line->words == 0)
        stage->path = word;
    stage->words[line->words++] = word;
    return NULL;
}

static const char *parse(struct line *line, int argc, char **argv) {
    const char *wrong = NULL;
    if (argc > 1 && is_word(argv[argc - 1], "&")) {
        line->request.is_background = true;
        argc--;
    }
    for (int i = 0; i < argc && wrong == NULL; i++) {
        if (is_word(argv[i], "|"))
            wrong = next_stage(line);
        else if (line->words == 0 && line->count != 0 && is_word(argv[i], "run") && i + 1 < argc)
            continue; /* run a | run b */
        else if (is_word(argv[i], "<") && i + 1 < argc)
            line->request.input = argv[++i];
        else
            wrong = add_word(line, argv[i]);
    }
    if (wrong == NULL && line->words == 0)
        wrong = line->count == 0 ? "say which program" : "there is no program behind the |";
    line->count++;
    return wrong;
}

/* As a shell looks for programs: without a slash, in bin. What does not fit is left as it is. */
static const char *program_path(const char *name, char path[PROGRAM_PATH_BYTES]) {
    if (strchr(name, '/') != NULL ||
        snprintf(path, PROGRAM_PATH_BYTES, "/bin/%s", name) >= PROGRAM_PATH_BYTES)
        return name;
    return path;
}

static void find_programs(struct line *line) {
    for (uint32_t i = 0; i < line->count; i++)
        line->stages[i].path = program_path(line->stages[i].path, line->paths[i]);
}

bool shell_is_program(struct shell *shell, const char *name) {
    char path[PROGRAM_PATH_BYTES];
    struct file_node *node;
    struct file_info info;
    if (shell->fs == NULL || shell->kernel == NULL || !processes_can_run() ||
        shell->fs->look_up(shell->fs, NULL, program_path(name, path), true, &node) != 0)
        return false;
    shell->fs->describe(shell->fs, node, &info);
    return info.type == FILE_REGULAR;
}

/* What becomes of it */

static const char *why(int error) {
    if (error == -ASH_ENOENT)
        return "no such program; ls bin lists those of the disk";
    if (error == -ASH_EAGAIN)
        return "there are as many processes as there can be";
    return ash_strerror(error);
}

static void tell_end(struct shell *shell, const struct job *job, int wait_status) {
    int status = job_shell_status(wait_status);
    if (status > 128)
        shell_print(shell, "[%" PRIu32 "] %s: ", job->number, signal_name((uint32_t)status - 128));
    else if (status != 0)
        shell_print(shell, "[%" PRIu32 "] status %d: ", job->number, status);
    else
        shell_print(shell, "[%" PRIu32 "] done: ", job->number);
    shell_text(shell, job->text);
    shell_write(shell, "\n", 1);
}

void shell_tell_jobs(struct shell *shell) {
    struct job *job;
    while ((job = job_ended(&shell->kernel->jobs)) != NULL) {
        tell_end(shell, job, job->wait_status);
        job_forget(job);
    }
}

static int start(struct shell *shell, struct line *line) {
    struct kernel *kernel = shell->kernel;
    struct job *job;
    struct job_failure failure;
    line->request.stages = line->stages;
    line->request.count = line->count;
    line->request.terminal = &kernel->terminal;
    int error = job_start(&kernel->jobs, &line->request, &job, &failure);
    if (error != 0) {
        const char *reason = failure.reason != NULL ? failure.reason : why(error);
        shell_error(shell, "run", line->stages[failure.stage].words[0], reason);
        return error == -ASH_ENOENT ? SHELL_STATUS_UNKNOWN : SHELL_STATUS_CANNOT_RUN;
    }
    if (!line->request.is_background)
        return job_shell_status(job_wait(&kernel->jobs, job, &kernel->terminal));
    shell_print(shell, "[%" PRIu32 "] %" PRIu32 "\n", job->number, job->ids[job->count - 1]);
    return 0;
}

bool shell_has_programs(struct shell *shell, const char *command) {
    if (!shell_has_kernel(shell, command) || !shell_has_threads(shell, command))
        return false;
    if (processes_can_run())
        return true;
    shell_error(shell, command, NULL,
                "this machine runs no programs: they need its memory management unit, which a "
                "hosted kernel has not got; start it in QEMU (./ashlar boot)");
    return false;
}

int shell_run_programs(struct shell *shell, int argc, char **argv) {
    struct line *line;
    if (!shell_has_programs(shell, "run"))
        return 1;
    line = ash_kzalloc(&shell->kernel->memory.heap, sizeof(*line));
    if (line == NULL)
        return shell_error(shell, "run", NULL, ash_strerror(-ASH_ENOMEM));
    const char *wrong = parse(line, argc, argv);
    find_programs(line);
    int status = wrong != NULL ? shell_usage(shell, "run", wrong) : start(shell, line);
    ash_kfree(&shell->kernel->memory.heap, line);
    return status;
}

SHELL_COMMAND(run, "PROGRAM [WORD...] [| PROGRAM [WORD...]]... [< FILE] [&]",
              "Runs programs of the disk; a name without / is looked for in bin.\n"
              "They read what is typed, and Ctrl-C ends them. With & the shell goes on at once.\n"
              "Where no command has the program's name, run may be left out.") {
    if (argc == 1)
        return shell_usage(shell, "run", "say which program");
    return shell_run_programs(shell, argc - 1, argv + 1);
}

SHELL_COMMAND(jobs, "", "Lists the programs that run beside the shell.") {
    if (argc != 1)
        return shell_usage(shell, "jobs", "takes no words");
    (void)argv;
    if (!shell_has_programs(shell, "jobs"))
        return 1;
    shell_tell_jobs(shell);
    for (const struct job *job = shell->kernel->jobs.first; job != NULL; job = job->next) {
        shell_print(shell, "[%" PRIu32 "] %" PRIu32 " ", job->number, job->group);
        shell_text(shell, job->text);
        shell_write(shell, "\n", 1);
    }
    return 0;
}
