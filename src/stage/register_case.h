/* The phases of one case brought onto its reference phase in memory: what prediction does to a new case. */
#ifndef D4M_STAGE_REGISTER_CASE_H
#define D4M_STAGE_REGISTER_CASE_H

#include "data/place.h"
#include "stage/register.h"

struct case_alignment {
    struct transform *transform[PLAN_MAX_PHASES]; /* reference -> phase; NULL: as its header says */
    json_t *record[PLAN_MAX_PHASES]; /* verdict, reasons and figures; NULL where nothing was tried */
};

struct case_register_job {
    const struct prepare_options *read;
    const struct progress *progress; /* may be NULL */
    atomic_int *stop;                /* may be NULL */
    struct notes *notes;
};
/* Registers every phase of c onto c->reference, one after the other, and tells each verdict in a line of
 * progress. A phase whose verdict is fail counts as missing: its path in *c becomes NULL, with a note. A
 * phase that cannot be registered at all (too few slices, no body, no geometry) keeps its header's position,
 * with a note. ERR_STOPPED, ERR_MEMORY. */
MUST_USE enum err register_case(struct case_alignment *out, struct case_files *c,
                                const struct case_register_job *job);
void register_case_drop_maps(struct case_alignment *a); /* keeps the records */
void register_case_free(struct case_alignment *a);      /* accepts a zeroed struct */

/* Bytes: at the peak, and for the maps afterwards. */
struct register_case_bytes {
    uint64_t peak, kept;
};
MUST_USE enum err register_case_memory(struct register_case_bytes *b, const struct case_files *c,
                                       const struct prepare_options *o);

#endif
