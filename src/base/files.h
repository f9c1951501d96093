// SPDX-License-Identifier: Apache-2.0
/* FILES -- what the core needs of the machine and its disk beyond SQLite:
 * identities that tell a copy from the original, small durable files, locks.
 * Filled by sys/; tests have their own. */
#ifndef TAKO_BASE_FILES_H
#define TAKO_BASE_FILES_H

#include "base/buf.h"
#include "base/err.h"

typedef struct tako_machine {
    uint8_t boot[16];    /* another after each start of the machine */
    uint8_t machine[16]; /* the same for the life of the installation */
} tako_machine;

typedef struct tako_file_lock tako_file_lock;

typedef struct tako_files {
    void *ctx;

    void (*machine)(void *ctx, tako_machine *out);

    /* Device and inode of a file, which change when it is copied.
     * TAKO_NOTFOUND, TAKO_IO */
    tako_err (*identity)(void *ctx, const char *path, uint64_t *device,
                         uint64_t *inode);

    /* Appends the content of a small file (1 MiB at most). TAKO_NOTFOUND,
     * TAKO_IO, TAKO_LIMIT */
    tako_err (*read)(void *ctx, const char *path, tako_buf *out);

    /* Replaces a file durably and whole (temporary file, fsync, rename, fsync
     * of the folder), mode 0600. TAKO_IO, TAKO_FULL */
    tako_err (*write)(void *ctx, const char *path, tako_slice content);

    /* Takes an exclusive lock on `path` (made when absent), waiting up to
     * wait_ms. Released by unlock and by the end of the process. TAKO_BUSY */
    tako_err (*lock)(void *ctx, const char *path, uint32_t wait_ms,
                     tako_file_lock **out);
    void (*unlock)(void *ctx, tako_file_lock *lock);

    /* TAKO_NOTFOUND, TAKO_IO */
    tako_err (*remove)(void *ctx, const char *path);
} tako_files;

#endif /* TAKO_BASE_FILES_H */
