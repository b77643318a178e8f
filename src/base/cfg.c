#include "base/cfg.h"

#include "base/json.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a value comes from, for messages. */
struct source {
    enum err code;
    const char *what; /* file, or NULL on the command line */
    struct arena *arena;
};

static void *at(void *cfg, const struct field *f)
{
    return (char *)cfg + f->offset;
}

static const void *in(const void *cfg, const struct field *f)
{
    return (const char *)cfg + f->offset;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    return *a == *b;
}

const struct field *cfg_find(struct cfg_table t, const char *name)
{
    for (size_t i = 0; i < t.count; i++)
        if (same_name(t.field[i].name, name))
            return &t.field[i];
    return NULL;
}

const char *cfg_nearest(struct cfg_table t, const char *name)
{
    int best = 2 + (int)strnlen(name, 60) / 4;
    const char *found = NULL;

    for (size_t i = 0; i < t.count; i++) {
        int d = str_distance(name, t.field[i].name);
        if (d < best) {
            best = d;
            found = t.field[i].name;
        }
    }
    return found;
}

static void add_expected(struct str *b, const struct field *f)
{
    static const char *const word[] = {"true or false",
                                       "an integer",
                                       "a number",
                                       "one of",
                                       "a text",
                                       "three integers (a,b,c) or one",
                                       "three numbers (a,b,c) or one",
                                       "texts",
                                       "a size such as 500M or 3G"};
    const char *const *name;

    str_add(b, word[f->type]);
    if (f->type == T_CHOICE)
        for (name = f->names; *name; name++)
            str_addf(b, "%s %s", name == f->names ? "" : ",", *name);
    else if (f->min != 0 || f->max != 0)
        str_addf(b, f->max < INFINITY ? " from %.12g to %.12g" : " of at least %.12g", f->min, f->max);
}

/* "plan.json: patch: expected an integer from 1 to 9, got 'x'" */
static enum err bad_value(const struct source *s, const struct field *f, const char *got)
{
    struct str b = {0};
    enum err err;

    add_expected(&b, f);
    err = str_status(&b);
    if (!err)
        err = err_set(s->code, "%s%s%s: expected %s, got '%.80s'", s->what ? s->what : "",
                      s->what ? ": " : "", f->name, b.s, got);
    str_free(&b);
    return err;
}

static bool in_range(const struct field *f, double v)
{
    return isfinite(v) && ((f->min == 0 && f->max == 0) || (v >= f->min && v <= f->max));
}

static bool text_int(const struct field *f, const char *text, char **end, int64_t *v)
{
    errno = 0;
    *v = strtoll(text, end, 10);
    return *end != text && !errno && in_range(f, (double)*v);
}

static bool text_real(const struct field *f, const char *text, char **end, double *v)
{
    *v = strtod(text, end);
    return *end != text && in_range(f, *v);
}

/* Bytes with an optional K, M, G or T (and B or iB behind it). */
static bool text_size(const struct field *f, const char *text, int64_t *v)
{
    static const char unit[] = "KMGT";
    char *end;
    const char *u;
    double n = strtod(text, &end);

    if (end == text || !(n >= 0))
        return false;
    u = *end ? strchr(unit, *end >= 'a' ? *end - 'a' + 'A' : *end) : NULL;
    if (u) {
        n = ldexp(n, 10 * (int)(u - unit + 1));
        end += 1 + (end[1] == 'i' && end[2] == 'B') + (end[1] == 'B' || end[1] == 'i');
        if (u && end[-1] == 'i')
            return false;
    } else if (*end == 'B') {
        end++;
    }
    if (*end || !(n < 9e18) || !in_range(f, n))
        return false;
    *v = (int64_t)n;
    return true;
}

/* Three numbers with commas or x between them, or one for all three. */
static bool text_three(const struct field *f, const char *text, void *out)
{
    int64_t n[3] = {0};
    double x[3] = {0};
    char *end = NULL;
    int i = 0;

    for (;;) {
        if (f->type == T_INT3 ? !text_int(f, text, &end, &n[i]) : !text_real(f, text, &end, &x[i]))
            return false;
        i++;
        if (!*end)
            break;
        if ((*end != ',' && *end != 'x') || i == 3)
            return false;
        text = end + 1;
    }
    if (i == 2)
        return false;
    if (i == 1) {
        n[1] = n[2] = n[0];
        x[1] = x[2] = x[0];
    }
    if (f->type == T_INT3)
        memcpy(out, n, sizeof n);
    else
        memcpy(out, x, sizeof x);
    return true;
}

static bool text_bool(const char *text, bool *v)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};

    for (int i = 0; i < 4; i++)
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *v = !strcmp(text, yes[i]);
            return true;
        }
    return false;
}

static bool text_choice(const struct field *f, const char *text, int *v)
{
    for (int i = 0; f->names[i]; i++)
        if (!strcmp(f->names[i], text)) {
            *v = i;
            return true;
        }
    return false;
}

/* Appends; the room is the next power of two, so a long list is copied few times. */
static enum err list_add(struct cfg_list *l, struct arena *a, const char *text)
{
    size_t n = l->count;

    if (!(n & (n - 1))) {
        const char **item = arena_alloc(a, n ? 2 * n : 1, sizeof *item);
        if (!item)
            return ERR_MEMORY;
        if (n)
            memcpy(item, l->item, n * sizeof *item);
        l->item = item;
    }
    l->item[n] = arena_str(a, text);
    if (!l->item[n])
        return ERR_MEMORY;
    l->count++;
    return ERR_OK;
}

static enum err set_string(const char **to, struct arena *a, const char *text)
{
    char *copy = arena_str(a, text);

    if (!copy)
        return ERR_MEMORY;
    *to = copy;
    return ERR_OK;
}

static enum err set_text(const struct source *s, const struct field *f, void *to, const char *text)
{
    int64_t n;
    double x;
    char *end;
    bool ok = false;

    switch (f->type) {
    case T_BOOL:
        ok = text_bool(text, to);
        break;
    case T_INT:
        ok = text_int(f, text, &end, &n) && !*end;
        if (ok)
            *(int64_t *)to = n;
        break;
    case T_REAL:
        ok = text_real(f, text, &end, &x) && !*end;
        if (ok)
            *(double *)to = x;
        break;
    case T_CHOICE:
        ok = text_choice(f, text, to);
        break;
    case T_INT3:
    case T_REAL3:
        ok = text_three(f, text, to);
        break;
    case T_SIZE:
        ok = text_size(f, text, to);
        break;
    case T_STRING:
        return set_string(to, s->arena, text);
    case T_LIST:
        return list_add(to, s->arena, text);
    }
    return ok ? ERR_OK : bad_value(s, f, text);
}

static enum err set_default(const struct field *f, void *to, struct arena *a)
{
    struct source s = {.code = ERR_INTERNAL, .what = "default", .arena = a};

    if (f->text)
        return set_text(&s, f, to, f->text);
    switch (f->type) {
    case T_BOOL:
        *(bool *)to = f->def != 0;
        break;
    case T_INT:
    case T_SIZE:
        *(int64_t *)to = (int64_t)f->def;
        break;
    case T_REAL:
        *(double *)to = f->def;
        break;
    case T_CHOICE:
        *(int *)to = (int)f->def;
        break;
    case T_INT3:
    case T_REAL3:
        for (int i = 0; i < 3; i++)
            if (f->type == T_INT3)
                ((int64_t *)to)[i] = (int64_t)f->def;
            else
                ((double *)to)[i] = f->def;
        break;
    case T_STRING:
        *(const char **)to = NULL;
        break;
    case T_LIST:
        *(struct cfg_list *)to = (struct cfg_list){0};
        break;
    }
    return ERR_OK;
}

enum err cfg_defaults(struct cfg_table t, void *cfg, struct arena *a)
{
    for (size_t i = 0; i < t.count; i++)
        TRY(set_default(&t.field[i], at(cfg, &t.field[i]), a));
    return ERR_OK;
}

static enum err unknown_key(const struct source *s, struct cfg_table t, const char *key)
{
    const char *near = cfg_nearest(t, key);

    return err_set(s->code, "%s%sunknown key '%.80s'%s%s%s", s->what ? s->what : "", s->what ? ": " : "", key,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

enum err cfg_set(struct cfg_table t, void *cfg, struct arena *a, const char *key, const char *value)
{
    struct source s = {.code = ERR_USAGE, .arena = a};
    const struct field *f = cfg_find(t, key);

    if (!f)
        return unknown_key(&s, t, key);
    return set_text(&s, f, at(cfg, f), value);
}

enum err cfg_override(struct cfg_table t, void *cfg, struct arena *a, const char *key_equals_value)
{
    const char *equals = strchr(key_equals_value, '=');
    char *key;

    if (!equals)
        return err_set(ERR_USAGE, "'%.80s': expected key=value", key_equals_value);
    key = arena_str(a, key_equals_value);
    if (!key)
        return ERR_MEMORY;
    key[equals - key_equals_value] = 0;
    return cfg_set(t, cfg, a, key, equals + 1);
}

/* The JSON value in the text form of set_text; "" if it has none. Arrays become a,b,c. */
static enum err value_text(struct str *b, const json_t *j)
{
    char *one = NULL;

    if (json_is_string(j)) {
        str_add(b, json_string_value(j));
    } else if (json_is_array(j)) {
        for (size_t i = 0; i < json_array_size(j); i++) {
            if (i)
                str_add(b, ",");
            TRY(value_text(b, json_array_get(j, i)));
        }
    } else {
        one = json_text(j);
        if (!one)
            return ERR_MEMORY;
        str_add(b, one);
        mem_free(one);
    }
    return str_status(b);
}

/* Is this JSON type one that the field takes? */
static bool fits(const struct field *f, const json_t *j)
{
    switch (f->type) {
    case T_BOOL:
        return json_is_boolean(j);
    case T_INT:
        return json_is_integer(j);
    case T_SIZE:
        return json_is_integer(j) || json_is_string(j);
    case T_REAL:
        return json_is_number(j);
    case T_CHOICE:
    case T_STRING:
        return json_is_string(j);
    case T_INT3:
    case T_REAL3:
        for (size_t i = 0; i < json_array_size(j); i++)
            if (!json_is_number(json_array_get(j, i)))
                return false;
        return json_is_number(j) || json_array_size(j) == 3;
    case T_LIST:
        for (size_t i = 0; i < json_array_size(j); i++)
            if (!json_is_string(json_array_get(j, i)))
                return false;
        return json_is_array(j);
    }
    return false;
}

static enum err set_json(const struct source *s, const struct field *f, void *to, const json_t *j)
{
    struct cfg_list list = {0};
    struct str b = {0};
    enum err err = ERR_OK;

    if (f->type == T_STRING && json_is_null(j)) {
        *(const char **)to = NULL;
        return ERR_OK;
    }
    if (f->type == T_LIST && fits(f, j)) {
        for (size_t i = 0; i < json_array_size(j); i++)
            TRY(list_add(&list, s->arena, json_string_value(json_array_get(j, i))));
        *(struct cfg_list *)to = list;
        return ERR_OK;
    }
    TRY_OR(done, value_text(&b, j));
    str_add(&b, "");
    TRY_OR(done, str_status(&b));
    err = fits(f, j) ? set_text(s, f, to, b.s) : bad_value(s, f, b.s);
done:
    str_free(&b);
    return err;
}

enum err cfg_read_json(struct cfg_table t, void *cfg, struct arena *a, const json_t *j, const char *what)
{
    struct source s = {.code = ERR_INPUT, .what = what, .arena = a};
    json_t *o = (json_t *)(uintptr_t)j; /* jansson's iterators take no const */

    if (!json_is_object(j))
        return err_set(ERR_INPUT, "%s: expected an object", what);
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const struct field *f = cfg_find(t, json_object_iter_key(it));
        if (!f)
            return unknown_key(&s, t, json_object_iter_key(it));
        TRY(set_json(&s, f, at(cfg, f), json_object_iter_value(it)));
    }
    return ERR_OK;
}

static json_t *three_to_json(const struct field *f, const void *from)
{
    json_t *j = json_array();

    for (int i = 0; i < 3 && j; i++)
        if (json_array_append_new(j, f->type == T_INT3 ? json_integer(((const int64_t *)from)[i])
                                                       : json_number(((const double *)from)[i]))) {
            json_decref(j);
            j = NULL;
        }
    return j;
}

static json_t *list_to_json(const struct cfg_list *l)
{
    json_t *j = json_array();

    for (size_t i = 0; i < l->count && j; i++)
        if (json_array_append_new(j, json_string(l->item[i]))) {
            json_decref(j);
            j = NULL;
        }
    return j;
}

static json_t *field_to_json(const struct field *f, const void *from)
{
    const char *text;

    switch (f->type) {
    case T_BOOL:
        return json_boolean(*(const bool *)from);
    case T_INT:
    case T_SIZE:
        return json_integer(*(const int64_t *)from);
    case T_REAL:
        return json_number(*(const double *)from);
    case T_CHOICE:
        return json_string(f->names[*(const int *)from]);
    case T_INT3:
    case T_REAL3:
        return three_to_json(f, from);
    case T_LIST:
        return list_to_json(from);
    case T_STRING:
        break;
    }
    text = *(const char *const *)from;
    return text ? json_string(text) : json_null();
}

json_t *cfg_to_json(struct cfg_table t, const void *cfg)
{
    json_t *o;

    json_setup();
    o = json_object();
    for (size_t i = 0; i < t.count && o; i++)
        if (json_object_set_new(o, t.field[i].name, field_to_json(&t.field[i], in(cfg, &t.field[i])))) {
            json_decref(o);
            o = NULL;
        }
    return o;
}
