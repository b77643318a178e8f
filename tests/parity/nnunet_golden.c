/* The golden row of the small anisotropic network. */
#include "parity/golden_row.h"

static const struct row anisotropic = {
    .what = "anisotropic PlainConvUNet",
    .size = {12, 64, 64},
    .outputs = 5,
    .out = {{-15523.0783, 123844.606, 0.367593411, -1.27090108, -0.982632678},
            {6575.5898, 18290.3226, 0.19607264, 0.65096189, 0.387579937},
            {445.935122, 3303.79225, 0.121723971, -0.980057511, 0.492739961},
            {159.323502, 696.226339, 0.942332236, 0.453205245, -0.101619569},
            {-3.95332558, 64.495017, -0.654313715, 0.323016139, -0.362206168}},
    .objective = 86.9594812,
    .input = {NULL, 104195.437, -0.010979117},
    .grad = {{"encoder.stages.0.0.convs.0.conv.weight", 30047.6605, 0.515284408},
             {"decoder.transpconvs.0.weight", 22109.2955, -0.219637582},
             {"decoder.transpconvs.4.weight", 7594.62962, 7.32820613}},
};

static void test_anisotropic(void **state)
{
    static const int64_t stride_z[6] = {1, 1, 1, 2, 2, 1};
    struct nnunet o;

    (void)state;
    nnunet_make(&o, false, 6, 8, 80);
    o.channels = 4;
    o.classes = 3;
    for (int s = 0; s < 6; s++) {
        o.stride[s][0] = stride_z[s];
        o.kernel[s][0] = s < 2 ? 1 : 3;
    }
    run_both(&anisotropic, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anisotropic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
