/* Writes phantom cases as a data set in nnU-Net's raw layout with a truth/ folder (phantom.md section 1). */
#ifndef D4M_STAGE_PHANTOM_H
#define D4M_STAGE_PHANTOM_H

#include "base/command.h"
#include "phantom/params.h"

struct phantom_job {
    const char *out; /* folder; made if it is not there */
    uint64_t seed;
    int64_t first, count; /* cases first .. first + count - 1 */
    int preset;
    struct phantom_params params;
    /* a real CT in the patient's place (section 12): files as in struct semi_options; NULL: none */
    const char *from, *liver, *organs;
    int from_phase;
    const char *licence; /* of `from`, for dataset.json; NULL: what the dataset.json beside its folder says */
    bool clean;          /* write truth/CASE_clean_000p as well */
    bool force;          /* replace the phantom that is in `out` */
    uint64_t memory;     /* bytes that may be used; 0: what the machine allows */
    atomic_int *stop;
    const struct progress *progress;
};

/* Nothing appears in `out` before all cases are done; a failure leaves nothing. When stopped (ERR_STOPPED),
 * finished cases stay in a hidden folder, and the same job goes on from there. ERR_USAGE: `out` is not empty
 * (and not a phantom that `force` may replace), or a parameter is impossible; ERR_MEMORY before a file is
 * made if a case does not fit; else what semi_open says. */
MUST_USE enum err phantom_write(const struct phantom_job *job);

/* How many of the cases are for testing: the last ones. */
int64_t phantom_tests(const struct phantom_job *job);

extern const struct command cmd_phantom;

#endif
