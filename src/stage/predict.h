/* From the files of a case to its mask: register its phases, prepare in memory, slide the network over it,
 * carry the logits home, keep tumour inside the liver, save. Memory is known before the start
 * (predict_memory) and stays there. */
#ifndef D4M_STAGE_PREDICT_H
#define D4M_STAGE_PREDICT_H

#include "base/command.h"
#include "data/prepare.h"
#include "stage/segmenter.h"
#include <jansson.h>

struct predict_options {
    const struct segmenter *net;
    struct prepare_options prepare;
    bool align;     /* register each phase onto the reference; false: headers alone place it */
    bool mirror;    /* mean over the eight flips */
    uint64_t limit; /* bytes that the process may use; 0: what the machine has */
    const struct progress *progress;
    atomic_int *stop; /* NULL, or not 0: ERR_STOPPED before the next patch */
};

/* Bytes, the network's included, of the four parts of a prediction that do not overlap: */
struct predict_bytes {
    uint64_t align;   /* two phases and what registration takes */
    uint64_t prepare; /* reading and resampling phases: working arrays beside the int16 phases made so far */
    uint64_t
        windows; /* int16 phases + accumulators of the slices in flight + two planes of logits + the mask */
    uint64_t finish; /* mask + components of the liver rule, or mask + reordered and compressed copies */
    uint64_t peak;   /* the largest of them, and 32 MB for the program */
    struct prepare_memory grids;
};
MUST_USE enum err predict_memory(struct predict_bytes *b, const struct case_files *c,
                                 const struct predict_options *o);

/* Predicts one case and writes its mask: uint8 on the reference phase's stored grid with its geometry fields.
 * *record (new reference) tells phases used, grids, volumes, lesions and notes. ERR_MEMORY, with both
 * numbers, before anything is read if it would not fit. */
MUST_USE enum err predict_case(json_t **record, const struct case_files *c, const struct predict_options *o,
                               const char *mask_path);
extern const struct command cmd_predict;

#endif
