/* SPDX-License-Identifier: MIT */
/* tap.c: see tap.h. */
#include "harness/tap.h"

#include <string.h>

#include "harness/test_case.h"

/* Does the word, `len` characters, name this case or its suite? */
static bool word_selects(const char *word, size_t len, const struct test_case *test) {
    size_t suite_len = strlen(test->suite);
    if (len < suite_len || memcmp(word, test->suite, suite_len) != 0)
        return false;
    if (len == suite_len)
        return true;
    return word[suite_len] == '.' && len - suite_len - 1 == strlen(test->name) &&
           memcmp(word + suite_len + 1, test->name, len - suite_len - 1) == 0;
}

static bool is_selected(const char *select, const struct test_case *test) {
    bool any_word = false;
    for (const char *word = select; *word != '\0';) {
        size_t len = strcspn(word, " ");
        any_word |= len != 0;
        if (len != 0 && word_selects(word, len, test))
            return true;
        word += len + (word[len] == ' ');
    }
    return !any_word && test->suite[0] != '_';
}

struct tap_totals tap_run(const char *select, void (*print)(const char *format, ...)) {
    struct tap_totals totals = {0, 0, 0};
    uint32_t planned = 0, number = 0;
    for (size_t i = 0; i < test_case_count(); i++)
        planned += is_selected(select, test_case_at(i));
    print("TAP version 13\n1..%u\n", planned);
    for (size_t i = 0; i < test_case_count(); i++) {
        const struct test_case *test = test_case_at(i);
        struct test_result result;
        if (!is_selected(select, test))
            continue;
        test_run_case(test, &result);
        number++;
        switch (result.verdict) {
        case TEST_PASSED:
            totals.passed++;
            print("ok %u - %s.%s\n", number, test->suite, test->name);
            break;
        case TEST_SKIPPED:
            totals.skipped++;
            print("ok %u - %s.%s # SKIP %s\n", number, test->suite, test->name, result.message);
            break;
        case TEST_FAILED:
            totals.failed++;
            print("not ok %u - %s.%s\n# %s:%d: %s\n", number, test->suite, test->name, result.file,
                  result.line, result.message);
            break;
        }
    }
    return totals;
}

void tap_list(void (*print)(const char *format, ...)) {
    for (size_t i = 0; i < test_case_count(); i++)
        print("%s.%s\n", test_case_at(i)->suite, test_case_at(i)->name);
}
