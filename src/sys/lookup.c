// SPDX-License-Identifier: Apache-2.0
/* Name look-ups that never hold anybody up.
 *
 * getaddrinfo(3) may take half a minute when the configured name server is
 * out of reach -- the normal case for an offline-first program -- and cannot
 * be cancelled. So each look-up has a detached thread and a block of plain
 * malloc memory (the env may be gone when the thread returns) that both hold:
 * whoever lets go last frees it. A loop that stops only lets go. This is also
 * why libuv's thread pool is not used: its four threads stay for ever, and
 * its loop cannot close while one of them is in the resolver.
 *
 * The thread shows its answer by a flag and a wake-up, under the block's
 * mutex, so that a loop that has let go is never touched. */
#include "sys/loop.h"

#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define LOOKUP_STACK_BYTES (512u << 10)

struct sys_lookup {
    pthread_mutex_t mutex; /* guards loop, refs, ready */
    sys_loop *loop;        /* NULL: the loop let go */
    int refs;
    bool ready; /* the answer below is written */

    sys_lookup *next;  /* in loop->lookups; loop thread only */
    lookup_done *done; /* NULL: abandoned; loop thread only */
    void *user;

    char host[TAKO_ADDRESS_BYTES_MAX];
    uint16_t port;

    struct sockaddr_storage ips[SYS_DIAL_TRIES_MAX];
    size_t count;
    const char *reason;
};

static void lookup_drop(sys_lookup *u)
{
    bool last;

    TAKO_ASSERT(pthread_mutex_lock(&u->mutex) == 0);
    last = --u->refs == 0;
    TAKO_ASSERT(pthread_mutex_unlock(&u->mutex) == 0);
    if (last) {
        (void)pthread_mutex_destroy(&u->mutex);
        free(u);
    }
}

static void lookup_unlink(sys_lookup *u)
{
    sys_lookup **p = &u->loop->lookups;

    while (*p != u)
        p = &(*p)->next;
    *p = u->next;
    u->loop->lookup_count--;
}

static bool lookup_ready(sys_lookup *u)
{
    bool ready;

    TAKO_ASSERT(pthread_mutex_lock(&u->mutex) == 0);
    ready = u->ready;
    TAKO_ASSERT(pthread_mutex_unlock(&u->mutex) == 0);
    return ready;
}

void lookup_collect(sys_loop *l)
{
    sys_lookup *u = l->lookups;

    while (u != NULL) {
        if (!lookup_ready(u)) {
            u = u->next;
            continue;
        }
        lookup_unlink(u);
        if (u->done != NULL)
            u->done(u->user, u->ips, u->count, u->reason);
        lookup_drop(u);
        u = l->lookups; /* the callback may have changed the list */
    }
}

/* Fills `ips` and returns how many; 0 with a reason. */
static size_t resolve(const char *host, uint16_t port, size_t max,
                      struct sockaddr_storage *ips, const char **reason)
{
    struct addrinfo hints = { 0 }, *list = NULL;
    size_t count = 0;
    int rc;

    hints.ai_socktype = SOCK_STREAM;
    rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc != 0) {
        *reason = gai_strerror(rc);
        return 0;
    }
    for (struct addrinfo *a = list; a != NULL && count < max; a = a->ai_next) {
        struct sockaddr_storage *ip = &ips[count];

        if (a->ai_addrlen > sizeof *ip)
            continue;
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        memset(ip, 0, sizeof *ip);
        memcpy(ip, a->ai_addr, a->ai_addrlen);
        if (a->ai_family == AF_INET)
            ((struct sockaddr_in *)ip)->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)ip)->sin6_port = htons(port);
        count++;
    }
    freeaddrinfo(list);
    *reason = "the name has no address";
    return count;
}

tako_err lookup_now(sys_address *a, tako_errbuf *e)
{
    const char *reason;

    if (resolve(a->host, a->port, 1, &a->ip, &reason) == 0)
        return tako_fail(e, TAKO_IO, "%s: %s", a->host, reason);
    return TAKO_OK;
}

static void *lookup_main(void *arg)
{
    sys_lookup *u = arg;

    u->count =
        resolve(u->host, u->port, SYS_DIAL_TRIES_MAX, u->ips, &u->reason);
    TAKO_ASSERT(pthread_mutex_lock(&u->mutex) == 0);
    u->ready = true;
    if (u->loop != NULL)
        loop_wake(u->loop);
    TAKO_ASSERT(pthread_mutex_unlock(&u->mutex) == 0);
    lookup_drop(u);
    return NULL;
}

static int thread_start_detached(void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int rc;

    if (pthread_attr_init(&attr) != 0)
        return -1;
    (void)pthread_attr_setstacksize(&attr, LOOKUP_STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attr, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return rc;
}

tako_err lookup_start(sys_loop *l, const sys_address *address,
                      lookup_done *done, void *user, sys_lookup **out)
{
    sys_lookup *u;

    if (l->lookup_count >= SYS_LOOKUPS_MAX)
        return TAKO_LIMIT;
    u = calloc(1, sizeof *u);
    if (u == NULL)
        return TAKO_NOMEM;
    if (pthread_mutex_init(&u->mutex, NULL) != 0) {
        free(u);
        return TAKO_NOMEM;
    }
    u->loop = l;
    u->refs = 2;
    u->done = done;
    u->user = user;
    u->port = address->port;
    memcpy(u->host, address->host, sizeof u->host);
    if (thread_start_detached(lookup_main, u) != 0) {
        (void)pthread_mutex_destroy(&u->mutex);
        free(u);
        return TAKO_NOMEM;
    }
    u->next = l->lookups;
    l->lookups = u;
    l->lookup_count++;
    *out = u;
    return TAKO_OK;
}

void lookup_abandon(sys_lookup *u)
{
    u->done = NULL;
}

void lookup_abandon_all(sys_loop *l)
{
    while (l->lookups != NULL) {
        sys_lookup *u = l->lookups;

        l->lookups = u->next;
        l->lookup_count--;
        TAKO_ASSERT(pthread_mutex_lock(&u->mutex) == 0);
        u->loop = NULL;
        TAKO_ASSERT(pthread_mutex_unlock(&u->mutex) == 0);
        lookup_drop(u);
    }
}
