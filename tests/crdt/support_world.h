// SPDX-License-Identifier: Apache-2.0
/* WORLD -- a few replicas of one document, for the crdt tests: writes in JSON,
 * merges through the stored form or by deltas, and a readable dump. */
#ifndef TAKO_TESTS_CRDT_WORLD_H
#define TAKO_TESTS_CRDT_WORLD_H

#include "support/test_env.h"

#include "crdt/delta.h"
#include "crdt/doc.h"

#define WORLD_REPLICAS 4

typedef struct world {
    test_env t;
    tako_arena arena;
    crdt_doc *doc[WORLD_REPLICAS];
    uint64_t hlc; /* of the last write anywhere */
    tako_buf text;
    bool keeps;    /* random writes reap no tombstone */
    uint64_t rare; /* one in so many draws is a delete; default 16 */
} world;

extern const uint8_t world_key[16];

void world_init(world *w, uint64_t seed);
void world_clear(world *w); /* all replicas empty again, memory kept */
void world_fini(world *w);  /* fails the test when something leaks */

/* Actor i of the test: its first byte is 'A' + i. */
crdt_actor world_actor(unsigned i);

/* The next dot of replica r, above all so far. */
crdt_dot world_dot(world *w, unsigned r);
crdt_dot world_dot_at(unsigned r, uint64_t hlc);

/* CBOR of JSON with ' for quotes, in the arena. */
tako_slice world_value(world *w, const char *json);

/* Writes; path is "a.b.c". A dot of hlc 0 means the next one. */
void world_insert(world *w, unsigned r, const char *json);
void world_set(world *w, unsigned r, const char *path, const char *json);
void world_replace(world *w, unsigned r, const char *path, const char *json);
void world_unset(world *w, unsigned r, const char *path);
void world_increment(world *w, unsigned r, const char *path, int64_t by);
void world_restart(world *w, unsigned r, const char *path, int64_t with);
void world_delete(world *w, unsigned r);
/* What is deleted is reaped: nothing is left but the generation. */
void world_forget(world *w, unsigned r);
crdt_path world_path(world *w, const char *path);

/* One random write by r; returns its name as JSON in w->text. */
void world_random_write(world *w, unsigned r);

/* Merges r's state into that of `into`, whole. */
crdt_merge_info world_merge(world *w, unsigned into, unsigned r);
/* The same by a delta against into's context (asking for the whole when the
 * delta does not do). */
crdt_merge_info world_delta(world *w, unsigned into, unsigned r);

/* A document of its own: a, and merged into it b, unless that is NULL. */
crdt_doc *world_joined(world *w, const crdt_doc *a, const crdt_doc *b);
/* Applies a delta that is well formed, all of it. */
crdt_delta_result world_apply(crdt_doc *d, tako_slice delta);

/* A copy through the stored form: decode(encode(d)), also checked to be the
 * same bytes again. */
crdt_doc *world_copy(world *w, const crdt_doc *d);

/* Fails the test when the two are not the same bytes. */
bool world_same(world *w, const crdt_doc *a, const crdt_doc *b);
/* Fails the test, and says of which law and history, when they are not one
 * state. */
void world_expect_same(world *w, uint64_t seed, const char *law,
                       const crdt_doc *a, const crdt_doc *b);

/* The body as JSON with ' for quotes, "deleted" when not alive. Valid until
 * the next call. */
const char *world_shown(world *w, unsigned r);

/* All of a state as one line of text. */
void world_dump(const crdt_doc *d, tako_buf *out);

#define world_expect(w, r, json)                                               \
    assert_string_equal(world_shown((w), (r)), (json))

#endif /* TAKO_TESTS_CRDT_WORLD_H */
