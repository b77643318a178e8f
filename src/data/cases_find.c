/* The cases that a user names for prediction: files, case prefixes, folders of cases, a folder per patient,
 * data sets. */
#include "data/cases_build.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include <string.h>
#include <sys/stat.h>

struct finding_cases {
    struct case_list *list;
    const struct case_query *query;
    int named; /* channel of --phase, -1 if not given */
    struct notes *notes;
};

/* A folder of images, and which channel of the model each of its channels is (-1: none). */
struct source {
    const char *folder;
    int count; /* 0: the folder's own channels are the model's */
    int channel[PLAN_MAX_PHASES];
};

static int channel_of(const struct phase_map *m, enum phase p)
{
    for (int i = 0; i < m->count; i++)
        if (m->kind[i] == p)
            return i;
    return -1;
}

/* Reads the channel order of a dataset.json, if there is one that tells phases. */
static enum err order_from(struct finding_cases *f, struct source *s, const char *json_path)
{
    struct phase_map m;
    bool known;
    enum err err;

    if (s->count || !file_exists(json_path))
        return ERR_OK;
    err = dataset_phases(&m, &known, f->list->arena, json_path);
    if (err == ERR_MEMORY)
        return err;
    if (err || !known) {
        if (err)
            note_add(f->notes, "dataset-json-ignored", "%s; channels are taken in the model's order",
                     err_text());
        return ERR_OK;
    }
    s->count = m.count;
    for (int i = 0; i < m.count; i++) {
        s->channel[i] = channel_of(&f->list->phases, m.kind[i]);
        if (s->channel[i] < 0)
            note_add(f->notes, "phase-unused", "%s: the model does not know the phase %s; it is left out",
                     json_path, m.name[i]);
    }
    return ERR_OK;
}

static enum err source_make(struct finding_cases *f, struct source *s, const char *folder)
{
    struct arena *a = f->list->arena;
    const char *here, *above;

    *s = (struct source){.folder = arena_str(a, folder)};
    here = arena_printf(a, "%s/dataset.json", folder);
    above = arena_printf(a, "%s/../dataset.json", folder);
    if (!s->folder || !here || !above)
        return ERR_MEMORY;
    TRY(order_from(f, s, here));
    return order_from(f, s, above);
}

/* folder/file with its channel by _000k. */
static enum err add_numbered(struct finding_cases *f, const struct source *s, const char *file)
{
    struct case_files *c = NULL;
    size_t n;
    int channel, count = s->count ? s->count : f->list->phases.count;

    (void)case_name_split(file, &n, &channel);
    if (channel >= count)
        return err_set(ERR_INPUT, "%s/%s: channel %d, but there are %d phases", s->folder, file, channel,
                       count);
    if (s->count)
        channel = s->channel[channel];
    if (channel < 0)
        return ERR_OK;
    TRY(case_list_at(f->list, s->folder, file, n, &c));
    return case_put(f->list, c, channel, file);
}

/* A file without _000k: --phase tells, or the model has one channel only. */
static enum err add_named(struct finding_cases *f, const struct source *s, const char *file)
{
    struct case_files *c = NULL;
    int channel = f->named >= 0 ? f->named : f->list->phases.count == 1 ? 0 : -1, ignored;
    size_t n;

    (void)case_name_split(file, &n, &ignored);
    if (channel < 0)
        return err_set(ERR_USAGE,
                       "%s/%s: no _000k before the ending says its phase; give it with --phase (noncontrast, "
                       "arterial, portal_venous, delayed)",
                       s->folder, file);
    TRY(case_list_at(f->list, s->folder, file, n, &c));
    return case_put(f->list, c, channel, file);
}

/* Length of the stem in front of a phase's name ("P01" of "P01_art"), 0 if the whole stem is one; -1 if there
 * is none. */
static int stem_before_phase(const char *file, enum phase *phase)
{
    char stem[256];
    size_t n;
    int channel;

    if (!case_name_split(file, &n, &channel) || n >= sizeof stem)
        return -1;
    memcpy(stem, file, n);
    stem[n] = 0;
    *phase = phase_find(stem);
    if (*phase != PHASE_UNKNOWN)
        return 0;
    for (size_t i = 1; i + 1 < n; i++)
        if (strchr("_- .", stem[i]) && (*phase = phase_find(stem + i + 1)) != PHASE_UNKNOWN)
            return (int)i;
    return -1;
}

/* A file of a folder whose name tells its phase: PATIENT/arterial.nii.gz or FOLDER/PATIENT_art.nii.gz. */
static enum err add_by_name(struct finding_cases *f, const struct source *s, const char *file)
{
    struct case_files *c = NULL;
    enum phase phase = PHASE_UNKNOWN;
    int n = f->named >= 0 ? -1 : stem_before_phase(file, &phase), channel;
    char *folder;
    const char *name;
    enum err err;

    if (n < 0)
        return add_named(f, s, file);
    channel = channel_of(&f->list->phases, phase);
    if (channel < 0) {
        note_add(f->notes, "phase-unused", "%s/%s: the model does not know the phase %s; it is left out",
                 s->folder, file, phase_text(phase));
        return ERR_OK;
    }
    folder = mem_str(s->folder);
    if (!folder)
        return ERR_MEMORY;
    for (size_t end = strlen(folder); end > 1 && folder[end - 1] == '/'; end--)
        folder[end - 1] = 0;
    name = n ? file : path_base(folder);
    err = case_list_at(f->list, s->folder, name, n ? (size_t)n : strlen(name), &c);
    if (!err)
        err = case_put(f->list, c, channel, file);
    mem_free(folder);
    return err;
}

/* All images of a folder, or with `prefix` those of one case. *found counts them. */
static enum err add_folder(struct finding_cases *f, const char *folder, const char *prefix, size_t *found)
{
    char **names = NULL;
    size_t count = 0, n;
    int channel;
    struct source s;
    enum err err;

    *found = 0;
    TRY_OR(done, folder_list(folder, &names, &count));
    TRY_OR(done, source_make(f, &s, folder));
    for (size_t i = 0; i < count && !err; i++) {
        if (!case_name_split(names[i], &n, &channel))
            continue;
        if (prefix && (channel < 0 || strlen(prefix) != n || strncmp(prefix, names[i], n) != 0))
            continue;
        ++*found;
        err = channel >= 0 ? add_numbered(f, &s, names[i]) : add_by_name(f, &s, names[i]);
    }
done:
    names_free(names, count);
    return err;
}

/* The folder's own images, else those of imagesTs or imagesTr, else those of its sub-folders (one a patient).
 */
static enum err add_tree(struct finding_cases *f, const char *folder)
{
    static const char *const parts[] = {"imagesTs", "imagesTr"};
    size_t found = 0, here = 0, count = 0;
    char **names = NULL;
    enum err err;

    TRY_OR(done, add_folder(f, folder, NULL, &found));
    for (size_t i = 0; i < 2 && !found && !err; i++) {
        const char *part = arena_printf(f->list->arena, "%s/%s", folder, parts[i]);

        if (!part)
            return ERR_MEMORY;
        if (folder_exists(part))
            err = add_folder(f, part, NULL, &found);
    }
    if (found || err)
        goto done;
    TRY_OR(done, folder_list(folder, &names, &count));
    for (size_t i = 0; i < count && !err; i++) {
        char *sub = path_join(folder, names[i]);

        err = !sub ? ERR_MEMORY : folder_exists(sub) ? add_folder(f, sub, NULL, &here) : ERR_OK;
        found += here;
        here = 0;
        mem_free(sub);
    }
    if (!err && !found)
        err = err_set(ERR_INPUT, "%s: no NIfTI images (.nii, .nii.gz) in this folder", folder);
done:
    names_free(names, count);
    return err;
}

static enum err add_path(struct finding_cases *f, const char *path)
{
    const char *base = path_base(path);
    struct arena *a = f->list->arena;
    char *folder = base == path ? arena_str(a, ".") : arena_printf(a, "%.*s", (int)(base - path), path);
    struct source s;
    size_t n, found = 0;
    struct stat st;
    int channel;

    if (!folder)
        return ERR_MEMORY;
    for (n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = 0;
    if (folder_exists(path))
        return add_tree(f, path);
    if (file_exists(path)) {
        if (!case_name_split(path, &n, &channel))
            return err_set(
                ERR_USAGE,
                "%s: not a NIfTI file name (.nii, .nii.gz, .hdr); name the .hdr of a pair, rename or convert "
                "other files",
                path);
        TRY(source_make(f, &s, folder));
        return channel >= 0 ? add_numbered(f, &s, base) : add_named(f, &s, base);
    }
    if (*base && folder_exists(folder))
        TRY(add_folder(f, folder, base, &found));
    if (!found && lstat(path, &st))
        return err_set(
            ERR_USAGE,
            "'%s': there is no such file, folder or case (FOLDER/CASE of CASE_0000.nii.gz); check the "
            "path",
            path);
    return found ? ERR_OK : file_refuse(path);
}

static enum err phase_named(struct finding_cases *f)
{
    const char *name = f->query->phase;
    enum phase p = name ? phase_find(name) : PHASE_UNKNOWN;

    f->named = -1;
    if (!name)
        return ERR_OK;
    if (p == PHASE_UNKNOWN)
        return err_set(ERR_USAGE,
                       "--phase %s is no phase; choose noncontrast, arterial, portal_venous or delayed",
                       name);
    f->named = channel_of(&f->list->phases, p);
    if (f->named < 0)
        return err_set(ERR_USAGE, "--phase %s: the model was not trained with that phase", name);
    return ERR_OK;
}

enum err case_list_find(struct case_list **out, const struct phase_map *m, const struct case_query *q,
                        struct notes *n)
{
    struct finding_cases f = {.query = q, .notes = n};
    enum err err;

    TRY_OR(done, case_list_new(&f.list));
    f.list->phases = *m;
    for (int i = 0; i < m->count; i++) {
        f.list->phases.name[i] = arena_str(f.list->arena, m->name[i]);
        if (!f.list->phases.name[i]) {
            err = ERR_MEMORY;
            goto done;
        }
    }
    TRY_OR(done, phase_named(&f));
    for (size_t i = 0; i < q->count && !err; i++)
        err = add_path(&f, q->path[i]);
    if (err)
        goto done;
    if (!f.list->count) {
        err = err_set(ERR_INPUT, "none of the images is of a phase that the model knows");
        goto done;
    }
    case_list_finish(f.list);
    *out = f.list;
    f.list = NULL;
done:
    case_list_free(f.list);
    return err;
}
