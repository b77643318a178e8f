#include "stage/phantom_place.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const folders[] = {"imagesTr", "labelsTr", "imagesTs", "labelsTs", "truth"};
static const char work_name[] = ".phantom", record_name[] = "making.json", lock_name[] = "lock";

static char *join3(const char *a, const char *b, const char *c)
{
    char *ab = path_join(a, b), *abc = ab ? path_join(ab, c) : NULL;

    mem_free(ab);
    return abc;
}

/* Deletes the phantom's files in a folder of ours (or all files), and the folder if it is empty then. */
static void clear_folder(const char *path, bool all)
{
    char **name;
    size_t count;

    if (!folder_exists(path) || folder_list(path, &name, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        char *file = path_join(path, name[i]);

        if (file && (all || str_starts(name[i], "ph_")))
            (void)unlink(file);
        mem_free(file);
    }
    names_free(name, count);
    (void)rmdir(path);
}

static void clear_work(const struct phantom_place *p)
{
    for (int f = 0; f < PHANTOM_FOLDERS; f++) {
        char *path = path_join(p->work, folders[f]);

        if (path)
            clear_folder(path, true);
        mem_free(path);
    }
    (void)unlink(p->record);
}

static bool is_phantom(const char *out)
{
    char *path = path_join(out, "dataset.json");
    json_t *j = NULL;
    bool is = path && file_exists(path) && json_read(&j, path) == ERR_OK && json_object_get(j, "phantom");

    json_decref(j);
    mem_free(path);
    return is;
}

static enum err check_out(const char *out, bool force)
{
    char **name;
    size_t count;

    if (!folder_exists(out))
        return file_exists(out) ? err_set(ERR_OUTPUT, "%s is a file; give a folder", out) : ERR_OK;
    TRY(folder_list(out, &name, &count));
    names_free(name, count);
    if (!count)
        return ERR_OK;
    if (!force)
        return err_set(ERR_USAGE,
                       "%s is not empty; choose another folder, or --force to replace a phantom in it", out);
    if (!is_phantom(out))
        return err_set(
            ERR_USAGE,
            "%s holds something that d4m phantom did not make, which --force does not replace; choose "
            "another folder",
            out);
    return ERR_OK;
}

static bool same_record(const char *path, const json_t *what)
{
    json_t *there = NULL;
    bool same = file_exists(path) && json_read(&there, path) == ERR_OK && json_equal(there, what);

    json_decref(there);
    return same;
}

static enum err make_work(struct phantom_place *p, const json_t *what)
{
    char *lock = path_join(p->work, lock_name);
    enum err err = lock ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    TRY_OR(done, folder_make(p->work));
    TRY_OR(done, file_lock(&p->lock, lock));
    if (!same_record(p->record, what))
        clear_work(p);
    for (int f = 0; f < PHANTOM_FOLDERS && !err; f++) {
        char *path = path_join(p->work, folders[f]);

        err = path ? folder_make(path) : ERR_MEMORY;
        mem_free(path);
    }
    if (!err)
        err = json_write(what, p->record);
done:
    mem_free(lock);
    return err;
}

enum err phantom_place_open(struct phantom_place *p, const char *out, const json_t *what, bool force)
{
    struct phantom_place at = {.out = out, .lock = -1};
    enum err err;

    TRY(check_out(out, force));
    at.made = !folder_exists(out);
    at.work = path_join(out, work_name);
    at.record = join3(out, work_name, record_name);
    err = at.work && at.record ? make_work(&at, what) : ERR_MEMORY;
    if (err == ERR_OUTPUT && at.lock < 0 && !at.made) { /* another run's, or not ours to write */
        mem_free(at.work);
        mem_free(at.record);
        return err;
    }
    if (err) {
        phantom_place_close(&at, false);
        return err;
    }
    *p = at;
    return ERR_OK;
}

char *phantom_place_path(const struct phantom_place *p, enum phantom_folder f, const char *name)
{
    return join3(p->work, folders[f], name);
}

static enum err move_file(const char *from, const char *to)
{
    if (!rename(from, to))
        return ERR_OK;
    return err_set(errno == ENOSPC ? ERR_MEMORY : ERR_OUTPUT, "%s cannot be moved to %s: %s", from, to,
                   strerror(errno));
}

/* One folder of the phantom; a phantom that was there goes. A folder without files is left out. */
static enum err move_folder(const struct phantom_place *p, int f)
{
    char *from = path_join(p->work, folders[f]), *to = path_join(p->out, folders[f]), **name = NULL;
    size_t count = 0;
    enum err err = from && to ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    clear_folder(to, false);
    TRY_OR(done, folder_list(from, &name, &count));
    if (count)
        err = folder_make(to);
    for (size_t i = 0; i < count && !err; i++) {
        char *a = path_join(from, name[i]), *b = path_join(to, name[i]);

        err = a && b ? move_file(a, b) : ERR_MEMORY;
        mem_free(a);
        mem_free(b);
    }
done:
    names_free(name, count);
    mem_free(from);
    mem_free(to);
    return err;
}

enum err phantom_place_commit(struct phantom_place *p, const json_t *dataset)
{
    char *path = path_join(p->out, "dataset.json");
    enum err err = path ? ERR_OK : ERR_MEMORY;

    if (!err)
        (void)unlink(path); /* until the new one is there, this is no data set */
    for (int f = 0; f < PHANTOM_FOLDERS && !err; f++)
        err = move_folder(p, f);
    if (!err)
        err = json_write(dataset, path);
    mem_free(path);
    return err;
}

void phantom_place_close(struct phantom_place *p, bool keep)
{
    if (!p->out)
        return;
    if (!keep) {
        char *lock = path_join(p->work, lock_name);

        clear_work(p);
        if (lock)
            (void)unlink(lock);
        mem_free(lock);
        (void)rmdir(p->work);
        if (p->made)
            (void)rmdir(p->out); /* only if empty */
    }
    file_unlock(p->lock);
    mem_free(p->work);
    mem_free(p->record);
    *p = (struct phantom_place){.lock = -1};
}
