/* safetensors files: named tensors behind a JSON header (8-byte little-endian length, header, data). Reading
 * maps the file and checks everything before an entry is handed out: sizes, overlaps, holes, duplicate names.
 * Malformed: ERR_CORRUPT; a type or rank that we do not have: ERR_INPUT. Format:
 * github.com/huggingface/safetensors, "Format". */
#ifndef D4M_TENSOR_SAFETENSORS_H
#define D4M_TENSOR_SAFETENSORS_H

#include "base/err.h"
#include "tensor/dims.h"
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum st_type {
    ST_BOOL,
    ST_U8,
    ST_I8,
    ST_U16,
    ST_I16,
    ST_F16,
    ST_BF16,
    ST_U32,
    ST_I32,
    ST_F32,
    ST_U64,
    ST_I64,
    ST_F64
};

size_t st_type_size(enum st_type t);
const char *st_type_name(enum st_type t); /* "F32" */
enum st_type st_type_of(enum dtype t);

/* One tensor of a file. Everything is borrowed from the reader; data may be unaligned. */
struct st_entry {
    const char *name;
    enum st_type type;
    struct dims dims;
    int64_t count; /* elements */
    const uint8_t *data;
    size_t bytes;
};

struct safetensors;
MUST_USE enum err safetensors_open(struct safetensors **out, const char *path);
/* The same on bytes that the caller keeps; `what` names them in messages. */
MUST_USE enum err safetensors_parse(struct safetensors **out, const uint8_t *bytes, size_t size,
                                    const char *what);
void safetensors_close(struct safetensors *s);

size_t safetensors_count(const struct safetensors *s);
const struct st_entry *safetensors_at(const struct safetensors *s, size_t i); /* in the header's order */
const struct st_entry *safetensors_find(const struct safetensors *s, const char *name); /* NULL if absent */
/* The object of metadata strings (borrowed), NULL if the file has none; one of them, NULL if absent. */
const json_t *safetensors_metadata(const struct safetensors *s);
const char *safetensors_meta(const struct safetensors *s, const char *key);

/* All elements as double or float, whatever the stored type; out has room for e->count. */
void safetensors_get_f64(const struct st_entry *e, double *out);
void safetensors_get_f32(const struct st_entry *e, float *out);

struct st_tensor {
    const char *name;
    enum st_type type;
    struct dims dims;
    const void *data; /* dense */
};
/* Writes path atomically: entries in the given order, data 8-byte aligned, `metadata` an object of strings or
 * NULL. The bytes depend on the arguments only. */
MUST_USE enum err safetensors_save(const char *path, const struct st_tensor *tensor, size_t count,
                                   const json_t *metadata);

#endif
