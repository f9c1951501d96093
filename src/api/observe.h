// SPDX-License-Identifier: Apache-2.0
/* OBSERVE -- what the files of live queries share: observe.c (who there is,
 * the dispatcher, the program's calls), changes.c (from commits to observers),
 * deliver.c (from changes to what the program is told). */
#ifndef TAKO_API_OBSERVE_H
#define TAKO_API_OBSERVE_H

#include "api/api.h"
#include "query/diff.h"
#include "query/live.h"

/* One document as a commit changed it; shared by all observers that wait with
 * it. Immutable but for refs, which the mutex guards. */
typedef struct api_change {
    unsigned refs;
    uint64_t lsn;
    int64_t row;
    size_t bytes; /* of the block */
    tako_slice id, before, after;
} api_change;

/* What happened to a document since the last delivery: what it was before the
 * first change and is after the last, and whether the observer shows it so. */
typedef struct api_news {
    api_change *first, *last;
    bool before, after;
} api_news;

typedef struct api_news_list {
    api_news *at;
    size_t count, cap;
    size_t bytes;  /* of the changes, each time that one is named */
    size_t joined; /* api_news_join: those that stand for the others */
} api_news_list;

typedef enum api_observed {
    OBSERVED_WHOLE,   /* tako_observe: the whole result */
    OBSERVED_CHANGES, /* diffs that the changes alone give */
    OBSERVED_RESULTS, /* diffs of results, which are run again and compared */
} api_observed;

struct api_observer {
    uint32_t id;
    api_observed kind;
    tako_buf text, params;
    tako_observe_fn *fn;
    void *ctx;

    /* With the mutex held. */
    live_watch **watches; /* one for each collection that it reads */
    size_t watch_count, watch_cap;
    bool dead;
    bool queued;
    bool due;        /* a commit touched it */
    bool by_asking;  /* delivers only when asked */
    bool asked;      /* or needs no asking */
    bool reset;      /* the next delivery is the whole result */
    bool conflicts;  /* it reads system:conflicts */
    bool gathering;  /* that one is being read, as of a commit not yet known */
    uint64_t commit; /* that the last delivery shows */
    uint64_t runs;
    tako_err failed; /* of the last run */
    api_news_list news;
    api_observer *queue_prev, *queue_next;

    /* The dispatcher's alone. */
    bool delivered, kept;
    uint8_t hash[32]; /* of the last result, where it is not kept */
    row_list rows;    /* the last result, where it is */
};

/* The dispatcher's own. */
typedef struct api_delivery {
    query_pool *pool; /* NULL: not made yet */
    api_queries queries;
    tako_buf json, inserted, updated, removed, moved, row, other;
    row_list rows;
    uint8_t key[16];
} api_delivery;

/* ---- observe.c; with the mutex held ---------------------------------------- */

/* Queues it if it is due and may deliver. */
void api_observer_wake(api_observers *all, api_observer *o);
/* Lets go of the mutex where something may have been queued. */
void api_observers_leave(api_observers *all);

/* ---- changes.c; with the mutex held ----------------------------------------- */

/* Which commits matter to it. */
tako_err api_observer_watch(tako_db *db, api_observer *o, const query *q,
                            tako_errbuf *e);
void api_observer_unwatch(tako_db *db, api_observer *o);
void api_news_free(tako_db *db, api_news_list *p);
/* Drops what a snapshot of `commit` shows. */
void api_news_drop(tako_db *db, api_news_list *p, uint64_t commit);
/* One entry a document, `joined` of them, ordered by row; behind them stand
 * the rest, which only hold references. Any thread, if the list is its own. */
void api_news_join(api_news_list *p);

/* ---- deliver.c; on the dispatcher, without the mutex -------------------------- */

tako_err api_delivery_init(api_delivery *d, tako_db *db);
void api_delivery_fini(api_delivery *d);
/* Looks at what changed for a due observer and tells the program. */
tako_err api_deliver(tako_db *db, api_delivery *d, api_observer *o,
                     tako_errbuf *e);

#endif /* TAKO_API_OBSERVE_H */
