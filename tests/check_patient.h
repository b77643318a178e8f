/* A coarse patient for tests of check: body with fat, spine, aorta, liver and tumour, lungs, on a couch, in
 * any of four contrast phases; and a data set of two of them in a folder. */
#ifndef D4M_TEST_CHECK_PATIENT_H
#define D4M_TEST_CHECK_PATIENT_H

#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/check.h"
#include <math.h>

enum { NX = 72, NY = 56, NZ = 36, VOXELS = NX * NY * NZ, LABEL = -1 };
static const double patient_spacing = 6; /* mm */

static inline double ball(const double p[3], double x, double y, double z, const double r[3])
{
    double a = (p[0] - x) / r[0], b = (p[1] - y) / r[1], c = (p[2] - z) / r[2];

    return sqrt(a * a + b * b + c * c);
}

static inline int noise_at(int64_t i, int who)
{
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15U + (uint64_t)(who + 7) * 0xbf58476d1ce4e5b9U;

    x ^= x >> 29;
    x *= 0x94d049bb133111ebU;
    return (int)(x >> 40) % 31 - 15;
}

/* phase 0..3, or LABEL: what lies at p (mm, RAS). */
static inline int matter(const double p[3], int phase)
{
    static const int liver[] = {57, 74, 110, 90}, aorta[] = {40, 315, 152, 106};
    bool in_liver = ball(p, 80, 0, -20, (const double[3]){60, 75, 60}) < 1;
    bool in_tumour = ball(p, 80, 10, -20, (const double[3]){14, 14, 14}) < 1;
    double skin = ball(p, 0, 0, p[2], (const double[3]){165, 110, 1});

    if (phase == LABEL)
        return in_tumour ? 2 : in_liver ? 1 : 0;
    if (fabs(p[1] + 134) < 4 && fabs(p[0]) < 190)
        return -100;
    if (skin > 1)
        return -1000;
    if (skin > 0.87)
        return -105;
    if (hypot(p[0], p[1] + 55) < 22)
        return 260;
    if (hypot(p[0] + 12, p[1] + 12) < 16)
        return aorta[phase];
    if (in_tumour)
        return liver[phase] - 25;
    if (in_liver)
        return liver[phase];
    if (p[2] > 50 && fabs(fabs(p[0]) - 75) < 50 && fabs(p[1]) < 70)
        return -860;
    return 52 + 4 * (phase > 0);
}

/* who: another patient's noise. */
static inline struct volume *patient(int phase, int who)
{
    const int64_t dims[3] = {NX, NY, NZ};
    const double h = patient_spacing, from[3] = {-h * (NX - 1) / 2, -h * (NY - 1) / 2, -h * (NZ - 1) / 2};
    struct grid g = grid_make(dims, (const double[3]){h, h, h}, from);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, phase == LABEL ? VOXEL_U8 : VOXEL_I16));
    for (int64_t i = 0; i < VOXELS; i++) {
        const double p[3] = {from[0] + h * (double)(i % NX), from[1] + h * (double)(i / NX % NY),
                             from[2] + h * (double)(i / (NX * NY))};
        int m = matter(p, phase);

        if (phase == LABEL)
            ((uint8_t *)v->data)[i] = (uint8_t)m;
        else
            ((int16_t *)v->data)[i] = (int16_t)(m + noise_at(i, 4 * who + phase));
    }
    return v;
}

static inline int16_t *hu_of(struct volume *v)
{
    return v->data;
}

static inline uint8_t *label_of(struct volume *v)
{
    return v->data;
}

static inline int64_t voxel_at(int x, int y, int z)
{
    return x + (int64_t)NX * (y + (int64_t)NY * z);
}

/* Reverses the voxels along an axis; the header stays. */
static inline void flip(struct volume *v, int axis)
{
    const int64_t n[3] = {NX, NY, NZ};
    size_t size = voxel_size(v->type);
    char *data = v->data, keep[2];

    for (int64_t i = 0; i < VOXELS; i++) {
        int64_t at[3] = {i % NX, i / NX % NY, i / (NX * NY)}, j;

        if (2 * at[axis] >= n[axis] - 1)
            continue;
        at[axis] = n[axis] - 1 - at[axis];
        j = voxel_at((int)at[0], (int)at[1], (int)at[2]);
        memcpy(keep, data + (size_t)i * size, size);
        memcpy(data + (size_t)i * size, data + (size_t)j * size, size);
        memcpy(data + (size_t)j * size, keep, size);
    }
}

/* Saves and frees; returns the path. */
static inline const char *put(struct volume *v, const char *folder, const char *name)
{
    const char *path = test_path(folder, name);
    char parent[512];

    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = 0;
    assert_ok(folder_make(parent));
    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
    return path;
}

static inline void put_text(const char *folder, const char *name, const char *text)
{
    assert_ok(file_write(test_path(folder, name), text, strlen(text)));
}

static inline void put_case(const char *folder, const char *part, const char *name, int who)
{
    char file[256];

    for (int phase = 0; phase < 4; phase++) {
        snprintf(file, sizeof file, "images%s/%s_%04d.nii", part, name, phase);
        put(patient(phase, who), folder, file);
    }
    snprintf(file, sizeof file, "labels%s/%s.nii", part, name);
    put(patient(LABEL, who), folder, file);
}

#define PATIENT_JSON                                                                                         \
    "{\"channel_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": \"portal_venous\", \"3\": "    \
    "\"delayed\"}, "                                                                                         \
    "\"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}, \"numTraining\": 1, \"file_ending\": "    \
    "\".nii\"}"

/* One good case called a. The files are links to those of a first folder: writing them anew leaves that
 * alone. */
static inline const char *patient_set(void)
{
    static const char *const files[] = {"dataset.json",        "imagesTr/a_0000.nii", "imagesTr/a_0001.nii",
                                        "imagesTr/a_0002.nii", "imagesTr/a_0003.nii", "labelsTr/a.nii"};
    static char first[32];
    const char *f;

    if (!first[0]) {
        snprintf(first, sizeof first, "%s", test_folder());
        put_text(first, "dataset.json", PATIENT_JSON);
        put_case(first, "Tr", "a", 0);
    }
    f = test_folder();
    assert_ok(folder_make(test_path(f, "imagesTr")));
    assert_ok(folder_make(test_path(f, "labelsTr")));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(link(test_path(first, files[i]), test_path(f, files[i])), 0);
    return f;
}

static inline const struct finding *found(const struct check_report *r, const char *name)
{
    for (size_t i = 0; i < r->found.count; i++)
        if (!strcmp(r->found.item[i].rule->name, name))
            return &r->found.item[i];
    return NULL;
}

static inline struct check_report look(const char *path)
{
    struct check_report r;

    assert_ok(check_path(&r, path, &(struct check_options){0}));
    return r;
}

static inline void assert_silent(const char *path)
{
    struct check_report r = look(path);

    for (size_t i = 0; i < r.found.count; i++)
        fail_msg("%s: %s", r.found.item[i].rule->name, r.found.item[i].text);
    check_free(&r);
}

/* The data set has this finding, whose text contains `text`, and no other ones but those named in `others`.
 */
static inline void assert_finds(const char *path, const char *name, const char *text, const char *others)
{
    struct check_report r = look(path);
    const struct finding *f = found(&r, name);

    for (size_t i = 0; i < r.found.count; i++)
        if (r.found.item[i].rule != (f ? f->rule : NULL) &&
            !(others && strstr(others, r.found.item[i].rule->name)))
            fail_msg("beside %s: %s: %s", name, r.found.item[i].rule->name, r.found.item[i].text);
    if (!f)
        fail_msg("%s was not found", name);
    else if (!strstr(f->text, text))
        fail_msg("%s says \"%s\", without \"%s\"", name, f->text, text);
    check_free(&r);
}

#endif
