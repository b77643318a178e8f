#include "stage/predict_record.h"
#include "base/json.h"
#include "base/str.h"
#include "data/export.h"
#include "data/source.h"

enum { KEYS = 17 /* of a complete record: fewer are there when memory ran out on the way */ };

static json_t *grid_json(const struct grid *g)
{
    json_t *affine = json_array();

    for (int i = 0; affine && i < 3; i++)
        json_array_append_new(affine, json_numbers(g->affine[i], 4));
    return json_pack("{s:[I,I,I], s:o, s:o}", "dims", (json_int_t)g->dims[0], (json_int_t)g->dims[1],
                     (json_int_t)g->dims[2], "spacing_mm", json_numbers(g->spacing, 3), "affine", affine);
}

/* Which phases were there, which of them every channel showed, and where they came from. */
static enum err add_phases(json_t *o, const struct predict_record *r, struct arena *a)
{
    json_t *used = json_array(), *channels = json_object(), *files = json_object();
    json_t *registration = r->options->align ? json_object() : NULL;
    struct phase_map m;
    int from[PLAN_MAX_PHASES];
    enum err err = phase_map_parse(&m, a, r->options->net->plan.phase_names);

    if (!err && !source_replicate(r->used, m.count, from))
        err = err_set(ERR_INPUT, "case %s: no phase could be used", r->files->name);
    for (int i = 0; !err && i < m.count; i++) {
        if (r->used[i])
            json_array_append_new(used, json_string(m.name[i]));
        if (r->files->phase[i])
            json_object_set_new(files, m.name[i], json_str(r->files->phase[i]));
        json_object_set_new(channels, m.name[i], json_string(m.name[from[i]]));
        if (registration && r->alignment.record[i])
            json_object_set(registration, m.name[i], r->alignment.record[i]);
    }
    if (!err)
        json_object_set_new(o, "reference", json_string(m.name[r->prepared->reference]));
    json_object_set_new(o, "phases_used", used);
    json_object_set_new(o, "channels", channels);
    json_object_set_new(o, "files", files);
    json_object_set_new(o, "registration", registration ? registration : json_null());
    return err;
}

static json_t *notes_json(const struct notes *n)
{
    json_t *a = json_array();

    for (size_t i = 0; a && i < n->count; i++)
        json_array_append_new(
            a, json_pack("{s:s, s:o}", "name", n->item[i].name, "text", json_str(n->item[i].text)));
    return a;
}

/* Volumes in ml by class and, where there are liver and tumour, their common names; lesions are 26-connected.
 */
static enum err add_findings(json_t *o, const struct predict_record *r)
{
    static const char *const name[] = {"background", "liver", "tumour"};
    int64_t classes = r->options->net->plan.classes;
    const double *s = r->prepared->ras.spacing;
    double voxel = s[0] * s[1] * s[2] / 1000;
    struct export_count n[256];
    json_t *ml = json_object();

    json_object_set_new(o, "volumes_ml", ml);
    for (int64_t c = 1; c < classes; c++)
        TRY(export_count(&n[c], r->mask, (int)c, c == classes - 1));
    if (classes == 3) /* the liver is an organ: its tumours belong to it */
        n[1].voxels += n[2].voxels;
    for (int64_t c = 1; c < classes; c++) {
        char key[32];
        snprintf(key, sizeof key, "class_%lld", (long long)c);
        json_object_set_new(ml, classes == 3 ? name[c] : key, json_number((double)n[c].voxels * voxel));
    }
    json_object_set_new(o, "lesions", json_integer(n[classes - 1].components));
    return ERR_OK;
}

enum err predict_record_make(json_t **out, const struct predict_record *r)
{
    struct arena *a = arena_new();
    json_t *o;
    enum err err = ERR_OK;

    json_setup();
    o = json_object();
    if (!a || !o)
        err = err_set(ERR_MEMORY, "out of memory (while describing case %s)", r->files->name);
    if (!err) {
        json_object_set_new(o, "case", json_str(r->files->name));
        json_object_set_new(o, "mask", json_str(path_base(r->mask_path)));
        err = add_phases(o, r, a);
    }
    if (!err) {
        json_object_set_new(o, "reference_grid", grid_json(&r->prepared->source->grid));
        json_object_set_new(o, "prepared_grid", grid_json(&r->prepared->grid));
        json_object_set_new(o, "mirroring", json_boolean(r->options->mirror));
        err = add_findings(o, r);
    }
    if (!err) {
        json_object_set_new(o, "memory_predicted", json_integer((json_int_t)r->bytes.peak));
        json_object_set_new(o, "memory_peak", json_integer((json_int_t)mem_peak()));
        json_object_set_new(o, "seconds_prepare", json_number(r->seconds_prepare));
        json_object_set_new(o, "seconds", json_number(r->seconds));
        json_object_set_new(o, "notes", notes_json(r->notes));
        if (json_object_size(o) == KEYS) {
            *out = o;
            o = NULL;
        } else {
            err = err_set(ERR_MEMORY, "out of memory (while describing case %s)", r->files->name);
        }
    }
    json_decref(o);
    arena_free(a);
    return err;
}
