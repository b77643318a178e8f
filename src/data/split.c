/* Folds: nnU-Net's five-fold split (scikit-learn's KFold on NumPy's legacy generator), or a
 * splits_final.json. */
#include "data/cases.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, SPLIT_SEED = 12345 };

void split_free(struct split *s)
{
    mem_free(s->train);
    mem_free(s->val);
    *s = (struct split){0};
}

/* Cases with in_val[i] go to val, those with in_train[i] to train; both ascending. */
static enum err split_fill(struct split *out, const bool *in_train, const bool *in_val, size_t n)
{
    struct split s = {.train = mem_new(n, sizeof *s.train), .val = mem_new(n, sizeof *s.val)};

    if (!s.train || !s.val) {
        split_free(&s);
        return ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        if (in_train[i])
            s.train[s.trains++] = i;
        if (in_val[i])
            s.val[s.vals++] = i;
    }
    *out = s;
    return ERR_OK;
}

/* Fold f of five: a slice of the shuffled indices; a fold that does not exist: 80:20 at random. */
static enum err mark_fold(bool *marks, int64_t n, int fold, bool exists)
{
    int64_t *order = mem_new((size_t)n, sizeof *order), first = 0, size;
    struct mt19937 m;

    if (!order)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    mt_seed(&m, exists ? SPLIT_SEED : SPLIT_SEED + (uint32_t)fold);
    mt_shuffle(&m, order, n);
    if (exists) {
        for (int f = 0; f < fold; f++)
            first += n / FOLDS + (f < n % FOLDS);
        size = n / FOLDS + (fold < n % FOLDS);
    } else {
        first = n * 8 / 10;
        size = n - first;
    }
    for (int64_t i = 0; i < n; i++) {
        bool val = i >= first && i < first + size;

        marks[order[i]] = !val;
        marks[n + order[i]] = val;
    }
    mem_free(order);
    return ERR_OK;
}

/* Marks the cases that a list of names holds; names that are no case are counted. */
static enum err mark_named(const struct case_list *l, const json_t *names, const char *path, bool *mark,
                           size_t *strange)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        size_t k = 0;

        if (!name)
            return err_set(ERR_INPUT, "%s: expected case names, got something else", path);
        while (k < l->count && strcmp(l->item[k].name, name) != 0)
            k++;
        if (k < l->count)
            mark[k] = true;
        else
            ++*strange;
    }
    return ERR_OK;
}

/* splits_final.json: [{"train": [names], "val": [names]}, ...]. */
static enum err mark_file(const struct case_list *l, const json_t *file, const char *path, int fold,
                          bool *marks)
{
    const json_t *f = json_array_get(file, (size_t)fold);
    const json_t *train = json_object_get(f, "train"), *val = json_object_get(f, "val");
    bool *in_train = marks, *in_val = marks + l->count;
    size_t strange = 0;

    if (!json_is_array(train) || !json_is_array(val))
        return err_set(ERR_INPUT, "%s: [%d]: expected {\"train\": [...], \"val\": [...]}", path, fold);
    TRY(mark_named(l, train, path, in_train, &strange));
    TRY(mark_named(l, val, path, in_val, &strange));
    if (strange)
        return err_set(ERR_INPUT,
                       "%s: [%d] names %zu cases that the data set does not have (or that were skipped)",
                       path, fold, strange);
    for (size_t i = 0; i < l->count; i++)
        if (in_train[i] && in_val[i])
            return err_set(ERR_INPUT, "%s: [%d]: case %s is in train and in val", path, fold,
                           l->item[i].name);
    return ERR_OK;
}

/* The fold that folder/splits_final.json tells, else ours. *few: there is no file and there are too few
 * cases. */
static enum err mark_split(const struct case_list *l, const char *folder, int fold, bool *marks, bool *few)
{
    char *path = folder ? path_join(folder, "splits_final.json") : NULL;
    json_t *j = NULL;
    enum err err = ERR_OK;

    *few = false;
    if (folder && !path)
        return ERR_MEMORY;
    if (path && file_exists(path)) {
        err = json_read(&j, path);
        if (!err && !json_is_array(j))
            err = err_set(ERR_INPUT, "%s: expected a list of folds", path);
        if (!err && (size_t)fold < json_array_size(j))
            err = mark_file(l, j, path, fold, marks);
        else if (!err)
            err = mark_fold(marks, (int64_t)l->count, fold, false);
        json_decref(j);
    } else if (l->count < FOLDS) {
        *few = true;
    } else {
        err = mark_fold(marks, (int64_t)l->count, fold, fold < FOLDS);
    }
    mem_free(path);
    return err;
}

static void mark_all(bool *marks, size_t n)
{
    for (size_t i = 0; i < 2 * n; i++)
        marks[i] = true;
}

enum err split_make(struct split *s, const struct case_list *l, const char *folder, int fold, struct notes *n)
{
    bool *marks, few = false;
    enum err err = ERR_OK;

    if (fold < FOLD_ALL)
        return err_set(ERR_USAGE, "fold %d does not exist", fold);
    marks = mem_new(2 * l->count, sizeof *marks); /* train, then val */
    if (!marks)
        return ERR_MEMORY;
    if (fold != FOLD_ALL)
        err = mark_split(l, folder, fold, marks, &few);
    if (few)
        note_add(n, "fold-all", "%zu cases are too few for %d folds: all are trained on and validated with",
                 l->count, FOLDS);
    if (few || fold == FOLD_ALL)
        mark_all(marks, l->count);
    if (!err)
        err = split_fill(s, marks, marks + l->count, l->count);
    mem_free(marks);
    return err;
}
