/* SPDX-License-Identifier: MIT */
/*
 * prof_export.h: a view written as what others' tools read.
 *
 *     chrome   Trace Event JSON: timelines (Perfetto's and Chromium's viewers, speedscope)
 *     ctf      Common Trace Format 1.8, lossless: a folder (babeltrace2, Trace Compass)
 *     pprof    profile.proto, not packed (gzip it): go tool pprof, speedscope
 *     folded   "outer;inner weight" lines: flame graph tools
 *     flame    one SVG file, which needs nothing else: hover, search, zoom
 *     summary  text for people
 *
 * Rules
 *  - Output goes through a sink in pieces, in order; an error of it ends the export and is
 *    returned. The same view gives the same bytes, always.
 *  - Memory is the caller's: `work`, as much as ash_prof_export_work says for the view; it is
 *    linear in what the view has.
 *  - progress, if not NULL, is called now and then with what is done of what there is.
 */
#ifndef ASHLAR_PROF_EXPORT_H
#define ASHLAR_PROF_EXPORT_H

#include <ashlar/prof_view.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ash_prof_sink {
    int (*write)(void *context, const void *bytes, size_t len); /* 0 or -ASH_E* */
    /* Of formats with several files: the bytes that follow go into this one. Else NULL. */
    int (*open)(void *context, const char *name);
    void (*progress)(void *context, uint64_t done, uint64_t of);
    void *context;
};

enum ash_prof_format {
    ASH_PROF_CHROME,
    ASH_PROF_CTF,
    ASH_PROF_PPROF,
    ASH_PROF_FOLDED,
    ASH_PROF_FLAME,
    ASH_PROF_SUMMARY,
};

/* Bytes; 0: the view has nothing for this format (no samples, no records). */
size_t ash_prof_export_work(const struct ash_prof_view *view, enum ash_prof_format format);

/* -ASH_EINVAL: nothing to export, or work_bytes are too few; -ASH_ENOENT likewise;
 * -ASH_EBADMSG: times that the format cannot say (ctf); the sink's. */
int ash_prof_export(const struct ash_prof_view *view, enum ash_prof_format format,
                    const struct ash_prof_sink *sink, void *work, size_t work_bytes) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
