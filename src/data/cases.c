#include "data/cases_build.h"
#include "base/mem.h"
#include "base/str.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const endings[] = {".nii.gz", ".nii", ".hdr", ".hdr.gz"};

bool case_name_split(const char *path, size_t *name_length, int *channel)
{
    const char *name = path_base(path);
    size_t n = 0;

    for (size_t i = 0; i < sizeof endings / sizeof *endings && !n; i++)
        if (str_ends(name, endings[i]))
            n = strlen(name) - strlen(endings[i]);
    *channel = -1;
    *name_length = n;
    if (!n)
        return false;
    if (n > 5 && name[n - 5] == '_') {
        int k = 0;

        for (size_t i = n - 4; i < n; i++) {
            if (!isdigit((unsigned char)name[i]))
                return true;
            k = 10 * k + (name[i] - '0');
        }
        *channel = k;
        *name_length = n - 5;
    }
    return true;
}

enum err case_list_new(struct case_list **out)
{
    struct case_list *l = mem_new(1, sizeof *l);

    if (!l)
        return ERR_MEMORY;
    l->arena = arena_new();
    if (!l->arena) {
        mem_free(l);
        return ERR_MEMORY;
    }
    *out = l;
    return ERR_OK;
}

void case_list_free(struct case_list *l)
{
    if (!l)
        return;
    mem_free(l->item);
    arena_free(l->arena);
    mem_free(l);
}

enum err case_list_at(struct case_list *l, const char *folder, const char *name, size_t n,
                      struct case_files **out)
{
    struct case_files *c, *grown;

    for (size_t i = l->count; i-- > 0;) {
        c = &l->item[i];
        if (strncmp(c->name, name, n) != 0 || c->name[n])
            continue;
        if (strcmp(c->folder, folder) != 0)
            return err_set(ERR_USAGE,
                           "two cases are called %s, in %s and in %s; predict them into separate folders",
                           c->name, c->folder, folder);
        *out = c;
        return ERR_OK;
    }
    if ((l->count & (l->count - 1)) == 0) { /* room doubles at each power of two */
        grown = mem_resize(l->item, l->count ? 2 * l->count : 1, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        l->item = grown;
    }
    c = &l->item[l->count];
    *c = (struct case_files){.name = arena_printf(l->arena, "%.*s", (int)n, name),
                             .folder = arena_str(l->arena, folder)};
    if (!c->name || !c->folder)
        return ERR_MEMORY;
    l->count++;
    *out = c;
    return ERR_OK;
}

enum err case_put(struct case_list *l, struct case_files *c, int channel, const char *file)
{
    char *path = arena_printf(l->arena, "%s/%s", c->folder, file);

    if (!path)
        return ERR_MEMORY;
    if (c->phase[channel] && strcmp(c->phase[channel], path) != 0)
        return err_set(ERR_INPUT, "%s and %s are both channel %d of case %s; remove one", c->phase[channel],
                       file, channel, c->name);
    c->phase[channel] = path;
    return ERR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct case_files *)a)->name, ((const struct case_files *)b)->name);
}

/* Portal venous, else the first present of arterial, delayed, non-contrast, else any. */
static int reference_of(const struct phase_map *m, const struct case_files *c)
{
    const enum phase order[] = {PHASE_PORTAL, PHASE_ARTERIAL, PHASE_DELAYED, PHASE_NONCONTRAST};

    for (size_t o = 0; o < sizeof order / sizeof *order; o++)
        for (int i = 0; i < m->count; i++)
            if (m->kind[i] == order[o] && c->phase[i])
                return i;
    for (int i = 0; i < m->count; i++)
        if (c->phase[i])
            return i;
    return -1;
}

void case_list_finish(struct case_list *l)
{
    if (l->count)
        qsort(l->item, l->count, sizeof *l->item, by_name);
    for (size_t i = 0; i < l->count; i++)
        l->item[i].reference = reference_of(&l->phases, &l->item[i]);
}

/* "a: no label; b: ..." */
static enum err describe_bad(const struct case_list *l, struct str *text, size_t *bad)
{
    *bad = 0;
    for (size_t i = 0; i < l->count; i++)
        if (l->item[i].bad)
            str_addf(text, "%s%s: %s", (*bad)++ ? "; " : "", l->item[i].name, l->item[i].bad);
    return str_status(text);
}

enum err case_list_require(struct case_list *l, bool skip_bad, struct notes *n)
{
    struct str text = {0};
    size_t bad, good = 0, count = l->count;
    enum err err = describe_bad(l, &text, &bad);

    if (!err && count == 0)
        err = err_set(ERR_INPUT, "%s holds no cases", l->folder ? l->folder : "the input");
    else if (!err && bad && (!skip_bad || bad == count))
        err = err_set(ERR_INPUT, "%zu of %zu cases cannot be used%s: %s", bad, count,
                      bad < count ? " (go on without them: --skip-bad-cases)" : "", text.s);
    str_free(&text);
    for (size_t i = 0; i < count; i++) {
        if (l->item[i].bad)
            note_add(n, err ? "bad-case" : "case-skipped", "%s: %s", l->item[i].name, l->item[i].bad);
        else if (!err)
            l->item[good++] = l->item[i];
    }
    if (!err)
        l->count = good;
    return err;
}

enum err case_list_plan(const struct case_list *l, struct plan *p, struct arena *a)
{
    struct str names = {0};
    enum err err;

    for (int i = 0; i < l->phases.count; i++)
        str_addf(&names, "%s%s", i ? "," : "", phase_text(l->phases.kind[i]));
    err = str_status(&names);
    if (!err) {
        p->phases = l->phases.count;
        p->classes = l->classes;
        p->phase_names = arena_str(a, names.s ? names.s : "");
        p->reference = arena_str(a, l->phases.portal < 0 ? "" : phase_text(l->phases.kind[l->phases.portal]));
        if (!p->phase_names || !p->reference)
            err = ERR_MEMORY;
    }
    str_free(&names);
    return err;
}
