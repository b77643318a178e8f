/* Where a voxel ends up on the picture: left and right, front and back, up and down, for every storage order.
 */
#include "png_decode.h"
#include "test.h"
#include "leak.h"

#include "base/mem.h"
#include "lab/picture.h"
#include <cairo.h>
#include <math.h>

enum { SIZE = 24 };

/* A grid of SIZE^3 voxels of 2 x 3 x 4 mm in RAS order. */
static struct volume *ras_volume(enum voxel type)
{
    const int64_t dims[3] = {SIZE, SIZE, SIZE};
    const double spacing[3] = {2, 3, 4}, origin[3] = {-20, 10, -300};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, type));
    return v;
}

static int64_t at(int64_t x, int64_t y, int64_t z)
{
    return x + SIZE * (y + SIZE * z);
}

/* The same voxels stored along other axes in other directions. */
static struct volume *stored(struct volume *ras, const int axis[3], const bool flip[3])
{
    struct orient o = {{axis[0], axis[1], axis[2]}, {flip[0], flip[1], flip[2]}};
    struct volume *v = NULL;

    assert_ok(volume_from_ras(&v, ras, o));
    volume_free(ras);
    return v;
}

static const uint8_t *pixel(cairo_surface_t *s, int x, int y) /* blue, green, red */
{
    return cairo_image_surface_get_data(s) + y * cairo_image_surface_get_stride(s) + 4 * x;
}

/* Mean position in a panel, as shares of its width and height, of the pixels that `is` accepts; false if
 * there is none. */
static bool centre_of(cairo_surface_t *s, const struct picture_layout *l, int plane,
                      bool (*is)(const uint8_t *), double where[2])
{
    double x0 = l->left[0], y0 = l->top[plane], n = 0;

    where[0] = where[1] = 0;
    for (int y = 0; y < (int)l->height[plane]; y++)
        for (int x = 0; x < (int)l->width[plane]; x++) {
            bool in_letters = x < 24 || x > l->width[plane] - 24 || y < 24 || y > l->height[plane] - 24;

            if (in_letters || !is(pixel(s, (int)x0 + x, (int)y0 + y)))
                continue;
            where[0] += x + 0.5;
            where[1] += y + 0.5;
            n++;
        }
    where[0] /= n * l->width[plane];
    where[1] /= n * l->height[plane];
    return n > 0;
}

static bool bright(const uint8_t *p)
{
    return p[0] > 150 && p[1] > 150 && p[2] > 150;
}

static bool orange(const uint8_t *p)
{
    return p[2] > 180 && p[1] > 80 && p[0] < 110;
}

static bool turquoise(const uint8_t *p)
{
    return p[2] < 110 && p[1] > 150 && p[0] > 120;
}

/* A bright block near the patient's left (low x index), front (high y) and head (high z) corner. */
static struct volume *image_with_block(void)
{
    struct volume *v = ras_volume(VOXEL_I16);
    int16_t *hu = v->data;

    for (int64_t i = 0; i < grid_count(&v->grid); i++)
        hu[i] = -100;
    for (int64_t z = 15; z < 20; z++)
        for (int64_t y = 16; y < 20; y++)
            for (int64_t x = 4; x < 9; x++)
                hu[at(x, y, z)] = 240;
    return v;
}

static struct volume *mask_with_block(int64_t x0, int64_t x1, uint8_t label)
{
    struct volume *v = ras_volume(VOXEL_U8);

    for (int64_t z = 15; z < 20; z++)
        for (int64_t y = 16; y < 20; y++)
            for (int64_t x = x0; x < x1; x++)
                ((uint8_t *)v->data)[at(x, y, z)] = label;
    return v;
}

static void check_sides(cairo_surface_t *s, const struct picture_layout *l)
{
    double w[2];

    /* index 4..8 of 24 from the left; hi + 0.5 - index: the centre 6 lies (23.5 - 6)/24 from the picture's
     * left edge */
    assert_true(centre_of(s, l, PLANE_AXIAL, bright, w));
    assert_true(fabs(w[0] - 17.5 / 24) < 0.02 && fabs(w[1] - 6. / 24) < 0.02);
    assert_true(centre_of(s, l, PLANE_CORONAL, bright, w));
    assert_true(fabs(w[0] - 17.5 / 24) < 0.02 && fabs(w[1] - 6.5 / 24) < 0.02);
    assert_true(centre_of(s, l, PLANE_SAGITTAL, bright, w));
    assert_true(fabs(w[0] - 6. / 24) < 0.02 && fabs(w[1] - 6.5 / 24) < 0.02);
}

/* The image without labels is cut through its centre, so the block is first moved there along each axis
 * behind a plane. */
static void sides_are_right_in_every_storage_order(void **state)
{
    static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    (void)state;
    for (int k = 0; k < 48; k++) {
        const bool flip[3] = {k & 1, k & 2, k & 4};
        struct volume *image = stored(image_with_block(), order[k / 8], flip);
        struct volume *wide = ras_volume(VOXEL_U8), *labels;
        struct picture p = {.phase = {{"a phase", image}}, .phases = 1};
        struct picture_layout l;
        struct str png = {0};
        cairo_surface_t *s;

        /* two labelled corners keep the whole grid in view; the lesion leads the planes through the block */
        ((uint8_t *)wide->data)[at(0, 0, 0)] = 1;
        ((uint8_t *)wide->data)[at(SIZE - 1, SIZE - 1, SIZE - 1)] = 1;
        for (int x = 5; x < 8; x++)
            ((uint8_t *)wide->data)[at(x, 17, 17)] = 2;
        labels = stored(wide, order[(k / 8 + 1) % 6], flip);
        p.reference = labels;
        assert_ok(picture_plan(&l, &p));
        assert_true(l.slice[0] == 5 && l.slice[1] == 17 && l.slice[2] == 17);
        assert_true(fabs(l.width[0] / l.height[0] - 2. / 3) < 0.02 &&
                    fabs(l.width[1] / l.height[1] - 0.5) < 0.02);
        assert_ok(picture_png(&p, &png));
        s = png_decode(&png);
        assert_int_equal(cairo_image_surface_get_width(s), l.total_width);
        assert_int_equal(cairo_image_surface_get_height(s), l.total_height);
        check_sides(s, &l);
        cairo_surface_destroy(s);
        str_free(&png);
        volume_free(image);
        volume_free(labels);
    }
}

/* Reference and prediction stand side by side, each in its colour, at its place. */
static void outlines_follow_the_masks(void **state)
{
    struct volume *image = ras_volume(VOXEL_I16), *reference = mask_with_block(4, 9, 2),
                  *prediction = mask_with_block(13, 18, 2);
    struct picture p = {
        .phase = {{"a", image}},
        .phases = 1,
        .reference = reference,
        .prediction = prediction,
        .title = "<name> \xFF of any length, which has to end somewhere before the edge of the picture"};
    struct picture_layout l;
    struct str png = {0};
    cairo_surface_t *s;
    double r[2], q[2];

    (void)state;
    assert_ok(picture_plan(&l, &p));
    assert_ok(picture_png(&p, &png));
    s = png_decode(&png);
    assert_true(centre_of(s, &l, PLANE_AXIAL, turquoise, r));
    assert_true(centre_of(s, &l, PLANE_AXIAL, orange, q));
    /* shown are the indices lo..hi; index i lies (hi + 0.5 - i) / (hi - lo + 1) from the left */
    assert_true(fabs(r[0] - (l.hi[0] + 0.5 - 6) / (l.hi[0] - l.lo[0] + 1)) < 0.03);
    assert_true(fabs(q[0] - (l.hi[0] + 0.5 - 15) / (l.hi[0] - l.lo[0] + 1)) < 0.03);
    assert_true(r[0] > q[0]);
    cairo_surface_destroy(s);
    str_free(&png);
    volume_free(image);
    volume_free(reference);
    volume_free(prediction);
}

/* A phase on a grid of its own is drawn where it lies in the world, and what it did not scan is dark blue. */
static void a_phase_on_another_grid(void **state)
{
    const int64_t dims[3] = {6, 6, 6};
    const double spacing[3] = {3, 4, 5}, origin[3] = {-20 + 2 * 10, 10 + 3 * 10, -300 + 4 * 10};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *small = NULL, *labels = ras_volume(VOXEL_U8);
    struct picture p = {.phases = 1};
    struct picture_layout l;
    struct str png = {0};
    cairo_surface_t *s;
    double w[2];
    const uint8_t *outside;

    (void)state;
    assert_ok(volume_new(&small, &g, VOXEL_I16));
    for (int64_t i = 0; i < grid_count(&g); i++)
        ((int16_t *)small->data)[i] = 1000;
    ((uint8_t *)labels->data)[at(0, 0, 0)] = 1;
    ((uint8_t *)labels->data)[at(SIZE - 1, SIZE - 1, SIZE - 1)] = 1;
    ((uint8_t *)labels->data)[at(13, 13, 13)] = 2;
    p.phase[0] = (struct picture_phase){"small", small};
    p.reference = labels;
    assert_ok(picture_plan(&l, &p));
    assert_ok(picture_png(&p, &png));
    s = png_decode(&png);
    assert_true(centre_of(s, &l, PLANE_AXIAL, bright, w));
    /* its centre is 7.5 mm and 10 mm from its first voxel: index 13.75 and 13.33 of the label grid */
    assert_true(fabs(w[0] - (23.5 - 13.75) / 24) < 0.02 && fabs(w[1] - (23.5 - 40. / 3) / 24) < 0.02);
    outside = pixel(s, (int)l.left[0] + 40, (int)l.top[0] + 40);
    assert_true(outside[0] > outside[2] && outside[0] < 80);
    cairo_surface_destroy(s);
    str_free(&png);
    volume_free(small);
    volume_free(labels);
}

static void bad_requests(void **state)
{
    const int64_t dims[3] = {SIZE, SIZE, 2};
    const double spacing[3] = {1, 1, 1}, origin[3] = {0, 0, 0};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *image = ras_volume(VOXEL_I16), *a = mask_with_block(4, 9, 2), *b = NULL;
    struct picture p = {.phase = {{"a", image}}, .reference = a};
    struct str png = {0};

    (void)state;
    assert_err(picture_png(&p, &png), ERR_INPUT, "0 phases");
    p.phases = 1;
    assert_ok(volume_new(&b, &g, VOXEL_U8));
    p.prediction = b;
    assert_err(picture_png(&p, &png), ERR_INPUT, "different grids");
    assert_int_equal(png.len, 0);
    p.prediction = NULL;
    p.panel = 40;
    assert_survives_exhaustion(picture_png(&p, &png), str_free(&png));
    volume_free(image);
    volume_free(a);
    volume_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_are_right_in_every_storage_order), cmocka_unit_test(outlines_follow_the_masks),
        cmocka_unit_test(a_phase_on_another_grid), cmocka_unit_test(bad_requests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
