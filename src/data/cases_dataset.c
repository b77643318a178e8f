/* A data set in nnU-Net's raw layout: dataset.json (v2, or the v1/MSD keys) and the files beside it. */
#include "data/cases_build.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One reading of dataset.json. */
struct reading {
    struct case_list *list;
    json_t *json;
    char *path; /* of dataset.json */
    bool msd;   /* v1 keys: images may lack _000k */
    bool loose; /* such an image was seen */
    struct notes *notes;
};

/* Member `i` of {"0": .., "1": ..} or [.., ..] as text; NULL if it is none. */
static const char *text_at(const json_t *j, int i)
{
    char key[16];

    snprintf(key, sizeof key, "%d", i);
    return json_string_value(json_is_array(j) ? json_array_get(j, (size_t)i) : json_object_get(j, key));
}

static enum err read_names(struct phase_map *m, struct arena *a, const json_t *j, const char *what)
{
    size_t count = json_is_array(j) ? json_array_size(j) : json_object_size(j);

    if (count == 0 || count > PLAN_MAX_PHASES)
        return err_set(ERR_INPUT, "%s: %zu channels; expected 1 to %d named \"0\", \"1\", ...", what, count,
                       PLAN_MAX_PHASES);
    *m = (struct phase_map){.count = (int)count};
    for (int i = 0; i < m->count; i++) {
        const char *name = text_at(j, i);

        if (!name)
            return err_set(ERR_INPUT, "%s: channel %d has no name; expected {\"0\": \"noncontrast\", ...}",
                           what, i);
        m->name[i] = arena_str(a, name);
        if (!m->name[i])
            return ERR_MEMORY;
    }
    return phase_map_fill(m, what);
}

static const json_t *channels_of(const json_t *root, const char **key)
{
    static const char *const keys[] = {"phase_names", "channel_names", "modality"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *j = json_object_get(root, keys[i]);

        *key = keys[i];
        if (j)
            return j;
    }
    return NULL;
}

static enum err phases_from(struct phase_map *m, struct arena *a, const json_t *root, const char *path)
{
    const char *key;
    const json_t *j = channels_of(root, &key);

    if (!j)
        return err_set(
            ERR_INPUT,
            "%s: neither phase_names nor channel_names; add \"phase_names\": {\"0\": \"portal_venous\"}",
            path);
    return read_names(m, a, j, path);
}

enum err dataset_phases(struct phase_map *m, bool *known, struct arena *a, const char *json_path)
{
    json_t *root = NULL;
    enum err err;

    TRY(json_read(&root, json_path));
    err = phases_from(m, a, root, json_path);
    json_decref(root);
    if (err)
        return err;
    *known = true;
    for (int i = 0; i < m->count; i++)
        *known = *known && phase_find(m->name[i]) != PHASE_UNKNOWN;
    return ERR_OK;
}

static enum err read_phases(struct reading *r)
{
    struct phase_map *m = &r->list->phases;

    TRY(phases_from(m, r->list->arena, r->json, r->path));
    if (m->count == 1 && phase_find(m->name[0]) == PHASE_UNKNOWN)
        note_add(r->notes, "phase-assumed", "%s: channel \"%s\" is taken for the portal venous phase",
                 r->path, m->name[0]);
    for (int i = 0; i < m->count; i++)
        if (m->kind[i] == PHASE_UNKNOWN)
            return err_set(
                ERR_INPUT,
                "%s: channel %d is called \"%s\", which is no phase; add \"phase_names\": {\"%d\": "
                "\"noncontrast\" | \"arterial\" | \"portal_venous\" | \"delayed\", ...}",
                r->path, i, m->name[i], i);
    if (m->portal < 0)
        return err_set(ERR_INPUT, "%s: no channel is the portal venous phase, which carries the labels",
                       r->path);
    return ERR_OK;
}

static enum err put_class(struct reading *r, int64_t value, const char *name)
{
    struct case_list *l = r->list;

    if (value < 0 || value >= CLASS_MAX)
        return err_set(ERR_INPUT, "%s: label \"%s\" has value %lld; expected 0 to %d", r->path, name,
                       (long long)value, CLASS_MAX - 1);
    if (!strcmp(name, "ignore"))
        return err_set(ERR_INPUT, "%s: an ignore label is not supported; remove it and its voxels", r->path);
    if (l->class_name[value])
        return err_set(ERR_INPUT, "%s: labels \"%s\" and \"%s\" both have value %lld", r->path,
                       l->class_name[value], name, (long long)value);
    l->class_name[value] = arena_str(l->arena, name);
    if (value >= l->classes)
        l->classes = value + 1;
    return l->class_name[value] ? ERR_OK : ERR_MEMORY;
}

/* "labels": {"liver": 1, ...}, or in v1 {"1": "liver", ...}. */
static enum err read_classes(struct reading *r)
{
    struct case_list *l = r->list;
    json_t *labels = json_object_get(r->json, "labels"), *value;
    const char *key;

    if (!json_is_object(labels) || json_object_size(labels) < 2)
        return err_set(ERR_INPUT,
                       "%s: no labels; add \"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}",
                       r->path);
    json_object_foreach(labels, key, value)
    {
        char *end;
        long long number = strtoll(key, &end, 10);

        if (json_is_integer(value)) {
            TRY(put_class(r, json_integer_value(value), key));
        } else if (json_is_string(value) && end != key && !*end) {
            r->msd = true;
            TRY(put_class(r, number, json_string_value(value)));
        } else {
            return err_set(
                ERR_INPUT,
                "%s: labels: \"%s\" is not one integer; regions are not supported, list plain labels",
                r->path, key);
        }
    }
    for (int64_t i = 0; i < l->classes; i++)
        if (!l->class_name[i])
            return err_set(ERR_INPUT, "%s: labels: no label has value %lld; %s", r->path, (long long)i,
                           i ? "values must follow one another" : "\"background\" must be 0");
    return ERR_OK;
}

static enum err read_ending(struct reading *r)
{
    const json_t *j = json_object_get(r->json, "file_ending");
    const char *ending = json_string_value(j);

    if (!ending)
        note_add(r->notes, "file-ending-missing", "%s: no file_ending; NIfTI files are taken", r->path);
    else if (strcmp(ending, ".nii.gz") != 0 && strcmp(ending, ".nii") != 0 && strcmp(ending, ".hdr") != 0)
        return err_set(ERR_INPUT, "%s: file_ending \"%s\" is not read; convert the images to .nii.gz",
                       r->path, ending);
    if (r->msd || json_object_get(r->json, "modality")) {
        r->msd = true;
        note_add(r->notes, "dataset-v1",
                 "%s: the keys of nnU-Net v1 and the Medical Segmentation Decathlon are understood", r->path);
    }
    return ERR_OK;
}

/* Reports an error in a file name once, with the way out. */
static enum err bad_channel(const struct reading *r, const char *folder, const char *file, int channel)
{
    if (channel < 0)
        return err_set(ERR_INPUT, "%s/%s: no _000k before the ending says its channel (0 to %d)", folder,
                       file, r->list->phases.count - 1);
    return err_set(ERR_INPUT, "%s/%s: channel %d, but %s names %d", folder, file, channel, r->path,
                   r->list->phases.count);
}

static enum err add_image(struct reading *r, const char *folder, const char *file)
{
    struct case_files *c = NULL;
    size_t n;
    int channel;

    if (!case_name_split(file, &n, &channel)) {
        if (!str_ends(file, ".img") && !str_ends(file, ".img.gz"))
            note_add(r->notes, "file-ignored", "%s/%s is no NIfTI file and is ignored", folder, file);
        return ERR_OK;
    }
    if (channel < 0 && r->list->phases.count == 1) {
        channel = 0;
        if (!r->loose && !r->msd)
            note_add(r->notes, "channel-assumed", "%s/%s has no _0000 before its ending; taken for channel 0",
                     folder, file);
        r->loose = true;
    }
    if (channel < 0 || channel >= r->list->phases.count)
        return bad_channel(r, folder, file, channel);
    TRY(case_list_at(r->list, folder, file, n, &c));
    return case_put(r->list, c, channel, file);
}

static struct case_files *case_called(struct case_list *l, const char *name, size_t n)
{
    for (size_t i = 0; i < l->count; i++)
        if (!strncmp(l->item[i].name, name, n) && !l->item[i].name[n])
            return &l->item[i];
    return NULL;
}

static enum err add_label(struct reading *r, const char *folder, const char *file)
{
    struct case_files *c;
    size_t n;
    int channel;
    char *path;

    if (!case_name_split(file, &n, &channel))
        return ERR_OK;
    if (channel >= 0) /* a label's name has no channel: _000k belongs to the case */
        n += 5;
    c = case_called(r->list, file, n);
    if (!c) {
        note_add(r->notes, "label-without-image", "%s/%s: no image belongs to this label", folder, file);
        return ERR_OK;
    }
    path = arena_printf(r->list->arena, "%s/%s", folder, file);
    if (!path)
        return ERR_MEMORY;
    if (c->label)
        return err_set(ERR_INPUT, "%s and %s are both the label of case %s; remove one", c->label, file,
                       c->name);
    c->label = path;
    return ERR_OK;
}

static enum err scan(struct reading *r, const char *part,
                     enum err (*add)(struct reading *, const char *, const char *), bool required)
{
    char *folder = path_join(r->list->folder, part), **names = NULL;
    size_t count = 0;
    enum err err = folder ? ERR_OK : ERR_MEMORY;

    if (!err && !folder_exists(folder)) {
        if (required)
            err = err_set(ERR_INPUT, "%s: there is no folder %s", r->list->folder, part);
    } else if (!err) {
        err = folder_list(folder, &names, &count);
    }
    for (size_t i = 0; i < count && !err; i++)
        err = add(r, folder, names[i]);
    names_free(names, count);
    mem_free(folder);
    return err;
}

/* A path of the "dataset" map, from the data set's folder unless absolute. */
static const char *mapped_path(struct reading *r, const char *path)
{
    return path[0] == '/' ? arena_str(r->list->arena, path)
                          : arena_printf(r->list->arena, "%s/%s", r->list->folder, path);
}

/* nnU-Net v2's explicit map instead of folders: case -> {"images": [...], "label": ...}; null is a missing
 * phase. */
static enum err read_map(struct reading *r, const json_t *map)
{
    struct case_list *l = r->list;
    const char *name;
    json_t *entry;

    json_object_foreach((json_t *)map, name, entry)
    {
        const json_t *images = json_object_get(entry, "images");
        const char *label = json_string_value(json_object_get(entry, "label"));
        struct case_files *c = NULL;

        if (!json_is_array(images) || json_array_size(images) > (size_t)l->phases.count || strchr(name, '/'))
            return err_set(ERR_INPUT,
                           "%s: dataset.%s: expected {\"images\": [at most %d paths], \"label\": path}",
                           r->path, name, l->phases.count);
        TRY(case_list_at(l, l->folder, name, strlen(name), &c));
        for (int k = 0; k < (int)json_array_size(images); k++) {
            const char *path = json_string_value(json_array_get(images, (size_t)k));

            c->phase[k] = path ? mapped_path(r, path) : NULL;
            if (path && !c->phase[k])
                return ERR_MEMORY;
        }
        c->label = label ? mapped_path(r, label) : NULL;
        if (label && !c->label)
            return ERR_MEMORY;
    }
    return ERR_OK;
}

static void mark_bad(struct reading *r)
{
    struct case_list *l = r->list;
    const json_t *stated = json_object_get(r->json, "numTraining");

    for (size_t i = 0; i < l->count; i++) {
        struct case_files *c = &l->item[i];

        if (!c->phase[l->phases.portal])
            c->bad = "no portal venous phase";
        else if (!c->label)
            c->bad = "no label in labelsTr";
    }
    if (!json_is_integer(stated))
        note_add(r->notes, "num-training", "%s: numTraining is missing; %zu cases were found", r->path,
                 l->count);
    else if (json_integer_value(stated) != (json_int_t)l->count)
        note_add(r->notes, "num-training", "%s: numTraining is %lld, but %zu cases were found", r->path,
                 (long long)json_integer_value(stated), l->count);
}

static enum err list_cases(struct reading *r, enum case_part part)
{
    const json_t *map = json_object_get(r->json, "dataset");

    if (json_is_object(map) && part == CASES_TRAIN) {
        TRY(read_map(r, map));
    } else {
        TRY(scan(r, part == CASES_TRAIN ? "imagesTr" : "imagesTs", add_image, true));
        TRY(scan(r, part == CASES_TRAIN ? "labelsTr" : "labelsTs", add_label, false));
    }
    case_list_finish(r->list);
    if (part == CASES_TRAIN)
        mark_bad(r);
    return ERR_OK;
}

enum err case_list_read(struct case_list **out, const char *folder, enum case_part part, struct notes *n)
{
    struct reading r = {.notes = n};
    enum err err;

    if (!folder_exists(folder))
        return file_exists(folder) ? err_set(ERR_USAGE, "%s: is a file; name the data set's folder", folder)
                                   : file_refuse(folder);
    TRY_OR(done, case_list_new(&r.list));
    r.list->folder = arena_str(r.list->arena, folder);
    r.path = path_join(folder, "dataset.json");
    err = r.list->folder && r.path ? ERR_OK : ERR_MEMORY;
    if (!err && !file_exists(r.path))
        err = err_set(ERR_INPUT,
                      "%s is missing; a data set needs it (nnU-Net v2: channel_names, labels, file_ending)",
                      r.path);
    if (!err)
        err = json_read(&r.json, r.path);
    if (!err && !json_is_object(r.json))
        err = err_set(ERR_INPUT, "%s: expected an object", r.path);
    if (err)
        goto done;
    TRY_OR(done, read_phases(&r));
    TRY_OR(done, read_classes(&r));
    TRY_OR(done, read_ending(&r));
    TRY_OR(done, list_cases(&r, part));
    *out = r.list;
    r.list = NULL;
done:
    case_list_free(r.list);
    json_decref(r.json);
    mem_free(r.path);
    return err;
}
