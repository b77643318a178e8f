#include "graph/op.h"

#define OP(NAME, name) extern const struct op op_row_##name;
#include "ops/ops.def"
#undef OP

const struct op *const op_rows[OP_COUNT] = {
#define OP(NAME, name) [OP_##NAME] = &op_row_##name,
#include "ops/ops.def"
#undef OP
};
