/* What bench op times beside the small samples of the op table: the shapes that networks here spend their
 * time in, one list of rows. */
#ifndef D4M_STAGE_BENCH_OP_CASES_H
#define D4M_STAGE_BENCH_OP_CASES_H

#include "graph/op.h"

struct bench_case {
    int op;
    bool grad;     /* forward and gradient by every input, as autograd does it */
    bool is_shape; /* from the list here, not a sample of the row */
    struct sample sample;
};

/* Fills list (room for BENCH_CASES_MAX): first the shapes, then the rows' samples. Returns how many. */
enum { BENCH_CASES_MAX = 1024 };
int bench_cases(struct bench_case *list);

#endif
