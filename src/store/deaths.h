// SPDX-License-Identifier: Apache-2.0
/* DEATHS -- deletes that stay deleted (SYNC.md 4): the store's side of it.
 *
 * A tombstone is kept for some days and then reaped: its row goes, and of each
 * life of the document the births stay, in the graveyard of its collection. A
 * state with a birth of its present life in the graveyard is dead, whoever
 * brings it and whenever (store_merge says so). A document here that is found
 * to be dead leaves a notice in its row, for the sessions to pass on, until
 * that is reaped too. */
#ifndef TAKO_STORE_DEATHS_H
#define TAKO_STORE_DEATHS_H

#include "store/store.h"

/* ---- the graveyard --------------------------------------------------------- */

/* A transaction has one dot, and may have made many documents: so a birth is
 * a dot and a hash of the _id, the same on every device. */
typedef struct store_grave {
    crdt_dot dot;
    uint64_t mark;
} store_grave;

uint64_t store_grave_mark(tako_slice id);
/* For sums over graveyards. */
uint64_t store_grave_hash(const store_grave *g);

/* Equal graveyards have equal facts. */
typedef struct store_yard {
    uint64_t epoch;  /* the greatest generation that was reaped, even */
    uint64_t graves; /* how many */
    uint64_t sum;    /* of their hashes */
    uint64_t floors; /* likewise */
} store_yard;
/* All 0 for a collection that has none. */
tako_err store_yard_read(store_conn *c, uint32_t coll, store_yard *out,
                         tako_errbuf *e);

/* Each grave by actor and hlc. An actor's floor comes before its graves, as
 * one with mark 0: of births up to it nobody here knows any more. */
typedef void store_grave_fn(void *ctx, const store_grave *g, bool floor);
tako_err store_graves_each(store_conn *c, uint32_t coll, store_grave_fn *fn,
                           void *ctx, tako_errbuf *e);

/* Takes another graveyard over, inside a transaction. Who buries looks
 * afterwards for documents here that so are dead: store_sweep_begin(), and
 * store_sweep() until it has no more. *fresh: the grave was not known. */
tako_err store_bury(store *s, uint32_t coll, const store_grave *g, bool *fresh,
                    tako_errbuf *e);
tako_err store_floor_raise(store *s, uint32_t coll, crdt_dot floor,
                           tako_errbuf *e);
tako_err store_epoch_raise(store *s, uint32_t coll, uint64_t epoch,
                           tako_errbuf *e);
tako_err store_sweep_begin(store *s, uint32_t coll, tako_errbuf *e);
/* Looks at up to `rows` more; finds may be among store_changes(). A sweep that
 * was begun goes on after a restart. */
tako_err store_sweep(store *s, uint32_t coll, uint32_t rows, uint32_t *died,
                     bool *more, tako_errbuf *e);
/* Whether some collection has a sweep to be gone on with: its number, or 0. */
tako_err store_sweep_due(store *s, uint32_t *coll, tako_errbuf *e);

/* ---- dying ------------------------------------------------------------------- */

typedef struct store_death {
    bool removed;     /* a document was here, and is no more */
    bool quarantined; /* it had changes of our own: see below */
} store_death;

/* A peer says that the document of these births is dead, inside a
 * transaction. Our own copy goes if one of them began its present life. */
tako_err store_die(store *s, uint32_t coll, tako_slice id,
                   const crdt_dot *births, size_t count, uint64_t epoch,
                   store_death *out, tako_errbuf *e);

/* The row of a document that was found to be dead: no state. Its births are
 * read from meta with crdt_notice_read(). */
bool store_row_is_notice(const store_row *row);

/* ---- reaping ------------------------------------------------------------------- */

/* The day here: a counter that no step of the wall clock moves by more than
 * one. Outside transactions. */
tako_err store_day(store *s, uint64_t *day, tako_errbuf *e);
/* Reaps what was deleted `ttl` days ago or longer, looking at up to `budget`
 * tombstones; makes transactions of its own, that change no document. */
tako_err store_reap(store *s, uint32_t ttl, uint32_t budget, uint64_t *reaped,
                    bool *more, tako_errbuf *e);

/* ---- quarantine ------------------------------------------------------------------ */

typedef enum store_why {
    STORE_WHY_DEAD = 1, /* it is gone; this is what it was */
    STORE_WHY_DOUBTFUL, /* it is here, and a peer does not take it */
    STORE_WHY_DENIED,   /* this device may not write; this is what it wrote */
} store_why;

typedef struct store_quarantined {
    uint64_t number;
    uint32_t coll;
    store_why why;
    uint64_t at_ms;  /* by the wall clock */
    tako_slice id;   /* CBOR */
    tako_slice body; /* what it showed; empty when doubtful, or deleted */
} store_quarantined;

/* In order; false from fn ends it. Borrowed for the call. */
typedef bool store_quarantine_fn(void *ctx, const store_quarantined *q);
tako_err store_quarantine_each(store_conn *c, store_quarantine_fn *fn,
                               void *ctx, tako_errbuf *e);
/* TAKO_NOTFOUND. Outside transactions, or inside. */
tako_err store_quarantine_drop(store *s, uint64_t number, tako_errbuf *e);
/* A peer cannot know whether this document of ours is dead, and does not take
 * it. *fresh: it was not noted before. */
tako_err store_doubtful(store *s, uint32_t coll, tako_slice id, bool *fresh,
                        tako_errbuf *e);

/* ---- refused writes (deny.c) ------------------------------------------------------ */

typedef struct store_denial {
    bool removed; /* it was here, and is in quarantine */
    bool others;  /* and others' events went with it */
} store_denial;

/* A peer did not take this document: `known` is our actor's last event in it
 * that the peer has. Inside a transaction. Lets it go, without a trace, if it has
 * a later one. */
tako_err store_deny(store *s, uint32_t coll, tako_slice id, crdt_dot known,
                    store_denial *out, tako_errbuf *e);
/* Is that what is left of it? */
bool store_row_is_denied(const store_row *row);
/* Appends the actors, but the present one, under which this file was written by
 * a device that may not; 16 bytes each. */
tako_err store_names(store_conn *c, tako_buf *out, tako_errbuf *e);
/* May this device write, from now on? Outside transactions, before it speaks to
 * anybody. Who may not any more takes another actor. */
tako_err store_rights(store *s, bool write, tako_errbuf *e);

#endif /* TAKO_STORE_DEATHS_H */
