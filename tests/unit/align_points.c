#include "test.h"

#include "align/points.h"
#include "base/file.h"
#include "base/mem.h"

static enum err parse(struct points **p, const char *text, const char *name, enum convention how)
{
    return points_parse(p, text, strlen(text), name, how);
}

static void check_point(struct points *p, size_t i, double x, double y, double z)
{
    assert_float_equal(points_at(p, i)[0], x, 1e-9);
    assert_float_equal(points_at(p, i)[1], y, 1e-9);
    assert_float_equal(points_at(p, i)[2], z, 1e-9);
}

/* Writes the points moved by (1, 1, 1) RAS and expects this text. */
static void moved_text(struct points *p, const char *name, const char *want)
{
    const char *path = test_path(test_folder(), name);
    uint8_t *text;
    size_t n;

    for (size_t i = 0; i < points_count(p); i++)
        for (int c = 0; c < 3; c++)
            points_at(p, i)[c] += 1;
    assert_ok(points_write(p, path));
    assert_ok(file_read(path, &text, &n));
    assert_string_equal((char *)text, want);
    mem_free(text);
    points_free(p);
}

static void plain_rows(void **state)
{
    struct points *p = NULL;

    (void)state;
    assert_ok(parse(&p, "# note\n1,2,3\n-1.5; 2e1\t3 ;rest, kept\r\n\n", "a.csv", CONVENTION_AUTO));
    assert_int_equal(points_count(p), 2);
    check_point(p, 0, 1, 2, 3);
    check_point(p, 1, -1.5, 20, 3);
    moved_text(p, "a.csv",
               "# note\n2.000000,3.000000,4.000000\n-0.500000; 21.000000\t4.000000 ;rest, kept\r\n\n");
}

static void named_columns(void **state)
{
    struct points *p = NULL;

    (void)state;
    assert_ok(parse(&p, "label,Z,\"x\",y\nA,3,1,2", "a.csv", CONVENTION_LPS));
    check_point(p, 0, -1, -2, 3);
    moved_text(p, "a.csv", "label,Z,\"x\",y\nA,4.000000,0.000000,1.000000");
}

static void slicer_tables(void **state)
{
    static const char *const text = "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
                                    "# columns = id,x,y,z,ow\nF-1,1,2,3,0,\"a, b\"\n";
    struct points *p = NULL;

    (void)state;
    assert_ok(parse(&p, text, "a.fcsv", CONVENTION_AUTO));
    check_point(p, 0, -1, -2, 3);
    points_free(p);
    assert_ok(parse(&p, text, "a.fcsv", CONVENTION_RAS));
    check_point(p, 0, 1, 2, 3);
    points_free(p);
    assert_ok(parse(&p, "# CoordinateSystem = 0\nF-1,1,2,3,0\n", "a.fcsv", CONVENTION_AUTO));
    check_point(p, 0, 1, 2, 3);
    moved_text(p, "a.fcsv", "# CoordinateSystem = 0\nF-1,2.000000,3.000000,4.000000,0\n");
}

static void slicer_json(void **state)
{
    static const char *const text =
        "{\"markups\": [{\"coordinateSystem\": \"LPS\", \"controlPoints\": [{\"id\": \"1\", \"position\": "
        "[1, 2, "
        "3]}]}, {\"coordinateSystem\": \"RAS\", \"controlPoints\": [{\"position\": [4, 5, 6]}]}]}";
    const char *path = test_path(test_folder(), "a.mrk.json");
    struct points *p = NULL;

    (void)state;
    assert_ok(parse(&p, text, "a.mrk.json", CONVENTION_AUTO));
    check_point(p, 0, -1, -2, 3);
    check_point(p, 1, 4, 5, 6);
    points_at(p, 0)[0] = -7;
    points_at(p, 1)[0] = 8;
    assert_ok(points_write(p, path));
    points_free(p);
    assert_ok(points_read(&p, path, CONVENTION_AUTO));
    check_point(p, 0, -7, -2, 3);
    check_point(p, 1, 8, 5, 6);
    points_free(p);
}

static void bad_lists_are_refused(void **state)
{
    static const struct {
        const char *text, *name, *says;
        enum err code;
    } bad[] = {
        {"", "a.csv", "no point", ERR_INPUT},
        {"x,y\n1,2\n", "a.csv", "line 1", ERR_INPUT},
        {"x,y,z\n1,2,3\n1,2\n", "a.csv", "line 3", ERR_INPUT},
        {"1,nan,3\n", "a.csv", "line 1", ERR_INPUT},
        {"1,2,3 4\n", "a.csv", "column 3", ERR_INPUT},
        {"1,2,1e30\n", "a.csv", "line 1", ERR_INPUT},
        {"{}", "a.mrk.json", "markups", ERR_INPUT},
        {"{\"markups\": [{}]}", "a.mrk.json", "controlPoints", ERR_INPUT},
        {"{\"markups\": [{\"controlPoints\": [{\"position\": [1, 2]}]}]}", "a.mrk.json", "three numbers",
         ERR_INPUT},
        {"{", "a.mrk.json", "line 1", ERR_CORRUPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct points *p = NULL;

        assert_err(parse(&p, bad[i].text, bad[i].name, CONVENTION_AUTO), bad[i].code, bad[i].says);
    }
    assert_int_equal(points_parse(&(struct points *){NULL}, "1,2\0,3", 7, "a.csv", CONVENTION_AUTO),
                     ERR_CORRUPT);
}

static void exhaustion_is_an_error(void **state)
{
    static const char *const json = "{\"markups\": [{\"controlPoints\": [{\"position\": [1, 2, 3]}]}]}";
    const char *path = test_path(test_folder(), "a");
    struct points *p = NULL;

    (void)state;
    assert_survives_exhaustion(parse(&p, "1,2,3\n", "a.csv", CONVENTION_AUTO), );
    assert_survives_exhaustion(points_write(p, path), points_free(p));
    assert_survives_exhaustion(parse(&p, json, "a.mrk.json", CONVENTION_AUTO), );
    assert_survives_exhaustion(points_write(p, path), points_free(p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rows),
        cmocka_unit_test(named_columns),
        cmocka_unit_test(slicer_tables),
        cmocka_unit_test(slicer_json),
        cmocka_unit_test(bad_lists_are_refused),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
