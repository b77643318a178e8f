#include "test.h"

#include "base/cfg.h"
#include "base/json.h"

enum { RED, GREEN };
static const char *const colours[] = {"red", "green", NULL};

struct sample {
    bool mirror, fast;
    int64_t epochs, bytes, patch[3];
    double rate, spacing[3];
    int colour;
    const char *out, *first;
    struct cfg_list extra;
};

static const struct field fields[] = {
    FIELD(struct sample, T_STRING, first, .positional = true, .required = true, .arg = "FILE",
          .help = "input"),
    FIELD(struct sample, T_BOOL, mirror, .def = 1, .help = "mirror"),
    FIELD(struct sample, T_BOOL, fast, .brief = 'f', .help = "fast"),
    FIELD(struct sample, T_INT, epochs, .def = 10, .min = 1, .max = 100, .brief = 'e', .help = "passes"),
    FIELD(struct sample, T_SIZE, bytes, .def = 3 << 20, .help = "memory"),
    FIELD(struct sample, T_INT3, patch, .text = "96,96,48", .min = 1, .max = 512, .help = "patch"),
    FIELD(struct sample, T_REAL, rate, .def = 0.01, .min = 0, .max = 1, .help = "rate"),
    FIELD(struct sample, T_REAL3, spacing, .def = 1.5, .help = "mm"),
    FIELD(struct sample, T_CHOICE, colour, .def = GREEN, .names = colours, .help = "colour"),
    FIELD(struct sample, T_STRING, out, .brief = 'o', .arg = "DIR", .help = "result"),
    FIELD(struct sample, T_LIST, extra, .positional = true, .help = "more"),
};
static const struct cfg_table table = {fields, sizeof fields / sizeof *fields};

/* Parses words up to a NULL over the defaults. */
static enum err parse(struct sample *s, struct arena *a, const char *const *word)
{
    char *argv[32];
    int n = 0;

    for (; word[n]; n++)
        argv[n] = (char *)(uintptr_t)word[n];
    TRY(cfg_defaults(table, s, a));
    return cfg_parse(table, s, a, n, argv);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void defaults(void **state)
{
    struct arena *a = arena_new();
    struct sample s;

    (void)state;
    assert_ok(cfg_defaults(table, &s, a));
    assert_true(s.mirror && !s.fast && s.epochs == 10 && s.bytes == 3 << 20 && s.patch[2] == 48);
    assert_true(s.rate == 0.01 && s.spacing[2] == 1.5 && s.colour == GREEN && !s.out && !s.extra.count);
    arena_free(a);
}

static void command_line_forms(void **state)
{
    struct arena *a = arena_new();
    struct sample s;

    (void)state;
    assert_ok(parse(&s, a,
                    WORDS("in.nii", "--no-mirror", "-f", "-e5", "--bytes", "3G", "--patch=64", "--spacing",
                          "-1,2,3", "--colour", "red", "-o", "x", "m1", "m2", "--set", "rate=0.5", "-7", "--",
                          "--m3")));
    assert_true(!s.mirror && s.fast && s.epochs == 5 && s.bytes == (int64_t)3 << 30);
    assert_true(s.patch[0] == 64 && s.patch[2] == 64 && s.spacing[0] == -1 && s.spacing[2] == 3 &&
                s.rate == 0.5);
    assert_true(s.colour == RED);
    assert_string_equal(s.first, "in.nii");
    assert_string_equal(s.out, "x");
    assert_int_equal(s.extra.count, 4);
    assert_string_equal(s.extra.item[2], "-7");
    assert_string_equal(s.extra.item[3], "--m3");
    assert_ok(parse(&s, a, WORDS("i", "--mirror=false", "--bytes=512MiB", "--patch", "1x2x3")));
    assert_true(!s.mirror && s.bytes == 512 << 20 && s.patch[1] == 2);
    arena_free(a);
}

static void command_line_errors(void **state)
{
    struct arena *a = arena_new();
    struct sample s;

    (void)state;
    assert_err(parse(&s, a, WORDS("--epochs", "5")), ERR_USAGE, "FILE is missing");
    assert_err(parse(&s, a, WORDS("i", "--epoch", "5")), ERR_USAGE,
               "unknown option '--epoch'; did you mean '--epochs'?");
    assert_err(parse(&s, a, WORDS("i", "-z")), ERR_USAGE, "unknown option '-z'");
    assert_err(parse(&s, a, WORDS("i", "--epochs", "0")), ERR_USAGE,
               "epochs: expected an integer from 1 to 100, got '0'");
    assert_err(parse(&s, a, WORDS("i", "--epochs", "5x")), ERR_USAGE, "got '5x'");
    assert_err(parse(&s, a, WORDS("i", "--epochs", "99999999999999999999")), ERR_USAGE, "epochs");
    assert_err(parse(&s, a, WORDS("i", "--epochs")), ERR_USAGE, "needs a value");
    assert_err(parse(&s, a, WORDS("i", "--out", "--fast")), ERR_USAGE, "needs a value");
    assert_err(parse(&s, a, WORDS("i", "--rate", "nan")), ERR_USAGE, "rate");
    assert_err(parse(&s, a, WORDS("i", "--patch", "1,2")), ERR_USAGE, "three integers");
    assert_err(parse(&s, a, WORDS("i", "--patch", "1,2,3,4")), ERR_USAGE, "three integers");
    assert_err(parse(&s, a, WORDS("i", "--colour", "blue")), ERR_USAGE, "one of red, green, got 'blue'");
    assert_err(parse(&s, a, WORDS("i", "--bytes", "3X")), ERR_USAGE, "a size");
    assert_err(parse(&s, a, WORDS("i", "--bytes", "3i")), ERR_USAGE, "a size");
    assert_err(parse(&s, a, WORDS("i", "--bytes", "3Gi")), ERR_USAGE, "a size");
    assert_err(parse(&s, a, WORDS("i", "--bytes", "-3")), ERR_USAGE, "a size");
    assert_err(parse(&s, a, WORDS("i", "--set", "rat")), ERR_USAGE, "key=value");
    assert_err(parse(&s, a, WORDS("i", "--set", "rat=1")), ERR_USAGE, "did you mean 'rate'?");
    assert_err(parse(&s, a, WORDS("i", "--mirror=maybe")), ERR_USAGE, "true or false");
    arena_free(a);
}

static void json_there_and_back(void **state)
{
    struct arena *a = arena_new();
    struct sample s, t;
    json_t *j, *k;

    (void)state;
    assert_ok(parse(
        &s, a,
        WORDS("in", "--rate", "0.3", "--spacing", "1,2,3.5", "--colour", "red", "a", "b", "--bytes", "5K")));
    j = cfg_to_json(table, &s);
    assert_ok(cfg_defaults(table, &t, a));
    assert_ok(cfg_read_json(table, &t, a, j, "c.json"));
    k = cfg_to_json(table, &t);
    assert_true(json_equal(j, k));
    assert_int_equal(t.extra.count, 2);
    assert_null(t.out);
    json_decref(j);
    json_decref(k);
    arena_free(a);
}

static void json_errors(void **state)
{
    static const char *const bad[][2] = {
        {"{\"epoch\": 3}", "c.json: unknown key 'epoch'; did you mean 'epochs'?"},
        {"{\"epochs\": 3.5}", "c.json: epochs: expected an integer from 1 to 100, got '3.5'"},
        {"{\"epochs\": \"3\"}", "epochs: expected"},
        {"{\"patch\": [1, 2]}", "patch: expected"},
        {"{\"patch\": [1, 2, 3.5]}", "patch: expected"},
        {"{\"patch\": []}", "patch: expected"},
        {"{\"patch\": {}}", "patch: expected"},
        {"{\"mirror\": 1}", "mirror: expected true or false"},
        {"{\"extra\": [1]}", "extra: expected"},
        {"{\"colour\": \"blue\"}", "one of red, green"},
        {"{\"out\": 5}", "out: expected a text"},
        {"[]", "expected an object"},
    };
    struct arena *a = arena_new();
    struct sample s;

    (void)state;
    assert_ok(cfg_defaults(table, &s, a));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = NULL;
        assert_ok(json_parse(&j, bad[i][0], strlen(bad[i][0]), "c.json"));
        assert_err(cfg_read_json(table, &s, a, j, "c.json"), ERR_INPUT, bad[i][1]);
        json_decref(j);
    }
    arena_free(a);
}

static void help_and_schema(void **state)
{
    struct str b = {0};
    json_t *j = cfg_schema(table);

    (void)state;
    cfg_help(table, &b);
    assert_ok(str_status(&b));
    assert_non_null(strstr(b.s, "  -e, --epochs N          passes (1 to 100, default 10)\n"));
    assert_non_null(strstr(b.s, "      --[no-]mirror       mirror\n"));
    assert_non_null(strstr(b.s, "      --bytes SIZE        memory (default 3M)\n"));
    assert_non_null(strstr(b.s, "      --colour red|green  colour (default green)\n"));
    assert_non_null(strstr(b.s, "  FILE                    input\n"));
    str_free(&b);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(
                            json_object_get(json_object_get(j, "properties"), "epochs"), "type")),
                        "integer");
    json_decref(j);
}

static enum err parse_once(void)
{
    struct arena *a = arena_new();
    struct sample s;
    enum err err = a ? parse(&s, a, WORDS("i", "--patch", "64", "x", "y", "z", "--out=q", "--set", "rate=1"))
                     : ERR_MEMORY;
    json_t *j = NULL;

    if (!err) {
        j = cfg_to_json(table, &s);
        err = j ? cfg_read_json(table, &s, a, j, "c") : ERR_MEMORY;
        json_decref(j);
    }
    if (!err) {
        j = cfg_schema(table);
        err = j ? ERR_OK : ERR_MEMORY;
        json_decref(j);
    }
    arena_free(a);
    return err;
}

static void survives_exhaustion(void **state)
{
    (void)state;
    assert_survives_exhaustion(parse_once(), (void)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(command_line_forms),
        cmocka_unit_test(command_line_errors),
        cmocka_unit_test(json_there_and_back),
        cmocka_unit_test(json_errors),
        cmocka_unit_test(help_and_schema),
        cmocka_unit_test(survives_exhaustion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
