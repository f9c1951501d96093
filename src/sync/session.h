// SPDX-License-Identifier: Apache-2.0
/* SESSION -- replication with one neighbour, as a pure state machine.
 *
 * Messages and time in; messages, a deadline and store writes out. It owns no
 * socket, thread or timer, so two sessions can be run against each other in
 * one function. docs/protocol.md has every byte; the rules are:
 *
 *   - each side tells its subscriptions; the other side catches it up for each
 *     (catchup.c) and then sends every change to what matches, or until just
 *     now matched, as cuts: one read snapshot each, applied in one
 *     transaction (live.c, apply.c);
 *   - before a side sends a document it hears what the peer knows of its own
 *     events, and takes another name if that is more than it knows itself
 *     (renew.c);
 *   - states are merged, so nothing depends on order, and a duplicate costs
 *     bytes only;
 *   - what the peer sends is hostile until checked: an error from recv ends
 *     the session with a reason, never the process.
 *
 * All calls come from one thread. A session must not be freed from inside a
 * host callback. */
#ifndef TAKO_SYNC_SESSION_H
#define TAKO_SYNC_SESSION_H

#include "store/store.h"
#include "sync/blobs.h"

typedef struct sync_session sync_session;
/* What is here of what somebody asks for: see tables.h. */
typedef struct sync_tables sync_tables;

/* Messages of one lane keep their order; between lanes there is none. */
typedef enum sync_lane {
    SYNC_CONTROL,
    SYNC_LIVE,
    SYNC_CATCHUP,
    SYNC_BLOBS, /* contents of attachments, after everything else */
    SYNC_LANES,
} sync_lane;

#define SYNC_LANE_BIT(lane) (1u << (lane))
#define SYNC_LANES_ALL      ((1u << SYNC_LANES) - 1u)

/* See receipts.h. */
typedef struct sync_receipts_host sync_receipts_host;

/* A compiled predicate of the host's. */
typedef struct sync_predicate sync_predicate;

typedef enum sync_event {
    SYNC_EVENT_CAUGHT_UP, /* one of our subscriptions is in sync (number) */
    SYNC_EVENT_SERVED,    /* one of the peer's is */
    SYNC_EVENT_REFUSED,   /* the peer cannot serve one of ours; text says why */
    SYNC_EVENT_ACKED,     /* the peer acknowledged more */
    SYNC_EVENT_FORGED,    /* one dot with two contents was met */
    SYNC_EVENT_LOST,      /* a concurrent update was lost to a removal */
    SYNC_EVENT_RENEWED,   /* the store took a new actor (SYNC.md 1) */
    SYNC_EVENT_MARKED,    /* the dirty mark is set for what is sent now */
    SYNC_EVENT_DEAD,      /* so many documents here were dead, and are gone */
    SYNC_EVENT_DOUBTFUL,  /* so many of ours the peer does not take */
    SYNC_EVENT_SWEEP,     /* a collection is to be swept on (store/deaths.h) */
    SYNC_EVENT_HELD,      /* a subscription became whole, or is no more */
    SYNC_EVENT_DENIED,    /* so many documents were not taken, here or there */
    SYNC_EVENT_ROSE,      /* what is complete here did, and no commit tells */
} sync_event;

/* What a snapshot of commit `lsn` shows of the documents that it changed, and of
 * what is complete (cover.c). */
typedef struct sync_latest {
    uint64_t lsn;
    uint64_t moves;  /* store_held_moves() then */
    crdt_dot own;    /* store_own_last() */
    tako_slice held; /* store_held_kept() */
    size_t count;
    const store_change *changes;
    const store_row *rows; /* of each change */
} sync_latest;

typedef struct sync_host {
    void *ctx;

    /* Locks the writer; NULL while shutting down. */
    store *(*write_begin)(void *ctx);
    /* Lets go. lsn: the commit just made, 0 none; the host then owes
     * sync_session_on_commit to every session, the writing one included (SYNC_BY_SESSION), in commit order, at once or later. */
    void (*write_end)(void *ctx, uint64_t lsn);

    /* Compiles a canonical subscription text of the peer's. *collection lives
     * as long as the predicate. TAKO_INVALID and the like: the subscription is
     * refused with e as the reason. */
    tako_err (*predicate_open)(void *ctx, tako_slice text, sync_predicate **out,
                               tako_slice *collection, tako_errbuf *e);
    void (*predicate_close)(void *ctx, sync_predicate *p);
    /* An empty body (a tombstone) never matches. */
    bool (*predicate_match)(void *ctx, sync_predicate *p, tako_slice id,
                            tako_slice body);

    /* Does `big` match, by its text, whatever `small` does? */
    bool (*predicate_covers)(void *ctx, const sync_predicate *big,
                             const sync_predicate *small);
    /* How many other sessions are there? */
    size_t (*others)(void *ctx);
    /* Does one of them cover our subscription (sync_session_covers)? */
    bool (*covered)(void *ctx, uint32_t number);
    /* Does one of them doubt what it has (sync_session_doubts)? NULL: none. */
    tako_err (*doubted)(void *ctx, store_conn *c, uint32_t number, bool *any);

    /* Something that people or waiting threads want to know. */
    void (*event)(void *ctx, sync_event event, uint32_t number,
                  const char *text);

    /* Both may be NULL, for a host without keepers. The peer keeps, durably,
     * all that matches this text of its and was here by commit lsn; 0: nothing
     * any more. */
    void (*kept)(void *ctx, tako_slice text, uint64_t lsn, bool archive);
    /* A message between keepers, which only the host understands: its kind and
     * body. An error ends the session. */
    tako_err (*note)(void *ctx, unsigned kind, tako_slice body, tako_errbuf *e);
    /* A document here, in its state of commit `lsn`, matches a subscription, and
     * who has had all of that is past it. NULL: nothing is done. */
    void (*passed)(void *ctx, uint32_t coll, int64_t row, uint64_t lsn);
    /* Does it ask for its whole collection? NULL: none does. */
    bool (*predicate_whole)(void *ctx, const sync_predicate *p);
    /* What the peer's wall clock shows now, as it says. NULL: nothing is done. */
    void (*clock)(void *ctx, uint64_t wall_ms);
    /* The commit that sessions were told of last, where it is at hand, and only
     * for this call's caller; NULL: it is read. */
    const sync_latest *(*latest)(void *ctx);
    /* What is done with receipts; NULL: nothing. */
    const sync_receipts_host *receipts;
} sync_host;

/* What a device may not do (its grant); all false: it may everything. */
typedef struct sync_bars {
    bool read;
    bool write;
    bool relay; /* pass on what others wrote, for who may not write */
} sync_bars;

typedef struct sync_opts {
    const tako_env *env;
    const sync_host *host;
    store_conn *reader;        /* shared between sessions of one thread */
    const uint8_t *digest_key; /* 16 bytes, the same in the whole mesh */
    sync_blobs *blobs;         /* the node's; NULL: no attachments */
    /* Shared by all sessions on this reader; told of commits by the host,
     * before the sessions are. NULL: the session makes its own. */
    sync_tables *tables;
    /* Who the peer is, for checkpoints, at most TAKO_NAME_BYTES_MAX bytes;
     * empty: none are kept. */
    tako_slice peer;
    sync_bars bars, peer_bars; /* this device's, and the peer's */
} sync_opts;

/* TAKO_NOMEM, or what reading the store says. */
tako_err sync_session_new(const sync_opts *opts, uint64_t now_ms,
                          sync_session **out, tako_errbuf *e);
void sync_session_free(sync_session *s); /* NULL is a no-op */

/* Adds one of our own subscriptions; text is canonical and copied, number is
 * the caller's name for it. Before the first sync_session_send it is part of
 * what the hello announces. TAKO_EXISTS, TAKO_LIMIT, TAKO_INVALID, TAKO_NOMEM */
tako_err sync_session_subscribe(sync_session *s, uint32_t number,
                                tako_slice text, tako_errbuf *e);
tako_err sync_session_unsubscribe(sync_session *s, uint32_t number);

/* One whole message of a lane, borrowed. After any error the session is dead:
 * only free is allowed. e has the reason, for the log and for sync_bye. */
tako_err sync_session_recv(sync_session *s, uint64_t now_ms, sync_lane lane,
                           tako_slice message, tako_errbuf *e);

/* Produces the next message into `out` (emptied first) for one of the lanes
 * in the set `lanes`; out->len is 0 when there is none. An error ends the
 * session as in recv. */
tako_err sync_session_send(sync_session *s, uint64_t now_ms, unsigned lanes,
                           sync_lane *lane, tako_buf *out, tako_errbuf *e);

/* When to call send again though nothing arrives; UINT64_MAX never. */
uint64_t sync_session_deadline(sync_session *s);

typedef enum sync_author {
    SYNC_BY_APP,     /* the dot is ours */
    SYNC_BY_SESSION, /* this session's recv or send merged it */
    SYNC_BY_OTHER,   /* another's */
} sync_author;

/* A commit here, in commit order. The changes are borrowed for the call. */
tako_err sync_session_on_commit(sync_session *s, uint64_t lsn,
                                const store_change *changes, size_t count,
                                sync_author author);

/* Our subscription is in sync, and this peer pushes all of it, whole. */
bool sync_session_covers(const sync_session *s, uint32_t number);

/* A document of our subscription, as c shows it, is past at this peer. */
tako_err sync_session_doubts(sync_session *s, store_conn *c, uint32_t number,
                             bool *any);

/* A document in this state, of which the meta is, was past elsewhere and leaves
 * here (sync_host.passed): the peer, which may have it from here, hears of it. */
void sync_session_past(sync_session *s, tako_slice coll, tako_slice id,
                       tako_slice meta);

/* SYNC_EVENT_HELD was told to some session: all are to look again. */
void sync_session_recheck(sync_session *s);
/* Another session's peer has acknowledged something. */
void sync_session_seen(sync_session *s);
/* SYNC_EVENT_ROSE likewise: all are to say so, after a while. */
void sync_session_rose(sync_session *s);
/* What was lost under a former name was given up (store_former_give_up). */
void sync_session_gave_up(sync_session *s);

/* Commits were missed: asks the peer to ask for everything anew, so that
 * summaries find what changed. */
void sync_session_start_over(sync_session *s);

/* Nothing happened for a while, or the session is about to end: writes how far
 * we are in the peer's feed, in transactions of its own. quiet: also lets the
 * peer know how far it is in ours. */
tako_err sync_session_rest(sync_session *s, store *st, bool quiet,
                           tako_errbuf *e);

/* The host is about to sync the store, which clears the dirty mark: it is set
 * again before the next send (SYNC_EVENT_MARKED). */
void sync_session_unmark(sync_session *s);

/* The peer has acknowledged everything it wants of commits up to this one. */
uint64_t sync_session_acked(const sync_session *s);

/* Keepers (kept.c). due: more of the peer's documents are here than it was
 * told are safe. After the store was synced: tells it so. archive: and that
 * this device never lets go of them. */
bool sync_session_kept_due(const sync_session *s);
void sync_session_kept(sync_session *s, bool archive);
/* Says how far the peer has all it wants, when nothing was wanted lately. */
bool sync_session_close_due(const sync_session *s);
void sync_session_close(sync_session *s);
/* All interests that the peer promised in its hello are known. */
bool sync_session_listed(const sync_session *s);
/* False while a document of this commit may be unknown to the peer. */
bool sync_session_delivered(sync_session *s, uint32_t coll, uint64_t lsn);
/* Queues a message that the peer's host gets as sync_host.note. */
void sync_session_note(sync_session *s, unsigned kind, tako_slice body);

/* A commit was made under this actor: where that is not the session's the peer
 * is told of the new one. */
tako_err sync_session_renewed(sync_session *s, crdt_actor actor,
                              tako_errbuf *e);

/* The farewell that tells the peer why: a message for the control lane. */
void sync_bye(tako_buf *out, const char *reason);

/* ---- what is known of it ---------------------------------------------- */

typedef struct sync_counts {
    uint64_t messages_in, messages_out;
    uint64_t bytes_in, bytes_out;
    uint64_t documents_in, documents_out; /* states and deltas */
    uint64_t deltas_in, deltas_out;
    uint64_t cuts_in, cuts_out;
    uint64_t live_bytes_out; /* of cuts */
    uint64_t needs_in,
        needs_out;       /* documents asked for after a refused delta */
    uint64_t fields_out; /* of these: by fields */
    uint64_t resyncs;
    uint64_t dead_in;    /* states that were dead, or doubtful: not taken */
    uint64_t grafts;     /* catch-ups asked for because of a summary */
    uint64_t copies_in;  /* documents that came in cuts */
    uint64_t copies_new; /* of these: changed something here */
    uint32_t dirty;      /* documents to be sent */
    uint32_t held_bytes; /* of cuts that wait for an answer */
    bool greeted;        /* the peer's hello, and what it knows, are here */
    crdt_actor peer_actor;
    uint64_t clock_ahead_ms; /* of the peer against ours, 0 when behind */
} sync_counts;
void sync_session_counts(const sync_session *s, sync_counts *out);

typedef struct sync_subscription_state {
    uint32_t number;
    bool in_sync;
    bool refused;
    uint64_t peer_lsn;    /* in sync with this commit of the peer's */
    uint64_t documents;   /* received for it while catching up */
    uint64_t catchup_ms;  /* how long that took, or takes so far */
    bool covers;          /* the peer says that it holds all of it, whole */
    uint8_t mode;         /* 0 all is pushed, 1 what is its own, 2 nothing */
    uint64_t complete_ms; /* wall clock: when we last had all that this
                           * covering peer had; 0 never */
    uint64_t waiting, waiting_bytes; /* documents that came and wait */
} sync_subscription_state;

/* What is stored of a subscription (store_held.why). */
typedef enum sync_state_why {
    SYNC_STATE_WHOLE,
    SYNC_STATE_CATCHING_UP,
    SYNC_STATE_LOOSE,
} sync_state_why;

/* The i-th of our own; false beyond the last. */
bool sync_session_subscription(const sync_session *s, size_t i, uint64_t now_ms,
                               sync_subscription_state *out);

/* The i-th of the peer's: its canonical text; false beyond the last. */
bool sync_session_served(const sync_session *s, size_t i, tako_slice *text,
                         bool *in_sync);

/* What is known of the peer itself: has it, of what the i-th of its asks for, all
 * up to an event? False beyond the last. */
typedef enum sync_word { SYNC_SAID_NOTHING, SYNC_LACKS, SYNC_HAS } sync_word;
bool sync_session_word(const sync_session *s, size_t i, crdt_dot dot,
                       sync_predicate **predicate, sync_word *out);

#endif /* TAKO_SYNC_SESSION_H */
