#include "backend/conv_block.h"

#include "backend/classes.h"

int64_t conv_source_extent(const struct conv_axis *a, int64_t n)
{
    return (n - 1) * a->step_in + a->high - a->low + 1;
}

int64_t conv_dest_count(const struct conv_axis *a)
{
    return int64_ceil_div(a->dest, a->step_out);
}

int64_t conv_blocks_elements(const struct conv_blocks *b, const struct conv_axis axis[3], int64_t channels)
{
    int64_t count = channels * conv_source_extent(&axis[2], b->size[2]);

    for (int i = 0; i < 2; i++) {
        const int64_t extent = conv_source_extent(&axis[i], b->size[i]);
        count *= axis[i].outside ? extent : int64_min(extent, axis[i].source);
    }
    return count;
}

struct conv_blocks conv_blocks_choose(const struct conv_axis axis[3], int64_t channels, int64_t limit)
{
    enum { ROWS = 8, WIDTH_MIN = 64 };
    static const int64_t most[2] = {8, 16}; /* planes, rows */
    int64_t count[3];
    struct conv_blocks b;

    for (int i = 0; i < 3; i++)
        count[i] = conv_dest_count(&axis[i]);
    b.size[0] = 1;
    b.size[1] = int64_min(ROWS, count[1]);
    b.size[2] = count[2];
    while (b.size[1] > 1 && conv_blocks_elements(&b, axis, channels) > limit)
        b.size[1] /= 2;
    while (b.size[2] > WIDTH_MIN && conv_blocks_elements(&b, axis, channels) > limit)
        b.size[2] = int64_ceil_div(b.size[2], 2);
    for (int i = 1; i >= 0; i--) {
        while (b.size[i] < int64_min(most[i], count[i]) && conv_blocks_elements(&b, axis, channels) <= limit)
            b.size[i]++;
        if (b.size[i] > 1 && conv_blocks_elements(&b, axis, channels) > limit)
            b.size[i]--;
    }
    for (int i = 0; i < 3; i++) {
        b.count[i] = int64_ceil_div(count[i], b.size[i]);
        b.size[i] = int64_ceil_div(count[i], b.count[i]);
        b.count[i] = int64_ceil_div(count[i], b.size[i]);
    }
    return b;
}
