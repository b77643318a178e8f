/* The energy of a velocity field and its gradient (registration.md section 7):
 *
 *     phi = exp(v)
 *     L = (1/N) sum_x data(x) + lambda (1/N) sum_x sum_e rho(|v(x+e) - v(x)|^2)
 *     data(x) = sum_k (M_k(x + phi(x)) - F_k(x))^2
 *     rho(s) = 2 eps^2 (sqrt(1 + s/eps^2) - 1)
 *
 * x: nodes, of the body for the data; data(x) is 0 where x + phi(x) lies outside; e: the three axes.
 *
 * Fields here are planar: three arrays of N floats, one a component, in nodes of the lattice (level 1).
 * Gradients are N dL/d(.), so that their size does not depend on the lattice. Sums are partial sums of slices
 * in double, added in order. */
#ifndef D4M_ALIGN_ENERGY_H
#define D4M_ALIGN_ENERGY_H

#include "align/feature.h"

struct data_term {
    const struct features *fixed, *moving; /* on one lattice; moving is warped by the affine */
    const int64_t *size;                   /* of the lattice of phi */
    const uint8_t *weight;                 /* on that lattice: 0 or 1 */
    int fine; /* 1: features on the lattice itself; 2: on one of half its spacing, read at the 8 sub-nodes of
                 each node with phi interpolated, the gradient averaged */
    double *partial; /* one a slice */
};

/* Writes N d(data)/d(phi) and returns the data term. phi: 3 per node (velocity.h). */
double energy_data(const struct data_term *t, const float *phi, float *gradient);

struct smoothness {
    double lambda, epsilon;
    double *partial; /* one a slice */
};

/* Adds N d(smoothness)/dv to the gradient and returns the smoothness term. */
double energy_smooth(const struct smoothness *s, const int64_t size[3], const float *v, float *gradient);

#endif
