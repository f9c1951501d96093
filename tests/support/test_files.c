// SPDX-License-Identifier: Apache-2.0
#include "support/test_files.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void files_machine(void *ctx, tako_machine *out)
{
    memset(out, 7, sizeof *out);
    out->boot[0] = *(const uint8_t *)ctx;
}

static tako_err files_identity(void *ctx, const char *path, uint64_t *device,
                               uint64_t *inode)
{
    struct stat st;

    (void)ctx;
    if (stat(path, &st) != 0)
        return TAKO_NOTFOUND;
    *device = 1;
    *inode = 1; /* also of a copy: a copied machine */
    return TAKO_OK;
}

static tako_err files_read(void *ctx, const char *path, tako_buf *out)
{
    FILE *f = fopen(path, "rb");
    uint8_t part[4096];
    size_t len;

    (void)ctx;
    if (f == NULL)
        return TAKO_NOTFOUND;
    while ((len = fread(part, 1, sizeof part, f)) > 0)
        tako_put_bytes(out, tako_slice_of(part, len));
    (void)fclose(f);
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err files_write(void *ctx, const char *path, tako_slice content)
{
    FILE *f = fopen(path, "wb");
    bool good;

    (void)ctx;
    if (f == NULL)
        return TAKO_IO;
    good = content.len == 0 ||
           fwrite(content.ptr, 1, content.len, f) == content.len;
    return fclose(f) == 0 && good ? TAKO_OK : TAKO_IO;
}

static tako_err files_lock(void *ctx, const char *path, uint32_t wait_ms,
                           tako_file_lock **out)
{
    (void)path;
    (void)wait_ms;
    *out = (tako_file_lock *)ctx;
    return TAKO_OK;
}

static void files_unlock(void *ctx, tako_file_lock *lock)
{
    (void)ctx;
    (void)lock;
}

static tako_err files_remove(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) == 0 ? TAKO_OK : TAKO_NOTFOUND;
}

void test_files_init(tako_files *out, uint8_t *boot)
{
    *out = (tako_files){ .ctx = boot,
                         .machine = files_machine,
                         .identity = files_identity,
                         .read = files_read,
                         .write = files_write,
                         .lock = files_lock,
                         .unlock = files_unlock,
                         .remove = files_remove };
}
