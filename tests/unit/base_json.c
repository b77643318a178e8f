#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

static enum err parse(json_t **j, const char *text)
{
    return json_parse(j, text, strlen(text), "t.json");
}

static void reads_values(void **state)
{
    const char *text = "\xef\xbb\xbf{\"a\": 3, \"b\": 2.5, \"c\": \"x\"}", *s;
    json_t *j = NULL;
    int64_t i = 0;
    double r = 0;

    (void)state;
    assert_ok(parse(&j, text));
    assert_ok(json_get_int(j, "t", "a", &i));
    assert_int_equal(i, 3);
    assert_ok(json_get_real(j, "t", "b", &r));
    assert_true(r == 2.5);
    assert_ok(json_get_real(j, "t", "a", &r));
    assert_true(r == 3);
    assert_ok(json_get_str(j, "t", "c", &s));
    assert_string_equal(s, "x");
    assert_err(json_get_int(j, "t", "b", &i), ERR_INPUT, "t: b: expected an integer");
    assert_err(json_get_str(j, "t", "zz", &s), ERR_INPUT, "\"zz\" is missing");
    json_decref(j);
}

static void maps_bare_nan_outside_strings(void **state)
{
    const char *text = "{\"NaN\": NaN, \"i\": [Infinity,-Infinity, 1, NaN], \"s\": \"a \\\" NaN -Infinity\"}";
    json_t *j = NULL;
    char *back;

    (void)state;
    assert_ok(parse(&j, text));
    back = json_text(j);
    assert_string_equal(back,
                        "{\"NaN\": null, \"i\": [null, null, 1, null], \"s\": \"a \\\" NaN -Infinity\"}");
    mem_free(back);
    json_decref(j);
    assert_err(parse(&j, "[NaNs]"), ERR_CORRUPT, "t.json: line 1");
    assert_err(parse(&j, "[-NaN]"), ERR_CORRUPT, "line 1");
    assert_err(parse(&j, "[1NaN]"), ERR_CORRUPT, "line 1");
}

static void refuses_bad_text(void **state)
{
    char deep[400];
    json_t *j = NULL;

    (void)state;
    assert_err(parse(&j, "{\"a\": 1, \"a\": 2}"), ERR_INPUT, "duplicate");
    assert_err(parse(&j, ""), ERR_CORRUPT, "t.json");
    assert_err(parse(&j, "{\"a\": 1} x"), ERR_CORRUPT, "t.json");
    assert_err(parse(&j, "{\"a\": \"\xff\"}"), ERR_CORRUPT, "decode byte");
    assert_err(parse(&j, "{\"a\": \"b"), ERR_CORRUPT, "t.json");
    assert_err(parse(&j, "[1e999]"), ERR_CORRUPT, "overflow");
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    assert_err(json_parse(&j, deep, 400, "t.json"), ERR_CORRUPT, "deeper");
    assert_null(j);
}

static void writes_short_and_exact_numbers(void **state)
{
    const char *path = test_path(test_folder(), "o.json");
    json_t *j, *back = NULL;
    uint8_t *bytes = NULL;
    size_t n;

    (void)state;
    j = json_pack("{s:f, s:[f,f,i], s:{}, s:[[i],{s:b}]}", "lr", 0.1, "l", 1.0 / 3, 2.0, 5, "e", "n", 1, "k",
                  1);
    json_object_set_new(j, "bad", json_number(1.0 / 0.0));
    assert_ok(json_write(j, path));
    assert_ok(file_read(path, &bytes, &n));
    assert_string_equal((char *)bytes,
                        "{\n  \"lr\": 0.1,\n  \"l\": [0.3333333333333333, 2.0, 5],\n  \"e\": {},\n"
                        "  \"n\": [\n    [1],\n    {\n      \"k\": true\n    }\n  ],\n  \"bad\": null\n}\n");
    assert_ok(json_read(&back, path));
    assert_true(json_equal(j, back));
    json_decref(j);
    json_decref(back);
    mem_free(bytes);
}

/* A parse that must have kept its one key whole. */
static enum err parse_key(json_t **j, const char *text, const char *key)
{
    TRY(parse(j, text));
    return json_object_get(*j, key) ? ERR_OK : ERR_INTERNAL;
}

static void writes_any_bytes_as_text(void **state)
{
    json_t *bad = json_str("a\xff"), *good = json_str("\xc3\xa9"), *none = json_str(NULL);

    (void)state;
    assert_string_equal(json_string_value(bad), "a\xef\xbf\xbd");
    assert_string_equal(json_string_value(good), "\xc3\xa9");
    assert_true(json_is_null(none));
    json_decref(bad);
    json_decref(good);
    json_decref(none);
}

static void survives_exhaustion(void **state)
{
    const char *text =
        "{\"a\": [1, 2.5, NaN, \"long enough to grow a buffer, is it not, surely\"], \"b\": {\"c\": null}}";
    char key[201] = "", grows[256];
    json_t *j = NULL;

    (void)state;
    assert_survives_exhaustion(parse(&j, text), json_decref(j));
    /* jansson cuts a token, and writes behind its buffer, where that fails to grow */
    memset(key, 'k', sizeof key - 1);
    snprintf(grows, sizeof grows, "{\"%s\": 1}", key);
    assert_survives_exhaustion(parse_key(&j, grows, key), json_decref(j));
    assert_survives_exhaustion(json_read(&j, "/dev/null") == ERR_USAGE ? ERR_OK : ERR_INTERNAL, (void)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values),        cmocka_unit_test(maps_bare_nan_outside_strings),
        cmocka_unit_test(refuses_bad_text),    cmocka_unit_test(writes_short_and_exact_numbers),
        cmocka_unit_test(survives_exhaustion), cmocka_unit_test(writes_any_bytes_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
