// SPDX-License-Identifier: Apache-2.0
/* LINK -- one connection to one proven peer: bytes in, bytes and messages
 * out. Sans-I/O: it owns no socket, thread or timer.
 *
 * Below it a byte stream; inside it TLS 1.3 (memory BIOs, throw-away
 * certificates), the identity handshake of sec.h, and frames: varint length,
 * one header byte (lane, last fragment or not), at most TAKO_FRAME_BYTES_MAX of
 * payload. A message is a series of frames of one lane; lanes take turns so
 * that a small message never waits behind a large one, and messages within a
 * lane keep their order. PING/PONG frames of the link's own keep an idle link
 * alive and notice a dead one.
 *
 *   NEW -> TLS -> AUTH -> UP -> CLOSED      any error: CLOSED
 *
 * Nothing but the handshake is answered before the peer has proven itself. */
#ifndef TAKO_MESH_LINK_H
#define TAKO_MESH_LINK_H

#include "base/arena.h"
#include "sec/sec.h"

/* From the first byte to UP. */
#define MESH_HANDSHAKE_MS 10000u
/* Nothing heard for so long: a PING goes out; and for so long: dead. */
#define MESH_PING_IDLE_MS 15000u
#define MESH_DEAD_MS      45000u

typedef struct mesh_link mesh_link;

typedef enum mesh_lane {
    MESH_CONTROL, /* first of all */
    MESH_LIVE,
    MESH_CATCHUP,
    MESH_BLOBS,
    MESH_LANES,
} mesh_lane;

typedef struct mesh_peer {
    uint8_t device[32];
    char name[SEC_SUBJECT_BYTES_MAX + 1];
    uint32_t roles;
} mesh_peer;

/* Shared by all links of a node: identity, grant, mesh, and the TLS context,
 * made once. The structs given must outlive it. */
typedef struct mesh_context mesh_context;
tako_err mesh_context_new(const tako_env *env, const sec_identity *identity,
                          const sec_mesh *mesh, tako_slice grant,
                          mesh_context **out, tako_errbuf *e);
void mesh_context_free(mesh_context *c);

typedef struct mesh_link_events {
    void (*on_up)(void *user, const mesh_peer *peer);
    /* One whole message; borrowed for the call. */
    void (*on_message)(void *user, mesh_lane lane, tako_slice message);
} mesh_link_events;

tako_err mesh_link_new(mesh_context *c, sec_side side,
                       const mesh_link_events *events, void *user,
                       uint64_t now_ms, mesh_link **out);
void mesh_link_free(mesh_link *l);

/* Feeds received bytes; calls events from inside. After an error the link is
 * CLOSED: TAKO_DENIED (who the peer is; or it refuses us), TAKO_CORRUPT,
 * TAKO_UNSUPPORTED, TAKO_LIMIT, TAKO_NOMEM, TAKO_CLOSED (was closed, or the
 * peer says good-bye); e says why. A handler may call mesh_link_send but not
 * free the link. mesh_link_output then still gives what tells the peer why:
 * send that and close the stream with flush. */
tako_err mesh_link_recv(mesh_link *l, uint64_t now_ms, tako_slice data,
                        tako_errbuf *e);

/* Queues a message (copied). TAKO_MISUSE before UP, TAKO_CLOSED, TAKO_LIMIT
 * (longer than TAKO_MESSAGE_BYTES_MAX, or TAKO_LINK_QUEUE_BYTES_MAX wait
 * already), TAKO_NOMEM */
tako_err mesh_link_send(mesh_link *l, mesh_lane lane, tako_slice message);

/* Closes in order: the peer's recv fails with TAKO_DENIED (when `why` is) or
 * TAKO_CLOSED and this text. What was queued and not yet output is dropped.
 * As after an error, one more output gives the last words. */
void mesh_link_close(mesh_link *l, tako_err why, const char *text);
bool mesh_link_is_up(const mesh_link *l);
bool mesh_link_is_closed(const mesh_link *l);

/* Appends up to about `budget` bytes that should go out now. TAKO_NOMEM:
 * the link is CLOSED unless nothing was taken. */
tako_err mesh_link_output(mesh_link *l, uint64_t now_ms, size_t budget,
                          tako_buf *out);
/* Payload bytes queued and not yet given to output, of one lane or all
 * (MESH_LANES): for back-pressure. */
size_t mesh_link_queued(const mesh_link *l, mesh_lane lane);

/* When to call mesh_link_tick next; UINT64_MAX never. tick: TAKO_TIMEOUT when
 * the handshake took too long or the peer fell silent (then the link is
 * CLOSED). After a tick look for output. */
uint64_t mesh_link_deadline(const mesh_link *l);
tako_err mesh_link_tick(mesh_link *l, uint64_t now_ms, tako_errbuf *e);

typedef struct mesh_link_counts {
    uint64_t frames_in, frames_out; /* payload frames */
    uint64_t bytes_in, bytes_out;   /* frame bytes, headers included, TLS not */
    uint64_t wire_in, wire_out;     /* bytes on the stream */
    uint32_t rtt_ms;                /* of the last ping, 0 unknown */
} mesh_link_counts;
void mesh_link_counts_read(const mesh_link *l, mesh_link_counts *out);

/* ---- redialling --------------------------------------------------------- */

/* Exponential back-off with full jitter and a cap (Brooker, "Exponential
 * Backoff And Jitter"); a link that stayed up for a while starts over. */
typedef struct mesh_backoff {
    uint32_t failures;
} mesh_backoff;
#define MESH_BACKOFF_FIRST_MS 250u
#define MESH_BACKOFF_MAX_MS   30000u
uint32_t mesh_backoff_next_ms(mesh_backoff *b, const tako_env *env);
void mesh_backoff_reset(mesh_backoff *b);

#endif /* TAKO_MESH_LINK_H */
