/* SPDX-License-Identifier: MIT */
/* shell_complete.c: what Tab does: completes the command or path at the cursor, or lists. */
#include "shell.h"
#include "words.h"

#include <string.h>

enum { LISTED_MAX = 100 };

/* The candidates of one Tab: their common beginning, and on a second pass their names. */
struct completion {
    struct shell *shell;
    const char *stem; /* what the candidates begin with */
    size_t stem_len;
    bool listing;
    uint64_t count;
    bool is_directory;               /* of the last candidate */
    char common[LINE_MAX_BYTES + 1]; /* what they all begin with */
    size_t common_len;
};

static void candidate(struct completion *completion, const char *name, bool is_directory) {
    if (strncmp(name, completion->stem, completion->stem_len) != 0)
        return;
    completion->is_directory = is_directory;
    if (completion->listing) {
        if (completion->count++ < LISTED_MAX) {
            shell_text(completion->shell, name);
            shell_print(completion->shell, is_directory ? "/\n" : "\n");
        }
        return;
    }
    size_t len = strlen(name);
    if (len > LINE_MAX_BYTES)
        len = LINE_MAX_BYTES;
    if (completion->count++ == 0) {
        memcpy(completion->common, name, len);
        completion->common_len = len;
    }
    size_t same = 0;
    while (same < len && same < completion->common_len && name[same] == completion->common[same])
        same++;
    completion->common_len = same;
}

static void visit_commands(struct completion *completion) {
    const struct shell_command *command = NULL;
    while ((command = shell_next(command)) != NULL)
        candidate(completion, command->name, false);
}

/* A link to a directory counts as one: the next Tab goes on inside. */
static bool leads_to_directory(struct file_system *fs, char *path, size_t directory_len,
                               const struct file_info *info) {
    struct file_node *node;
    struct file_info end;
    size_t len = strlen(info->name);
    if (info->type != FILE_SYMLINK)
        return info->type == FILE_DIRECTORY;
    if (directory_len + len > LINE_MAX_BYTES)
        return false;
    memcpy(path + directory_len, info->name, len + 1);
    if (fs->look_up(fs, NULL, path, true, &node) != 0)
        return false;
    fs->describe(fs, node, &end);
    return end.type == FILE_DIRECTORY;
}

/* path: up to and with its last slash, directory_len bytes, in a buffer of LINE_MAX_BYTES + 1. */
static void visit_directory(struct completion *completion, char *path, size_t directory_len) {
    struct file_system *fs = completion->shell->fs;
    struct file_node *directory, *node = NULL;
    struct file_info info;
    path[directory_len] = '\0';
    if (fs == NULL || fs->look_up(fs, NULL, path, true, &directory) != 0)
        return;
    fs->describe(fs, directory, &info);
    if (info.type != FILE_DIRECTORY)
        return;
    while ((node = fs->next(fs, directory, node)) != NULL) {
        fs->describe(fs, node, &info);
        if (strncmp(info.name, completion->stem, completion->stem_len) == 0)
            candidate(completion, info.name, leads_to_directory(fs, path, directory_len, &info));
    }
}

/* Inserts text so that the word splitter gives it back. */
static void insert_quoted(struct line_editor *editor, const char *text, size_t len, char quote) {
    for (size_t i = 0; i < len; i++) {
        bool special =
            quote == '"' ? text[i] == '"' || text[i] == '\\' : strchr(" \t;'\"\\", text[i]) != NULL;
        if (quote != '\'' && special && !line_editor_insert(editor, "\\", 1))
            return;
        if (!line_editor_insert(editor, text + i, 1))
            return;
    }
}

static void apply(struct completion *completion, struct line_editor *editor, char quote) {
    insert_quoted(editor, completion->common + completion->stem_len,
                  completion->common_len - completion->stem_len, quote);
    if (completion->count != 1)
        return;
    if (completion->is_directory) {
        (void)line_editor_insert(editor, "/", 1);
        return;
    }
    if (quote != 0)
        (void)line_editor_insert(editor, &quote, 1);
    (void)line_editor_insert(editor, " ", 1);
}

static void visit(struct completion *completion, const struct word_at_cursor *word, char *path,
                  size_t directory_len) {
    completion->count = 0;
    if (word->is_command)
        visit_commands(completion);
    else
        visit_directory(completion, path, directory_len);
}

void shell_complete(void *context, struct line_editor *editor) {
    static char text[LINE_MAX_BYTES + 1], path[LINE_MAX_BYTES + 1]; /* too large for a stack */
    static struct completion completion;
    struct word_at_cursor word = words_at_cursor(editor->line, editor->cursor, text, sizeof(text));
    const char *slash = word.is_command ? NULL : strrchr(text, '/');
    size_t directory_len = slash == NULL ? 0 : (size_t)(slash + 1 - text);
    memcpy(path, text, directory_len);
    completion.shell = context;
    completion.stem = text + directory_len;
    completion.stem_len = word.text_len - directory_len;
    completion.listing = false;
    visit(&completion, &word, path, directory_len);
    if (completion.count == 0)
        return;
    if (completion.count == 1 || completion.common_len > completion.stem_len) {
        apply(&completion, editor, word.quote);
    } else {
        completion.listing = true;
        shell_write(context, "\n", 1);
        visit(&completion, &word, path, directory_len);
        if (completion.count > LISTED_MAX)
            shell_print(context, "... and %llu more\n",
                        (unsigned long long)(completion.count - LISTED_MAX));
    }
    line_editor_redraw(editor);
}
