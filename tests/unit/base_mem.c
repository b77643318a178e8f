#include "test.h"

#include "base/cgroup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/note.h"
#include "base/par.h"
#include "base/str.h"
#include <stdatomic.h>

static void sizes_are_checked(void **state)
{
    (void)state;
    assert_null(mem_new(SIZE_MAX / 2, 3));
    assert_non_null(strstr(err_text(), "out of memory"));
    assert_null(mem_new((size_t)1 << 62, 4));
    mem_free(mem_new(0, 0));
    mem_free(NULL);
}

static void injection_counts(void **state)
{
    void *p;

    (void)state;
    mem_fail_at(2);
    p = mem_new(1, 1);
    assert_non_null(p);
    assert_null(mem_new(1, 1));
    assert_int_equal(mem_fail_at(0), 2);
    mem_free(p);
}

static void big_blocks_are_aligned_and_zero(void **state)
{
    unsigned char *p = mem_big_new(3000001);

    (void)state;
    assert_int_equal((uintptr_t)p % (2 << 20), 0);
    for (size_t i = 0; i < 3000001; i++)
        assert_int_equal(p[i], 0);
    mem_big_free(p, 3000001);
    mem_big_free(NULL, 5);
}

static void arena_holds_many(void **state)
{
    struct arena *a = arena_new();
    char *first = arena_str(a, "first"), *big;

    (void)state;
    for (size_t i = 1; i < 5000; i++) {
        unsigned char *p = arena_alloc(a, i % 90, 1);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 1, i % 90);
    }
    big = arena_alloc(a, 1000000, 1);
    assert_int_equal(big[999999], 0);
    assert_string_equal(first, "first");
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    arena_free(a);
    arena_free(NULL);
}

static void machine_numbers(void **state)
{
    (void)state;
    assert_true(mem_available() > 1 << 20);
    assert_true(mem_peak() > 1 << 16);
    assert_true(par_cpus() >= 1);
}

static void put(const char *folder, const char *name, const char *text)
{
    assert_ok(file_write(test_path(folder, name), text, strlen(text)));
}

static void cgroup_limits(void **state)
{
    const char *root = test_folder(), *member = test_path(root, "self");
    struct cgroup c;

    (void)state;
    c = cgroup_read(member, root); /* no such file */
    assert_true(c.cpus == 0 && c.memory_free == UINT64_MAX);
    assert_ok(folder_make(test_path(root, "job/step")));
    put(root, "self", "0::/job/step\n");
    put(root, "job/cpu.max", "150000 100000\n");
    put(root, "job/step/cpu.max", "max 100000\n");
    put(root, "job/memory.max", "1000\n");
    put(root, "job/memory.current", "700\n");
    put(root, "job/memory.stat", "anon 100\ninactive_file 200\nactive_file 1\n");
    put(root, "job/step/memory.max", "max\n");
    c = cgroup_read(member, root);
    assert_true(c.cpus == 1.5);
    assert_int_equal(c.memory_free, 500);
    assert_ok(folder_make(test_path(root, "memory/m")));
    assert_ok(folder_make(test_path(root, "cpu/m")));
    put(root, "self", "5:cpuset:/\n4:memory:/m\n3:cpu,cpuacct:/m\n");
    put(root, "memory/m/memory.limit_in_bytes", "9000\n");
    put(root, "memory/m/memory.usage_in_bytes", "1000\n");
    put(root, "memory/memory.limit_in_bytes", "9223372036854771712\n");
    put(root, "cpu/m/cpu.cfs_quota_us", "-1\n");
    put(root, "cpu/cpu.cfs_quota_us", "200000\n");
    put(root, "cpu/cpu.cfs_period_us", "100000\n");
    c = cgroup_read(member, root);
    assert_true(c.cpus == 2);
    assert_int_equal(c.memory_free, 8000);
}

static void visit(void *ctx, int64_t i)
{
    atomic_fetch_add((atomic_int *)ctx + i, 1);
}

static void nest(void *ctx, int64_t i)
{
    (void)i;
    par_for(50, visit, ctx);
}

static void par_visits_once(void **state)
{
    atomic_int seen[50] = {0};

    (void)state;
    par_set_threads(3);
    assert_int_equal(par_threads(), 3);
    par_for(50, visit, seen);
    par_for(4, nest, seen);
    par_for(0, visit, seen);
    for (int i = 0; i < 50; i++)
        assert_int_equal(seen[i], 5);
    par_set_threads(0);
    assert_int_equal(par_threads(), par_cpus());
}

static void messages(void **state)
{
    (void)state;
    assert_int_equal(err_set(ERR_INPUT, "a %d\nb", 1), ERR_INPUT);
    assert_string_equal(err_text(), "a 1 b");
    assert_int_equal(err_while(ERR_INPUT, "reading %s", "x"), ERR_INPUT);
    assert_string_equal(err_text(), "a 1 b (while reading x)");
    assert_int_equal(err_set(ERR_CORRUPT, "again: %s", err_text()), ERR_CORRUPT);
    assert_string_equal(err_text(), "again: a 1 b (while reading x)");
    assert_int_equal(err_exit_code(ERR_SHAPE), 1);
    assert_int_equal(err_exit_code(ERR_MODEL), 8);
}

static void notes_collect(void **state)
{
    struct notes n = {0};

    (void)state;
    note_add(NULL, "x", "dropped");
    for (int i = 0; i < 20; i++)
        note_add(&n, "some-name", "number %d\n", i);
    assert_int_equal(n.count, 20);
    assert_string_equal(n.item[19].text, "number 19 ");
    notes_clear(&n);
    assert_int_equal(n.count, 0);
}

static void strings(void **state)
{
    struct str b = {0};
    char *p;

    (void)state;
    for (int i = 0; i < 1000; i++)
        str_addf(&b, "%d,", i % 10);
    assert_int_equal(b.len, 2000);
    assert_int_equal(strlen(b.s), 2000);
    str_free(&b);
    mem_fail_at(1);
    str_add(&b, "x");
    mem_fail_at(0);
    str_add(&b, "y");
    assert_int_equal(str_status(&b), ERR_MEMORY);
    str_free(&b);
    assert_true(str_ends("a.nii.gz", ".gz") && !str_ends("gz", ".gz") && str_starts("--x", "--"));
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("", "abc"), 3);
    assert_string_equal(path_base("/a/b"), "b");
    assert_string_equal(path_base("b"), "b");
    p = path_join("a", "b");
    assert_string_equal(p, "a/b");
    mem_free(p);
    p = path_join("a/", "b");
    assert_string_equal(p, "a/b");
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(injection_counts),
        cmocka_unit_test(big_blocks_are_aligned_and_zero),
        cmocka_unit_test(arena_holds_many),
        cmocka_unit_test(machine_numbers),
        cmocka_unit_test(cgroup_limits),
        cmocka_unit_test(par_visits_once),
        cmocka_unit_test(messages),
        cmocka_unit_test(notes_collect),
        cmocka_unit_test(strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
