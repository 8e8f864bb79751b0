/* SPDX-License-Identifier: MIT */
/*
 * export.c: which format is written by whom.
 */
#include "export_internal.h"

#define FORMAT(name) \
    { ash__prof_##name##_work, ash__prof_##name }

static const struct {
    size_t (*work)(const struct ash_prof_view *view);
    int (*export)(const struct ash_prof_view *view, const struct ash_prof_sink *sink, void *work,
                  size_t work_bytes);
} formats[] = {
    [ASH_PROF_CHROME] = FORMAT(chrome), [ASH_PROF_CTF] = FORMAT(ctf),
    [ASH_PROF_PPROF] = FORMAT(pprof),   [ASH_PROF_FOLDED] = FORMAT(folded),
    [ASH_PROF_FLAME] = FORMAT(flame),   [ASH_PROF_SUMMARY] = FORMAT(summary),
};

uint64_t ash__prof_record_total(const struct ash_prof_view *view) {
    uint64_t total = 0;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++)
        total += view->cpus[cpu].record_count;
    return total;
}

uint64_t ash__prof_sample_total(const struct ash_prof_view *view) {
    uint64_t total = 0;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++)
        total += view->cpus[cpu].sample_count;
    return total;
}

size_t ash_prof_export_work(const struct ash_prof_view *view, enum ash_prof_format format) {
    if ((size_t)format >= ASH_ARRAY_LEN(formats) || formats[format].work == NULL)
        return 0;
    return formats[format].work(view);
}

int ash_prof_export(const struct ash_prof_view *view, enum ash_prof_format format,
                    const struct ash_prof_sink *sink, void *work, size_t work_bytes) {
    size_t wanted = ash_prof_export_work(view, format);
    if (wanted == 0 || work_bytes < wanted || !ash_is_aligned((uintptr_t)work, 64))
        return -ASH_EINVAL;
    return formats[format].export(view, sink, work, work_bytes);
}
