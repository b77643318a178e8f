/* UTF-8 cleaning and HTML escaping: what comes out is valid whatever goes in. */
#include "test.h"

#include "base/html.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

static void valid_text_is_kept(void **state)
{
    const char *text = "a \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 z";
    char *clean = utf8_clean(text);

    (void)state;
    assert_string_equal(clean, text);
    mem_free(clean);
    clean = utf8_clean(NULL);
    assert_string_equal(clean, "");
    mem_free(clean);
}

static void bad_bytes_are_replaced(void **state)
{
    static const struct {
        const char *in, *out;
    } row[] = {
        {"a\xFFz", "a\xEF\xBF\xBDz"},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                                 /* overlong "/" */
        {"\xE0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* overlong */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* surrogate */
        {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* above U+10FFFF */
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},                                 /* cut off */
        {"a\nb\x1B[31m\x7F\xC2\x9B", "a b [31m  "},                               /* control characters */
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *clean = utf8_clean(row[i].in);

        assert_string_equal(clean, row[i].out);
        mem_free(clean);
    }
}

/* Random bytes: cleaning yields text that cleaning leaves alone. */
static void cleaning_is_idempotent(void **state)
{
    struct rng r = rng_at(1, 2);
    char raw[40];

    (void)state;
    for (int k = 0; k < 2000; k++) {
        size_t n = (size_t)rng_below(&r, sizeof raw);
        char *once, *twice;

        for (size_t i = 0; i < n; i++)
            raw[i] = (char)(1 + rng_below(&r, 255));
        raw[n] = 0;
        once = utf8_clean(raw);
        twice = utf8_clean(once);
        assert_string_equal(once, twice);
        mem_free(once);
        mem_free(twice);
    }
}

static void markup_is_escaped(void **state)
{
    struct str b = {0};

    (void)state;
    html_add_text(&b, "<a href=\"x\" id='y'>&amp;\xFF</a>");
    html_add_text(&b, NULL);
    assert_ok(str_status(&b));
    assert_string_equal(b.s, "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;\xEF\xBF\xBD&lt;/a&gt;");
    str_free(&b);
}

/* RFC 4648, section 10. */
static void base64_vectors(void **state)
{
    static const char *const row[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct str b = {0}, want = {0};

        html_add_data(&b, "text/plain", row[i][0], strlen(row[i][0]));
        str_addf(&want, "data:text/plain;base64,%s", row[i][1]);
        assert_string_equal(b.s, want.s);
        str_free(&b);
        str_free(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(valid_text_is_kept),
                                       cmocka_unit_test(bad_bytes_are_replaced),
                                       cmocka_unit_test(cleaning_is_idempotent),
                                       cmocka_unit_test(markup_is_escaped), cmocka_unit_test(base64_vectors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
