/* Counter-based random numbers: a pure function of (seed, stream, index), Philox 4x32-10 (Salmon et al.
 * 2011). No generator state exists, so resuming and thread count cannot change a draw. `struct rng` is only a
 * cursor. */
#ifndef D4M_BASE_RNG_H
#define D4M_BASE_RNG_H

#include <stdint.h>

void rng_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);
uint64_t rng_key(uint64_t a, uint64_t b); /* mixes two numbers into a stream or seed */

struct rng {
    uint64_t seed, stream, index;
    uint32_t buf[4];
    int left;
};
struct rng rng_at(uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
double rng_unit(struct rng *r); /* [0,1), 53 bits */
double rng_between(struct rng *r, double lo, double hi);
double rng_normal(struct rng *r);              /* N(0,1) */
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in 0..n-1, unbiased; n > 0 */

/* NumPy's legacy RandomState (MT19937), for nnU-Net's splits (seg-nnunet.md section 2). */
struct mt19937 {
    uint32_t key[624];
    int pos;
};
void mt_seed(struct mt19937 *m, uint32_t seed);
uint32_t mt_u32(struct mt19937 *m);
uint32_t mt_interval(struct mt19937 *m, uint32_t max); /* 0..max */
void mt_shuffle(struct mt19937 *m, int64_t *v, int64_t n);

#endif
