// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/json.h"
#include "codec/ulid.h"

/* ---- tako_files ---------------------------------------------------------- */

static void files_machine(void *ctx, tako_machine *out)
{
    *out = ((test_world *)ctx)->machine;
}

static tako_err files_identity(void *ctx, const char *path, uint64_t *device,
                               uint64_t *inode)
{
    if (access(path, F_OK) != 0)
        return TAKO_NOTFOUND;
    *device = 1;
    *inode = ((test_world *)ctx)->inode;
    return TAKO_OK;
}

static tako_err files_read(void *ctx, const char *path, tako_buf *out)
{
    FILE *f = fopen(path, "rb");
    uint8_t part[4096];
    size_t n;

    (void)ctx;
    if (f == NULL)
        return TAKO_NOTFOUND;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        tako_put_bytes(out, tako_slice_of(part, n));
    (void)fclose(f);
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err files_write(void *ctx, const char *path, tako_slice content)
{
    test_world *w = ctx;
    FILE *f;

    if (w->write_fails != TAKO_OK && w->write_after-- == 0) {
        tako_err err = w->write_fails;

        w->write_fails = TAKO_OK;
        w->write_after = 0;
        return err;
    }
    f = fopen(path, "wb");
    if (f == NULL)
        return TAKO_IO;
    if (content.len > 0)
        (void)fwrite(content.ptr, 1, content.len, f);
    (void)fclose(f);
    return chmod(path, 0600) == 0 ? TAKO_OK : TAKO_IO;
}

struct tako_file_lock {
    size_t at;
};

static tako_err files_lock(void *ctx, const char *path, uint32_t wait_ms,
                           tako_file_lock **out)
{
    test_world *w = ctx;
    tako_file_lock *lock;
    size_t at = WORLD_LOCKS;

    (void)wait_ms;
    for (size_t i = 0; i < WORLD_LOCKS; i++) {
        if (w->locked[i] == NULL)
            at = i;
        else if (strcmp(w->locked[i], path) == 0)
            return TAKO_BUSY;
    }
    assert_true(at < WORLD_LOCKS);
    lock = malloc(sizeof *lock);
    assert_non_null(lock);
    lock->at = at;
    w->locked[at] = strdup(path);
    *out = lock;
    return TAKO_OK;
}

static void files_unlock(void *ctx, tako_file_lock *lock)
{
    test_world *w = ctx;

    free((void *)(uintptr_t)w->locked[lock->at]);
    w->locked[lock->at] = NULL;
    free(lock);
}

static tako_err files_remove(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) == 0 ? TAKO_OK : TAKO_NOTFOUND;
}

/* ---- the world ----------------------------------------------------------- */

void world_init(test_world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    test_env_init(&w->t, seed);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/tako-store-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    memset(w->machine.boot, 1, 16);
    memset(w->machine.machine, 2, 16);
    w->inode = 77;
    w->files = (tako_files){
        w,           files_machine, files_identity, files_read,
        files_write, files_lock,    files_unlock,   files_remove
    };
    w->arena = tako_arena_on(&w->t.env);
}

void world_fini(test_world *w)
{
    DIR *d = opendir(w->dir);
    struct dirent *entry;

    assert_non_null(d);
    while ((entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.')
            world_remove(w, entry->d_name);
    (void)closedir(d);
    (void)rmdir(w->dir);
    tako_arena_fini(&w->arena);
    test_env_check_empty(&w->t);
}

const char *world_path(test_world *w, const char *name)
{
    char *p = tako_arena_alloc(&w->arena, strlen(w->dir) + strlen(name) + 2);

    assert_non_null(p);
    (void)sprintf(p, "%s/%s", w->dir, name);
    return p;
}

tako_err world_try_open(test_world *w, const char *name, bool create,
                        store **out)
{
    store_opts o = { .env = &w->t.env,
                     .files = &w->files,
                     .path = world_path(w, name),
                     .create = create,
                     .durability = w->durability };

    w->e.text[0] = '\0';
    return store_open(&o, out, &w->e);
}

store *world_open(test_world *w, const char *name)
{
    store *s = NULL;

    must(w, world_try_open(w, name, true, &s));
    return s;
}

bool world_copy(test_world *w, const char *from, const char *to)
{
    FILE *in = fopen(world_path(w, from), "rb");
    FILE *out;
    char part[65536];
    size_t n;

    if (in == NULL)
        return false;
    out = fopen(world_path(w, to), "wb");
    assert_non_null(out);
    while ((n = fread(part, 1, sizeof part, in)) > 0)
        assert_int_equal(fwrite(part, 1, n, out), n);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
    return true;
}

void world_remove(test_world *w, const char *name)
{
    (void)unlink(world_path(w, name));
}

static const char *const parts[] = { "", "-wal", ".seal" };

static void copy_all(test_world *w, const char *from, const char *to)
{
    char a[64], b[64];

    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(a, sizeof a, "%s%s", from, parts[i]);
        (void)snprintf(b, sizeof b, "%s%s", to, parts[i]);
        world_remove(w, b);
        (void)world_copy(w, a, b);
    }
    (void)snprintf(b, sizeof b, "%s-shm", to);
    world_remove(w, b);
}

void world_save(test_world *w, const char *name, const char *image)
{
    copy_all(w, name, image);
}

void world_restore(test_world *w, const char *image, const char *name)
{
    copy_all(w, image, name);
}

bool world_flip(test_world *w, const char *name, tako_slice text)
{
    FILE *f = fopen(world_path(w, name), "r+b");
    uint8_t *all;
    long size;
    bool found = false;

    assert_non_null(f);
    (void)fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    all = malloc((size_t)size);
    assert_non_null(all);
    assert_int_equal(fread(all, 1, (size_t)size, f), size);
    for (long i = 0; !found && i + (long)text.len <= size; i++) {
        if (memcmp(all + i, text.ptr, text.len) != 0)
            continue;
        all[i + (long)text.len - 1] ^= 1;
        (void)fseek(f, i, SEEK_SET);
        (void)fwrite(all + i, 1, text.len, f);
        found = true;
    }
    free(all);
    (void)fclose(f);
    return found;
}

/* ---- documents ----------------------------------------------------------- */

tako_slice cb(test_world *w, const char *json)
{
    tako_buf b = tako_buf_on(&w->t.env);
    tako_errbuf e = { "" };
    tako_slice out;

    if (json_to_cbor(tako_slice_str(json), TAKO_VALUE_DEPTH_MAX, &b, &e) !=
        TAKO_OK)
        fail_msg("%s: %s", json, e.text);
    out = tako_arena_copy(&w->arena, tako_buf_slice(&b));
    assert_non_null(out.ptr);
    tako_buf_fini(&b);
    return out;
}

tako_slice id_at(test_world *w, uint64_t n)
{
    uint8_t random[10] = { 0 }, u[16];
    char text[ULID_TEXT_BYTES + 3];

    for (size_t i = 0; i < 8; i++)
        random[i] = (uint8_t)((n * 0x9e3779b97f4a7c15u) >> (8 * i));
    ulid_make(1700000000000u + n, random, u);
    text[0] = '"';
    ulid_to_text(u, text + 1);
    text[ULID_TEXT_BYTES + 1] = '"';
    text[ULID_TEXT_BYTES + 2] = '\0';
    return cb(w, text);
}

void must(test_world *w, tako_err err)
{
    if (err != TAKO_OK)
        fail_msg("%s: %s", tako_err_name(err), w->e.text);
}

uint32_t coll_of(test_world *w, store *s, const char *name)
{
    uint32_t coll = 0;

    must(w, store_coll_create(s, tako_slice_str(name), &coll, &w->e));
    return coll;
}

void put_one(test_world *w, store *s, uint32_t coll, tako_slice id,
             const char *json)
{
    must(w, store_insert(s, coll, id, cb(w, json), &w->e));
}

uint64_t put_commit(test_world *w, store *s, uint32_t coll, tako_slice id,
                    const char *json)
{
    uint64_t lsn = 0;

    must(w, store_begin(s, &w->e));
    put_one(w, s, coll, id, json);
    must(w, store_commit(s, &lsn, &w->e));
    return lsn;
}

void set_one(test_world *w, store *s, uint32_t coll, tako_slice id,
             const char *key, const char *json)
{
    tako_slice name = tako_slice_str(key);
    crdt_path path = { &name, 1 };
    crdt_doc *doc = NULL;
    crdt_dot dot;

    must(w, store_edit(s, coll, id, &doc, &w->e));
    must(w, store_dot(s, &dot, &w->e));
    must(w, crdt_set(doc, dot, path, CRDT_AUTO, cb(w, json), &w->e));
    must(w, store_edit_save(s, &w->e));
}

void delete_one(test_world *w, store *s, uint32_t coll, tako_slice id)
{
    crdt_doc *doc = NULL;
    crdt_dot dot;

    must(w, store_edit(s, coll, id, &doc, &w->e));
    must(w, store_dot(s, &dot, &w->e));
    must(w, crdt_delete(doc, dot));
    must(w, store_edit_save(s, &w->e));
}

const char *show(test_world *w, store_conn *c, uint32_t coll, tako_slice id)
{
    store_row row;
    tako_buf b = tako_buf_on(&w->t.env);
    tako_slice text;
    tako_err err = store_get(c, coll, id, &row);

    if (err == TAKO_NOTFOUND)
        return "";
    must(w, err);
    if (row.body.len == 0)
        return "-";
    must(w, json_from_cbor(row.body, &b));
    text = tako_arena_copy(&w->arena, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return (const char *)text.ptr;
}

void world_begin(world_store *x, uint64_t seed)
{
    world_init(&x->w, seed);
    x->s = world_open(&x->w, "a");
    x->c = store_writer(x->s);
    x->coll = coll_of(&x->w, x->s, "orders");
}

void world_end(world_store *x)
{
    store_close(x->s);
    world_fini(&x->w);
}

void world_pair_begin(world_pair *p, uint64_t seed)
{
    world_begin(&p->near, seed);
    p->far = world_open(&p->near.w, "far");
    p->far_coll = coll_of(&p->near.w, p->far, "orders");
}

void world_pair_end(world_pair *p)
{
    test_world *w = &p->near.w;
    uint64_t findings;

    must(w, store_check(p->near.c, NULL, NULL, &findings, &w->e));
    assert_int_equal(findings, 0);
    store_close(p->far);
    world_end(&p->near);
}

copied state_of(test_world *w, store *s, uint32_t coll, tako_slice id)
{
    store_row row;

    must(w, store_get(store_writer(s), coll, id, &row));
    return (copied){ tako_arena_copy(&w->arena, row.meta),
                     row.body.len == 0 ? TAKO_SLICE_NONE
                                       : tako_arena_copy(&w->arena, row.body) };
}
