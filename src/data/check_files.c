/* The files of a data set: their names, their links, and room for what training makes of them. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/check_steps.h"
#include "data/prepare.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum err check_description(struct checker *c)
{
    char *path = path_join(c->folder, "dataset.json"), *truth = path_join(c->folder, "truth");
    const char *ending;
    json_t *root = NULL, *phantom, *preset;
    enum err err = path && truth ? json_read(&root, path) : ERR_MEMORY;

    if (err)
        goto done;
    c->where = c->folder;
    ending = json_string_value(json_object_get(root, "file_ending"));
    c->ending = ending ? arena_str(c->names, ending) : NULL;
    err = ending && !c->ending ? ERR_MEMORY : ERR_OK;
    phantom = json_object_get(root, "phantom");
    preset = json_object_get(phantom, "preset");
    c->phantom = json_is_object(phantom);
    if (!err && c->phantom)
        err = check_add(c, "phantom", "the cases are computer-made (d4m phantom, preset %s, seed %lld)",
                        json_is_string(preset) ? json_string_value(preset) : "none",
                        (long long)json_integer_value(json_object_get(phantom, "seed")));
    if (!err && c->phantom && !folder_exists(truth)) {
        c->phantom = false;
        err = check_add(c, "truth-missing", "%s: there is no such folder", truth);
    }
done:
    json_decref(root);
    mem_free(path);
    mem_free(truth);
    return err;
}

static bool is_ending(const char *path, const char *ending)
{
    return str_ends(path, ending) &&
           !(!strcmp(ending, ".gz") || str_ends(path, ".nii.gz") != str_ends(ending, ".nii.gz"));
}

static bool portable(const char *name)
{
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-+", *name))
            return false;
    return true;
}

/* Files of a case, phases then label; NULL behind the last. */
static const char *file_at(const struct case_files *f, int i)
{
    return i < PLAN_MAX_PHASES ? f->phase[i] : i == PLAN_MAX_PHASES ? f->label : NULL;
}

enum err check_names(struct checker *c, const struct case_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct case_files *f = &l->item[i];

        c->where = f->name;
        if (!portable(f->name))
            TRY(check_add(c, "file-name",
                          "the case's name has characters other than letters, digits and ._-+"));
        for (size_t j = 0; j < i; j++)
            if (!strcasecmp(f->name, l->item[j].name))
                TRY(check_add(c, "file-name", "the names of %s and %s differ in case only", f->name,
                              l->item[j].name));
        for (int k = 0; k <= PLAN_MAX_PHASES; k++) {
            const char *path = file_at(f, k);

            if (c->ending && path && !is_ending(path, c->ending))
                TRY(check_add(c, "file-ending", "%s does not end in %s, as dataset.json promises", path,
                              c->ending));
        }
    }
    return ERR_OK;
}

/* Where a link leads, if that is outside of `root`; freed with free. */
static char *outside(const char *path, const char *root)
{
    struct stat st;
    char *real = NULL;
    size_t n = strlen(root);

    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode))
        return NULL;
    real = realpath(path, NULL);
    if (real && !strncmp(real, root, n) && (real[n] == '/' || !real[n])) {
        free(real);
        return NULL;
    }
    return real;
}

enum err check_links(struct checker *c, const struct case_list *l)
{
    char *root = realpath(c->folder, NULL), *first = NULL;
    const char *path = NULL;
    size_t count = 0;
    enum err err = ERR_OK;

    for (size_t i = 0; i < l->count && root; i++)
        for (int k = 0; k <= PLAN_MAX_PHASES; k++) {
            const char *file = file_at(&l->item[i], k);
            char *real = file ? outside(file, root) : NULL;

            count += real != NULL;
            if (real && !first) {
                first = real;
                path = file;
            } else {
                free(real);
            }
        }
    c->where = c->folder;
    if (count)
        err = check_add(c, "link-outside",
                        "%zu files are links that lead out of the data set, the first: %s -> %s", count, path,
                        first);
    free(first);
    free(root);
    return err;
}

/* What preparing takes: of the case that takes most memory, and of all on disk. Headers that cannot be read
 * are told elsewhere. */
struct need {
    uint64_t memory, disk;
    const char *largest;
};

/* By the paper's preset, whose spacing is that of most plans. */
static enum err find_need(struct need *n, struct checker *c, const struct case_list *l)
{
    struct arena *a = arena_new();
    struct plan p;
    enum err err = a ? plan_preset(&p, a, "paper") : ERR_MEMORY;

    if (!err)
        err = case_list_plan(l, &p, a);
    for (size_t i = 0; i < l->count && !err; i++) {
        struct prepare_memory m;

        if (l->item[i].bad || l->item[i].reference < 0)
            continue;
        err = prepare_memory(&m, &l->item[i], &p, &c->options);
        if (err) {
            err = err == ERR_MEMORY ? err : ERR_OK;
            continue;
        }
        n->disk += m.kept;
        if (m.peak <= n->memory)
            continue;
        n->memory = m.peak;
        n->largest = l->item[i].name;
    }
    c->reason = NULL;
    arena_free(a);
    return err;
}

static double disk_free(void)
{
    struct statvfs at;

    return statvfs(".", &at) ? INFINITY : (double)at.f_bavail * (double)at.f_frsize;
}

enum err check_room(struct checker *c, const struct case_list *l)
{
    const double gib = 1024.0 * 1024 * 1024;
    double memory = (double)(c->asked.memory ? c->asked.memory : mem_available());
    double disk = c->asked.disk ? (double)c->asked.disk : disk_free();
    struct need n = {0};

    TRY(find_need(&n, c, l));
    c->where = c->folder;
    if ((double)n.memory > memory)
        TRY(check_add(c, "memory-short", "preparing %s takes %.3g GiB of memory; %.3g can be used", n.largest,
                      (double)n.memory / gib, memory / gib));
    if ((double)n.disk > disk)
        TRY(check_add(c, "disk-short",
                      "the prepared data set takes %.3g GiB of disk; %.3g are free in the current folder",
                      (double)n.disk / gib, disk / gib));
    return ERR_OK;
}
