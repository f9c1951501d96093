// SPDX-License-Identifier: Apache-2.0
/* RECEIPTS -- what this device knows of who keeps what, and hands on. */
#ifndef TAKO_NODE_RECEIPTS_H
#define TAKO_NODE_RECEIPTS_H

#include "sync/receipts.h"

#define NODE_RECEIPTS_MS    100u /* what is news is told together */
#define NODE_RECEIPTS_MARKS 16u  /* of one series */
/* Who has not been raised for so long makes room for who has more. */
#define NODE_RECEIPTS_FRESH_MS 10000u
#define NODE_RECEIPTS_ASK_MS   30000u  /* a question is new for so long, */
#define NODE_RECEIPTS_ASKED_MS 120000u /* and remembered */

/* `theirs` was so by our commit `ours`. */
typedef struct node_mark {
    uint64_t theirs, ours;
} node_mark;

typedef struct node_marks { /* ascending */
    node_mark list[NODE_RECEIPTS_MARKS];
    size_t count;
} node_marks;

/* A device has, on its disk, all that matches these texts and was here by this
 * commit of ours. */
typedef struct node_receipt {
    struct node_receipt *next;
    uint32_t id; /* never used again */
    uint8_t device[SYNC_DEVICE_BYTES];
    char name[TAKO_NAME_BYTES_MAX + 1]; /* "" when nobody told */
    sync_predicate *texts[TAKO_RECEIPTS_TEXTS_MAX];
    size_t text_count;
    bool passed; /* and passes them on only */
    uint64_t lsn;
    node_marks heard; /* lsn, and our last commit when it was told */
    uint64_t raised_ms;
    uint64_t via; /* the link that raised it last */
} node_receipt;

/* One of our subscriptions at one peer. */
typedef struct node_upto {
    uint32_t user;   /* the host's number, which it has however often it asks */
    uint32_t id;     /* never used again */
    node_marks held; /* all that the peer had, by its commit; it is on disk */
    struct {
        uint8_t device[SYNC_DEVICE_BYTES];
        uint64_t lsn; /* of ours, that it has; 0: free */
        uint64_t raised_ms;
    } told[TAKO_RECEIPTS_KEEPERS_MAX];
} node_upto;

/* What one link's session was told, or can be. */
typedef struct node_receipts_link {
    node_upto *subs;
    size_t count, cap;
    bool asked; /* it knows what is asked for */
    bool waits; /* something is to be told once the peer acknowledged more */
} node_receipts_link;

/* A device that somebody asks about, by name or key. */
typedef struct node_asked {
    char who[TAKO_NAME_BYTES_MAX + 1];
    unsigned hops;
    uint64_t at_ms;
} node_asked;

typedef struct node_receipts {
    node_receipt *first;
    size_t count;
    uint32_t last_id;
    uint64_t due_ms; /* when there is something to tell */
    node_asked asked[TAKO_RECEIPTS_ASKED_MAX];
    size_t asked_at;
    uint64_t commits[TAKO_RECEIPTS_COMMITS_MAX]; /* the program's last ones */
    size_t commit_count;
} node_receipts;

#endif /* TAKO_NODE_RECEIPTS_H */
