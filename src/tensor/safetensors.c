#include "tensor/safetensors.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* The reference reader refuses larger headers, so nothing writes them. */
#define HEADER_MAX ((uint64_t)100000000)

struct safetensors {
    struct file_map map; /* empty if the caller keeps the bytes */
    const char *what;
    const uint8_t *data; /* behind the header */
    size_t size;
    json_t *header;
    struct st_entry *entry;
    size_t count;
    char *path;
};

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [ST_BOOL] = {"BOOL", 1}, [ST_U8] = {"U8", 1},   [ST_I8] = {"I8", 1},     [ST_U16] = {"U16", 2},
    [ST_I16] = {"I16", 2},   [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2}, [ST_U32] = {"U32", 4},
    [ST_I32] = {"I32", 4},   [ST_F32] = {"F32", 4}, [ST_U64] = {"U64", 8},   [ST_I64] = {"I64", 8},
    [ST_F64] = {"F64", 8},
};

size_t st_type_size(enum st_type t)
{
    return types[t].size;
}

const char *st_type_name(enum st_type t)
{
    return types[t].name;
}

enum st_type st_type_of(enum dtype t)
{
    static const enum st_type type[DT_COUNT] = {
        [DT_F32] = ST_F32, [DT_F64] = ST_F64, [DT_I64] = ST_I64, [DT_BF16] = ST_BF16};

    return type[t];
}

static enum err read_type(const struct safetensors *s, const char *name, const json_t *j, enum st_type *type)
{
    const char *text = json_string_value(json_object_get(j, "dtype"));

    if (!text)
        return err_set(ERR_CORRUPT, "%s: tensor '%.80s': no dtype", s->what, name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, text)) {
            *type = (enum st_type)i;
            return ERR_OK;
        }
    return err_set(ERR_INPUT, "%s: tensor '%.80s' has the type '%.20s', which is not supported", s->what,
                   name, text);
}

/* Shape and size in bytes, refusing products that do not fit. */
static enum err read_shape(const struct safetensors *s, struct st_entry *e, const json_t *shape)
{
    size_t rank = json_array_size(shape);
    uint64_t count = 1;

    if (!json_is_array(shape))
        return err_set(ERR_CORRUPT, "%s: tensor '%.80s': shape is not a list", s->what, e->name);
    if (rank > DIMS_MAX)
        return err_set(ERR_INPUT, "%s: tensor '%.80s' has %zu axes, more than %d", s->what, e->name, rank,
                       DIMS_MAX);
    e->dims.rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        json_t *n = json_array_get(shape, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return err_set(ERR_CORRUPT, "%s: tensor '%.80s': shape[%zu] is not a size", s->what, e->name, i);
        e->dims.n[i] = json_integer_value(n);
        if (e->dims.n[i] && count > (uint64_t)INT64_MAX / (uint64_t)e->dims.n[i])
            return err_set(ERR_CORRUPT, "%s: tensor '%.80s': the shape overflows", s->what, e->name);
        count *= (uint64_t)e->dims.n[i];
    }
    if (count > s->size / types[e->type].size)
        return err_set(ERR_CORRUPT, "%s: tensor '%.80s' is larger than the file", s->what, e->name);
    e->count = (int64_t)count;
    e->bytes = (size_t)count * types[e->type].size;
    return ERR_OK;
}

static enum err read_offsets(const struct safetensors *s, struct st_entry *e, const json_t *offsets)
{
    json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    json_int_t from = json_integer_value(first), to = json_integer_value(last);

    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) || from < 0 ||
        to < from)
        return err_set(ERR_CORRUPT, "%s: tensor '%.80s': data_offsets is not [begin, end]", s->what, e->name);
    if ((uint64_t)to > s->size)
        return err_set(ERR_CORRUPT, "%s: tensor '%.80s' ends behind the file; it is truncated", s->what,
                       e->name);
    if ((uint64_t)(to - from) != e->bytes)
        return err_set(ERR_CORRUPT, "%s: tensor '%.80s' has %lld bytes, its shape needs %zu", s->what,
                       e->name, (long long)(to - from), e->bytes);
    e->data = s->data + from;
    return ERR_OK;
}

static enum err read_entry(const struct safetensors *s, struct st_entry *e, const char *name, const json_t *j)
{
    e->name = name;
    TRY(read_type(s, name, j, &e->type));
    TRY(read_shape(s, e, json_object_get(j, "shape")));
    return read_offsets(s, e, json_object_get(j, "data_offsets"));
}

static enum err check_metadata(const struct safetensors *s, const json_t *j)
{
    json_t *o = (json_t *)(uintptr_t)j; /* jansson's iterators take no const */

    if (!json_is_object(j))
        return err_set(ERR_CORRUPT, "%s: __metadata__ is not an object", s->what);
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
        if (!json_is_string(json_object_iter_value(it)))
            return err_set(ERR_CORRUPT, "%s: __metadata__: '%.80s' is not a string", s->what,
                           json_object_iter_key(it));
    return ERR_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct st_entry *x = *(const struct st_entry *const *)a, *y = *(const struct st_entry *const *)b;

    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The entries must tile the data: no overlap, no hole, nothing behind. */
static enum err check_tiling(const struct safetensors *s)
{
    const struct st_entry **order = mem_new(s->count, sizeof *order);
    const uint8_t *at = s->data;
    enum err err = ERR_OK;

    if (!order)
        return ERR_MEMORY;
    for (size_t i = 0; i < s->count; i++)
        order[i] = &s->entry[i];
    if (s->count)
        qsort(order, s->count, sizeof *order, by_place);
    for (size_t i = 0; i < s->count && !err; i++) {
        if (order[i]->data != at)
            err = err_set(ERR_CORRUPT, "%s: tensor '%.80s' %s", s->what, order[i]->name,
                          order[i]->data < at ? "overlaps another one" : "leaves a hole before it");
        at = order[i]->data + order[i]->bytes;
    }
    mem_free(order);
    if (!err && at != s->data + s->size)
        err = err_set(ERR_CORRUPT, "%s: %zu bytes behind the last tensor", s->what,
                      (size_t)(s->data + s->size - at));
    return err;
}

static enum err read_entries(struct safetensors *s)
{
    size_t n = json_object_size(s->header);

    s->entry = mem_new(n, sizeof *s->entry);
    if (!s->entry)
        return ERR_MEMORY;
    for (void *it = json_object_iter(s->header); it; it = json_object_iter_next(s->header, it)) {
        const char *name = json_object_iter_key(it);
        const json_t *j = json_object_iter_value(it);
        if (!strcmp(name, "__metadata__")) {
            TRY(check_metadata(s, j));
            continue;
        }
        TRY(read_entry(s, &s->entry[s->count], name, j));
        s->count++;
    }
    return check_tiling(s);
}

static enum err read_header(struct safetensors *s, const uint8_t *bytes, size_t size)
{
    uint64_t n = 0;

    if (size < 8)
        return err_set(ERR_CORRUPT, "%s: not a safetensors file: %zu bytes", s->what, size);
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)bytes[i] << 8 * i;
    if (n > HEADER_MAX || n > size - 8 || n < 2 || bytes[8] != '{')
        return err_set(ERR_CORRUPT, "%s: not a safetensors file, or truncated: no header of %llu bytes",
                       s->what, (unsigned long long)n);
    s->data = bytes + 8 + n;
    s->size = size - 8 - (size_t)n;
    return json_parse(&s->header, (const char *)bytes + 8, (size_t)n, s->what);
}

/* Fills s from the bytes; s->what is set. Only the types and ranks of well-formed files are ERR_INPUT. */
static enum err parse(struct safetensors *s, const uint8_t *bytes, size_t size)
{
    enum err err = read_header(s, bytes, size);

    if (err == ERR_INPUT) /* duplicate names */
        return ERR_CORRUPT;
    return err ? err : read_entries(s);
}

enum err safetensors_parse(struct safetensors **out, const uint8_t *bytes, size_t size, const char *what)
{
    struct safetensors *s = mem_new(1, sizeof *s);
    enum err err = ERR_MEMORY;

    if (!s)
        return ERR_MEMORY;
    s->path = mem_str(what);
    s->what = s->path;
    if (s->path)
        err = parse(s, bytes, size);
    if (err) {
        safetensors_close(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

enum err safetensors_open(struct safetensors **out, const char *path)
{
    struct file_map map;
    enum err err;

    TRY(file_map(&map, path));
    err = safetensors_parse(out, map.data, map.size, path);
    if (err)
        file_unmap(&map);
    else
        (*out)->map = map;
    return err;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    json_decref(s->header);
    mem_free(s->entry);
    mem_free(s->path);
    file_unmap(&s->map);
    mem_free(s);
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->count;
}

const struct st_entry *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->entry[i];
}

const struct st_entry *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->entry[i].name, name))
            return &s->entry[i];
    return NULL;
}

const json_t *safetensors_metadata(const struct safetensors *s)
{
    return json_object_get(s->header, "__metadata__");
}

const char *safetensors_meta(const struct safetensors *s, const char *key)
{
    return json_string_value(json_object_get(safetensors_metadata(s), key));
}
