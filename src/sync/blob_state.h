// SPDX-License-Identifier: Apache-2.0
/* What the files of sync/blobs.h share and nobody else sees. */
#ifndef TAKO_SYNC_BLOB_STATE_H
#define TAKO_SYNC_BLOB_STATE_H

#include "base/check.h"
#include "sync/blobs.h"
#include "sync/wire.h"

#define BLOB_NODES_KEPT     8u     /* nodes of one seek, in memory */
#define BLOB_WINDOW_FIRST   2u     /* parts under way from a new source */
#define BLOB_STALL_MS       4000u  /* silence, after which others are asked */
#define BLOB_ANSWER_MS      10000u /* patience with who does not answer at all */
#define BLOB_ASK_FIRST_MS   1000u  /* before it is asked for again */
#define BLOB_ASK_MAX_MS     30000u
#define BLOB_GROWING_MS     500u   /* likewise of who has a part of it */
#define BLOB_WRITE_RETRY_MS 20u    /* the writer is busy */
#define BLOB_WRITE_FAIL_MS  5000u  /* writing failed */
#define BLOB_RELAY_IDLE_MS  60000u /* passing on for who wants nothing more */
#define BLOB_LOOK_MS        1000u  /* between looks for what is missing */
#define BLOB_LOOK_MAX       32u    /* contents found in one */
#define BLOB_PENDING_MAX    64u    /* parts that wait for the writer */
#define BLOB_CONTROL_MAX    (256u << 10) /* of answers that wait for a peer */
#define BLOB_SEARCH_BYTES   8u
#define BLOB_QUEUE_MS       10u /* what parts may wait on their way, if short */
#define BLOB_PACE_MS        10000u /* how long a measured time counts, at least */
#define BLOB_SMALL_BYTES    512u   /* a part that takes no time of its own */

typedef struct blob_seek blob_seek;
typedef struct blob_serve blob_serve;

/* ---- seeking (blob_seek.c) ---------------------------------------------------- */

typedef enum blob_source_state {
    SOURCE_ASKED,
    SOURCE_HAS,
    SOURCE_NONE,
} blob_source_state;

typedef struct blob_source {
    struct blob_source *next;
    sync_blob_peer *peer;
    uint32_t number; /* of our question */
    blob_source_state state;
    bool whole;    /* has every part */
    bool growing;  /* is fetching it itself */
    bool bad;      /* sent a wrong part */
    bool slow;     /* fell silent */
    uint8_t *bits; /* the parts that it has, unless whole */
    uint32_t flying, window;
    uint64_t asked_ms;
    uint64_t heard_ms;
} blob_source;

typedef struct blob_flight {
    uint32_t part;
    blob_source *from;
    uint64_t since_ms;
} blob_flight;

/* Bytes of a part; a block of memory. */
typedef struct blob_bytes {
    struct blob_bytes *next;
    uint32_t part;
    size_t len;
    uint8_t bytes[];
} blob_bytes;

typedef struct blob_list {
    blob_bytes *first, **last;
    size_t count;
} blob_list;

/* A content that is looked for: to keep (`down` NULL), or for a neighbour. */
struct blob_seek {
    blob_seek *next;
    sync_blobs *b;
    uint8_t id[BLOB_ID_BYTES];
    blob_form form;
    uint8_t search[BLOB_SEARCH_BYTES];
    uint8_t hops;
    blob_serve *down; /* whom it is passed on to */
    bool running;
    bool unavailable;
    bool told;     /* that it is */
    bool expected; /* the store has a row for it */
    bool held;     /* more would be wanted, but for the pace */
    uint8_t *have; /* to keep: parts that are here, or on their way in */
    uint8_t *busy; /* under way */
    uint32_t have_count;
    uint32_t kept_count; /* of these, in the store */
    uint32_t cursor;     /* no chunk before it is lacking */
    tako_buf root;
    bool rooted;
    struct {
        uint32_t part; /* 0: none */
        tako_buf bytes;
    } nodes[BLOB_NODES_KEPT];
    unsigned node_turn;
    blob_flight *flights;
    size_t flight_count, flight_cap;
    blob_source *sources;
    blob_list pending; /* for the store */
    uint64_t hold_ms;  /* nothing is wanted before, as writing failed */
    uint64_t asked_ms; /* when this question went out */
    uint64_t ask_ms;   /* when to ask again; UINT64_MAX: not */
    uint32_t pause_ms; /* before the next time */
};

tako_err blob_seek_new(sync_blobs *b, const uint8_t id[BLOB_ID_BYTES],
                       const blob_form *form, blob_seek **out);
void blob_seek_free(blob_seek *k);
/* Asks every neighbour that is ready but `except`; a new question. */
void blob_seek_ask(blob_seek *k, uint64_t now_ms, const sync_blob_peer *except);
void blob_seek_ask_one(blob_seek *k, uint64_t now_ms, sync_blob_peer *p);
blob_source *blob_source_of(sync_blobs *b, const sync_blob_peer *p,
                            uint64_t number, blob_seek **k);
/* Wants as much as may be wanted now. */
void blob_seek_go(blob_seek *k, uint64_t now_ms);
/* Likewise all, this one last: they take turns. */
void blob_seeks_go(blob_seek *k, uint64_t now_ms);
void blob_seek_lose(blob_seek *k, const sync_blob_peer *p);
/* A part came, as asked. */
tako_err blob_seek_part(blob_seek *k, blob_source *from, uint64_t now_ms,
                        uint32_t part, tako_slice bytes);
/* These parts are not where we thought. */
void blob_source_lacks(blob_seek *k, blob_source *s, uint32_t first,
                       uint32_t count);
uint64_t blob_seek_deadline(const blob_seek *k);
void blob_seek_tick(blob_seek *k, uint64_t now_ms);
/* Nobody has it, as far as has been answered. */
bool blob_seek_hopeless(const blob_seek *k, uint64_t now_ms);
/* Notes whether a fetch is, and tells it the first time. */
void blob_seek_judge(blob_seek *k, uint64_t now_ms);
/* Has anybody this part? */
bool blob_seek_known(const blob_seek *k, uint32_t part);
/* The bytes of the root or a node, when they are at hand. */
bool blob_seek_inner(blob_seek *k, uint32_t part, tako_slice *out);
/* Is it under way? */
bool blob_seek_flying(const blob_seek *k, uint32_t part);
bool blob_source_useful(const blob_source *s);
/* Forgets that these parts are here. */
void blob_seek_forget(blob_seek *k, const blob_list *parts);

/* Keeps what waits for the writer (blob_keep.c). */
void blob_keep(sync_blobs *b, uint64_t now_ms);
/* What the store has of it; TAKO_EXISTS: all. */
tako_err blob_recall(blob_seek *k, tako_errbuf *e);

/* ---- serving (blob_serve.c) ----------------------------------------------------- */

/* A question of a neighbour that has been answered with HAVE, or is open. */
struct blob_serve {
    blob_serve *next;
    sync_blob_peer *peer;
    uint32_t number;
    uint8_t id[BLOB_ID_BYTES];
    blob_form form;
    blob_view view;
    bool viewed;
    bool told;       /* HAVE went out */
    blob_seek *pass; /* where it is asked for; NULL: it is here */
    uint32_t wanted[TAKO_BLOB_WINDOW_MAX];
    uint32_t wanted_count;
    blob_list ready; /* to be passed on */
    uint64_t used_ms;
};

blob_serve *blob_serve_find(sync_blob_peer *p, uint64_t number);
void blob_serve_free(blob_serve *v);
/* Does this part wait to be sent? */
bool blob_serve_is_ready(const blob_serve *v, uint32_t part);
/* The seek of a serve knows more, or less. */
void blob_serve_news(blob_serve *v, uint64_t now_ms);
tako_err blob_on_ask(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                     tako_errbuf *e);
tako_err blob_on_want(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                      tako_errbuf *e);
tako_err blob_on_stop(sync_blob_peer *p, tako_reader *in, tako_errbuf *e);
/* Appends the next PART, if there is one. */
tako_err blob_serve_send(sync_blob_peer *p, tako_buf *out, tako_errbuf *e);
bool blob_serve_due(const sync_blob_peer *p);

/* ---- pace (blob_pace.c) --------------------------------------------------------- */

/* The least of what was measured, each one more than it was; 0: nothing. */
typedef struct blob_least {
    uint32_t now, before;
    uint64_t since_ms; /* when `now` began */
} blob_least;

/* Does it take time of its own on a slow way? */
bool blob_part_is_large(const blob_form *f, uint32_t part);
/* May a large part be wanted now? If not, it is told when by the deadline, or
 * by a kick. */
bool blob_pace_lets(sync_blob_peer *p, uint64_t now_ms);
void blob_pace_wanted(sync_blob_peer *p, uint64_t now_ms);
/* It came, or is not waited for any more. */
void blob_pace_ended(sync_blob_peer *p);
/* A small message was answered with a small one; a part came. */
void blob_pace_replied(sync_blob_peer *p, uint64_t now_ms, uint64_t took_ms);
void blob_pace_came(sync_blob_peer *p, uint64_t now_ms, uint64_t took_ms,
                    size_t len);
/* So long that it must have waited on its way. */
bool blob_pace_slower(const sync_blob_peer *p, uint64_t took_ms);
uint64_t blob_pace_deadline(const sync_blob_peer *p);
/* Is it time to want more? */
bool blob_pace_tick(sync_blob_peer *p, uint64_t now_ms);

/* ---- the whole ----------------------------------------------------------------------- */

struct sync_blob_peer {
    sync_blob_peer *next;
    sync_blobs *b;
    bool ready;
    tako_buf control; /* messages, each after its length */
    size_t control_at;
    blob_serve *serves;
    uint32_t serve_count;
    uint32_t next_number;
    uint32_t unasked; /* parts that nobody asked for */
    blob_least part_least, reply_least;
    uint32_t large_flying; /* large parts under way from it */
    uint64_t want_ms;      /* no large one is wanted before; 0: at once */
    bool held;             /* some would have been */
};

struct sync_blobs {
    const tako_env *env;
    const sync_blobs_host *host;
    store_conn *reader;
    sync_blob_peer *peers;
    blob_seek *seeks; /* in the order they came */
    uint32_t fetch_count, pass_count;
    bool kick; /* a peer went: everything is to be looked at */
    bool look; /* documents changed since the last look */
    uint64_t looked_ms;
    uint8_t look_after[BLOB_ID_BYTES];
    bool look_on;      /* look_after is set */
    uint64_t write_ms; /* when to try the writer again; UINT64_MAX: no need */
    sync_blobs_counts counts;
};

void blob_list_init(blob_list *l);
/* Copies the bytes; false: no memory. */
bool blob_list_put(const tako_env *env, blob_list *l, uint32_t part,
                   tako_slice bytes);
blob_bytes *blob_list_take(blob_list *l);
void blob_bytes_free(const tako_env *env, blob_bytes *b);
void blob_list_clear(const tako_env *env, blob_list *l);

/* Queues a message for a peer. */
void blob_say(sync_blob_peer *p, sync_msg kind, tako_slice body);
/* Ranges: how many, then for each the gap to the end of the last one, and its
 * length less one. Of the bits that are set (NULL: all), at most
 * TAKO_BLOB_RANGES_MAX. */
void blob_put_ranges(tako_buf *out, const uint8_t *bits, uint32_t parts);
void blob_put_range(tako_buf *out, uint32_t *end, uint32_t first,
                    uint32_t count);
/* The next range; false at the end, or failed. */
typedef struct blob_ranges {
    tako_reader *in;
    uint64_t left;
    uint64_t end;
    uint32_t parts;
} blob_ranges;
bool blob_ranges_begin(tako_reader *in, uint32_t parts, blob_ranges *out);
bool blob_ranges_next(blob_ranges *r, uint32_t *first, uint32_t *count);

#endif /* TAKO_SYNC_BLOB_STATE_H */
