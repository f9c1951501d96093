// SPDX-License-Identifier: Apache-2.0
/* LIVE -- which live queries a changed document matters to.
 *
 * Each watcher names a collection and a predicate (or none: every document).
 * One equality that the predicate requires (terms.h), the one that the fewest
 * watchers share when it comes, is put in a table by collection, path and
 * value; a changed document's values, before and after, are looked up there,
 * and only what is found is judged by its whole predicate. Watchers without
 * such an equality are tried one by one.
 *
 * So a document costs two looks for each distinct path that the collection's
 * watchers use, plus what it matters to, however many watchers there are.
 *
 * Not thread-safe; predicates belong to the caller's pool, and are evaluated
 * under the same lock. */
#ifndef TAKO_QUERY_LIVE_H
#define TAKO_QUERY_LIVE_H

#include "query/query.h"

typedef struct live live;
typedef struct live_watch live_watch;
typedef struct live_coll live_coll;

tako_err live_new(const tako_env *env, live **out);
void live_free(live *l); /* when all watches are removed */

/* Takes the predicate over (NULL: every document), whatever is returned. */
tako_err live_add(live *l, tako_slice collection, query_predicate *p,
                  void *owner, live_watch **out);
void live_remove(live *l, live_watch *w); /* NULL is a no-op */

/* The watched collection of a number in the store, or NULL: none watches. */
live_coll *live_coll_of(live *l, store_conn *c, uint32_t coll);

enum {
    LIVE_BEFORE = 1,  /* the document matched before the change */
    LIVE_AFTER = 2,   /* it does now */
    LIVE_UNKNOWN = 4, /* its predicate could not be evaluated */
};

/* False: the watch needs to hear no more of this commit. */
typedef bool live_fn(void *ctx, void *owner, unsigned matched);

/* A commit begins: those that wanted no more of the last one do again. */
void live_commit(live *l);
/* False when all watches of the collection have heard enough of this commit. */
bool live_wants(const live *l, const live_coll *c);
/* One changed document; an empty body: it is not there. Calls fn for each
 * watch that it matched before or matches now. fn adds and removes none. */
void live_match(live *l, live_coll *c, tako_slice id, tako_slice before,
                tako_slice after, live_fn *fn, void *ctx);
/* All watches of a collection, as LIVE_UNKNOWN: the change is not at hand. */
void live_lost(live *l, live_coll *c, live_fn *fn, void *ctx);

#endif /* TAKO_QUERY_LIVE_H */
