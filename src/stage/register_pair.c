/* Registration of one pair of files. */
#include "base/clock.h"
#include "align/transform_file.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "stage/register.h"
#include "stage/register_picture.h"
#include <unistd.h>

struct pair_files {
    struct volume *fixed, *moving, *fixed_liver, *moving_liver, *lesion;
};

static void pair_free(struct pair_files *p)
{
    volume_free(p->fixed);
    volume_free(p->moving);
    volume_free(p->fixed_liver);
    volume_free(p->moving_liver);
    volume_free(p->lesion);
}

static enum err load_mask(struct volume **out, const char *path, const struct register_job *job,
                          struct notes *notes)
{
    return path ? nifti_load_labels(out, path, &job->read, notes) : ERR_OK;
}

/* A mask that says nothing would be passed over in silence. A data set's label may well be without. */
static enum err check_mask(const struct volume *mask, const char *path, const struct volume *image,
                           const char *image_path)
{
    const uint8_t *p;
    int64_t i = 0, n;

    if (!mask)
        return ERR_OK;
    p = mask->data;
    n = grid_count(&mask->grid);
    while (i < n && !p[i])
        i++;
    if (i == n)
        return err_set(ERR_INPUT, "%s: the mask is empty; leave it out, or name another", path);
    if (!(grid_overlap(&mask->grid, &image->grid) > 0))
        return err_set(ERR_INPUT, "%s: the mask lies beside the image %s; make one on the image's grid", path,
                       image_path);
    return ERR_OK;
}

static enum err check_masks(const struct pair_files *p, const struct register_job *job)
{
    TRY(check_mask(p->fixed_liver, job->fixed_liver, p->fixed, job->fixed));
    TRY(check_mask(p->moving_liver, job->moving_liver, p->moving, job->moving));
    return check_mask(p->lesion, job->lesion, p->fixed, job->fixed);
}

static void keep_value(struct volume *mask, int value)
{
    uint8_t *p = mask->data;

    for (int64_t i = 0, n = grid_count(&mask->grid); i < n; i++)
        p[i] = p[i] == value;
}

static enum err load(struct pair_files *p, const struct register_job *job, struct notes *notes)
{
    TRY(nifti_load_hu(&p->fixed, job->fixed, &job->read, notes));
    TRY(nifti_load_hu(&p->moving, job->moving, &job->read, notes));
    TRY(load_mask(&p->fixed_liver, job->fixed_liver, job, notes));
    TRY(load_mask(&p->moving_liver, job->moving_liver, job, notes));
    TRY(load_mask(&p->lesion, job->lesion, job, notes));
    if (p->lesion && job->lesion_value)
        keep_value(p->lesion, job->lesion_value);
    return job->key ? ERR_OK : check_masks(p, job);
}

/* Where a picture lies: plane REGISTER_PLANES is the montage. */
static enum err picture_path(struct str *path, const char *start, int plane)
{
    *path = (struct str){0};
    str_add(path, start);
    if (plane < REGISTER_PLANES)
        str_addf(path, "_%s", register_plane_names[plane]);
    str_add(path, ".png");
    return str_status(path);
}

static void remove_results(const struct register_job *job)
{
    const char *out[] = {job->record, job->image, job->valid, job->map};

    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        (void)unlink(out[i]);
    for (int k = 0; job->picture && k <= REGISTER_PLANES; k++) {
        struct str path;

        if (!picture_path(&path, job->picture, k))
            (void)unlink(path.s);
        str_free(&path);
    }
}

/* Results of an earlier run must not pass for this one's, nor replace an input. */
static enum err clear(const struct register_job *job)
{
    const char *out[] = {job->record, job->image, job->valid, job->map};
    const char *in[] = {job->fixed, job->moving, job->fixed_liver, job->moving_liver, job->lesion};

    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        for (size_t k = 0; k < sizeof in / sizeof *in; k++)
            if (in[k] && file_same(in[k], out[i]))
                return err_set(ERR_USAGE, "the result %s would replace the input %s: choose another -o",
                               out[i], in[k]);
    remove_results(job);
    return ERR_OK;
}

static enum err write_image(const struct registration *r, const struct pair_files *p,
                            const struct register_job *job)
{
    struct warp w = {.t = r->transform, .in = p->moving, .to = &p->fixed->grid, .how = job->how};
    struct mapper_tally tally = {0};
    struct volume *image = NULL, *valid = NULL;
    enum err err;

    TRY(warp_volume(&image, &valid, &w, &tally));
    err = nifti_save(image, p->fixed, job->image);
    if (!err)
        err = nifti_save(valid, p->fixed, job->valid);
    volume_free(image);
    volume_free(valid);
    return err;
}

static enum err write_picture(const struct register_picture *p, const struct register_plane *s,
                              const char *start, int plane)
{
    struct str path = {0}, png = {0};
    enum err err = plane < REGISTER_PLANES ? register_flicker(&s[plane], &png) : register_montage(p, s, &png);

    if (!err)
        err = picture_path(&path, start, plane);
    if (!err)
        err = file_write(path.s, png.s, png.len);
    str_free(&path);
    str_free(&png);
    return err;
}

/* Whatever the verdict: a failure is when they are needed. */
static enum err write_pictures(const struct registration *r, const struct pair_files *p,
                               const struct register_job *job)
{
    struct register_picture picture = {
        .fixed = p->fixed, .moving = p->moving, .liver = p->fixed_liver, .t = r->transform};
    struct register_plane planes[REGISTER_PLANES] = {{0}};
    struct str title = {0}, text = {0};
    enum err err;

    str_addf(&title, "%s onto %s", path_base(job->moving), path_base(job->fixed));
    registration_line(&text, r);
    str_add(&text, ". Organ-level alignment; tumours are not expected to align.");
    TRY_OR(done, str_status(&title));
    TRY_OR(done, str_status(&text));
    picture.title = title.s;
    picture.text = text.s;
    TRY_OR(done, register_planes_make(planes, &picture));
    for (int k = 0; k <= REGISTER_PLANES; k++)
        TRY_OR(done, write_picture(&picture, planes, job->picture, k));
done:
    register_planes_free(planes);
    str_free(&title);
    str_free(&text);
    return err;
}

static enum err add_files(json_t *o, const struct register_job *job, const struct pair_files *p, bool image)
{
    json_t *from = json_pack("{s:o, s:o}", "fixed", json_str(job->fixed), "moving", json_str(job->moving));
    json_t *to = json_pack("{s:o}", "transform", json_str(path_base(job->map)));
    double thick = 0;

    for (int a = 0; a < 3; a++)
        thick = p->moving->grid.spacing[a] > thick ? p->moving->grid.spacing[a] : thick;
    if (image) {
        json_object_set_new(to, "image", json_str(path_base(job->image)));
        json_object_set_new(to, "valid", json_str(path_base(job->valid)));
    }
    if (job->key)
        json_object_set_new(o, "key", json_str(job->key));
    if (job->picture)
        json_object_set_new(to, "picture", json_str(path_base(job->picture)));
    json_object_set_new(o, "files", from);
    json_object_set_new(o, "results", to);
    json_object_set_new(o, "moving_largest_spacing_mm",
                        json_real(thick)); /* resampling does not restore it */
    json_object_set_new(o, "command", json_str(job->command_line));
    return from && to ? ERR_OK : err_set(ERR_MEMORY, "out of memory for %s", job->record);
}

static enum err write_results(json_t **record, const struct registration *r, const struct pair_files *p,
                              const struct register_job *job)
{
    bool image = r->judgement.verdict != VERDICT_FAIL || job->force;
    json_t *o = NULL;
    enum err err;

    json_setup();
    TRY(transform_write(r->transform, job->map));
    if (image)
        TRY(write_image(r, p, job));
    if (job->picture)
        TRY(write_pictures(r, p, job));
    TRY(registration_json(&o, r));
    err = add_files(o, job, p, image);
    if (!err)
        err = json_write(o, job->record);
    if (err)
        json_decref(o);
    else
        *record = o;
    return err;
}

static enum err fits(const struct register_job *job)
{
    struct volume *f = NULL, *m = NULL;
    uint64_t have = job->options.memory ? job->options.memory : mem_available(), need;
    enum err err;

    TRY_OR(done, nifti_load_grid(&f, job->fixed, &job->read, NULL));
    TRY_OR(done, nifti_load_grid(&m, job->moving, &job->read, NULL));
    need = register_bytes(f, m, job->options.spacing);
    if (need > have)
        err = err_set(
            ERR_MEMORY,
            "it needs %.2f GB of memory, %.2f GB may be used: raise --mem, or use a coarser --spacing",
            (double)need / 1e9, (double)have / 1e9);
done:
    volume_free(f);
    volume_free(m);
    return err;
}

enum err register_pair(enum verdict *verdict, json_t **record, const struct register_job *job,
                       struct notes *notes)
{
    struct pair_files p = {0};
    struct registration r = {0};
    struct register_images images;
    enum err err;

    TRY(clear(job));
    TRY_OR(done, fits(job));
    TRY_OR(done, load(&p, job, notes));
    images = (struct register_images){p.fixed, p.moving, p.fixed_liver, p.moving_liver, p.lesion};
    TRY_OR(done, register_images(&r, &images, &job->options));
    if (job->options.stop && atomic_load(job->options.stop))
        err = err_set(ERR_STOPPED, "registration was interrupted");
    TRY_OR(done, err);
    TRY_OR(done, write_results(record, &r, &p, job));
    *verdict = r.judgement.verdict;
done:
    registration_free(&r);
    pair_free(&p);
    if (!err)
        return ERR_OK;
    err = err_while(err, "registering %s", job->moving);
    remove_results(job);
    return err;
}
