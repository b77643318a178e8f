/* Inside of preparing: the steps of one case, shared by the forms in memory (prepare.c) and on disk
 * (prepare_store.c). */
#ifndef D4M_DATA_PREPARE_STEPS_H
#define D4M_DATA_PREPARE_STEPS_H

#include "data/prepare.h"

struct prepare_job {
    const struct prepare_options *options;
    struct notes *notes;
};

MUST_USE enum err prepare_begin(struct prepared **out, const struct case_files *c, const struct plan *p,
                                const struct prepare_options *o, struct notes *n);
/* Fills phase[channel] (NULL if it counts as missing) and its statistics. */
MUST_USE enum err prepare_phase(struct prepared *r, int channel, const struct case_files *c,
                                const struct plan *p, const struct prepare_job *job);
MUST_USE enum err prepare_label(struct prepared *r, const struct case_files *c, const struct plan *p,
                                const struct prepare_job *job);
/* ERR_MEMORY with both numbers if the case cannot be prepared here; keep: all phases stay in memory. */
MUST_USE enum err prepare_fits(const struct case_files *c, const struct plan *p,
                               const struct prepare_options *o, bool keep);

#endif
