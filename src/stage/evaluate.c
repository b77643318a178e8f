#include "stage/evaluate.h"
#include "base/file.h"
#include "base/json.h"
#include "stage/label_names.h"
#include "volume/nifti.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Length of a label file's name without its ending; 0 if it is no label file. */
static size_t case_length(const char *name)
{
    size_t n = strlen(name);

    if (str_ends(name, ".nii.gz"))
        return n - 7;
    return str_ends(name, ".nii") ? n - 4 : 0;
}

static char *case_name(const char *path)
{
    const char *base = path_base(path);
    size_t n = case_length(base);
    struct str b = {0};
    char *name = NULL;

    str_add_bytes(&b, base, n ? n : strlen(base));
    if (!str_status(&b))
        name = mem_str(b.s);
    str_free(&b);
    return name;
}

/* *out: the path of the case's file in a folder, NULL if there is none. ERR_INPUT if there are both endings.
 */
static enum err find_file(char **out, const char *folder, const char *name)
{
    static const char *const ending[2] = {".nii.gz", ".nii"};
    char *found = NULL;

    for (int i = 0; i < 2; i++) {
        struct str file = {0};
        enum err err;
        char *path = NULL;

        str_addf(&file, "%s/%s%s", folder, name, ending[i]);
        err = str_status(&file);
        if (!err && file_exists(file.s)) {
            path = mem_str(file.s);
            err = path ? ERR_OK : ERR_MEMORY;
        }
        str_free(&file);
        if (!err && found && path)
            err = err_set(ERR_INPUT, "%s: case %s is there as .nii.gz and as .nii; remove one", folder, name);
        if (err) {
            mem_free(found);
            mem_free(path);
            return err;
        }
        found = found ? found : path;
    }
    *out = found;
    return ERR_OK;
}

/* True if the file itself gave no usable position: no form, or one that is the identity up to scale (as LiTS
 * masks have). */
static bool placeless(const struct volume *v)
{
    bool plain = true;

    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++)
            plain = plain && (r == c ? v->grid.affine[r][c] > 0 : v->grid.affine[r][c] == 0);
    return plain || nifti_form_used(v) == NIFTI_AUTO;
}

static double offset_mm(const struct grid *a, const struct grid *b)
{
    double d[3];

    for (int i = 0; i < 3; i++)
        d[i] = b->affine[i][3] - a->affine[i][3];
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

static enum err other_grid(const struct volume *prediction, const struct volume *reference,
                           const struct score_files *f)
{
    const struct grid *a = &reference->grid, *b = &prediction->grid;

    return err_set(ERR_INPUT,
                   "%s lies on another grid than %s: %lld x %lld x %lld against %lld x %lld x %lld voxels, "
                   "origins %.1f mm "
                   "apart; predict on the reference's image or resample first",
                   f->prediction, f->reference, (long long)b->dims[0], (long long)b->dims[1],
                   (long long)b->dims[2], (long long)a->dims[0], (long long)a->dims[1], (long long)a->dims[2],
                   offset_mm(a, b));
}

/* Brings the prediction's voxels into the reference's storage order, exactly. */
static enum err match_order(struct volume **prediction, const struct volume *reference,
                            const struct score_files *f, struct notes *notes)
{
    struct volume *ras = NULL, *reordered = NULL;
    const struct grid *a = &reference->grid, *b = &(*prediction)->grid;
    enum err err;

    if (grid_same(a, b))
        return ERR_OK;
    if (!memcmp(a->dims, b->dims, sizeof a->dims) && placeless(reference) != placeless(*prediction)) {
        note_add(notes, "label-placed",
                 "%s: %s has no position in the scanner; voxels are compared one by one", f->name,
                 placeless(reference) ? f->reference : f->prediction);
        return ERR_OK;
    }
    TRY(volume_to_ras(&ras, *prediction));
    err = volume_from_ras(&reordered, ras, grid_orient(a));
    volume_free(ras);
    if (!err && grid_same(a, &reordered->grid)) {
        volume_free(*prediction);
        *prediction = reordered;
        return ERR_OK;
    }
    volume_free(reordered);
    return err ? err : other_grid(*prediction, reference, f);
}

static enum err add_case(struct evaluation *e, const struct score_files *f, const struct evaluate_options *o,
                         struct notes *notes)
{
    struct nifti_options n = {.map = o->map};
    struct volume *reference = NULL, *prediction = NULL;
    enum err err;

    TRY_OR(done, nifti_load_labels(&reference, f->reference, &n, notes));
    if (f->prediction) {
        TRY_OR(done, nifti_load_labels(&prediction, f->prediction, &n, notes));
        TRY_OR(done, match_order(&prediction, reference, f, notes));
    } else {
        note_add(notes, "no-prediction", "%s: no prediction; scored as empty", f->name);
    }
    err = evaluation_add(e, f, reference, prediction);
done:
    volume_free(reference);
    volume_free(prediction);
    return err;
}

/* One reference file with the prediction that belongs to it. */
static enum err add_file(struct evaluation *e, const char *reference, const struct evaluate_options *o,
                         struct notes *notes)
{
    struct score_files f = {.reference = reference};
    char *name = case_name(reference), *prediction = NULL;
    enum err err = name ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    if (folder_exists(o->pred))
        TRY_OR(done, find_file(&prediction, o->pred, name));
    f.name = name;
    f.prediction = folder_exists(o->pred) ? prediction : o->pred;
    err = add_case(e, &f, o, notes);
done:
    mem_free(name);
    mem_free(prediction);
    return err;
}

/* Label files of a folder; other names stay in the list but have case_length 0. */
static enum err add_folder(struct evaluation *e, const struct evaluate_options *o, struct notes *notes)
{
    char **names = NULL;
    size_t count = 0;
    enum err err;

    TRY(folder_list(o->ref, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char *path = NULL, *name;

        if (!case_length(names[i]))
            continue;
        name = case_name(names[i]);
        if (!name) {
            err = ERR_MEMORY;
            goto done;
        }
        err = find_file(&path, o->ref, name); /* refuses a case with both endings */
        mem_free(name);
        if (!err)
            err = add_file(e, path, o, notes);
        mem_free(path);
        if (err)
            goto done;
    }
    err = e->count ? ERR_OK : err_set(ERR_INPUT, "%s: no label file (CASE.nii.gz or CASE.nii)", o->ref);
done:
    names_free(names, count);
    return err;
}

static bool is_reference(const struct evaluation *e, const char *name, size_t length)
{
    for (size_t i = 0; i < e->count; i++)
        if (!strncmp(e->item[i].name, name, length) && !e->item[i].name[length])
            return true;
    return false;
}

/* Keeps in out->extra the names of the prediction folder that no reference asked for. */
static enum err find_extra(struct evaluate_result *out, const struct evaluate_options *o, struct notes *notes)
{
    size_t kept = 0;

    if (!folder_exists(o->pred) || !folder_exists(o->ref))
        return ERR_OK;
    TRY(folder_list(o->pred, &out->extra, &out->extras));
    for (size_t i = 0; i < out->extras; i++) {
        size_t n = case_length(out->extra[i]);

        if (n && !is_reference(out->scores, out->extra[i], n)) {
            note_add(notes, "extra-prediction", "%s/%s: no reference of that name; not scored", o->pred,
                     out->extra[i]);
            out->extra[kept++] = out->extra[i];
        } else {
            mem_free(out->extra[i]);
        }
    }
    out->extras = kept;
    return ERR_OK;
}

void evaluate_free(struct evaluate_result *r)
{
    evaluation_free(r->scores);
    names_free(r->extra, r->extras);
    *r = (struct evaluate_result){0};
}

static enum err check_paths(const struct evaluate_options *o)
{
    const char *const path[2] = {o->pred, o->ref};

    for (int i = 0; i < 2; i++)
        if (!file_exists(path[i]) && !folder_exists(path[i]))
            return file_refuse(path[i]);
    if (folder_exists(o->ref) && !folder_exists(o->pred))
        return err_set(ERR_USAGE, "--pred %s is a file but --ref %s is a folder; name the reference's file",
                       o->pred, o->ref);
    return ERR_OK;
}

enum err evaluate_run(struct evaluate_result *out, const struct evaluate_options *o, struct notes *notes)
{
    struct evaluate_result r = {0};
    struct label_names names = {0};
    enum err err;

    TRY_OR(done, check_paths(o));
    TRY_OR(done, label_names_find(&names, o->ref));
    TRY_OR(done, evaluation_new(&r.scores, names.count, names.name, o->policy));
    r.scores->phantom = names.phantom;
    if (folder_exists(o->ref))
        TRY_OR(done, add_folder(r.scores, o, notes));
    else
        TRY_OR(done, add_file(r.scores, o->ref, o, notes));
    TRY_OR(done, find_extra(&r, o, notes));
    *out = r;
    r = (struct evaluate_result){0};
done:
    label_names_free(&names);
    evaluate_free(&r);
    return err;
}
