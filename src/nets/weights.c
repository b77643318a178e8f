#include "nets/weights.h"

#include "base/str.h"
#include "tensor/safetensors.h"
#include <string.h>

enum { LISTED = 4, UNEXPECTED_MAX = 10000 };

enum err weight_keys_add(struct weight_keys *k, const char *key, const struct param *p)
{
    if (!k->names && !(k->names = arena_new()))
        return ERR_MEMORY;
    if (k->count == k->room) {
        size_t room = k->room ? 2 * k->room : 256;
        struct weight_key *grown = mem_resize(k->item, room, sizeof(*grown));

        if (!grown)
            return ERR_MEMORY;
        k->item = grown;
        k->room = room;
    }
    key = arena_str(k->names, key);
    if (!key)
        return ERR_MEMORY;
    k->item[k->count++] = (struct weight_key){key, p};
    return ERR_OK;
}

void weight_keys_free(struct weight_keys *k)
{
    arena_free(k->names);
    mem_free(k->item);
    *k = (struct weight_keys){0};
}

/* A kind of misfit: how many, and the first few by name. */
struct misfit {
    struct str names;
    size_t count;
};

/* What a file has for each parameter, and what does not fit. */
struct match {
    const struct nn *m;
    const struct weight_keys *keys;
    const struct st_entry **found; /* per parameter */
    struct misfit missing, unexpected, shape, alias;
};

static void misfit_add(struct misfit *f, const char *name, const char *have, const char *want)
{
    if (f->count++ >= LISTED)
        return;
    if (f->count > 1)
        str_add(&f->names, ", ");
    str_add(&f->names, name);
    if (have)
        str_addf(&f->names, " is %s, not %s", have, want);
}

/* What data-parallel and compiled modules put before their names. */
static const char *without_prefix(const char *name)
{
    static const char *const prefix[] = {"module.", "_orig_mod."};

    for (int i = 0; i < 2;) {
        if (str_starts(name, prefix[i])) {
            name += strlen(prefix[i]);
            i = 0;
        } else {
            i++;
        }
    }
    return name;
}

static const struct param *param_of(const struct weight_keys *k, const char *name)
{
    for (size_t i = 0; i < k->count; i++)
        if (!strcmp(k->item[i].key, name))
            return k->item[i].param;
    return NULL;
}

static void match_entry(struct match *x, const struct st_entry *e)
{
    const struct param *p = param_of(x->keys, without_prefix(e->name));
    const struct st_entry **slot;
    char have[160], want[160];

    if (!p) {
        misfit_add(&x->unexpected, e->name, NULL, NULL);
        return;
    }
    slot = &x->found[p - x->m->param];
    if (!dims_equal(&p->dims, &e->dims))
        misfit_add(&x->shape, e->name, dims_text(&e->dims, have), dims_text(&p->dims, want));
    else if (*slot && ((*slot)->type != e->type || memcmp((*slot)->data, e->data, e->bytes)))
        misfit_add(&x->alias, e->name, NULL, NULL);
    if (!*slot)
        *slot = e;
}

static void report(struct str *out, const char *what, const struct misfit *f)
{
    if (!f->count)
        return;
    str_addf(out, "%s%zu %s: %s%s", out->len ? "; " : "", f->count, what, f->names.s ? f->names.s : "",
             f->count > LISTED ? ", ..." : "");
}

static enum err match_verdict(const struct match *x, const char *path)
{
    struct str text = {0};
    enum err err = ERR_OK;

    report(&text, "missing", &x->missing);
    report(&text, "unexpected", &x->unexpected);
    report(&text, "of another shape", &x->shape);
    report(&text, "unlike their alias", &x->alias);
    if (text.len)
        err = err_set(ERR_MODEL, "%s does not fit the network: %s; use the configuration that belongs to it",
                      path, text.s);
    else if (x->missing.count || x->unexpected.count || x->shape.count || x->alias.count)
        err = ERR_MEMORY;
    str_free(&text);
    return err;
}

static void match_file(struct match *x, const struct safetensors *file)
{
    size_t n = safetensors_count(file);

    for (size_t i = 0; i < n && x->unexpected.count < UNEXPECTED_MAX; i++)
        match_entry(x, safetensors_at(file, i));
    for (size_t i = 0; i < x->m->count; i++)
        if (!x->found[i])
            misfit_add(&x->missing, x->m->param[i].name, NULL, NULL);
}

static enum err copy_in(const struct match *x, struct store *s)
{
    for (size_t i = 0; i < x->m->count; i++) {
        const struct param *p = &x->m->param[i];
        struct tensor *t = NULL;

        TRY(store_need(s, p->name, x->m->real, p->dims, &t));
        if (x->m->real == DT_F64)
            safetensors_get_f64(x->found[i], t->data);
        else
            safetensors_get_f32(x->found[i], t->data);
    }
    return ERR_OK;
}

enum err weights_load(const struct nn *m, const struct weight_keys *k, struct store *s, const char *path)
{
    struct match x = {.m = m, .keys = k};
    struct safetensors *file = NULL;
    enum err err = ERR_MEMORY;

    x.found = mem_new(m->count ? m->count : 1, sizeof(*x.found));
    if (!x.found)
        goto done;
    TRY_OR(done, safetensors_open(&file, path));
    match_file(&x, file);
    TRY_OR(done, match_verdict(&x, path));
    err = copy_in(&x, s);
done:
    safetensors_close(file);
    mem_free(x.found);
    str_free(&x.missing.names);
    str_free(&x.unexpected.names);
    str_free(&x.shape.names);
    str_free(&x.alias.names);
    return err;
}

enum err weights_save(const struct weight_keys *k, const struct store *s, const json_t *metadata,
                      const char *path)
{
    struct st_tensor *list = mem_new(k->count ? k->count : 1, sizeof(*list));
    enum err err;

    if (!list)
        return ERR_MEMORY;
    for (size_t i = 0; i < k->count; i++) {
        const struct tensor *t = store_find(s, k->item[i].param->name);

        if (!t) {
            err = err_set(ERR_INTERNAL, "saving %s: the store has no %s", path, k->item[i].param->name);
            goto done;
        }
        list[i] = (struct st_tensor){k->item[i].key, st_type_of(t->type), t->dims, t->data};
    }
    err = safetensors_save(path, list, k->count, metadata);
done:
    mem_free(list);
    return err;
}
