#include "nn/loss.h"

#include <string.h>

enum { LEVELS_MAX = 32 };

void loss_level_weights(int n, double weight[])
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        weight[i] = n > 1 && i == n - 1 ? 0 : 1.0 / (double)(1 << i);
        sum += weight[i];
    }
    for (int i = 0; i < n; i++)
        weight[i] /= sum;
}

/* labels at the resolution of `like`. */
static val labels_at(struct graph *g, val labels, val like)
{
    struct dims want = graph_dims(g, like), have = graph_dims(g, labels);

    if (!memcmp(&want.n[1], &have.n[1], 3 * sizeof(int64_t)))
        return labels;
    return op_nearest(g, labels, &want.n[1]);
}

val loss_deep_supervision(struct graph *g, int n, const val logits[], val labels, const struct dice_ce *o)
{
    double weight[LEVELS_MAX];
    val sum = {0};

    if (n < 1 || n > LEVELS_MAX) {
        graph_fail(g, err_set(ERR_SHAPE, "deep supervision: %d outputs (1 to %d)", n, (int)LEVELS_MAX));
        return sum;
    }
    loss_level_weights(n, weight);
    graph_enter(g, "loss");
    for (int i = 0; i < n; i++) {
        val level;

        if (weight[i] == 0)
            continue;
        level = op_mul_scalar(g, op_dice_ce(g, logits[i], labels_at(g, labels, logits[i]), o), weight[i]);
        sum = sum.id ? op_add(g, sum, level) : level;
    }
    graph_leave(g);
    return sum;
}
