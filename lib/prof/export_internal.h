/* SPDX-License-Identifier: MIT */
/*
 * export_internal.h: what each export gives to the table of export.c.
 *
 * ash__prof_x_work: bytes of memory that the export of this view wants, at least 1; 0: the view has
 * nothing for it. ash__prof_x: `work` is aligned to 64 and at least as large; 0 or the
 * sink's error.
 */
#ifndef ASHLAR_PROF_EXPORT_INTERNAL_H
#define ASHLAR_PROF_EXPORT_INTERNAL_H

#include <ashlar/prof_export.h>

#define ASH__PROF_EXPORT(format)                                                               \
    size_t ash__prof_##format##_work(const struct ash_prof_view *view);                        \
    int ash__prof_##format(const struct ash_prof_view *view, const struct ash_prof_sink *sink, \
                           void *work, size_t work_bytes)

ASH__PROF_EXPORT(chrome);
ASH__PROF_EXPORT(ctf);
ASH__PROF_EXPORT(pprof);
ASH__PROF_EXPORT(folded);
ASH__PROF_EXPORT(flame);
ASH__PROF_EXPORT(summary);

/* What a view has, of all CPUs. */
uint64_t ash__prof_record_total(const struct ash_prof_view *view);
uint64_t ash__prof_sample_total(const struct ash_prof_view *view);

#endif
