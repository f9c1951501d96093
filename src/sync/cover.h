// SPDX-License-Identifier: Apache-2.0
/* COVER -- what is complete here, told and judged (cover.c has the rules). */
#ifndef TAKO_SYNC_COVER_H
#define TAKO_SYNC_COVER_H

#include "sync/wire.h"
#include "sync/vector.h"

/* What a server says of a want with the close of a cut. */
typedef enum sync_claim {
    SYNC_CLAIM_NONE, /* its vector only bounds what may be here */
    SYNC_CLAIM_OWN,  /* the server's own transactions are complete */
    SYNC_CLAIM_ALL,  /* everything up to its vector is */
    SYNC_CLAIM_PART, /* likewise, but for some actors less */
    SYNC_CLAIM_GONE, /* not even its own are: some went from it */
    SYNC_CLAIMS,
} sync_claim;

#define SYNC_CLAIM_BITS 4u
#define SYNC_CLAIM_FLAG 8u /* RESTART, beside one of the others */
#define SYNC_CLAIM_KIND 7u

/* Why a target was not reached. */
typedef enum sync_why {
    SYNC_WHOLE,
    SYNC_CATCHING_UP,
    SYNC_LOOSE,
} sync_why;

/* One own subscription, or a row of one that is no more (sub NULL). */
typedef struct sync_hold {
    struct sync_hold *next;
    struct sync_sub *sub;
    tako_slice text;
    crdt_context v;      /* as stored: neither we nor our former actors */
    crdt_context target; /* empty: reached */
    sync_why why;
    crdt_context old_v; /* as it was stored */
    bool moved;         /* the target did */
} sync_hold;

/* A collection, as one snapshot or transaction sees it. */
typedef struct sync_holds {
    struct sync_holds *next;
    tako_slice coll;
    sync_hold *first;
    crdt_context base;  /* we, and our former actors */
    crdt_context upper; /* of every event in it */
    crdt_context gone;  /* of ours, in what went, and not to the peer */
    crdt_actor self;
} sync_holds;

#endif /* TAKO_SYNC_COVER_H */
