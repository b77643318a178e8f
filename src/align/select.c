#include "align/select.h"

/* Hoare's selection with the middle element as pivot. */
float select_float(float *v, int64_t n, int64_t rank)
{
    int64_t from = 0, to = n - 1;

    while (from < to) {
        float pivot = v[from + (to - from) / 2];
        int64_t i = from, j = to;

        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                float swap = v[i];
                v[i++] = v[j];
                v[j--] = swap;
            }
        }
        if (rank <= j)
            to = j;
        else if (rank >= i)
            from = i;
        else
            break;
    }
    return v[rank];
}
