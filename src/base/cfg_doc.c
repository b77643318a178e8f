/* Help and schema of a config table. */
#include "base/cfg.h"

#include "base/json.h"
#include <math.h>
#include <string.h>

static void add_arg(struct str *b, const struct field *f)
{
    static const char *const word[] = {"", "N", "X", "", "TEXT", "N,N,N", "X,X,X", "TEXT", "SIZE"};

    if (f->type == T_BOOL)
        return;
    str_add(b, " ");
    if (f->type == T_CHOICE && !f->arg)
        for (const char *const *name = f->names; *name; name++)
            str_addf(b, "%s%s", name == f->names ? "" : "|", *name);
    else
        str_add(b, f->arg ? f->arg : word[f->type]);
    if (f->type == T_LIST)
        str_add(b, "...");
}

/* "  -d, --dataset FOLDER" */
static void add_left(struct str *b, const struct field *f)
{
    if (f->positional) {
        str_add(b, " ");
        add_arg(b, f);
        return;
    }
    if (f->brief)
        str_addf(b, "  -%c, --", f->brief);
    else
        str_add(b, "      --");
    if (f->type == T_BOOL && f->def != 0)
        str_add(b, "[no-]");
    for (const char *c = f->name; *c; c++)
        str_addf(b, "%c", *c == '_' ? '-' : *c);
    add_arg(b, f);
}

static void add_size(struct str *b, double bytes)
{
    static const char unit[] = " KMGT";
    int u = 0;

    while (bytes >= 1024 && u < 4) {
        bytes /= 1024;
        u++;
    }
    str_addf(b, "%.12g%.*s", bytes, u ? 1 : 0, unit + u);
}

static void add_default(struct str *b, const struct field *f)
{
    if (f->text)
        str_addf(b, "default %s", f->text);
    else if (f->type == T_CHOICE)
        str_addf(b, "default %s", f->names[(int)f->def]);
    else if (f->type == T_SIZE && f->def != 0) {
        str_add(b, "default ");
        add_size(b, f->def);
    } else if (f->type == T_INT || f->type == T_REAL || f->type == T_INT3 || f->type == T_REAL3)
        str_addf(b, "default %.12g", f->def);
}

/* " (required)", " (1 to 100, default 5)" */
static void add_facts(struct str *b, const struct field *f)
{
    struct str s = {0};

    if ((f->min != 0 || f->max != 0) && f->max < INFINITY && f->type != T_SIZE)
        str_addf(&s, "%.12g to %.12g", f->min, f->max);
    else if (f->min != 0 && f->type != T_SIZE)
        str_addf(&s, "at least %.12g", f->min);
    if (f->required && f->positional) {
        str_free(&s);
        return;
    }
    if (s.len)
        str_add(&s, ", ");
    if (f->required)
        str_add(&s, "required");
    else
        add_default(&s, f);
    if (s.len >= 2 && !strcmp(s.s + s.len - 2, ", "))
        s.s[s.len -= 2] = 0;
    if (s.len)
        str_addf(b, " (%s)", s.s);
    if (str_status(&s) && !b->err)
        b->err = s.err;
    str_free(&s);
}

/* "  spacing X,X,X": a key of a table that is no command line. */
static void add_key(struct str *b, const struct field *f)
{
    str_addf(b, "  %s%s", f->name, f->type == T_BOOL ? " true|false" : "");
    add_arg(b, f);
}

static void add_lines(struct cfg_table t, void (*left)(struct str *b, const struct field *f), struct str *out)
{
    size_t width = 0, start;

    for (size_t i = 0; i < t.count; i++) {
        struct str text = {0};
        left(&text, &t.field[i]);
        if (text.len > width && text.len <= 36)
            width = text.len;
        str_free(&text);
    }
    for (size_t i = 0; i < t.count; i++) {
        start = out->len;
        left(out, &t.field[i]);
        if (out->len - start > width)
            str_addf(out, "\n%*s", (int)width, "");
        else
            str_addf(out, "%*s", (int)(width - (out->len - start)), "");
        str_addf(out, "  %s", t.field[i].help ? t.field[i].help : "");
        add_facts(out, &t.field[i]);
        str_add(out, "\n");
    }
}

void cfg_help(struct cfg_table t, struct str *out)
{
    add_lines(t, add_left, out);
}

void cfg_help_keys(struct cfg_table t, struct str *out)
{
    add_lines(t, add_key, out);
}

/* Takes v; 0 on success as in jansson. */
static int put(json_t *o, const char *key, json_t *v)
{
    return json_object_set_new(o, key, v);
}

static int put_names(json_t *o, const struct field *f)
{
    json_t *names = json_array();
    int failed = !names;

    for (const char *const *name = f->names; *name && !failed; name++)
        failed = json_array_append_new(names, json_string(*name));
    if (failed) {
        json_decref(names);
        return -1;
    }
    return put(o, "enum", names) || put(o, "default", json_string(f->names[(int)f->def]));
}

static int put_default(json_t *o, const struct field *f)
{
    if (f->text)
        return put(o, "default", json_string(f->text));
    if (f->type == T_BOOL)
        return put(o, "default", json_boolean(f->def != 0));
    if (f->type == T_INT || f->type == T_INT3 || f->type == T_SIZE)
        return put(o, "default", json_integer((json_int_t)f->def));
    if (f->type == T_REAL || f->type == T_REAL3)
        return put(o, "default", json_number(f->def));
    return 0;
}

/* An integer's limit is an integer; an open one is null. */
static json_t *limit(const struct field *f, double v)
{
    bool whole = f->type == T_INT || f->type == T_INT3 || f->type == T_SIZE;

    return whole && fabs(v) < 9e15 ? json_integer((json_int_t)v) : json_number(v);
}

static json_t *field_schema(const struct field *f)
{
    static const char *const type[] = {"boolean", "integer", "number", "string", "string",
                                       "array",   "array",   "array",  "integer"};
    static const char *const item[] = {[T_INT3] = "integer", [T_REAL3] = "number", [T_LIST] = "string"};
    json_t *o = json_object();
    int failed = !o || put(o, "type", json_string(type[f->type])) ||
                 put(o, "description", json_string(f->help ? f->help : ""));

    if (!failed && (f->type == T_INT3 || f->type == T_REAL3 || f->type == T_LIST))
        failed = put(o, "items", json_pack("{s:s}", "type", item[f->type]));
    if (!failed && (f->min != 0 || f->max != 0))
        failed = put(o, "minimum", limit(f, f->min)) || put(o, "maximum", limit(f, f->max));
    if (!failed && f->brief)
        failed = put(o, "option", json_pack("s#", (const char[]){'-', f->brief}, 2));
    if (!failed && f->positional)
        failed = put(o, "positional", json_true());
    if (!failed)
        failed = f->type == T_CHOICE ? put_names(o, f) : put_default(o, f);
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

json_t *cfg_schema(struct cfg_table t)
{
    json_t *o, *properties, *required;
    int failed;

    json_setup();
    o = json_pack("{s:s}", "type", "object");
    properties = json_object();
    required = json_array();
    failed = !o || !properties || !required;
    for (size_t i = 0; i < t.count && !failed; i++) {
        failed = put(properties, t.field[i].name, field_schema(&t.field[i]));
        if (!failed && t.field[i].required)
            failed = json_array_append_new(required, json_string(t.field[i].name));
    }
    if (!failed && !json_object_set(o, "properties", properties) && !json_object_set(o, "required", required))
        failed = put(o, "additionalProperties", json_false());
    else
        failed = 1;
    json_decref(properties);
    json_decref(required);
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}
