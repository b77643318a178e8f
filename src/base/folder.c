#include "base/file.h"

#include "base/mem.h"
#include "base/str.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool folder_exists(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static enum err make_one(const char *path)
{
    int e;

    if (!mkdir(path, 0777) || (errno == EEXIST && folder_exists(path)))
        return ERR_OK;
    e = errno;
    return err_set(e == ENOSPC || e == EDQUOT ? ERR_MEMORY : ERR_OUTPUT,
                   "%s: folder cannot be made: %s; choose another place", path, strerror(e));
}

enum err folder_make(const char *path)
{
    char *part = mem_str(path);
    enum err err = part ? ERR_OK : ERR_MEMORY;

    for (char *p = part; !err && p && *p; p++) {
        if (*p != '/' || p == part)
            continue;
        *p = 0;
        if (!folder_exists(part)) /* an existing parent need not be writable */
            err = make_one(part);
        *p = '/';
    }
    if (!err && !folder_exists(path))
        err = make_one(path);
    mem_free(part);
    return err;
}

/* Hidden files cover "._*" and ".DS_Store" as well. */
static bool ignored(const char *name)
{
    return name[0] == '.' || !strcmp(name, "Thumbs.db");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct listing {
    char **name;
    size_t count, room;
};

static enum err list_add(struct listing *l, const char *name)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 32;
        char **grown = mem_resize(l->name, room, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        l->name = grown;
        l->room = room;
    }
    l->name[l->count] = mem_str(name);
    if (!l->name[l->count])
        return ERR_MEMORY;
    l->count++;
    return ERR_OK;
}

enum err folder_list(const char *path, char ***names, size_t *count)
{
    struct listing l = {0};
    struct dirent *entry;
    enum err err = ERR_OK;
    DIR *d = opendir(path);

    if (!d)
        return err_set(ERR_USAGE, "%s: folder cannot be read: %s; check the path", path, strerror(errno));
    for (;;) {
        errno = 0;
        entry = readdir(d);
        if (!entry)
            break;
        if (!ignored(entry->d_name))
            TRY_OR(done, list_add(&l, entry->d_name));
    }
    if (errno)
        err = err_set(ERR_USAGE, "%s: folder cannot be read: %s", path, strerror(errno));
done:
    closedir(d);
    if (err) {
        names_free(l.name, l.count);
        return err;
    }
    if (l.count)
        qsort(l.name, l.count, sizeof *l.name, by_name);
    *names = l.name;
    *count = l.count;
    return ERR_OK;
}

void names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
}

enum err file_lock(int *fd, const char *path)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    if (f < 0)
        return err_set(ERR_OUTPUT, "%s: %s", path, strerror(errno));
    if (fcntl(f, F_SETLK, &all) && (errno == EAGAIN || errno == EACCES)) {
        close(f);
        return err_set(ERR_OUTPUT, "%s: another run is at work here: wait for it, or use another folder",
                       path);
    }
    *fd = f; /* a file system without locks does not stop the run */
    return ERR_OK;
}

void file_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}
