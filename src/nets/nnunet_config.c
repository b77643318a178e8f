#include "nets/nnunet.h"

#include "base/json.h"
#include <stdio.h>
#include <string.h>

/* Where we are in the file, for messages. */
struct at {
    const char *path;
    const char *key;
};

static enum err refuse(struct at at, const char *expected)
{
    return err_set(ERR_MODEL, "%s: %s: expected %s", at.path, at.key, expected);
}

static enum err read_int(struct at at, const json_t *j, int64_t max, int64_t *v)
{
    char expected[64];

    snprintf(expected, sizeof(expected), "an integer from 1 to %lld", (long long)max);
    if (!json_is_integer(j) || json_integer_value(j) < 1 || json_integer_value(j) > max)
        return refuse(at, expected);
    *v = json_integer_value(j);
    return ERR_OK;
}

static enum err read_list_length(struct at at, const json_t *j, int n)
{
    char expected[64];

    snprintf(expected, sizeof(expected), "an integer or a list of %d entries", n);
    return json_array_size(j) == (size_t)n ? ERR_OK : refuse(at, expected);
}

/* One integer for all, or a list of n. */
static enum err read_ints(struct at at, const json_t *j, int n, int64_t max, int64_t v[])
{
    bool one = json_is_integer(j);

    if (!one)
        TRY(read_list_length(at, j, n));
    for (int i = 0; i < n; i++)
        TRY(read_int(at, one ? j : json_array_get(j, (size_t)i), max, &v[i]));
    return ERR_OK;
}

/* One integer for all, or a list of n integers or triples (z, y, x). */
static enum err read_triples(struct at at, const json_t *j, int n, int64_t max, int64_t v[][3])
{
    bool one = json_is_integer(j);

    if (!one)
        TRY(read_list_length(at, j, n));
    for (int i = 0; i < n; i++)
        TRY(read_ints(at, one ? j : json_array_get(j, (size_t)i), 3, max, v[i]));
    return ERR_OK;
}

static enum err read_kernels(struct at at, const json_t *j, struct nnunet *o)
{
    TRY(read_triples(at, j, o->stages, 15, o->kernel));
    for (int s = 0; s < o->stages; s++)
        for (int i = 0; i < 3; i++)
            if (o->kernel[s][i] % 2 == 0)
                return refuse(at, "odd sizes"); /* an even one cannot keep the size that the skips need */
    return ERR_OK;
}

static enum err read_bool(struct at at, const json_t *j, bool *v)
{
    if (!json_is_boolean(j))
        return refuse(at, "true or false");
    *v = json_is_true(j);
    return ERR_OK;
}

static enum err read_real(struct at at, const json_t *j, double *v)
{
    if (!json_is_number(j) || json_number_value(j) < 0 || json_number_value(j) > 1)
        return refuse(at, "a number from 0 to 1");
    *v = json_number_value(j);
    return ERR_OK;
}

/* A dotted Python name whose last part is `name`. */
static enum err read_name(struct at at, const json_t *j, const char *name)
{
    const char *s = json_string_value(j);
    const char *dot = s ? strrchr(s, '.') : NULL;
    char expected[128];

    snprintf(expected, sizeof(expected), "%s (nothing else is implemented)", name);
    return s && !strcmp(dot ? dot + 1 : s, name) ? ERR_OK : refuse(at, expected);
}

static enum err read_absent(struct at at, const json_t *j)
{
    if (json_is_null(j) || json_is_false(j) || (json_is_object(j) && json_object_size(j) == 0))
        return ERR_OK;
    return refuse(at, "null (nothing else is implemented)");
}

static enum err read_norm(const char *path, json_t *j, struct nnunet *o)
{
    struct at at = {path, "arch_kwargs.norm_op_kwargs"};
    bool affine = false;
    const char *key;
    json_t *v;

    if (!json_is_null(j) && !json_is_object(j))
        return refuse(at, "an object or null");
    json_object_foreach(j, key, v)
    {
        at.key = key;
        if (!strcmp(key, "eps"))
            TRY(read_real(at, v, &o->eps));
        else if (!strcmp(key, "affine"))
            TRY(read_bool(at, v, &affine));
        else if (!strcmp(key, "track_running_stats"))
            TRY(read_absent(at, v));
        else if (strcmp(key, "momentum"))
            return err_set(ERR_MODEL, "%s: arch_kwargs.norm_op_kwargs.%s: unknown key", path, key);
    }
    o->no_affine = !affine;
    return ERR_OK;
}

static enum err read_nonlin(const char *path, json_t *j, struct nnunet *o)
{
    struct at at = {path, "arch_kwargs.nonlin_kwargs"};
    const char *key;
    json_t *v;

    if (!json_is_null(j) && !json_is_object(j))
        return refuse(at, "an object or null");
    json_object_foreach(j, key, v)
    {
        at.key = key;
        if (!strcmp(key, "negative_slope"))
            TRY(read_real(at, v, &o->slope));
        else if (strcmp(key, "inplace"))
            return err_set(ERR_MODEL, "%s: arch_kwargs.nonlin_kwargs.%s: unknown key", path, key);
    }
    return ERR_OK;
}

/* Keys that have no effect here or whose only implemented value is the default. */
static enum err read_fixed(struct at at, const json_t *v, const struct nnunet *o)
{
    static const char *const absent[] = {"dropout_op", "dropout_op_kwargs", "nonlin_first",
                                         "bottleneck_channels"};

    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        if (!strcmp(at.key, absent[i]))
            return read_absent(at, v);
    if (!strcmp(at.key, "conv_op"))
        return read_name(at, v, "Conv3d");
    if (!strcmp(at.key, "norm_op"))
        return read_name(at, v, "InstanceNorm3d");
    if (!strcmp(at.key, "nonlin"))
        return read_name(at, v, "LeakyReLU");
    if (!strcmp(at.key, "block") && o->residual)
        return read_name(at, v, "BasicBlockD");
    if (!strcmp(at.key, "stem_channels") && o->residual)
        return json_is_null(v) || json_integer_value(v) == o->features[0]
                   ? ERR_OK
                   : refuse(at, "features_per_stage[0]");
    return err_set(ERR_MODEL, "%s: arch_kwargs.%s: unknown key", at.path, at.key);
}

static enum err read_kwarg(const char *path, const char *key, json_t *v, struct nnunet *o)
{
    struct at at = {path, key};
    bool bias = false;

    if (!strcmp(key, "n_stages") || !strcmp(key, "features_per_stage"))
        return ERR_OK; /* read first */
    if (!strcmp(key, "kernel_sizes"))
        return read_kernels(at, v, o);
    if (!strcmp(key, "strides"))
        return read_triples(at, v, o->stages, 8, o->stride);
    if (!strcmp(key, o->residual ? "n_blocks_per_stage" : "n_conv_per_stage"))
        return read_ints(at, v, o->stages, 64, o->convs);
    if (!strcmp(key, "n_conv_per_stage_decoder"))
        return read_ints(at, v, o->stages - 1, 64, o->convs_up);
    if (!strcmp(key, "norm_op_kwargs"))
        return read_norm(path, v, o);
    if (!strcmp(key, "nonlin_kwargs"))
        return read_nonlin(path, v, o);
    if (!strcmp(key, "conv_bias")) {
        TRY(read_bool(at, v, &bias));
        o->no_bias = !bias;
        return ERR_OK;
    }
    return read_fixed(at, v, o);
}

static enum err check_complete(const char *path, const json_t *kwargs, const struct nnunet *o)
{
    const char *const needed[] = {"conv_op",
                                  "kernel_sizes",
                                  "strides",
                                  "n_conv_per_stage_decoder",
                                  "norm_op",
                                  "nonlin",
                                  o->residual ? "n_blocks_per_stage" : "n_conv_per_stage"};

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!json_object_get(kwargs, needed[i]))
            return err_set(ERR_MODEL, "%s: arch_kwargs.%s is missing", path, needed[i]);
    return ERR_OK;
}

static enum err read_kwargs(const char *path, json_t *kwargs, struct nnunet *o)
{
    int64_t stages = 0;
    const char *key;
    json_t *v;

    if (!json_is_object(kwargs))
        return refuse((struct at){path, "arch_kwargs"}, "an object");
    TRY(read_int((struct at){path, "arch_kwargs.n_stages"}, json_object_get(kwargs, "n_stages"),
                 NNUNET_STAGES_MAX, &stages));
    if (stages < 2)
        return refuse((struct at){path, "arch_kwargs.n_stages"}, "at least 2");
    o->stages = (int)stages;
    TRY(read_ints((struct at){path, "arch_kwargs.features_per_stage"},
                  json_object_get(kwargs, "features_per_stage"), o->stages, 65536, o->features));
    json_object_foreach(kwargs, key, v) TRY(read_kwarg(path, key, v, o));
    return check_complete(path, kwargs, o);
}

static enum err read_class(const char *path, const json_t *j, struct nnunet *o)
{
    struct at at = {path, "network_class_name"};

    o->residual = !read_name(at, j, "ResidualEncoderUNet");
    if (o->residual || !read_name(at, j, "PlainConvUNet"))
        return ERR_OK;
    return refuse(at, "PlainConvUNet or ResidualEncoderUNet (nothing else is implemented)");
}

static enum err read_config(const char *path, json_t *j, struct nnunet *o)
{
    const char *key;
    json_t *v;

    if (!json_is_object(j))
        return err_set(ERR_MODEL, "%s: expected an object with network_class_name and arch_kwargs", path);
    TRY(read_class(path, json_object_get(j, "network_class_name"), o));
    TRY(read_kwargs(path, json_object_get(j, "arch_kwargs"), o));
    TRY(read_int((struct at){path, "in_channels"}, json_object_get(j, "in_channels"), 65536, &o->channels));
    TRY(read_int((struct at){path, "num_classes"}, json_object_get(j, "num_classes"), 65536, &o->classes));
    json_object_foreach(j, key, v)
    {
        if (!strcmp(key, "deep_supervision"))
            TRY(read_bool((struct at){path, key}, v, &o->deep_supervision));
        else if (strcmp(key, "network_class_name") && strcmp(key, "arch_kwargs") &&
                 strcmp(key, "in_channels") && strcmp(key, "num_classes") &&
                 strcmp(key, "_kw_requires_import"))
            return err_set(ERR_MODEL, "%s: %s: unknown key", path, key);
    }
    return ERR_OK;
}

enum err nnunet_read_json(struct nnunet *o, const char *path)
{
    struct nnunet read = {.no_bias = true, .no_affine = true, .slope = 0.01};
    json_t *j = NULL;
    enum err err;

    TRY(json_read(&j, path));
    err = read_config(path, j, &read);
    json_decref(j);
    if (!err)
        *o = read;
    return err;
}
