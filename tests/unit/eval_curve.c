#include "test.h"
#include "leak.h"

#include "base/file.h"
#include "base/mem.h"
#include "eval/curve.h"
#include <cairo.h>
#include <math.h>

static const char log_text[] =
    "{\"event\": \"start\", \"seed\": 1}\n"
    "{\"epoch\": 0, \"train_loss\": 1.5, \"val_loss\": 1.6, \"dice\": [0.1, null], \"lr\": 0.01, "
    "\"seconds_load\": 1}\n"
    "{\"epoch\": 1, \"train_loss\": 1.0, \"val_loss\": NaN, \"dice\": [0.5, 0.2]}\n"
    "{\"epoch\": 2, \"train_loss\": 0.9}\n"
    "nonsense\n"
    "{\"epoch\": 1, \"train_loss\": 1.1, \"dice\": [0.6, 0.3, 0.1]}\n"
    "\n"
    "{\"epoch\": 2, \"train_lo";

static void a_log_with_a_resumed_and_cut_off_end(void **state)
{
    struct notes notes = {0};
    struct curve c = {0};

    (void)state;
    assert_ok(curve_parse(&c, log_text, strlen(log_text), "log.jsonl", &notes));
    assert_int_equal(c.count, 2);
    assert_true(c.value[CURVE_TRAIN][0] == 1.5 && c.value[CURVE_TRAIN][1] == 1.1);
    assert_true(c.value[CURVE_VAL][0] == 1.6 && isnan(c.value[CURVE_VAL][1]));
    assert_int_equal(c.classes, 3);
    assert_string_equal(c.class_name[1], "class 2");
    assert_true(isnan(c.value[CURVE_DICE + 1][0]) && c.value[CURVE_DICE + 1][1] == 0.3);
    assert_true(isnan(c.value[CURVE_DICE + 2][0]) && c.value[CURVE_DICE + 2][1] == 0.1);
    assert_int_equal(notes.count, 1);
    assert_non_null(strstr(notes.item[0].text, "line 5"));
    notes_clear(&notes);
    curve_free(&c);
}

static void classes_by_name(void **state)
{
    const char *text = "{\"epoch\": 3, \"dice\": {\"liver\": 0.9, \"tumour\": 0.4}}\n";
    struct curve c = {0};

    (void)state;
    assert_ok(curve_parse(&c, text, strlen(text), "log", NULL));
    assert_true(c.count == 1 && c.classes == 2 && c.value[CURVE_DICE + 1][0] == 0.4);
    assert_string_equal(c.class_name[0], "liver");
    curve_free(&c);
    assert_ok(curve_parse(&c, "", 0, "log", NULL));
    assert_int_equal(c.count, 0);
    assert_survives_exhaustion(curve_parse(&c, text, strlen(text), "log", NULL), curve_free(&c));
}

/* The picture is a PNG of the stated size in which the training line's colour is seen. */
static void picture_is_a_png(void **state)
{
    const char *path = test_path(test_folder(), "progress.png");
    struct curve c = {0};
    cairo_surface_t *s;
    size_t blue = 0;

    (void)state;
    assert_ok(curve_parse(&c, log_text, strlen(log_text), "log", NULL));
    assert_ok(curve_save(&c, path));
    s = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    assert_int_equal(cairo_image_surface_get_width(s), 1200);
    assert_int_equal(cairo_image_surface_get_height(s), 800);
    for (int y = 60; y < 360; y++) /* inside the first panel, below its legend */
        for (int x = 60; x < 580; x++) {
            const uint8_t *p =
                cairo_image_surface_get_data(s) + y * cairo_image_surface_get_stride(s) + 4 * x;
            blue += p[0] > p[2] + 60;
        }
    assert_true(blue > 100);
    cairo_surface_destroy(s);
    assert_err(curve_save(&c, "no/such/folder/x.png"), ERR_OUTPUT, "no/such/folder");
    curve_free(&c);
}

static void svg_has_lines_and_no_hole_in_markup(void **state)
{
    const char *text =
        "{\"epoch\": 0, \"dice\": {\"<b>&\": 0.1}}\n{\"epoch\": 1, \"dice\": {\"<b>&\": 0.2}}\n";
    struct curve c = {0};
    struct str html = {0};

    (void)state;
    assert_ok(curve_parse(&c, text, strlen(text), "log", NULL));
    curve_svg(&c, &html);
    assert_ok(str_status(&html));
    assert_non_null(strstr(html.s, "<polyline"));
    assert_non_null(strstr(html.s, "&lt;b&gt;&amp;"));
    assert_null(strstr(html.s, "<b>"));
    assert_null(strstr(html.s, "nan"));
    assert_null(strstr(html.s, "Loss")); /* no data, no panel */
    str_free(&html);
    curve_free(&c);
}

/* Values that would break a scale: constant, huge, tiny, infinite (as text), one point. */
static void odd_values_stay_finite(void **state)
{
    static const char *const text[] = {
        "{\"epoch\": 0, \"train_loss\": 5}\n",
        "{\"epoch\": 0, \"train_loss\": 5}\n{\"epoch\": 1, \"train_loss\": 5}\n",
        "{\"epoch\": 0, \"train_loss\": 1e308}\n{\"epoch\": 1, \"train_loss\": -1e308}\n",
        "{\"epoch\": 0, \"train_loss\": 1e-300}\n{\"epoch\": 1, \"train_loss\": 2e-300}\n",
        "{\"epoch\": 0, \"train_loss\": Infinity}\n{\"epoch\": 1, \"train_loss\": 2}\n",
        "{\"epoch\": -1e300, \"train_loss\": 1}\n{\"epoch\": 1e300, \"train_loss\": 2}\n",
        ("{\"epoch\": 1e15, \"train_loss\": 1e15}\n{\"epoch\": 1.0000000000000001e15, \"train_loss\": "
         "1.000000000000001e15}\n"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct curve c = {0};
        struct str html = {0};

        assert_ok(curve_parse(&c, text[i], strlen(text[i]), "log", NULL));
        curve_svg(&c, &html);
        assert_ok(str_status(&html));
        assert_true(html.len < 20000);
        if (html.s) {
            assert_null(strstr(html.s, "nan"));
            assert_null(strstr(html.s, "inf"));
        }
        assert_ok(curve_save(&c, test_path(test_folder(), "p.png")));
        str_free(&html);
        curve_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_log_with_a_resumed_and_cut_off_end),
                                       cmocka_unit_test(classes_by_name), cmocka_unit_test(picture_is_a_png),
                                       cmocka_unit_test(svg_has_lines_and_no_hole_in_markup),
                                       cmocka_unit_test(odd_values_stay_finite)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
