/* Elements of safetensors files, and writing them. */
#include "tensor/safetensors.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tensor/bf16.h"
#include <math.h>
#include <string.h>

/* IEEE 754 binary16 */
static double half_value(uint16_t h)
{
    double sign = h >> 15 ? -1 : 1, fraction = h & 0x3ff;
    int exponent = h >> 10 & 0x1f;

    if (exponent == 0x1f)
        return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

#define LOAD(type, convert)                                                                                  \
    do {                                                                                                     \
        type v_;                                                                                             \
        memcpy(&v_, p, sizeof v_);                                                                           \
        return convert;                                                                                      \
    } while (0)

static double element(enum st_type type, const uint8_t *p)
{
    switch (type) {
    case ST_BOOL:
        return *p != 0;
    case ST_U8:
        return *p;
    case ST_I8:
        LOAD(int8_t, v_);
    case ST_U16:
        LOAD(uint16_t, v_);
    case ST_I16:
        LOAD(int16_t, v_);
    case ST_F16:
        LOAD(uint16_t, half_value(v_));
    case ST_BF16:
        LOAD(uint16_t, (double)bf16_widen(v_));
    case ST_U32:
        LOAD(uint32_t, v_);
    case ST_I32:
        LOAD(int32_t, v_);
    case ST_F32:
        LOAD(float, (double)v_);
    case ST_U64:
        LOAD(uint64_t, (double)v_);
    case ST_I64:
        LOAD(int64_t, (double)v_);
    case ST_F64:
        LOAD(double, v_);
    }
    return NAN;
}

void safetensors_get_f64(const struct st_entry *e, double *out)
{
    size_t size = st_type_size(e->type);

    for (int64_t i = 0; i < e->count; i++)
        out[i] = element(e->type, e->data + (size_t)i * size);
}

void safetensors_get_f32(const struct st_entry *e, float *out)
{
    size_t size = st_type_size(e->type);

    if (e->type == ST_F32) {
        if (e->bytes)
            memcpy(out, e->data, e->bytes);
        return;
    }
    for (int64_t i = 0; i < e->count; i++)
        out[i] = (float)element(e->type, e->data + (size_t)i * size);
}

static size_t tensor_size(const struct st_tensor *t)
{
    return (size_t)dims_count(&t->dims) * st_type_size(t->type);
}

/* {"dtype": ..., "shape": [...], "data_offsets": [from, to]}; NULL on exhaustion */
static json_t *describe(const struct st_tensor *t, size_t from)
{
    json_t *shape = json_array();

    for (int i = 0; i < t->dims.rank && shape; i++)
        if (json_array_append_new(shape, json_integer(t->dims.n[i]))) {
            json_decref(shape);
            shape = NULL;
        }
    if (!shape)
        return NULL;
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", st_type_name(t->type), "shape", shape, "data_offsets",
                     (json_int_t)from, (json_int_t)(from + tensor_size(t)));
}

static enum err build_header(json_t *o, const struct st_tensor *tensor, size_t count, const json_t *metadata)
{
    size_t at = 0;

    if (metadata && json_object_set(o, "__metadata__", (json_t *)(uintptr_t)metadata))
        return err_set(ERR_MEMORY, "out of memory (while writing a tensor file)");
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(o, tensor[i].name))
            return err_set(ERR_INTERNAL, "two tensors are called '%s'", tensor[i].name);
        if (json_object_set_new(o, tensor[i].name, describe(&tensor[i], at)))
            return err_set(ERR_MEMORY, "out of memory (while describing the tensor '%s')", tensor[i].name);
        at += tensor_size(&tensor[i]);
    }
    return ERR_OK;
}

/* Length, header, spaces up to the next multiple of 8. */
static void write_header(FILE *f, const char *text)
{
    size_t n = strlen(text), padded = (n + 7) / 8 * 8;
    uint8_t length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    fwrite(length, 1, sizeof length, f);
    fprintf(f, "%s%*s", text, (int)(padded - n), "");
}

enum err safetensors_save(const char *path, const struct st_tensor *tensor, size_t count,
                          const json_t *metadata)
{
    struct file_out out = {0};
    json_t *header;
    char *text = NULL;
    enum err err = ERR_MEMORY;

    json_setup();
    header = json_object();
    if (!header)
        goto done;
    TRY_OR(done, build_header(header, tensor, count, metadata));
    err = ERR_MEMORY;
    text = json_text(header);
    if (!text)
        goto done;
    TRY_OR(done, file_out_open(&out, path));
    write_header(out.f, text);
    for (size_t i = 0; i < count; i++)
        if (tensor_size(&tensor[i])) /* a failing write is told by the commit */
            fwrite(tensor[i].data, 1, tensor_size(&tensor[i]), out.f);
    err = file_out_commit(&out);
done:
    file_out_abandon(&out);
    json_decref(header);
    mem_free(text);
    return err;
}
