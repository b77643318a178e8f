/* Who made the first value that is not finite? */
#include "graph/program_parts.h"

#include "tensor/bf16.h"
#include <math.h>

static bool row_finite(const void *data, enum dtype type, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (type == DT_F32    ? !isfinite(((const float *)data)[i])
            : type == DT_BF16 ? !isfinite(bf16_widen(((const uint16_t *)data)[i]))
                              : type == DT_F64 && !isfinite(((const double *)data)[i]))
            return false;
    return true;
}

static bool all_finite(const struct program *p, uint32_t edition)
{
    const val v = {p->schedule.value[edition]};
    const struct dims d = graph_dims(p->g, v);
    const enum dtype type = graph_type(p->g, v);
    const int64_t count = dims_count(&d), pitch = p->plan.spot[edition].pitch,
                  row = pitch ? d.n[d.rank - 1] : count;
    const char *data = p->at[edition];

    for (int64_t i = 0; count && i < count / row; i++)
        if (!row_finite(data + (size_t)(i * pitch) * dtype_size(type), type, row))
            return false;
    return true;
}

static bool blame_sources(const struct program *p, struct str *culprit)
{
    for (int i = 0; i < graph_count(p->g); i++) {
        const struct node *n = graph_at(p->g, i);
        if ((n->id == OP_INPUT || n->id == OP_STATE) && p->at[n->first_out] && !all_finite(p, n->first_out)) {
            str_addf(culprit, "%s %s", n->id == OP_INPUT ? "input" : "state", n->attr.name);
            return true;
        }
    }
    return false;
}

enum err program_replay(struct program *p, struct str *culprit)
{
    TRY(program_check_bound(p));
    program_enter(p);
    if (blame_sources(p, culprit))
        return str_status(culprit);
    for (int i = 0; i < p->plan.first_update; i++) {
        const struct turn *t = &p->schedule.turn[i];
        const struct node *n = p->steps[t->step].node;
        program_turn(p, i);
        for (uint32_t e = t->out; e < t->out + (uint32_t)n->n_out; e++)
            if (p->at[e] && !all_finite(p, e)) {
                str_addf(culprit, "%s in %s", n->op->name, n->scope[0] ? n->scope : "the graph");
                return str_status(culprit);
            }
    }
    return ERR_OK;
}
