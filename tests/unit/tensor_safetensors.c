#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tensor/safetensors.h"
#include <math.h>

/* A file image from its header text and n data bytes 0, 1, 2, ...; mem_free */
static uint8_t *image(const char *header, size_t n, size_t *size)
{
    size_t h = strlen(header);
    uint8_t *p = mem_new(8 + h + n, 1);

    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(h >> 8 * i);
    memcpy(p + 8, header, h);
    for (size_t i = 0; i < n; i++)
        p[8 + h + i] = (uint8_t)i;
    *size = 8 + h + n;
    return p;
}

static enum err parse(const char *header, size_t n)
{
    struct safetensors *s = NULL;
    size_t size;
    uint8_t *p = image(header, n, &size);
    enum err err = safetensors_parse(&s, p, size, "t");

    safetensors_close(s);
    mem_free(p);
    return err;
}

#define T(type, shape, from, to)                                                                             \
    "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static void refuses_malformed(void **state)
{
    static const struct {
        const char *header;
        size_t n;
        const char *says;
    } bad[] = {
        {"[]", 0, "no header"},
        {"{", 0, "no header"},
        {"{\"a\":1}", 0, "no dtype"},
        {"{\"a\":" T("U8", "[4]", "0", "4") ",\"b\":" T("U8", "[4]", "2", "6") "}", 6, "overlaps"},
        {"{\"a\":" T("U8", "[2]", "0", "2") ",\"b\":" T("U8", "[2]", "4", "6") "}", 6, "hole"},
        {"{\"a\":" T("U8", "[2]", "1", "3") "}", 3, "hole"},
        {"{\"a\":" T("U8", "[2]", "0", "2") "}", 3, "1 bytes behind"},
        {"{\"a\":" T("U8", "[3]", "0", "3") "}", 2, "larger than the file"},
        {"{\"a\":" T("U8", "[1]", "2", "3") "}", 2, "truncated"},
        {"{\"a\":" T("U8", "[2]", "0", "3") "}", 3, "its shape needs 2"},
        {"{\"a\":" T("U8", "[1]", "1", "0") "}", 1, "[begin, end]"},
        {"{\"a\":" T("U8", "[-1]", "0", "1") "}", 1, "shape[0]"},
        {"{\"a\":" T("U8", "[1.0]", "0", "1") "}", 1, "shape[0]"},
        {"{\"a\":" T("U8", "3", "0", "1") "}", 1, "not a list"},
        {"{\"a\":" T("F64", "[1099511627776,1099511627776]", "0", "8") "}", 8, "overflows"},
        {"{\"a\":" T("U8", "[1]", "0", "1") ",\"a\":" T("U8", "[1]", "0", "1") "}", 1, "duplicate"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
        {"{\"__metadata__\":3}", 0, "not an object"},
        {"{\"a\":{\"dtype\":\"U8\"}}", 0, "shape is not a list"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum err err = parse(bad[i].header, bad[i].n);
        if (err != ERR_CORRUPT || !strstr(err_text(), bad[i].says))
            fail_msg("case %zu: error %d: %s", i, (int)err, err_text());
    }
    assert_err(parse("{\"a\":" T("F8_E4M3", "[1]", "0", "1") "}", 1), ERR_INPUT, "F8_E4M3");
    assert_err(parse("{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1), ERR_INPUT, "9 axes");
    assert_ok(parse("{\"a\":" T("U8", "[0,9223372036854775807]", "0", "0") "}", 0));
    assert_ok(parse("{}   ", 0));
}

static void refuses_bad_lengths(void **state)
{
    struct safetensors *s = NULL;
    uint8_t p[32] = {0};

    (void)state;
    for (size_t n = 0; n < 8; n++)
        assert_int_equal(safetensors_parse(&s, p, n, "t"), ERR_CORRUPT);
    memset(p, 0xff, 8);
    assert_err(safetensors_parse(&s, p, sizeof p, "t"), ERR_CORRUPT, "no header");
    assert_null(s);
}

static void round_trip(void **state)
{
    const char *path = test_path(test_folder(), "w.safetensors");
    float w[6] = {1, -2, 3.5f, 0, INFINITY, 1e-30f}, back[6];
    int64_t n = 12;
    struct st_tensor t[] = {{"net.weight", ST_F32, DIMS2(2, 3), w},
                            {"net.steps", ST_I64, DIMS0, &n},
                            {"none", ST_F64, DIMS2(0, 4), NULL}};
    json_t *meta = json_pack("{s:s}", "format", "pt");
    struct safetensors *s = NULL;
    const struct st_entry *e;
    double steps;

    (void)state;
    assert_ok(safetensors_save(path, t, 3, meta));
    assert_ok(safetensors_open(&s, path));
    assert_int_equal(safetensors_count(s), 3);
    assert_string_equal(safetensors_at(s, 1)->name, "net.steps");
    assert_string_equal(safetensors_meta(s, "format"), "pt");
    assert_null(safetensors_meta(s, "other"));
    e = safetensors_find(s, "net.weight");
    assert_non_null(e);
    assert_int_equal((uintptr_t)e->data % 8, 0);
    assert_true(dims_equal(&e->dims, &t[0].dims));
    safetensors_get_f32(e, back);
    assert_memory_equal(w, back, sizeof w);
    safetensors_get_f64(safetensors_find(s, "net.steps"), &steps);
    assert_true(steps == 12);
    assert_int_equal(safetensors_find(s, "none")->count, 0);
    assert_null(safetensors_find(s, "x"));
    safetensors_close(s);
    t[2].name = "net.steps";
    assert_err(safetensors_save(path, t, 3, NULL), ERR_INTERNAL, "two tensors");
    assert_err(safetensors_open(&s, test_path(path, "x")), ERR_USAGE, "cannot be read");
    json_decref(meta);
}

static double value(enum st_type type, const void *bytes)
{
    struct st_entry e = {
        .type = type, .dims = DIMS1(1), .count = 1, .data = bytes, .bytes = st_type_size(type)};
    double wide;
    float narrow;

    safetensors_get_f64(&e, &wide);
    safetensors_get_f32(&e, &narrow);
    assert_true(isnan(wide) ? isnan(narrow) : narrow == (float)wide);
    return wide;
}

static void converts_types(void **state)
{
    static const struct {
        uint16_t bits;
        double half;
    } halves[] = {{0x3c00, 1},
                  {0xc000, -2},
                  {0x7bff, 65504},
                  {0x0001, 0x1p-24},
                  {0x0400, 0x1p-14},
                  {0x03ff, 1023 * 0x1p-24},
                  {0x3555, 0.333251953125},
                  {0xfc00, -INFINITY},
                  {0x8000, 0}};
    uint16_t b;

    (void)state;
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        assert_true(value(ST_F16, &halves[i].bits) == halves[i].half);
    b = 0x7e00;
    assert_true(isnan(value(ST_F16, &b)));
    b = 0x3fc0;
    assert_true(value(ST_BF16, &b) == 1.5);
    assert_true(value(ST_I8, &(int8_t){-5}) == -5);
    assert_true(value(ST_I16, &(int16_t){-500}) == -500);
    assert_true(value(ST_U16, &(uint16_t){65535}) == 65535);
    assert_true(value(ST_I32, &(int32_t){-5}) == -5);
    assert_true(value(ST_U32, &(uint32_t){4000000000u}) == 4e9);
    assert_true(value(ST_U64, &(uint64_t){1u << 31}) == 0x1p31);
    assert_true(value(ST_BOOL, &(uint8_t){7}) == 1);
    assert_true(value(ST_U8, &(uint8_t){200}) == 200);
    assert_true(value(ST_F64, &(double){0.1}) == 0.1);
}

static enum err save_and_open(const char *path)
{
    float w[2] = {1, 2};
    struct st_tensor t[] = {{"a", ST_F32, DIMS1(2), w}, {"b", ST_F32, DIMS1(1), w}};
    struct safetensors *s = NULL;
    enum err err = safetensors_save(path, t, 2, NULL);

    if (!err)
        err = safetensors_open(&s, path);
    safetensors_close(s);
    return err;
}

static void survives_exhaustion(void **state)
{
    const char *path = test_path(test_folder(), "w.safetensors");

    (void)state;
    assert_survives_exhaustion(save_and_open(path), (void)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_malformed),   cmocka_unit_test(refuses_bad_lengths),
        cmocka_unit_test(round_trip),          cmocka_unit_test(converts_types),
        cmocka_unit_test(survives_exhaustion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
