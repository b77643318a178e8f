#include "base/json.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 100 };

/* jansson reports a failed allocation inside a token as a syntax error; this remembers what it was. Worse, it
 * ignores a failed growth of its token buffer and writes behind it. So every parse brings a reserve that
 * serves what fails, and the text ends at the next block: what is left to allocate fits. */
static _Thread_local bool exhausted;
static _Thread_local struct {
    uint8_t *bytes;
    size_t size, used;
} reserve;

enum { RESERVE_MIN = 512 << 10 }; /* a block of 1024 bytes, each beginning a value */

static void *hook_new(size_t n)
{
    void *p = mem_new(n, 1);
    size_t need = (n + 15) / 16 * 16;

    if (p)
        return p;
    exhausted = true;
    if (!reserve.bytes || need < n || need > reserve.size - reserve.used)
        return NULL;
    p = reserve.bytes + reserve.used;
    reserve.used += need;
    return p;
}

static void hook_free(void *p)
{
    uintptr_t at = (uintptr_t)p, from = (uintptr_t)reserve.bytes;

    if (!from || at < from || at >= from + reserve.size)
        mem_free(p);
}

static void set_hooks(void)
{
    json_set_alloc_funcs(hook_new, hook_free);
}

void json_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, set_hooks);
}

static bool word_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Length of the bare NaN, Infinity or -Infinity at s[i], else 0. */
static size_t token_length(const char *s, size_t n, size_t i)
{
    static const char *const token[] = {"NaN", "Infinity", "-Infinity"};

    if (i && (word_byte(s[i - 1]) || (s[i - 1] == '-' && s[i] != '-')))
        return 0;
    for (size_t t = 0; t < sizeof token / sizeof *token; t++) {
        size_t m = strlen(token[t]);
        if (n - i >= m && !memcmp(s + i, token[t], m) && (n - i == m || !word_byte(s[i + m])))
            return m;
    }
    return 0;
}

struct scan {
    const char *s;
    size_t n, i;
    int depth;
    bool quoted;
};

/* One step over the text that knows what is inside a string; false if nested too deep. */
static bool scan_step(struct scan *c)
{
    char b = c->s[c->i++];

    if (c->quoted) {
        if (b == '\\' && c->i < c->n)
            c->i++;
        else if (b == '"')
            c->quoted = false;
    } else if (b == '"') {
        c->quoted = true;
    } else if (b == '[' || b == '{') {
        c->depth++;
    } else if (b == ']' || b == '}') {
        c->depth--;
    }
    return c->depth <= MAX_DEPTH;
}

/* The text with Python's bare NaN and Infinity as null. */
static enum err clean(struct str *out, const char *text, size_t size, const char *what)
{
    struct scan c = {.s = text, .n = size};
    size_t kept = 0;

    while (c.i < size) {
        size_t m = c.quoted ? 0 : token_length(text, size, c.i);
        if (m) {
            str_add_bytes(out, text + kept, c.i - kept);
            str_add(out, "null");
            kept = c.i += m;
        } else if (!scan_step(&c)) {
            return err_set(ERR_CORRUPT, "%s: JSON nested deeper than %d levels", what, MAX_DEPTH);
        }
    }
    str_add_bytes(out, text + kept, size - kept);
    return str_status(out);
}

static enum err parse_failed(const json_error_t *e, const char *what)
{
    enum json_error_code code = json_error_code(e);

    if (exhausted || code == json_error_out_of_memory)
        return err_set(ERR_MEMORY, "out of memory (while reading %s)", what);
    return err_set(code == json_error_duplicate_key ? ERR_INPUT : ERR_CORRUPT, "%s: line %d, column %d: %s",
                   what, e->line, e->column, e->text);
}

struct feed {
    const char *at;
    size_t left;
};

static size_t feed_block(void *block, size_t room, void *context)
{
    struct feed *f = context;
    size_t n = f->left < room ? f->left : room;

    if (exhausted)
        return (size_t)-1;
    if (n)
        memcpy(block, f->at, n);
    f->at += n;
    f->left -= n;
    return n;
}

/* NULL with `exhausted` or *error set. */
static json_t *load(const struct str *s, json_error_t *error)
{
    struct feed feed = {s->s, s->len};
    size_t size = 4 * s->len + RESERVE_MIN; /* the token buffer doubles */
    json_t *j = NULL;

    reserve.bytes = mem_new(size, 1);
    reserve.size = size;
    reserve.used = 0;
    exhausted = !reserve.bytes;
    if (!exhausted)
        j = json_load_callback(feed_block, &feed, JSON_REJECT_DUPLICATES, error);
    if (exhausted) {
        json_decref(j);
        j = NULL;
    }
    mem_free(reserve.bytes);
    reserve.bytes = NULL;
    return j;
}

enum err json_parse(json_t **out, const char *text, size_t size, const char *what)
{
    struct str s = {0};
    json_error_t error = {0};
    enum err err;
    json_t *j;

    json_setup();
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        size -= 3;
    }
    TRY_OR(done, clean(&s, text, size, what));
    j = load(&s, &error);
    if (j)
        *out = j;
    else
        err = parse_failed(&error, what);
done:
    str_free(&s);
    return err;
}

enum err json_read(json_t **out, const char *path)
{
    uint8_t *data;
    size_t size;
    enum err err;

    TRY(file_read(path, &data, &size));
    err = json_parse(out, (const char *)data, size, path);
    mem_free(data);
    return err;
}

/* The shortest decimal that reads back as v. */
static void add_real(struct str *b, double v)
{
    char text[40];
    int digits = 15;

    do
        snprintf(text, sizeof text, "%.*g", digits, v);
    while (strtod(text, NULL) != v && ++digits <= 17);
    if (!strpbrk(text, ".e"))
        memcpy(text + strlen(text), ".0", 3);
    str_add(b, text);
}

static void add_string(struct str *b, const char *s, size_t n)
{
    str_add(b, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            str_addf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            str_addf(b, "\\u%04x", c);
        else
            str_add_bytes(b, s + i, 1);
    }
    str_add(b, "\"");
}

static bool is_nested(const json_t *j)
{
    return json_is_array(j) || json_is_object(j);
}

/* An array of plain values stays on one line. */
static bool has_nested(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (is_nested(json_array_get(array, i)))
            return true;
    return false;
}

/* level < 0: everything on one line. */
static void add_break(struct str *b, int level)
{
    if (level >= 0)
        str_addf(b, "\n%*s", 2 * level, "");
}

static void add_value(struct str *b, const json_t *j, int level);

static void add_array(struct str *b, const json_t *j, int level)
{
    int inner = level >= 0 && has_nested(j) ? level + 1 : -1;

    str_add(b, "[");
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (i)
            str_add(b, inner < 0 ? ", " : ",");
        add_break(b, inner);
        add_value(b, json_array_get(j, i), inner);
    }
    if (inner >= 0)
        add_break(b, level);
    str_add(b, "]");
}

static void add_object(struct str *b, const json_t *j, int level)
{
    int inner = level >= 0 ? level + 1 : -1;
    json_t *o = (json_t *)(uintptr_t)j; /* jansson's iterators take no const */
    bool first = true;

    str_add(b, "{");
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        if (!first)
            str_add(b, inner < 0 ? ", " : ",");
        first = false;
        add_break(b, inner);
        add_string(b, key, strlen(key));
        str_add(b, ": ");
        add_value(b, json_object_iter_value(it), inner);
    }
    if (inner >= 0 && !first)
        add_break(b, level);
    str_add(b, "}");
}

static void add_value(struct str *b, const json_t *j, int level)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        add_object(b, j, level);
        break;
    case JSON_ARRAY:
        add_array(b, j, level);
        break;
    case JSON_STRING:
        add_string(b, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        str_addf(b, "%lld", (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        add_real(b, json_real_value(j));
        break;
    default:
        str_add(b, json_is_true(j) ? "true" : json_is_false(j) ? "false" : "null");
    }
}

enum err json_write(const json_t *j, const char *path)
{
    struct str b = {0};
    enum err err;

    add_value(&b, j, 0);
    str_add(&b, "\n");
    TRY_OR(done, str_status(&b));
    err = file_write(path, b.s, b.len);
done:
    str_free(&b);
    return err;
}

char *json_text(const json_t *j)
{
    struct str b = {0};

    add_value(&b, j, -1);
    if (str_status(&b)) {
        str_free(&b);
        return NULL;
    }
    return b.s;
}

enum err json_print(const json_t *j)
{
    char *text = j ? json_text(j) : NULL;

    if (!text)
        return err_set(ERR_MEMORY, "out of memory while printing the result");
    puts(text);
    mem_free(text);
    return ERR_OK;
}

json_t *json_str(const char *s)
{
    char *clean = s ? utf8_clean(s) : NULL;
    json_t *j = s ? (clean ? json_string(clean) : NULL) : json_null();

    mem_free(clean);
    return j;
}

json_t *json_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *json_numbers(const double *v, int n)
{
    json_t *a = json_array();

    for (int i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_number(v[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

enum err json_get(const json_t *o, const char *what, const char *key, json_t **v)
{
    json_t *found;

    if (!json_is_object(o))
        return err_set(ERR_INPUT, "%s: expected an object with the key \"%s\"", what, key);
    found = json_object_get(o, key);
    if (!found)
        return err_set(ERR_INPUT, "%s: the key \"%s\" is missing", what, key);
    *v = found;
    return ERR_OK;
}

enum err json_get_int(const json_t *o, const char *what, const char *key, int64_t *v)
{
    json_t *j = NULL;

    TRY(json_get(o, what, key, &j));
    if (!json_is_integer(j))
        return err_set(ERR_INPUT, "%s: %s: expected an integer", what, key);
    *v = json_integer_value(j);
    return ERR_OK;
}

enum err json_get_real(const json_t *o, const char *what, const char *key, double *v)
{
    json_t *j = NULL;

    TRY(json_get(o, what, key, &j));
    if (!json_is_number(j))
        return err_set(ERR_INPUT, "%s: %s: expected a number", what, key);
    *v = json_number_value(j);
    return ERR_OK;
}

enum err json_get_str(const json_t *o, const char *what, const char *key, const char **v)
{
    json_t *j = NULL;

    TRY(json_get(o, what, key, &j));
    if (!json_is_string(j))
        return err_set(ERR_INPUT, "%s: %s: expected a string", what, key);
    *v = json_string_value(j);
    return ERR_OK;
}
