/* The golden rows of nnU-Net's two full-width networks. */
#include "parity/golden_row.h"

static const struct row plain = {
    .what = "PlainConvUNet",
    .size = {32, 32, 32},
    .outputs = 4,
    .out = {{11797.1727, 36534.2391, 0.448677558, -0.425043889, 0.160964363},
            {-3704.52311, 6723.46824, -0.182137134, 0.148691268, -0.699844348},
            {280.540677, 725.094943, 0.666991654, -0.373447093, 0.312493564},
            {27.8731232, 106.343178, -0.279714028, -0.306094612, 0.841012082}},
    .objective = -61.8550363,
    .input = {NULL, 42197.8562, -0.124493591},
    .grad = {{"encoder.stages.0.0.convs.0.conv.weight", 84536.5948, -37.2066869},
             {"encoder.stages.4.0.convs.1.norm.weight", 107.485524, 0.022435718},
             {"decoder.transpconvs.0.weight", 226140.491, -0.0284034787},
             {"decoder.seg_layers.1.weight", 1225.18353, -0.27264544}},
};

static const struct row residual = {
    .what = "ResidualEncoderUNet",
    .size = {32, 32, 32},
    .outputs = 4,
    .out = {{12125.5044, 37947.3914, -0.290296838, 0.281961268, 0.150353912},
            {-2622.49205, 5619.77458, 0.150101685, -0.207921994, -0.481153754},
            {267.131259, 631.167552, 0.407915614, -0.498407479, 0.111512191},
            {27.3483893, 106.132073, 1.10922857, 0.113114989, -0.286689301}},
    .objective = -78.7000515,
    .input = {NULL, 35512.2151, -0.0444406196},
    .grad = {{"encoder.stem.convs.0.conv.weight", 71602.8334, -25.6943663},
             {"encoder.stages.4.blocks.0.skip.1.conv.weight", 4714.48077, -0.164914545},
             {"decoder.transpconvs.0.weight", 49654.507, -0.0185060611}},
};

static void test_plain(void **state)
{
    struct nnunet o;

    (void)state;
    nnunet_make(&o, false, 5, 32, 320);
    o.channels = 4;
    o.classes = 3;
    run_both(&plain, &o);
}

static void test_residual(void **state)
{
    struct nnunet o;

    (void)state;
    nnunet_make(&o, true, 5, 32, 320);
    o.channels = 4;
    o.classes = 3;
    run_both(&residual, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_residual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
