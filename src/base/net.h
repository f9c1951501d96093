// SPDX-License-Identifier: Apache-2.0
/* NET -- byte streams, a timer and posted work, as one event loop offers
 * them. sys/ fills it from libuv; tests have their own.
 * Every function and callback here is for the loop's thread, except post. */
#ifndef TAKO_BASE_NET_H
#define TAKO_BASE_NET_H

#include "base/err.h"
#include "base/slice.h"

#define TAKO_ADDRESS_BYTES_MAX 256u

typedef struct tako_stream tako_stream;
typedef struct tako_listener tako_listener;

/* What a stream tells its user. Order: on_open once (dialled streams only;
 * accepted ones are open), on_data and on_drain any number, on_close exactly
 * once and last; the stream is gone after it. */
typedef struct tako_stream_events {
    void (*on_open)(void *user);
    void (*on_data)(void *user, tako_slice data); /* borrowed */
    void (*on_drain)(void *user); /* all that was sent has left us */
    void (*on_close)(void *user, tako_err why, const char *detail);
} tako_stream_events;

/* Called for each accepted stream; returns the user pointer and sets *events
 * (NULL user: the stream is closed at once, without events). */
typedef void *tako_accept_fn(void *ctx, tako_stream *stream,
                             const char *remote_address,
                             const tako_stream_events **events);

typedef struct tako_net {
    void *ctx;

    /* address "tcp://HOST:PORT" (HOST a name, IPv4, or [IPv6]; port 0: any).
     * bound gets the address with the port in use. TAKO_INVALID (not an
     * address), TAKO_IO (in use, no right; e says which) */
    tako_err (*listen)(void *ctx, const char *address, tako_accept_fn *accept,
                       void *accept_ctx, tako_listener **out,
                       char bound[TAKO_ADDRESS_BYTES_MAX], tako_errbuf *e);
    void (*unlisten)(void *ctx, tako_listener *listener);

    /* Starts to connect; the outcome comes as on_open or on_close, also for a
     * name that does not resolve. TAKO_INVALID, TAKO_NOMEM at once. */
    tako_err (*dial)(void *ctx, const char *address,
                     const tako_stream_events *events, void *user,
                     tako_stream **out, tako_errbuf *e);

    /* Copies and queues. TAKO_CLOSED, TAKO_NOMEM */
    tako_err (*send)(tako_stream *stream, tako_slice data);
    size_t (*queued)(const tako_stream *stream); /* bytes not yet sent */
    /* on_close follows, later, from the loop. flush: what is queued is sent
     * first, for a second at most. */
    void (*close)(tako_stream *stream, bool flush);

    /* Calls fn(timer_ctx) once at mono time `at_ms`, replacing the earlier
     * setting; UINT64_MAX: never. One timer per loop. */
    void (*timer)(void *ctx, uint64_t at_ms, void (*fn)(void *),
                  void *timer_ctx);

    /* From any thread: run fn(arg) soon on the loop's thread. TAKO_CLOSED,
     * TAKO_NOMEM */
    tako_err (*post)(void *ctx, void (*fn)(void *arg), void *arg);
} tako_net;

#endif /* TAKO_BASE_NET_H */
