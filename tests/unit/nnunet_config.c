/* What nnU-Net writes is read; what is not implemented is refused with the key's name. */
#include "base/file.h"
#include "base/json.h"
#include "nets/nnunet.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define DATA D4M_SOURCE_DIR "/tests/data/"

/* Writes the plain fixture with one value of arch_kwargs (or of the document, where `inner` is false)
 * replaced; NULL removes it. */
static enum err read_changed(struct nnunet *o, const char *key, const char *value, bool inner)
{
    char path[] = "/tmp/d4m-nnunet-XXXXXX";
    int fd = mkstemp(path);
    json_t *j = NULL, *in;
    enum err err;

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(json_read(&j, DATA "nnunet_plain.json"), ERR_OK);
    in = inner ? json_object_get(j, "arch_kwargs") : j;
    if (value)
        assert_int_equal(json_object_set_new(in, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    else
        json_object_del(in, key);
    assert_int_equal(json_write(j, path), ERR_OK);
    json_decref(j);
    err = nnunet_read_json(o, path);
    unlink(path);
    return err;
}

static void refused(const char *key, const char *value, bool inner)
{
    struct nnunet o = {.stages = -7};

    if (read_changed(&o, key, value, inner) != ERR_MODEL)
        fail_msg("%s = %s is not refused with ERR_MODEL", key, value ? value : "(missing)");
    if (!strstr(err_text(), key))
        fail_msg("the message does not name %s: %s", key, err_text());
    assert_int_equal(o.stages, -7);
}

static void test_plain(void **state)
{
    struct nnunet o;

    (void)state;
    assert_int_equal(nnunet_read_json(&o, DATA "nnunet_plain.json"), ERR_OK);
    assert_false(o.residual);
    assert_int_equal(o.stages, 3);
    assert_int_equal(o.features[2], 8);
    assert_int_equal(o.kernel[0][0], 1);
    assert_int_equal(o.kernel[0][1], 3);
    assert_int_equal(o.stride[1][0], 1);
    assert_int_equal(o.stride[1][2], 2);
    assert_int_equal(o.convs[1], 1);
    assert_int_equal(o.convs_up[0], 2);
    assert_int_equal(o.convs_up[1], 1);
    assert_false(o.no_bias);
    assert_false(o.no_affine);
    assert_true(o.eps == 1e-5);
    assert_true(o.slope == 0.01);
    assert_true(o.deep_supervision);
    assert_int_equal(o.channels, 2);
    assert_int_equal(o.classes, 3);
}

static void test_residual(void **state)
{
    struct nnunet o;

    (void)state;
    assert_int_equal(nnunet_read_json(&o, DATA "nnunet_residual.json"), ERR_OK);
    assert_true(o.residual);
    assert_int_equal(o.kernel[2][0], 3);
    assert_int_equal(o.stride[0][1], 1);
    assert_int_equal(o.stride[2][1], 2);
    assert_int_equal(o.convs[1], 2);
    assert_int_equal(o.convs_up[1], 1);
}

/* The constructor's own defaults: no bias, norm without weights, slope 0.01. */
static void test_defaults(void **state)
{
    struct nnunet o;

    (void)state;
    assert_int_equal(read_changed(&o, "conv_bias", NULL, true), ERR_OK);
    assert_true(o.no_bias);
    assert_int_equal(read_changed(&o, "norm_op_kwargs", "null", true), ERR_OK);
    assert_true(o.no_affine);
    assert_int_equal(read_changed(&o, "nonlin_kwargs", "{\"negative_slope\": 0.1, \"inplace\": false}", true),
                     ERR_OK);
    assert_true(o.slope == 0.1);
    assert_int_equal(read_changed(&o, "deep_supervision", "false", false), ERR_OK);
    assert_false(o.deep_supervision);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("network_class_name", "\"torch.nn.Linear\"", false);
    refused("network_class_name", "7", false);
    refused("in_channels", "0", false);
    refused("num_classes", NULL, false);
    refused("surprise", "1", false);
    refused("conv_op", "\"torch.nn.modules.conv.Conv2d\"", true);
    refused("norm_op", "\"torch.nn.modules.batchnorm.BatchNorm3d\"", true);
    refused("norm_op", "null", true);
    refused("nonlin", "\"torch.nn.ReLU\"", true);
    refused("dropout_op", "\"torch.nn.Dropout3d\"", true);
    refused("n_stages", "1", true);
    refused("n_stages", "1000000000000", true);
    refused("features_per_stage", "[4, 6]", true);
    refused("features_per_stage", "[4, 6, -8]", true);
    refused("kernel_sizes", "[[1, 3, 3], [3, 3, 3], [2, 2, 2]]", true);
    refused("strides", "[[1, 1], [1, 2, 2], [2, 2, 2]]", true);
    refused("strides", NULL, true);
    refused("n_conv_per_stage", "\"two\"", true);
    refused("n_blocks_per_stage", "2", true);
    refused("eps", "1e9", true);
    refused("nonlin_first", "true", true);
    refused("arch_kwargs", "[]", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
