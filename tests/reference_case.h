/* The reference pair of registration.md section 12, rendered from its 3 mm base: fixed(x) = pvp(x +
 * truth(x)), the moving image as it is, independent noise. Needs the data folder of the project. */
#ifndef D4M_REFERENCE_CASE_H
#define D4M_REFERENCE_CASE_H

#include "test.h"

#include "align/transform_file.h"
#include "align/warp.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "stage/register.h"
#include "stage/registration_score.h"
#include <math.h>

#define REFERENCE_FOLDER D4M_SOURCE_DIR "/../shared/data/regpair/"

struct reference_pair {
    struct volume *fixed, *moving, *fixed_labels, *moving_labels, *body;
    struct transform *truth;
};

/* Skips the test where the data are not there. */
static inline void reference_need(void)
{
    if (!file_exists(REFERENCE_FOLDER "truth_n_mm.nii.gz")) {
        print_message("skipped: %s is not there\n", REFERENCE_FOLDER);
        skip();
    }
}

static inline struct volume *reference_load(const char *name, bool labels)
{
    struct nifti_options o = {.positions_matter = true};
    struct volume *v = NULL;
    char path[512];

    snprintf(path, sizeof path, "%s%s_base.nii.gz", REFERENCE_FOLDER, name);
    if (labels)
        assert_ok(nifti_load_labels(&v, path, &o, NULL));
    else
        assert_ok(nifti_load_hu(&v, path, &o, NULL));
    return v;
}

/* `name` through t on g, freed by the caller. */
static inline struct volume *reference_render(const char *name, const struct transform *t,
                                              const struct grid *g, bool labels)
{
    struct volume *base = reference_load(name, labels), *out = NULL;
    struct warp w = {.t = t, .in = base, .to = g, .how = labels ? WARP_NEAREST : WARP_CUBIC};
    struct mapper_tally tally = {0};

    assert_ok(warp_volume(&out, NULL, &w, &tally));
    volume_free(base);
    return out;
}

/* Noise of the given standard deviation in HU on what is not air, smoothed in plane with a Gaussian of 0.8
 * pixels. */
static inline void reference_noise(struct volume *v, double sigma, uint64_t seed)
{
    enum { REACH = 3 };
    const int64_t *n = v->grid.dims, plane = n[0] * n[1];
    float *white = mem_new((size_t)plane, 2 * sizeof *white), *rows = white + plane;
    double weight[REACH + 1], square = 0;

    for (int k = 0; k <= REACH; k++) {
        weight[k] = exp(-0.5 * k * k / (0.8 * 0.8));
        square += (k ? 2 : 1) * weight[k] * weight[k];
    }
    for (int64_t z = 0; z < n[2]; z++) {
        struct rng r = rng_at(seed, (uint64_t)z);
        int16_t *hu = (int16_t *)v->data + z * plane;

        for (int64_t i = 0; i < plane; i++) {
            white[i] = (float)rng_normal(&r);
            rows[i] = 0;
        }
        for (int64_t i = 0; i < plane; i++) /* around a torus */
            for (int64_t k = -REACH; k <= REACH; k++)
                rows[i] += (float)weight[k < 0 ? -k : k] * white[(i + k + plane) % plane];
        for (int64_t i = 0; i < plane; i++) {
            double sum = 0;

            for (int64_t k = -REACH; k <= REACH; k++)
                sum += weight[k < 0 ? -k : k] * (double)rows[(i + k * n[0] + plane) % plane];
            hu[i] = hu[i] > -900 ? (int16_t)floor(hu[i] + sigma * sum / square + 0.5) : hu[i];
        }
    }
    mem_free(white);
}

/* phase: "noncontrast" or "arterial". */
static inline struct reference_pair reference_make(const struct grid *g, const char *phase, double sigma)
{
    struct reference_pair p = {0};
    struct transform *identity = NULL;

    assert_ok(transform_new(&identity, NULL, NULL));
    assert_ok(transform_read(&p.truth, REFERENCE_FOLDER "truth_n_mm.nii.gz", CONVENTION_RAS, NULL));
    p.fixed = reference_render("pvp", p.truth, g, false);
    p.moving = reference_render(phase, identity, g, false);
    p.fixed_labels = reference_render("labels", p.truth, g, true);
    p.body = reference_render("body", p.truth, g, true);
    p.moving_labels = reference_load("labels", true);
    reference_noise(p.fixed, sigma, 101);
    reference_noise(p.moving, sigma, 102);
    transform_free(identity);
    return p;
}

static inline void reference_free(struct reference_pair *p)
{
    volume_free(p->fixed);
    volume_free(p->moving);
    volume_free(p->fixed_labels);
    volume_free(p->moving_labels);
    volume_free(p->body);
    transform_free(p->truth);
}

static inline struct registration reference_register(const struct reference_pair *p, double spacing)
{
    struct register_images in = {.fixed = p->fixed, .moving = p->moving};
    struct register_options o = {.spacing = spacing};
    struct registration r;

    assert_ok(register_images(&r, &in, &o));
    return r;
}

/* Freed with registration_score_free. Region 0 is the body. */
static inline struct registration_score reference_score(const struct reference_pair *p,
                                                        const struct transform *t)
{
    struct registration_query q = {.t = t,
                                   .fixed = &p->fixed->grid,
                                   .moving = &p->moving->grid,
                                   .truth = p->truth,
                                   .fixed_labels = p->fixed_labels,
                                   .moving_labels = p->moving_labels,
                                   .body = p->body,
                                   .step = 3,
                                   .names = "5=liver"};
    struct registration_score s;

    assert_ok(registration_score(&s, &q, NULL));
    return s;
}

static inline const struct registration_region *reference_liver(const struct registration_score *s)
{
    for (size_t i = 0; i < s->regions; i++)
        if (!strcmp(s->region[i].name, "liver"))
            return &s->region[i];
    fail_msg("no liver among the regions");
    return NULL;
}

#endif
