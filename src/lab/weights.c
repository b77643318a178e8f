#include "lab/weights.h"

#include "base/json.h"
#include "base/str.h"
#include "tensor/safetensors.h"
#include <stdio.h>
#include <string.h>

struct weights_cfg {
    const char *file;
};

static const struct field fields[] = {
    FIELD(struct weights_cfg, T_STRING, file, .positional = true, .required = true, .arg = "FILE",
          .help = "a safetensors file"),
};

static json_t *entry_json(const struct st_entry *e)
{
    json_t *shape = json_array();

    for (int i = 0; i < e->dims.rank && shape; i++)
        if (json_array_append_new(shape, json_integer(e->dims.n[i]))) {
            json_decref(shape);
            shape = NULL;
        }
    if (!shape)
        return NULL;
    return json_pack("{s:s, s:s, s:o, s:I}", "name", e->name, "dtype", st_type_name(e->type), "shape", shape,
                     "bytes", (json_int_t)e->bytes);
}

/* New reference; NULL on exhaustion. */
static json_t *file_json(const struct safetensors *s, const char *path)
{
    json_t *list = json_array(), *meta = (json_t *)(uintptr_t)safetensors_metadata(s);

    for (size_t i = 0; i < safetensors_count(s) && list; i++)
        if (json_array_append_new(list, entry_json(safetensors_at(s, i)))) {
            json_decref(list);
            list = NULL;
        }
    return json_pack("{s:s, s:o, s:o}", "file", path, "metadata", meta ? json_incref(meta) : json_object(),
                     "tensors", list);
}

static enum err print_json(const struct safetensors *s, const char *path)
{
    json_t *j = file_json(s, path);
    enum err err = json_print(j);

    json_decref(j);
    return err;
}

/* Names come from the file: control characters must not reach a terminal. */
static void print_name(const char *s, int width)
{
    int n = 0;

    for (; *s; s++, n++)
        putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
    for (; n < width; n++)
        putchar(' ');
}

static void print_metadata(const struct safetensors *s)
{
    json_t *meta = (json_t *)(uintptr_t)safetensors_metadata(s);

    for (void *it = json_object_iter(meta); it; it = json_object_iter_next(meta, it)) {
        print_name(json_object_iter_key(it), 0);
        fputs(" = ", stdout);
        print_name(json_string_value(json_object_iter_value(it)), 0);
        putchar('\n');
    }
}

static void print_table(const struct safetensors *s)
{
    int width = 4;
    uint64_t elements = 0, bytes = 0;
    char shape[160];

    for (size_t i = 0; i < safetensors_count(s); i++) {
        size_t n = strlen(safetensors_at(s, i)->name);
        if (n > (size_t)width)
            width = n < 80 ? (int)n : 80;
    }
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct st_entry *e = safetensors_at(s, i);
        print_name(e->name, width);
        printf("  %-4s  %-24s %12zu bytes\n", st_type_name(e->type), dims_text(&e->dims, shape), e->bytes);
        elements += (uint64_t)e->count;
        bytes += e->bytes;
    }
    printf("%zu tensors, %llu elements, %llu bytes\n", safetensors_count(s), (unsigned long long)elements,
           (unsigned long long)bytes);
}

static enum err run(const struct cli *cli, const void *cfg)
{
    const struct weights_cfg *c = cfg;
    struct safetensors *s = NULL;
    enum err err = ERR_OK;

    TRY(safetensors_open(&s, c->file));
    if (cli->common->json) {
        err = print_json(s, c->file);
    } else {
        print_table(s);
        print_metadata(s);
    }
    safetensors_close(s);
    return err;
}

const struct command cmd_weights_show = {
    .name = "weights show",
    .summary = "list the tensors of a safetensors file",
    .example = "model.safetensors",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct weights_cfg),
    .run = run,
};
