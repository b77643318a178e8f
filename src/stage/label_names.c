#include "stage/label_names.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdlib.h>
#include <string.h>

void label_names_free(struct label_names *n)
{
    for (int i = 1; i <= LABEL_MAX; i++)
        mem_free((void *)(uintptr_t)n->name[i]);
    *n = (struct label_names){0};
}

static enum err set_name(struct label_names *n, int64_t label, const char *name, const char *what)
{
    if (label < 0 || label > LABEL_MAX)
        return err_set(ERR_INPUT, "%s: labels: \"%.60s\" is %lld, expected 0 to %d", what, name,
                       (long long)label, LABEL_MAX);
    if (!label)
        return ERR_OK;
    if (n->name[label])
        return err_set(ERR_INPUT, "%s: labels: %lld is named twice", what, (long long)label);
    n->name[label] = mem_str(name);
    if (!n->name[label])
        return ERR_MEMORY;
    n->count = n->count > label ? n->count : (int)label;
    return ERR_OK;
}

/* One member of "labels", in either form. */
static enum err read_label(struct label_names *n, const char *key, const json_t *value, const char *what)
{
    char *end;
    long label = strtol(key, &end, 10);

    if (json_is_integer(value))
        return strcmp(key, "ignore") ? set_name(n, json_integer_value(value), key, what) : ERR_OK;
    if (json_is_string(value) && end != key && !*end)
        return set_name(n, label, json_string_value(value), what);
    return err_set(ERR_INPUT, "%s: labels: \"%.60s\": expected \"NAME\": NUMBER (regions are not supported)",
                   what, key);
}

enum err label_names_parse(struct label_names *out, const json_t *dataset, const char *what)
{
    struct label_names n = {0};
    const char *key;
    json_t *labels, *value;
    enum err err;

    TRY_OR(done, json_get(dataset, what, "labels", &labels));
    json_object_foreach(labels, key, value)
    {
        TRY_OR(done, read_label(&n, key, value, what));
    }
    if (!n.count)
        err = err_set(ERR_INPUT, "%s: labels: no label but background", what);
    n.phantom = json_object_get(dataset, "phantom") != NULL;
    for (int i = 1; i <= n.count && !err; i++)
        if (!n.name[i])
            err = err_set(ERR_INPUT, "%s: labels: %d has no name, but %d has", what, i, n.count);
done:
    if (err)
        label_names_free(&n);
    else
        *out = n;
    return err;
}

static enum err usual_names(struct label_names *out)
{
    struct label_names n = {0};
    enum err err = set_name(&n, 1, "liver", "");

    if (!err)
        err = set_name(&n, 2, "tumour", "");
    if (err)
        label_names_free(&n);
    else
        *out = n;
    return err;
}

/* FOLDER + tail, read if it exists; *found tells. */
static enum err try_file(struct label_names *out, const char *folder, const char *tail, bool *found)
{
    struct str path = {0};
    json_t *j = NULL;
    enum err err;

    str_addf(&path, "%s/%s", folder, tail);
    TRY_OR(done, str_status(&path));
    *found = file_exists(path.s);
    if (*found) {
        TRY_OR(done, json_read(&j, path.s));
        err = label_names_parse(out, j, path.s);
    }
done:
    json_decref(j);
    str_free(&path);
    return err;
}

enum err label_names_find(struct label_names *out, const char *path)
{
    struct str folder = {0};
    bool found = false;
    enum err err;

    str_add(&folder, path);
    if (!folder_exists(path)) {
        folder.len = 0;
        str_add_bytes(&folder, path, (size_t)(path_base(path) - path));
        str_add(&folder, ".");
    }
    TRY_OR(done, str_status(&folder));
    TRY_OR(done, try_file(out, folder.s, "dataset.json", &found));
    if (!found)
        TRY_OR(done, try_file(out, folder.s, "../dataset.json", &found));
    if (!found)
        err = usual_names(out);
done:
    str_free(&folder);
    return err;
}
