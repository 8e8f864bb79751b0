/* SPDX-License-Identifier: MIT */
/* export_ctf.h: what the two files of the Common Trace Format share. */
#ifndef ASHLAR_PROF_EXPORT_CTF_H
#define ASHLAR_PROF_EXPORT_CTF_H

#include "export_records.h"

/* The file `metadata`: export_ctf_metadata.c. Ids that nobody describes and records have are
 * described as two hexadecimal numbers. */
void ash__ctf_metadata(struct ash__prof_out *out, const struct ash_prof_view *view,
                       const struct ash__prof_type *types);

#endif
