#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include <sys/stat.h>
#include <zlib.h>
#include <unistd.h>

static void write_read_and_hash(void **state)
{
    const char *path = test_path(test_folder(), "a");
    struct file_map m = {0};
    uint8_t *p = NULL;
    uint64_t h = 0;
    size_t n = 0;

    (void)state;
    assert_ok(file_write(path, "hello", 5));
    assert_ok(file_write(path, "hello again", 11));
    assert_ok(file_read(path, &p, &n));
    assert_int_equal(n, 11);
    assert_string_equal((char *)p, "hello again");
    assert_ok(file_hash(path, &h));
    assert_true(h == bytes_hash(p, n, 0));
    assert_ok(file_map(&m, path));
    assert_int_equal(m.size, 11);
    assert_memory_equal(m.data, p, n);
    file_unmap(&m);
    assert_ok(file_write(path, "", 0));
    assert_ok(file_map(&m, path));
    assert_int_equal(m.size, 0);
    file_unmap(&m);
    mem_free(p);
}

static void refuses_what_is_no_file(void **state)
{
    const char *folder = test_folder(), *pipe = test_path(folder, "pipe");
    uint8_t *p = NULL;
    size_t n;

    (void)state;
    assert_err(file_read(test_path(folder, "none"), &p, &n), ERR_USAGE, "none: cannot be read");
    assert_err(file_read(folder, &p, &n), ERR_USAGE, "is a folder");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_err(file_read(pipe, &p, &n), ERR_USAGE, "not a regular file");
    assert_null(p);
    assert_err(file_write("/dev/null", "x", 1), ERR_OUTPUT, "not a regular file");
    assert_err(file_write(folder, "x", 1), ERR_OUTPUT, "is a folder");
    assert_err(file_write(test_path(folder, "no/such"), "x", 1), ERR_OUTPUT, "cannot be written");
}

static int count_all(const char *folder)
{
    char command[600];
    FILE *f;
    int n = -1;

    snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
    f = popen(command, "r");
    if (fscanf(f, "%d", &n) != 1)
        n = -1;
    pclose(f);
    return n;
}

static void out_is_all_or_nothing(void **state)
{
    const char *folder = test_folder(), *path = test_path(folder, "b");
    struct file_out o = {0};

    (void)state;
    assert_ok(file_out_open(&o, path));
    fputs("half", o.f);
    assert_false(file_exists(path));
    file_out_abandon(&o);
    assert_int_equal(count_all(folder), 0);
    assert_ok(file_out_open(&o, path));
    fputs("whole", o.f);
    assert_ok(file_out_commit(&o));
    assert_true(file_exists(path));
    assert_int_equal(count_all(folder), 1);
    file_out_abandon(&o);
}

static void leftover_temporaries_do_not_block(void **state)
{
    const char *folder = test_folder();
    char name[64];

    (void)state;
    for (int i = 0; i < 40; i++) { /* the counter of this process is below this */
        FILE *f;
        snprintf(name, sizeof name, ".d4m-%ld-%d.tmp", (long)getpid(), i);
        f = fopen(test_path(folder, name), "w");
        fclose(f);
    }
    assert_ok(file_write(test_path(folder, "c"), "x", 1));
}

static void lists_sorted_without_hidden(void **state)
{
    static const char *const make[] = {"b", "a", ".hidden", "._b", "Thumbs.db", "c"};
    const char *folder = test_path(test_folder(), "x/y");
    char **names = NULL;
    size_t n = 0;

    (void)state;
    assert_ok(folder_make(folder));
    assert_ok(folder_make(folder));
    assert_true(folder_exists(folder));
    for (size_t i = 0; i < 6; i++)
        assert_ok(file_write(test_path(folder, make[i]), "", 0));
    assert_ok(folder_list(folder, &names, &n));
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[2], "c");
    names_free(names, n);
    assert_err(folder_make(test_path(folder, "a/b")), ERR_OUTPUT, "cannot be made");
    assert_err(folder_list(test_path(folder, "nope"), &names, &n), ERR_USAGE, "nope");
}

/* Half random, half smooth. */
static uint8_t *sample(size_t n)
{
    struct rng r = rng_at(5, 6);
    uint8_t *p = mem_new(n ? n : 1, 1);

    for (size_t i = 0; i < n; i++)
        p[i] = i % 2 ? (uint8_t)(i >> 8) : (uint8_t)(rng_u32(&r) & 15);
    return p;
}

static void gzip_round_trip(void **state)
{
    static const size_t sizes[] = {0, 1, 100, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *in = sample(sizes[i]), *z[2] = {NULL, NULL}, *back = NULL;
        size_t n[2], m = 0;
        for (int k = 0; k < 2; k++) {
            par_set_threads(k ? 3 : 1);
            assert_ok(gzip_encode(in, sizes[i], &z[k], &n[k]));
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(z[0], z[1], n[0]);
        assert_true(gzip_is(z[0], n[0]));
        assert_ok(gzip_decode(z[0], n[0], UINT64_MAX, "t", NULL, &back, &m));
        assert_int_equal(m, sizes[i]);
        assert_memory_equal(back, in, m);
        mem_free(back);
        if (sizes[i]) {
            assert_ok(gzip_decode(z[0], n[0], sizes[i], "t", NULL, &back, &m));
            mem_free(back);
            assert_err(gzip_decode(z[0], n[0], sizes[i] - 1, "t", NULL, &back, &m), ERR_CORRUPT, "more than");
        }
        mem_free(z[0]);
        mem_free(z[1]);
        mem_free(in);
    }
}

static void zlib_reads_our_members(void **state)
{
    const char *path = test_path(test_folder(), "z.gz");
    size_t size = 9 << 20, n = 0;
    uint8_t *in = sample(size), *out = mem_new(size + 1, 1), *z = NULL;
    gzFile f;

    (void)state;
    assert_ok(gzip_encode(in, size, &z, &n));
    assert_ok(file_write(path, z, n));
    f = gzopen(path, "rb");
    assert_int_equal(gzread(f, out, (unsigned)size + 1), (int)size);
    assert_memory_equal(in, out, size);
    gzclose(f);
    mem_free(z);
    mem_free(in);
    mem_free(out);
}

static void gzip_trailing_bytes(void **state)
{
    uint8_t *z = NULL, *back = NULL, *more;
    struct notes notes = {0};
    size_t n, m;

    (void)state;
    assert_ok(gzip_encode((const uint8_t *)"abc", 3, &z, &n));
    more = mem_new(2 * n + 512, 1);
    memcpy(more, z, n);
    assert_ok(gzip_decode(more, n + 512, 100, "t", &notes, &back, &m));
    assert_int_equal(m, 3);
    assert_int_equal(notes.count, 0);
    mem_free(back);
    more[n + 7] = 'x';
    assert_ok(gzip_decode(more, n + 8, 100, "t", &notes, &back, &m));
    assert_int_equal(notes.count, 1);
    assert_string_equal(notes.item[0].name, "gzip-trailing-bytes");
    mem_free(back);
    memcpy(more + n, z, n);
    assert_ok(gzip_decode(more, 2 * n, 100, "t", NULL, &back, &m));
    assert_int_equal(m, 6);
    assert_memory_equal(back, "abcabc", 6);
    mem_free(back);
    notes_clear(&notes);
    mem_free(more);
    mem_free(z);
}

static void gzip_damage(void **state)
{
    uint8_t *in = sample(5000), *z = NULL, *back = NULL;
    size_t n, m;

    (void)state;
    assert_ok(gzip_encode(in, 5000, &z, &n));
    for (size_t cut = 0; cut < n; cut += 97)
        assert_int_equal(gzip_decode(z, cut, UINT64_MAX, "t", NULL, &back, &m), ERR_CORRUPT);
    z[n - 1] ^= 1; /* ISIZE */
    assert_err(gzip_decode(z, n, UINT64_MAX, "t", NULL, &back, &m), ERR_CORRUPT, "damaged");
    z[n - 1] ^= 1;
    z[n - 6] ^= 1; /* CRC */
    assert_err(gzip_decode(z, n, UINT64_MAX, "t", NULL, &back, &m), ERR_CORRUPT, "damaged");
    assert_null(back);
    mem_free(z);
    mem_free(in);
}

static void one_file_by_two_names(void **state)
{
    const char *folder = test_folder();
    const char *a = test_path(folder, "a"), *b = test_path(folder, "b"), *loop = test_path(folder, "loop");

    (void)state;
    assert_ok(file_write(a, "x", 1));
    assert_int_equal(symlink("a", b), 0);
    assert_int_equal(symlink("loop", loop), 0);
    assert_true(file_same(a, b) && file_same(a, a));
    assert_false(file_same(a, loop) || file_same(loop, loop) || file_same(a, folder));
    assert_err(file_refuse(loop), ERR_USAGE, "symbolic links");
    assert_err(file_refuse("/dev/null"), ERR_USAGE, "neither");
    assert_err(file_refuse(""), ERR_USAGE, "empty");
}

static void gzip_survives_exhaustion(void **state)
{
    uint8_t *in = sample(300000), *z = NULL, *back = NULL;
    size_t n, m;

    (void)state;
    memset(in, 0, 300000); /* grows several times: the second member hides the hint */
    assert_survives_exhaustion(gzip_encode(in, 300000, &z, &n), (void)0);
    z = mem_resize(z, n + 8, 1);
    memset(z + n, 0, 8);
    assert_survives_exhaustion(gzip_decode(z, n + 8, UINT64_MAX, "t", NULL, &back, &m), mem_free(back));
    mem_free(z);
    mem_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_read_and_hash),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(out_is_all_or_nothing),
        cmocka_unit_test(leftover_temporaries_do_not_block),
        cmocka_unit_test(lists_sorted_without_hidden),
        cmocka_unit_test(gzip_round_trip),
        cmocka_unit_test(zlib_reads_our_members),
        cmocka_unit_test(gzip_trailing_bytes),
        cmocka_unit_test(gzip_damage),
        cmocka_unit_test(one_file_by_two_names),
        cmocka_unit_test(gzip_survives_exhaustion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
