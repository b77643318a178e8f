#include "nets/nnunet.h"

#include "base/mem.h"
#include "base/str.h"
#include <stdio.h>
#include <string.h>

/* The order of modules in the reference's state dict; the graph is built in another (decoder stages
 * interleaved). */
static const char *const modules[] = {"encoder.", "decoder.stages.", "decoder.transpconvs.",
                                      "decoder.seg_layers."};
enum { MODULES = sizeof(modules) / sizeof(modules[0]) };

/* Where name splits into a block and "conv.weight", "norm.bias", ...; 0 for tensors outside a block. */
static size_t block_length(const char *name)
{
    size_t n = strlen(name);

    while (n > 0 && name[n - 1] != '.')
        n--;
    if (n < 6 || (strncmp(name + n - 6, ".conv.", 6) && strncmp(name + n - 6, ".norm.", 6)))
        return 0;
    return n - 5;
}

static bool same_block(const char *a, const char *b)
{
    size_t n = block_length(a);

    return n && n == block_length(b) && !strncmp(a, b, n);
}

static enum err add_prefixed(struct weight_keys *k, const char *prefix, const char *name,
                             const struct param *p)
{
    char key[320];

    snprintf(key, sizeof(key), "%s%s", prefix, name);
    return weight_keys_add(k, key, p);
}

/* block.conv.* and block.norm.* again as block.all_modules.0.* and block.all_modules.1.*. */
static enum err add_alias(struct weight_keys *k, const char *prefix, const struct param *p)
{
    size_t n = block_length(p->name);
    char key[320];

    snprintf(key, sizeof(key), "%.*sall_modules.%d.%s", (int)n, p->name, p->name[n] == 'n', p->name + n + 5);
    return add_prefixed(k, prefix, key, p);
}

/* The parameters [i, end) of one block with their aliases, or the one parameter outside a block; returns
 * through *end. */
static enum err add_block(struct weight_keys *k, const char *prefix, const struct param *const p[], size_t i,
                          size_t *end)
{
    size_t n = i + 1;

    while (p[n] && same_block(p[i]->name, p[n]->name))
        n++;
    for (size_t j = i; j < n; j++)
        TRY(add_prefixed(k, prefix, p[j]->name, p[j]));
    if (block_length(p[i]->name))
        for (size_t j = i; j < n; j++)
            TRY(add_alias(k, prefix, p[j]));
    *end = n;
    return ERR_OK;
}

static enum err add_module(struct weight_keys *k, const char *prefix, const struct param *const p[])
{
    for (size_t i = 0; p[i];)
        TRY(add_block(k, prefix, p, i, &i));
    return ERR_OK;
}

enum err nnunet_keys(struct weight_keys *k, const struct nn *m)
{
    const struct param **list = mem_new(m->count + 1, sizeof(*list));
    enum err err = list ? ERR_OK : ERR_MEMORY;

    for (int module = 0; module < MODULES && !err; module++) {
        size_t n = 0;

        for (size_t i = 0; i < m->count; i++)
            if (str_starts(m->param[i].name, modules[module]))
                list[n++] = &m->param[i];
        list[n] = NULL;
        err = add_module(k, "", list);
        if (!err && module == 0)
            err = add_module(k, "decoder.", list);
    }
    mem_free(list);
    return err;
}
