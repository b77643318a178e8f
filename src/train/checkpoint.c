#include "train/checkpoint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tensor/safetensors.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t add_hash(uint64_t sum, const char *name, const void *data, size_t bytes)
{
    return bytes_hash(data, bytes, bytes_hash(name, strlen(name), sum));
}

static json_t *metadata(const json_t *position, uint64_t sum)
{
    char hex[24], *text = json_text(position);
    json_t *meta;

    snprintf(hex, sizeof hex, "%016" PRIx64, sum);
    meta = text
               ? json_pack("{s:s, s:s, s:s}", "format", "d4m checkpoint 1", "position", text, "checksum", hex)
               : NULL;
    mem_free(text);
    return meta;
}

enum err checkpoint_save(const struct store *s, const json_t *position, const char *path)
{
    size_t n = store_count(s);
    struct st_tensor *list = mem_new(n + 1, sizeof *list);
    json_t *meta = NULL;
    uint64_t sum = 0;
    enum err err = ERR_MEMORY;

    for (size_t i = 0; list && i < n; i++) {
        const struct tensor *t = store_at(s, i);
        list[i] = (struct st_tensor){t->name, st_type_of(t->type), t->dims, t->data};
        sum = add_hash(sum, t->name, t->data, (size_t)tensor_bytes(t));
    }
    if (list)
        meta = metadata(position, sum);
    if (meta)
        err = safetensors_save(path, list, n, meta);
    json_decref(meta);
    mem_free(list);
    return err;
}

static enum err check_entries(const struct safetensors *f, const struct store *s, const char *path)
{
    const char *format = safetensors_meta(f, "format"), *want = safetensors_meta(f, "checksum");
    uint64_t sum = 0;
    char hex[24];

    if (!format || strcmp(format, "d4m checkpoint 1") || !want || !safetensors_meta(f, "position"))
        return err_set(ERR_MODEL, "%s: not a checkpoint of this program", path);
    if (safetensors_count(f) != store_count(s))
        return err_set(ERR_MODEL, "%s: holds %zu states, this network has %zu: it is of another plan", path,
                       safetensors_count(f), store_count(s));
    for (size_t i = 0; i < store_count(s); i++) {
        const struct tensor *t = store_at(s, i);
        const struct st_entry *e = safetensors_at(f, i);
        if (strcmp(e->name, t->name) || e->type != st_type_of(t->type) || !dims_equal(&e->dims, &t->dims))
            return err_set(ERR_MODEL, "%s: state %s does not fit this network: it is of another plan", path,
                           e->name);
        sum = add_hash(sum, e->name, e->data, e->bytes);
    }
    snprintf(hex, sizeof hex, "%016" PRIx64, sum);
    if (strcmp(hex, want))
        return err_set(ERR_CORRUPT, "%s: its checksum is wrong: remove it to start over", path);
    return ERR_OK;
}

enum err checkpoint_load(struct store *s, json_t **position, const char *path)
{
    struct safetensors *f = NULL;
    enum err err;

    TRY(safetensors_open(&f, path));
    TRY_OR(done, check_entries(f, s, path));
    {
        const char *text = safetensors_meta(f, "position");
        TRY_OR(done, json_parse(position, text, strlen(text), path));
    }
    for (size_t i = 0; i < store_count(s); i++)
        memcpy(store_at(s, i)->data, safetensors_at(f, i)->data, safetensors_at(f, i)->bytes);
done:
    safetensors_close(f);
    return err;
}
