// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_FILES -- a world for the store's tests: a temporary folder, a
 * tako_files over it with machine, boot and inode as the test wants them, and
 * documents from JSON. */
#ifndef TAKO_TESTS_STORE_SUPPORT_FILES_H
#define TAKO_TESTS_STORE_SUPPORT_FILES_H

#include "support/test_env.h"

#include "store/store.h"

#define WORLD_LOCKS 8

typedef struct test_world {
    test_env t;
    char dir[64];
    tako_machine machine;
    uint64_t inode;
    tako_err write_fails; /* what files.write answers, once */
    unsigned write_after; /* so many writes before that succeed */
    tako_files files;
    const char *locked[WORLD_LOCKS];
    store_durability durability;
    tako_arena arena; /* of what cb() and id_at() give */
    tako_errbuf e;
} test_world;

void world_init(test_world *w, uint64_t seed);
void world_fini(test_world *w); /* removes the folder; checks the memory */

/* dir/name, valid until world_fini. */
const char *world_path(test_world *w, const char *name);
tako_err world_try_open(test_world *w, const char *name, bool create,
                        store **out);
store *world_open(test_world *w, const char *name); /* made when absent */

/* Copies or removes a file of the folder; false when there is none. */
bool world_copy(test_world *w, const char *from, const char *to);
void world_remove(test_world *w, const char *name);
/* What the disk holds of an open database now: file, log and seal. */
void world_save(test_world *w, const char *name, const char *image);
/* Puts it back under the name, as after a crash. */
void world_restore(test_world *w, const char *image, const char *name);
/* Flips a byte of the first occurrence of `text` in a file. */
bool world_flip(test_world *w, const char *name, tako_slice text);

/* CBOR of a JSON text; the n-th ULID of a fixed sequence; a text id. */
tako_slice cb(test_world *w, const char *json);
tako_slice id_at(test_world *w, uint64_t n);

/* Shorthands that fail the test. */
void must(test_world *w, tako_err err);
uint32_t coll_of(test_world *w, store *s, const char *name);
void put_one(test_world *w, store *s, uint32_t coll, tako_slice id,
             const char *json);
uint64_t put_commit(test_world *w, store *s, uint32_t coll, tako_slice id,
                    const char *json);
void set_one(test_world *w, store *s, uint32_t coll, tako_slice id,
             const char *key, const char *json);
void delete_one(test_world *w, store *s, uint32_t coll, tako_slice id);
/* The body shown, as JSON; "-" for a tombstone, "" for nothing stored. */
const char *show(test_world *w, store_conn *c, uint32_t coll, tako_slice id);

/* A world with one open database and one collection in it. */
typedef struct world_store {
    test_world w;
    store *s;
    store_conn *c; /* the writer's */
    uint32_t coll;
} world_store;

void world_begin(world_store *x, uint64_t seed);
void world_end(world_store *x);

/* With a second one, whose documents it takes. */
typedef struct world_pair {
    world_store near;
    store *far;
    uint32_t far_coll;
} world_pair;

void world_pair_begin(world_pair *p, uint64_t seed);
void world_pair_end(world_pair *p); /* checks what is near */

/* A document's state as it was, until the world ends. */
typedef struct copied {
    tako_slice meta, body;
} copied;

copied state_of(test_world *w, store *s, uint32_t coll, tako_slice id);

#endif /* TAKO_TESTS_STORE_SUPPORT_FILES_H */
