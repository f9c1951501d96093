// SPDX-License-Identifier: Apache-2.0
/* Files through POSIX.
 *
 * write: a temporary file beside the target, named with random bytes so that
 * two writers never share one, fsync, rename over the target, fsync of the
 * folder. After a power cut the path holds the old content or the new one. A
 * crash can leave a "PATH.tmp-XXXXXXXXXXXXXXXX" behind, which nothing reads.
 *
 * lock: flock(2) on an open file, which belongs to the open file description:
 * it excludes other processes and other handles of this one, and the kernel
 * releases it when the process ends however it ends. Because somebody may
 * have removed the file between our open and our lock, the path is looked at
 * again once the lock is held.
 *
 * machine: boot from /proc/sys/kernel/random/boot_id; machine is a hash of
 * /etc/machine-id, which machine-id(5) asks not to be shown around. Where
 * either is absent (some containers) the field is all zero: then a copied
 * database is told from the original by device and inode alone. */
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"

#define SYS_FILE_BYTES_MAX   (1u << 20)
#define SYS_PATH_BYTES_MAX   4096u
#define SYS_LOCK_POLL_MS_MAX 20u
#define SYS_LOCK_RETRIES_MAX 100u /* files removed under us */

struct tako_file_lock {
    int fd;
};

static const tako_env *env_of(void *ctx)
{
    return ctx;
}

static tako_err err_of(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return TAKO_NOTFOUND;
    case ENOSPC:
    case EDQUOT:
        return TAKO_FULL;
    case ENOMEM:
        return TAKO_NOMEM;
    default:
        return TAKO_IO;
    }
}

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* close(2) must not be repeated after EINTR on Linux: the fd is gone. */
static void close_fd(int fd)
{
    (void)close(fd);
}

static tako_err read_fd(int fd, tako_buf *out)
{
    size_t start = out->len;

    for (;;) {
        ssize_t n;

        if (!tako_buf_reserve(out, 4096))
            return TAKO_NOMEM;
        n = read(fd, out->ptr + out->len, out->cap - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_of(errno);
        if (n == 0)
            return TAKO_OK;
        out->len += (size_t)n;
        if (out->len - start > SYS_FILE_BYTES_MAX)
            return TAKO_LIMIT;
    }
}

static tako_err files_read(void *ctx, const char *path, tako_buf *out)
{
    size_t start = out->len;
    int fd = open_retry(path, O_RDONLY, 0);
    tako_err err;

    (void)ctx;
    if (fd < 0)
        return err_of(errno);
    err = read_fd(fd, out);
    close_fd(fd);
    if (err != TAKO_OK)
        out->len = start;
    return err;
}

static tako_err write_all(int fd, tako_slice content)
{
    size_t done = 0;

    while (done < content.len) {
        ssize_t n = write(fd, content.ptr + done, content.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_of(errno);
        done += (size_t)n;
    }
    return fsync(fd) == 0 ? TAKO_OK : err_of(errno);
}

/* Makes the rename itself durable. */
static tako_err sync_folder_of(const char *path)
{
    char folder[SYS_PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 1 : (size_t)(slash - path);
    int fd;
    tako_err err = TAKO_OK;

    if (len == 0)
        len = 1; /* "/file" */
    if (len >= sizeof folder)
        return TAKO_IO;
    memcpy(folder, slash == NULL ? "." : path, len);
    folder[len] = '\0';
    fd = open_retry(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return err_of(errno);
    /* Some file systems cannot sync a folder and say EINVAL. */
    if (fsync(fd) != 0 && errno != EINVAL)
        err = err_of(errno);
    close_fd(fd);
    return err;
}

static tako_err files_write(void *ctx, const char *path, tako_slice content)
{
    tako_env world;
    char temp[SYS_PATH_BYTES_MAX];
    uint64_t tag;
    tako_err err;
    int fd, n;

    (void)ctx;
    sys_env_init(&world);
    world.random(world.ctx, &tag, sizeof tag);
    n = snprintf(temp, sizeof temp, "%s.tmp-%016llx", path,
                 (unsigned long long)tag);
    if (n < 0 || (size_t)n >= sizeof temp)
        return TAKO_IO;
    fd = open_retry(temp, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        err = err_of(errno);
        return err == TAKO_NOTFOUND ? TAKO_IO : err; /* the folder */
    }
    err = write_all(fd, content);
    close_fd(fd);
    if (err == TAKO_OK && rename(temp, path) != 0)
        err = err_of(errno);
    if (err == TAKO_OK)
        return sync_folder_of(path);
    (void)unlink(temp);
    return err;
}

static tako_err files_identity(void *ctx, const char *path, uint64_t *device,
                               uint64_t *inode)
{
    struct stat st;

    (void)ctx;
    if (stat(path, &st) != 0)
        return err_of(errno);
    *device = (uint64_t)st.st_dev;
    *inode = (uint64_t)st.st_ino;
    return TAKO_OK;
}

static tako_err files_remove(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) == 0 ? TAKO_OK : err_of(errno);
}

/* ---- locks -------------------------------------------------------------- */

/* One try. *again: the file was removed meanwhile, open it anew. */
static tako_err lock_try(const char *path, int *fd_out, bool *again)
{
    struct stat held, named;
    int fd = open_retry(path, O_RDWR | O_CREAT, 0600);
    int rc;

    *again = false;
    if (fd < 0)
        return TAKO_IO;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        tako_err err = errno == EWOULDBLOCK ? TAKO_BUSY : TAKO_IO;
        close_fd(fd);
        return err;
    }
    if (fstat(fd, &held) != 0 || stat(path, &named) != 0 ||
        held.st_ino != named.st_ino || held.st_dev != named.st_dev) {
        close_fd(fd);
        *again = true;
        return TAKO_BUSY;
    }
    *fd_out = fd;
    return TAKO_OK;
}

static void sleep_ms(uint32_t ms)
{
    struct timespec t = { (time_t)(ms / 1000u), (long)(ms % 1000u) * 1000000L };

    (void)nanosleep(&t, NULL);
}

static tako_err files_lock(void *ctx, const char *path, uint32_t wait_ms,
                           tako_file_lock **out)
{
    const tako_env *env = env_of(ctx);
    tako_env world; /* real time: `env` may have a clock of its own */
    uint64_t end;
    uint32_t pause = 1, removed = 0;
    tako_file_lock *lock = tako_env_alloc(env, sizeof *lock);

    if (lock == NULL)
        return TAKO_NOMEM;
    sys_env_init(&world);
    end = world.mono_ms(world.ctx) + wait_ms;
    for (;;) {
        bool again;
        uint64_t now;
        tako_err err = lock_try(path, &lock->fd, &again);

        if (err == TAKO_OK) {
            *out = lock;
            return TAKO_OK;
        }
        if (again && ++removed < SYS_LOCK_RETRIES_MAX)
            continue;
        now = world.mono_ms(world.ctx);
        if (err != TAKO_BUSY || now >= end) {
            tako_env_free(env, lock, sizeof *lock);
            return err;
        }
        if (pause > end - now)
            pause = (uint32_t)(end - now);
        sleep_ms(pause);
        pause =
            pause * 2 < SYS_LOCK_POLL_MS_MAX ? pause * 2 : SYS_LOCK_POLL_MS_MAX;
    }
}

static void files_unlock(void *ctx, tako_file_lock *lock)
{
    if (lock == NULL)
        return;
    /* Not only close: a forked child may still hold the description. */
    (void)flock(lock->fd, LOCK_UN);
    close_fd(lock->fd);
    tako_env_free(env_of(ctx), lock, sizeof *lock);
}

/* ---- machine ------------------------------------------------------------ */

/* 16 bytes that stand for the text of a small file, zero without it. */
static void id_of_file(const char *path, const char *label, uint8_t out[16])
{
    char text[128];
    ssize_t n;
    int fd = open_retry(path, O_RDONLY, 0);

    memset(out, 0, 16);
    if (fd < 0)
        return;
    do
        n = read(fd, text, sizeof text);
    while (n < 0 && errno == EINTR);
    close_fd(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    /* Shorter than an id: "uninitialized" on an image's first boot. */
    if (n >= 32)
        tako_hash16_two(tako_slice_str(label), tako_slice_of(text, (size_t)n),
                        out);
}

static void files_machine(void *ctx, tako_machine *out)
{
    (void)ctx;
    id_of_file("/proc/sys/kernel/random/boot_id", "tako boot", out->boot);
    id_of_file("/etc/machine-id", "tako machine", out->machine);
}

void sys_files_init(tako_files *out, const tako_env *env)
{
    *out = (tako_files){
        /* the table's ctx is not const; nothing here writes through it */
        .ctx = (void *)(uintptr_t)env, .machine = files_machine,
        .identity = files_identity,    .read = files_read,
        .write = files_write,          .lock = files_lock,
        .unlock = files_unlock,        .remove = files_remove,
    };
}
