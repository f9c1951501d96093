// SPDX-License-Identifier: Apache-2.0
/* LOOP -- what the files of the event loop share; nobody else includes it. */
#ifndef TAKO_SYS_LOOP_H
#define TAKO_SYS_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/buf.h"
#include "base/limits.h"
#include "sys/sys.h"

#define SYS_READ_BYTES     (64u << 10) /* one read buffer for all streams */
#define SYS_DIAL_MS        10000u      /* name, all addresses, together */
#define SYS_DIAL_TRY_MS    4000u       /* one address, when more follow */
#define SYS_DIAL_TRIES_MAX 8u
#define SYS_LOOKUPS_MAX    16u        /* name look-ups under way */
#define SYS_UNSENT_BYTES   (16 << 10) /* in the kernel, not under way yet */
#define SYS_FLUSH_MS       1000u      /* what close(flush) may take */
#define SYS_BACKLOG        128
#define SYS_BUF_KEEP_BYTES 1024u /* write buffer an idle stream may keep */
#define SYS_POSTS_KEEP     256u

typedef struct sys_post {
    void (*fn)(void *arg);
    void *arg;
} sys_post;

typedef struct sys_posts {
    sys_post *at;
    size_t count;
    size_t cap;
} sys_posts;

typedef struct sys_lookup sys_lookup;

struct sys_loop {
    const tako_env *env;
    uv_loop_t uv;
    uv_poll_t wake; /* of wake_fds[0] */
    uv_file wake_fds[2];
    uv_timer_t timer;
    uv_idle_t flush; /* active while `dirty` is not empty */
    sys_thread *thread;
    bool closing; /* loop thread only: no new handles */

    pthread_mutex_t mutex; /* guards the next four */
    sys_posts posts;
    bool stopping; /* no new posts */
    bool woken;    /* it will look, and needs no telling */
    uint64_t thread_id;
    atomic_uint waking; /* threads that still write to it */

    sys_posts running; /* swapped with posts, so that their memory is reused */

    uint64_t timer_at;
    void (*timer_fn)(void *ctx);
    void *timer_ctx;

    tako_stream *streams; /* all that are not yet gone */
    size_t stream_count;
    tako_stream *dirty; /* have bytes to write */
    tako_listener *listeners;
    sys_lookup *lookups;
    size_t lookup_count;
    uint8_t *read_buf;
};

/* ---- loop.c ------------------------------------------------------------- */
/* The loop looks for posts and answers to look-ups. Any thread. */
void loop_wake(sys_loop *l);

/* ---- tcp.c -------------------------------------------------------------- */
/* Fills the stream part of the table. */
void tcp_net_init(tako_net *net);
/* Begins to close every stream and listener. */
void tcp_close_all(sys_loop *l);
void tcp_flush_dirty(uv_idle_t *handle);

/* ---- address.c ---------------------------------------------------------- */
typedef struct sys_address {
    char host[TAKO_ADDRESS_BYTES_MAX];
    uint16_t port;
    bool numeric; /* `ip` is set */
    struct sockaddr_storage ip;
} sys_address;
/* Parses "tcp://HOST:PORT". TAKO_INVALID, e says why. */
tako_err address_parse(const char *text, sys_address *out, tako_errbuf *e);
/* The other way. */
void address_print(const struct sockaddr_storage *ip,
                   char out[TAKO_ADDRESS_BYTES_MAX]);

/* ---- lookup.c ----------------------------------------------------------- */
/* Resolves a name in a thread of its own, then calls done on the loop's thread
 * with at most SYS_DIAL_TRIES_MAX addresses, or with count 0 and a reason.
 * `*out` may be given up with lookup_abandon until done is called.
 * TAKO_NOMEM, TAKO_LIMIT */
typedef void lookup_done(void *user, const struct sockaddr_storage *ips,
                         size_t count, const char *reason);
tako_err lookup_start(sys_loop *l, const sys_address *address,
                      lookup_done *done, void *user, sys_lookup **out);
/* The first address of a name, waiting for it. */
tako_err lookup_now(sys_address *a, tako_errbuf *e);
void lookup_abandon(sys_lookup *u);
/* Calls done for those that have an answer. */
void lookup_collect(sys_loop *l);
/* Lets go of all that still run; their threads end on their own. */
void lookup_abandon_all(sys_loop *l);

#endif /* TAKO_SYS_LOOP_H */
