#include "base/file.h"

#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

/* Opens a regular file for reading. O_NONBLOCK keeps the open of a pipe from waiting for a writer. */
static enum err open_regular(const char *path, int *fd, size_t *size)
{
    struct stat st = {0};
    int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (f < 0)
        return err_set(ERR_USAGE, "%s: cannot be read: %s; check the path", path, strerror(errno));
    if (fstat(f, &st) || !S_ISREG(st.st_mode)) {
        bool folder = S_ISDIR(st.st_mode);
        close(f);
        return err_set(ERR_USAGE, "%s: %s; name another", path,
                       folder ? "is a folder" : "is not a regular file");
    }
    *fd = f;
    *size = (size_t)st.st_size;
    return ERR_OK;
}

/* Up to n bytes; fewer only at the end of the file. -1 on failure. */
static ssize_t read_fully(int fd, uint8_t *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, p + done, n - done < (size_t)SSIZE_MAX ? n - done : (size_t)SSIZE_MAX);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (!got)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

enum err file_read(const char *path, uint8_t **out, size_t *size)
{
    uint8_t *data;
    size_t n;
    ssize_t got;
    int fd;

    TRY(open_regular(path, &fd, &n));
    data = mem_new(n + 1, 1);
    if (!data) {
        close(fd);
        return err_while(ERR_MEMORY, "reading %s", path);
    }
    got = read_fully(fd, data, n);
    if (got < 0 || (size_t)got != n) {
        const char *why = got < 0 ? strerror(errno) : "it became shorter while being read";
        mem_free(data);
        close(fd);
        return err_set(ERR_USAGE, "%s: cannot be read: %s", path, why);
    }
    close(fd);
    *out = data;
    *size = n;
    return ERR_OK;
}

enum err file_map(struct file_map *m, const char *path)
{
    void *p = NULL;
    size_t n;
    int fd;

    TRY(open_regular(path, &fd, &n));
    if (n) {
        p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            int e = errno;
            close(fd);
            return err_set(e == ENOMEM ? ERR_MEMORY : ERR_USAGE, "%s: cannot be mapped: %s", path,
                           strerror(e));
        }
    }
    close(fd);
    m->data = p;
    m->size = n;
    return ERR_OK;
}

void file_unmap(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){0};
}

/* A full disk is the user's to clear (ERR_MEMORY), everything else is a wrong place (ERR_OUTPUT). */
static enum err write_failed(const char *path, int error)
{
    if (error == ENOSPC || error == EDQUOT)
        return err_set(ERR_MEMORY, "%s: cannot be written: %s; free some space or write elsewhere", path,
                       strerror(error));
    return err_set(ERR_OUTPUT, "%s: cannot be written: %s; choose another place", path,
                   strerror(error));
}

/* The folder of path, with its slash; empty for the working directory. */
static size_t folder_length(const char *path)
{
    return (size_t)(path_base(path) - path);
}

/* Creates "FOLDER/.d4m-PID-N.tmp". A leftover of a killed process with the same number is stepped over. */
static enum err open_temp(const char *path, char **temp, int *fd)
{
    static atomic_uint counter; /* makes names unique within the process; nothing depends on its value */
    size_t folder = folder_length(path);
    char *name = mem_new(folder + 64, 1);
    int f = -1;

    if (!name)
        return err_while(ERR_MEMORY, "writing %s", path);
    memcpy(name, path, folder);
    for (int tries = 0; tries < 10000 && f < 0; tries++) {
        snprintf(name + folder, 64, ".d4m-%ld-%u.tmp", (long)getpid(), atomic_fetch_add(&counter, 1));
        f = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f < 0 && errno != EEXIST && errno != EINTR)
            break;
    }
    if (f < 0) {
        int e = errno;
        mem_free(name);
        return write_failed(path, e);
    }
    *temp = name;
    *fd = f;
    return ERR_OK;
}

/* The rename makes the file appear; syncing the folder makes that last. Some file systems cannot sync a
 * folder. */
static enum err publish(const char *temp, const char *path)
{
    size_t n = folder_length(path);
    char *folder;
    int fd;

    if (rename(temp, path))
        return write_failed(path, errno);
    folder = mem_new(n + 2, 1);
    if (!folder)
        return err_while(ERR_MEMORY, "writing %s", path);
    memcpy(folder, n ? path : ".", n ? n : 1);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(folder);
    if (fd >= 0) {
        int failed = fsync(fd) && errno == EIO;
        close(fd);
        if (failed)
            return write_failed(path, EIO);
    }
    return ERR_OK;
}

/* Renaming onto a device or a folder would destroy it or fail late. */
static enum err check_target(const char *path)
{
    struct stat st;

    if (!path_base(path)[0])
        return err_set(ERR_OUTPUT, "%s: names a folder; add a file name", path);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return err_set(ERR_OUTPUT, "%s: is %s; choose another name", path,
                       S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    return ERR_OK;
}

enum err file_out_open(struct file_out *o, const char *path)
{
    struct file_out new = {0};
    enum err err;
    int fd;

    TRY(check_target(path));
    new.path = mem_str(path);
    if (!new.path)
        return err_while(ERR_MEMORY, "writing %s", path);
    err = open_temp(path, &new.temp, &fd);
    if (err) {
        mem_free(new.path);
        return err;
    }
    new.f = fdopen(fd, "wb");
    if (!new.f) {
        close(fd);
        file_out_abandon(&new);
        return err_set(ERR_MEMORY, "out of memory (while writing %s)", path);
    }
    *o = new;
    return ERR_OK;
}

/* Why a stream failed: stdio does not keep the reason, a full disk shows in the free space. */
static int stream_error(int error, int fd)
{
    struct statvfs v;

    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        return error;
    if (!fstatvfs(fd, &v) && v.f_bavail < 16)
        return ENOSPC;
    return error ? error : EIO;
}

enum err file_out_commit(struct file_out *o)
{
    int error = 0, fd = fileno(o->f);
    enum err err;

    if (fflush(o->f) || ferror(o->f) || fsync(fd))
        error = stream_error(errno, fd);
    if (fclose(o->f) && !error)
        error = errno;
    o->f = NULL;
    err = error ? write_failed(o->path, error) : publish(o->temp, o->path);
    if (!err) { /* the temporary name is gone */
        mem_free(o->temp);
        o->temp = NULL;
    }
    file_out_abandon(o);
    return err;
}

void file_out_abandon(struct file_out *o)
{
    if (o->f)
        fclose(o->f);
    if (o->temp)
        unlink(o->temp);
    mem_free(o->temp);
    mem_free(o->path);
    *o = (struct file_out){0};
}

/* 0, or the errno of the write that failed. */
static int write_fully(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n < (size_t)1 << 30 ? n : (size_t)1 << 30);
        if (put < 0 && errno != EINTR)
            return errno;
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

enum err file_write(const char *path, const void *data, size_t size)
{
    char *temp;
    int fd, error;
    enum err err;

    TRY(check_target(path));
    TRY(open_temp(path, &temp, &fd));
    error = write_fully(fd, data, size);
    if (!error && fsync(fd))
        error = errno;
    if (close(fd) && !error)
        error = errno;
    err = error ? write_failed(path, error) : publish(temp, path);
    if (err)
        unlink(temp); /* no harm if it was renamed already */
    mem_free(temp);
    return err;
}

bool file_exists(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISREG(st.st_mode);
}

bool file_same(const char *a, const char *b)
{
    struct stat x, y;

    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

enum err file_refuse(const char *path)
{
    struct stat st;

    if (!*path)
        return err_set(ERR_USAGE, "an empty path was given; name a file or folder");
    return err_set(ERR_USAGE, "%s: cannot be read: %s; check the path", path,
                   stat(path, &st) ? strerror(errno) : "neither a regular file nor a folder");
}

enum err file_hash(const char *path, uint64_t *hash)
{
    enum { CHUNK = 1 << 20 };
    XXH3_state_t *state = XXH3_createState();
    uint8_t *buf = mem_new(CHUNK, 1);
    enum err err = ERR_MEMORY;
    ssize_t got = -1;
    size_t size;
    int fd;

    if (!state || !buf)
        goto done;
    TRY_OR(done, open_regular(path, &fd, &size));
    XXH3_64bits_reset(state);
    while ((got = read_fully(fd, buf, CHUNK)) > 0)
        XXH3_64bits_update(state, buf, (size_t)got);
    if (got < 0)
        err = err_set(ERR_USAGE, "%s: cannot be read: %s", path, strerror(errno));
    else
        *hash = XXH3_64bits_digest(state);
    close(fd);
done:
    XXH3_freeState(state);
    mem_free(buf);
    return err;
}

uint64_t bytes_hash(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}
