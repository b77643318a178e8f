#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/finding.h"

/* docs/check.md: one row a rule, in the order of the table. */
static void the_page_lists_the_table(void **state)
{
    uint8_t *bytes;
    size_t size, rows = 0;
    const char *at;
    char row[1024];

    (void)state;
    assert_ok(file_read(D4M_SOURCE_DIR "/docs/check.md", &bytes, &size));
    at = (const char *)bytes;
    for (const struct finding_rule *r = finding_rules; r->name; r++, rows++) {
        const char *here;

        snprintf(row, sizeof row, "\n| `%s` | %s | %s | %s |\n", r->name, finding_severities[r->severity],
                 r->meaning, r->fix);
        here = strstr(at, row);
        if (!here)
            fail_msg("docs/check.md lacks, or has elsewhere: %s", row + 1);
        at = here + 1;
    }
    for (at = strstr((const char *)bytes, "\n| `"); at; at = strstr(at + 1, "\n| `"))
        rows--;
    assert_int_equal(rows, 0);
    mem_free(bytes);
}

static void names_are_kebab_case_and_rows_differ(void **state)
{
    (void)state;
    for (const struct finding_rule *r = finding_rules; r->name; r++) {
        assert_int_equal(strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(r->name));
        assert_ptr_equal(finding_rule_find(r->name, r->severity), r); /* no row twice */
        assert_true(r->meaning[0] && r->fix[0]);
    }
    assert_null(finding_rule_find("no-such-name", FINDING_ERROR));
    assert_int_equal(finding_rule_find("phase-copy", FINDING_ERROR)->severity, FINDING_WARNING);
}

static void findings_are_kept_clean(void **state)
{
    struct findings l = {0};
    json_t *j;

    (void)state;
    assert_ok(finding_add(&l, finding_rule_find("shear", FINDING_ERROR), "a\nb", "c\td\x7f"));
    assert_ok(finding_add(&l, finding_rule_find("shear", FINDING_WARNING), "x", "y"));
    assert_string_equal(l.item[0].where, "a b");
    assert_string_equal(l.item[0].text, "c d ");
    assert_true(l.of[FINDING_ERROR] == 1 && l.of[FINDING_WARNING] == 1 && l.of[FINDING_INFO] == 0);
    assert_err(finding_add(&l, NULL, "x", "what was said"), ERR_INTERNAL, "what was said");
    j = finding_to_json(&l.item[0]);
    assert_string_equal(json_string_value(json_object_get(j, "fix")), l.item[0].rule->fix);
    assert_null(json_object_get(j, "picture"));
    json_decref(j);
    findings_clear(&l);
    assert_int_equal(l.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_lists_the_table),
        cmocka_unit_test(names_are_kebab_case_and_rows_differ),
        cmocka_unit_test(findings_are_kept_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
