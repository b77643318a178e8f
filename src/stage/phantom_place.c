#include "stage/phantom_place.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const folders[] = {"imagesTr", "labelsTr", "imagesTs", "labelsTs", "truth"};
static const char *const notes[] = {[DATASET] = "dataset.json",
                                    [READY] = ".phantom/ready.json",
                                    [REPLACED] = ".phantom/replaced.json",
                                    [MAKING] = ".phantom/making.json",
                                    [LOCK] = ".phantom/lock"};

/* ---- what lies where ---- */

/* Names that phantom_write gives: ph_NUMBER and one of these ends. */
static bool is_ours(const char *name)
{
    static const char *const ends[] = {".json",
                                       ".nii.gz",
                                       "_000[0-3].nii.gz",
                                       "_clean_000[0-3].nii.gz",
                                       "_field_000[013].nii.gz",
                                       "_labels_000[0-3].nii.gz"};
    size_t digits = str_starts(name, "ph_") ? strspn(name + 3, "0123456789") : 0;

    for (size_t i = 0; i < sizeof ends / sizeof *ends && digits >= 5; i++)
        if (!fnmatch(ends[i], name + 3 + digits, 0))
            return true;
    return false;
}

static bool is_any(const char *name)
{
    return strcmp(name, ".") && strcmp(name, "..");
}

static bool is_none(const char *name)
{
    (void)name;
    return false;
}

/* Deletes files of a folder, hidden ones too, and the folder if it is empty then. */
static void clear_folder(const char *path, bool (*goes)(const char *name))
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (goes(e->d_name))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    (void)rmdir(path);
}

static void clear_folders(const char *parent, bool (*goes)(const char *name))
{
    for (int f = 0; f < PHANTOM_FOLDERS; f++) {
        char *path = path_join(parent, folders[f]);

        if (path)
            clear_folder(path, goes);
        mem_free(path);
    }
}

/* Length of the first folder on the way to `path` that is not there; 0: all are. */
static size_t first_missing(const char *path)
{
    char *part = mem_str(path);
    size_t found = 0, n = strlen(path);

    for (size_t i = 1; part && i <= n && !found; i++) {
        char c = part[i];

        part[i] = 0;
        if ((c == '/' || !c) && !folder_exists(part))
            found = i;
        part[i] = c;
    }
    mem_free(part);
    return found;
}

/* Deletes the folders from `path` up to that of `made` letters, as far as they are empty. */
static void remove_made(const char *path, size_t made)
{
    char *part = made ? mem_str(path) : NULL;
    size_t n = strlen(path);

    while (part && n >= made) {
        part[n] = 0;
        (void)rmdir(part);
        while (n && part[--n] != '/')
            ;
    }
    mem_free(part);
}

static bool holds_phantom(const char *path)
{
    json_t *j = NULL;
    bool holds = file_exists(path) && json_read(&j, path) == ERR_OK && json_object_get(j, "phantom");

    json_decref(j);
    return holds;
}

static bool same_as(const char *path, const json_t *what)
{
    json_t *there = NULL;
    bool same = file_exists(path) && json_read(&there, path) == ERR_OK && json_equal(there, what);

    json_decref(there);
    return same;
}

static enum err check_out(const struct phantom_place *p, const json_t *what, bool force)
{
    char **name;
    size_t count;

    if (!*p->out)
        return err_set(ERR_USAGE, "an empty path was given; name a folder");
    if (!folder_exists(p->out))
        return file_exists(p->out) ? err_set(ERR_OUTPUT, "%s is a file; give a folder", p->out) : ERR_OK;
    TRY(folder_list(p->out, &name, &count));
    names_free(name, count);
    if (!count ||
        (!file_exists(p->note[DATASET]) && file_exists(p->note[READY]) && same_as(p->note[MAKING], what)))
        return ERR_OK;
    if (!force)
        return err_set(ERR_USAGE,
                       "%s is not empty; choose another folder, or --force to replace a phantom in it",
                       p->out);
    if (!holds_phantom(p->note[DATASET]) && !holds_phantom(p->note[READY]) &&
        !holds_phantom(p->note[REPLACED]))
        return err_set(
            ERR_USAGE,
            "%s holds something that d4m phantom did not make, which --force does not replace; choose "
            "another folder",
            p->out);
    return ERR_OK;
}

/* ---- the work folder ---- */

/* The beginning of something goes. Where it had begun to move, `replaced.json` stays to tell whose files
 * those are. */
static void clear_work(const struct phantom_place *p)
{
    clear_folders(p->work, is_any);
    if (!file_exists(p->note[READY]))
        return;
    if (file_exists(p->note[DATASET]))
        (void)unlink(p->note[READY]);
    else
        (void)rename(p->note[READY], p->note[REPLACED]);
}

static enum err make_work(struct phantom_place *p, const json_t *what, bool force)
{
    enum err err = ERR_OK;

    TRY(folder_make(p->work));
    TRY(file_lock(&p->lock, p->note[LOCK]));
    TRY(check_out(p, what, force)); /* another run may have ended meanwhile */
    if (same_as(p->note[MAKING], what))
        p->complete = file_exists(p->note[READY]);
    else
        clear_work(p);
    for (int f = 0; f < PHANTOM_FOLDERS && !err; f++) {
        char *path = path_join(p->work, folders[f]);

        err = path ? folder_make(path) : ERR_MEMORY;
        mem_free(path);
    }
    return err ? err : json_write(what, p->note[MAKING]);
}

static void free_names(struct phantom_place *p)
{
    mem_free(p->work);
    for (int i = 0; i < PHANTOM_NOTES; i++)
        mem_free(p->note[i]);
    *p = (struct phantom_place){.lock = -1};
}

static enum err make_names(struct phantom_place *p)
{
    bool good = (p->work = path_join(p->out, ".phantom"));

    for (int i = 0; i < PHANTOM_NOTES && good; i++)
        good = (p->note[i] = path_join(p->out, notes[i]));
    return good ? ERR_OK : ERR_MEMORY;
}

enum err phantom_place_open(struct phantom_place *p, const char *out, const json_t *what, bool force)
{
    struct phantom_place at = {.out = out, .made = first_missing(out), .lock = -1};
    enum err err = make_names(&at);

    TRY_OR(failed, err);
    TRY_OR(failed, check_out(&at, what, force));
    TRY_OR(close, make_work(&at, what, force));
    *p = at;
    return ERR_OK;
close: /* what another run holds stays */
    phantom_place_close(&at, at.lock < 0);
failed:
    free_names(&at);
    return err;
}

char *phantom_place_path(const struct phantom_place *p, enum phantom_folder f, const char *name)
{
    char *folder = path_join(p->work, folders[f]), *path = folder ? path_join(folder, name) : NULL;

    mem_free(folder);
    return path;
}

void phantom_place_close(struct phantom_place *p, bool keep)
{
    if (!p->out)
        return;
    if (!keep && !p->complete) {
        clear_work(p);
        if (!file_exists(p->note[REPLACED]))
            clear_folder(p->work, is_any);
        clear_folders(p->out, is_none);
    }
    remove_made(p->out, p->made);
    file_unlock(p->lock);
    free_names(p);
}

/* ---- putting everything into place ---- */

static enum err move_file(const char *from, const char *to)
{
    if (!rename(from, to))
        return ERR_OK;
    return err_set(errno == ENOSPC || errno == EDQUOT ? ERR_MEMORY : ERR_OUTPUT,
                   "%s cannot be moved to %s: %s", from, to, strerror(errno));
}

/* One folder of the phantom; one without files is left out. Without `move` only looks whether it will do. */
static enum err move_folder(const struct phantom_place *p, int f, bool move)
{
    char *from = path_join(p->work, folders[f]), *to = path_join(p->out, folders[f]), **name = NULL;
    size_t count = 0;
    enum err err = from && to ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    TRY_OR(done, folder_list(from, &name, &count));
    if (count)
        err = folder_make(to);
    if (!err && folder_exists(to) && access(to, W_OK | X_OK))
        err = err_set(ERR_OUTPUT, "%s cannot be written: %s", to, strerror(errno));
    for (size_t i = 0; i < count && !err && move; i++) {
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
    for (int f = 0; f < PHANTOM_FOLDERS; f++)
        TRY(move_folder(p, f, false));
    if (!p->complete)
        TRY(json_write(dataset, p->note[READY]));
    p->complete = true;
    if (file_exists(p->note[DATASET]))
        TRY(move_file(p->note[DATASET], p->note[REPLACED]));
    if (file_exists(p->note[REPLACED])) {
        clear_folders(p->out, is_ours);
        (void)unlink(p->note[REPLACED]);
    }
    for (int f = 0; f < PHANTOM_FOLDERS; f++)
        TRY(move_folder(p, f, true));
    TRY(move_file(p->note[READY], p->note[DATASET]));
    p->complete = false; /* nothing is left to go on with */
    return ERR_OK;
}
