/* Pictures of registrations: what the panels show of a known shift, and files that are what they say. */
#include "test.h"
#include "leak.h"
#include "png_decode.h"

#include "base/mem.h"
#include "stage/register_picture.h"
#include <cairo.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

enum { SIDE = 40 };
static const double spacing[3] = {2, 2, 3}, origin[3] = {-30, 10, 5}, shift[3] = {6, -4, 9};

static struct volume *image_new(void)
{
    const int64_t dims[3] = {SIDE, SIDE, SIDE};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, VOXEL_I16));
    for (int64_t z = 0, i = 0; z < SIDE; z++)
        for (int64_t y = 0; y < SIDE; y++)
            for (int64_t x = 0; x < SIDE; x++, i++)
                ((int16_t *)v->data)[i] = (int16_t)(3 * x - 2 * y + 4 * z); /* linear: interpolated exactly */
    return v;
}

static struct volume *mask_new(const struct volume *like)
{
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &like->grid, VOXEL_U8));
    for (int64_t z = 10; z < 20; z++)
        for (int64_t y = 5; y < 15; y++)
            for (int64_t x = 20; x < 30; x++)
                ((uint8_t *)v->data)[(z * SIDE + y) * SIDE + x] = 1;
    return v;
}

struct pair {
    struct volume *fixed, *moving, *liver;
    struct transform *t;
    struct register_picture p;
};

/* moving(x + shift) = fixed(x) */
static void pair_open(struct pair *p)
{
    struct affine a = affine_identity();

    *p = (struct pair){.fixed = image_new(), .moving = image_new()};
    p->liver = mask_new(p->fixed);
    for (int i = 0; i < 3; i++) {
        p->moving->grid.affine[i][3] += shift[i];
        a.m[i][3] = shift[i];
    }
    assert_ok(transform_new(&p->t, &p->fixed->grid, &p->moving->grid));
    assert_ok(transform_add_affine(p->t, &a));
    p->p = (struct register_picture){p->fixed, p->moving, p->liver, p->t, "moving onto fixed", "pass"};
}

static void pair_close(struct pair *p)
{
    volume_free(p->fixed);
    volume_free(p->moving);
    volume_free(p->liver);
    transform_free(p->t);
}

static void planes_show_the_shift(void **state)
{
    struct register_plane plane[REGISTER_PLANES];
    struct pair pair;
    (void)state;

    pair_open(&pair);
    assert_ok(register_planes_make(plane, &pair.p));
    for (int k = 0; k < REGISTER_PLANES; k++) {
        const struct register_plane s = plane[k];
        int64_t differs = 0, liver = 0, n;

        n = (int64_t)s.width * s.height;
        assert_true(n > 10000 && s.width <= PLANE_SIDE && s.height <= PLANE_SIDE);
        for (int64_t i = 0; i < n; i++) {
            assert_true(fabsf(s.after[i] - s.fixed[i]) < 1e-3F);
            assert_true(fabsf(s.det[i] - 1) < 1e-6F);
            assert_true(fabsf(s.moved[i] - sqrtf(36 + 16 + 81)) < 1e-4F);
            differs += !(fabsf(s.before[i] - s.fixed[i]) < 1);
            liver += s.liver[i];
        }
        assert_true(differs > n / 2);
        /* through the mask's centroid, so a square of 10 x 10 voxels is seen */
        assert_true(fabs((double)liver * s.mm * s.mm / (100 * (k == 0 ? 4.0 : 6.0)) - 1) < 0.1);
    }
    register_planes_free(plane);
    pair_close(&pair);
}

/* Radiological display: the patient's right is on the left. The fixed image grows to the left of the patient
 * by 3 HU a voxel, to the front by -2, to the head by 4. */
static void planes_lie_as_radiologists_have_them(void **state)
{
    struct register_plane plane[REGISTER_PLANES], s;
    struct pair pair;
    (void)state;

    pair_open(&pair);
    assert_ok(register_planes_make(plane, &pair.p));
    s = plane[0];
    assert_true(s.fixed[s.width / 2] > s.fixed[s.width / 2 + 20]);           /* right on the left */
    assert_true(s.fixed[s.width / 2] < s.fixed[20 * s.width + s.width / 2]); /* front on top */
    s = plane[1];
    assert_true(s.fixed[s.width / 2] > s.fixed[20 * s.width + s.width / 2]); /* head on top */
    register_planes_free(plane);
    pair_close(&pair);
}

static void check_size(const struct str *png, int least)
{
    cairo_surface_t *s = png_decode(png);

    assert_true(cairo_image_surface_get_width(s) >= least);
    cairo_surface_destroy(s);
}

static uint32_t u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Every chunk's CRC; the sequence numbers of the animation; returns its frames. */
static int check_animation(const struct str *png)
{
    uint32_t sequence = 0;
    int frames = 0, data = 0;

    for (size_t at = 8; at < png->len;) {
        uint32_t length = u32(png->s + at);
        const char *type = png->s + at + 4;

        assert_true(length <= png->len - at - 12);
        assert_int_equal(u32(type + 4 + length), crc32(0, (const Bytef *)type, length + 4));
        if (!memcmp(type, "fcTL", 4) || !memcmp(type, "fdAT", 4))
            assert_int_equal(u32(type + 4), sequence++);
        frames += !memcmp(type, "fcTL", 4);
        data += !memcmp(type, "fdAT", 4);
        at += length + 12;
    }
    assert_true(data >= 1);
    return frames;
}

static void files_are_what_they_say(void **state)
{
    struct register_plane plane[REGISTER_PLANES];
    struct str png = {0};
    struct pair pair;
    (void)state;

    pair_open(&pair);
    assert_ok(register_planes_make(plane, &pair.p));
    assert_ok(register_montage(&pair.p, plane, &png));
    check_size(&png, 8 * 200);
    str_free(&png);
    register_planes_free(plane);
    pair.p.liver = NULL;
    assert_ok(register_planes_make(plane, &pair.p));
    assert_ok(register_montage(&pair.p, plane, &png));
    check_size(&png, 6 * 200);
    str_free(&png);
    for (int k = 0; k < REGISTER_PLANES; k++) {
        assert_ok(register_flicker(&plane[k], &png));
        check_size(&png, 100);
        assert_int_equal(check_animation(&png), 2);
        str_free(&png);
    }
    register_planes_free(plane);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_show_the_shift),
        cmocka_unit_test(planes_lie_as_radiologists_have_them),
        cmocka_unit_test(files_are_what_they_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
