// SPDX-License-Identifier: Apache-2.0
/* BLOBS -- contents of attachments, among a node and all its neighbours.
 *
 * One of these belongs to a node; each session that speaks the lane BLOB has a
 * peer in it. Messages and time in, messages, a deadline and writes to the
 * store out, as with a session. docs/protocol.md has the bytes.
 *
 * SEEKING  A content that is wanted here is asked of every neighbour. Who has
 * parts of it says which; parts are then wanted of several at once, disjoint,
 * a window of them each, and each is checked by itself when it comes. What
 * comes is kept at once, so a fetch goes on where it was cut off. A neighbour
 * that sends a wrong part is not asked again for this content; the parts of one
 * that falls silent are wanted of another.
 *
 * PASSING ON  Asked for what it has not, a node asks its other neighbours and
 * passes on what comes, checked, without keeping it: in memory there is never
 * more than the asker's window. A question carries a random number by which a
 * node knows that it met it before, and a count of hops; so it never runs in a
 * circle. When nobody has it, `unavailable` goes back.
 *
 * All calls come from one thread. */
#ifndef TAKO_SYNC_BLOBS_H
#define TAKO_SYNC_BLOBS_H

#include "store/blob.h"

typedef struct sync_blobs sync_blobs;
typedef struct sync_blob_peer sync_blob_peer;

typedef enum sync_blob_event {
    SYNC_BLOB_WHOLE,       /* a content that was fetched is here */
    SYNC_BLOB_UNAVAILABLE, /* no neighbour has it, or can get it, now */
    SYNC_BLOB_BAD_PART,    /* a peer sent what is not the content */
    SYNC_BLOB_NOT_KEPT,    /* writing it failed; it is tried again */
} sync_blob_event;

typedef struct sync_blobs_host {
    void *ctx;
    /* The writer, or NULL when somebody else has it now. */
    store *(*write_try)(void *ctx);
    void (*write_end)(void *ctx);
    void (*event)(void *ctx, sync_blob_event event,
                  const uint8_t id[BLOB_ID_BYTES]);
    /* Are contents that documents here refer to fetched by themselves? */
    bool (*automatic)(void *ctx);
} sync_blobs_host;

tako_err sync_blobs_new(const tako_env *env, const sync_blobs_host *host,
                        store_conn *reader, sync_blobs **out);
/* Every peer must be gone. NULL is a no-op. */
void sync_blobs_free(sync_blobs *b);

/* Fetches a content until it is here whole. TAKO_EXISTS: it is already, or is
 * being fetched; TAKO_LIMIT: too many are, or it is too long. */
tako_err sync_blobs_fetch(sync_blobs *b, uint64_t now_ms,
                          const uint8_t id[BLOB_ID_BYTES], uint64_t len,
                          tako_errbuf *e);
/* What came stays. TAKO_NOTFOUND */
tako_err sync_blobs_cancel(sync_blobs *b, const uint8_t id[BLOB_ID_BYTES]);
/* Documents changed. */
void sync_blobs_on_commit(sync_blobs *b);

typedef struct sync_blob_state {
    uint8_t id[BLOB_ID_BYTES];
    uint32_t parts, have; /* of the content; have: kept here */
    uint32_t sources; /* neighbours that have parts of it, or can get them */
    bool waiting;     /* for others to be done */
    bool unavailable; /* when it was asked for last */
} sync_blob_state;
/* The i-th fetch; false beyond the last. */
bool sync_blobs_fetching(const sync_blobs *b, size_t i, sync_blob_state *out);
/* That of a content. TAKO_NOTFOUND */
tako_err sync_blobs_state(const sync_blobs *b, const uint8_t id[BLOB_ID_BYTES],
                          sync_blob_state *out);

typedef struct sync_blobs_counts {
    uint64_t parts_in, parts_out, bytes_in, bytes_out;
    uint64_t parts_again;  /* came though they were here */
    uint64_t parts_bad;    /* were refused */
    uint64_t parts_passed; /* on, for others */
    uint32_t fetching, passing;
} sync_blobs_counts;
void sync_blobs_counts_read(const sync_blobs *b, sync_blobs_counts *out);

/* When to call tick; UINT64_MAX never. After a call look at all peers. */
uint64_t sync_blobs_deadline(const sync_blobs *b);
void sync_blobs_tick(sync_blobs *b, uint64_t now_ms);

/* ---- of one session ------------------------------------------------------- */

tako_err sync_blob_peer_new(sync_blobs *b, sync_blob_peer **out);
void sync_blob_peer_free(sync_blob_peer *p); /* NULL is a no-op */
/* The neighbour can be spoken to. */
void sync_blob_peer_ready(sync_blob_peer *p, uint64_t now_ms);
/* A message's body. An error ends the session. */
tako_err sync_blob_peer_recv(sync_blob_peer *p, uint64_t now_ms, uint8_t kind,
                             tako_reader *in, tako_errbuf *e);
/* Appends the next message, kind first; nothing when there is none. */
tako_err sync_blob_peer_send(sync_blob_peer *p, uint64_t now_ms, tako_buf *out,
                             tako_errbuf *e);
bool sync_blob_peer_due(const sync_blob_peer *p);

#endif /* TAKO_SYNC_BLOBS_H */
