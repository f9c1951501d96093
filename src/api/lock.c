// SPDX-License-Identifier: Apache-2.0
/* LOCK -- the one writer's lock: fair, with a time-out, and not bound to a
 * thread, because a transaction of the program holds it between calls.
 *
 * Those who wait stand in a list in the order they came; a release wakes them
 * and only the first goes in, so that no thread writing in a loop starves the
 * node, nor the other way round. Waiting is bounded for the program (it may
 * hold a transaction on the very thread that waits) and ends for the node when
 * sync stops, so that no two can wait for each other for ever. */
#include "api/api.h"

tako_err api_lock_init(api_lock *l, const tako_env *env)
{
    *l = (api_lock){ .env = env };
    TAKO_TRY(sys_mutex_new(env, &l->mutex));
    return sys_cond_new(env, &l->cond);
}

void api_lock_fini(api_lock *l)
{
    sys_cond_free(l->cond);
    sys_mutex_free(l->mutex);
    *l = (api_lock){ 0 };
}

static void waiter_add(api_lock *l, api_waiter *w)
{
    if (l->last != NULL)
        l->last->next = w;
    else
        l->first = w;
    l->last = w;
}

static void waiter_remove(api_lock *l, api_waiter *w)
{
    api_waiter *before = NULL;

    for (api_waiter *at = l->first; at != w; at = at->next)
        before = at;
    if (before != NULL)
        before->next = w->next;
    else
        l->first = w->next;
    if (l->last == w)
        l->last = before;
}

/* With the mutex held; false when the time is over. */
static bool lock_wait(api_lock *l, uint64_t until)
{
    uint64_t now;

    if (until == UINT64_MAX)
        return sys_cond_wait(l->cond, l->mutex, UINT64_MAX);
    now = l->env->mono_ms(l->env->ctx);
    if (now >= until)
        return false;
    (void)sys_cond_wait(l->cond, l->mutex, until - now);
    return true;
}

tako_err api_lock_take(api_lock *l, uint64_t wait_ms, bool loop)
{
    api_waiter self = { NULL };
    uint64_t until = UINT64_MAX;
    tako_err err = TAKO_OK;

    sys_mutex_lock(l->mutex);
    if (!l->held && l->first == NULL && !(loop && l->loop_refused)) {
        l->held = true;
        sys_mutex_unlock(l->mutex);
        return TAKO_OK;
    }
    if (wait_ms != UINT64_MAX)
        until = l->env->mono_ms(l->env->ctx) + wait_ms;
    waiter_add(l, &self);
    while (err == TAKO_OK && (l->held || l->first != &self)) {
        if (loop && l->loop_refused)
            err = TAKO_CLOSED;
        else if (!lock_wait(l, until))
            err = TAKO_BUSY;
    }
    if (err == TAKO_OK && loop && l->loop_refused)
        err = TAKO_CLOSED;
    waiter_remove(l, &self);
    if (err == TAKO_OK)
        l->held = true;
    else
        sys_cond_broadcast(l->cond); /* the next one may be first now */
    sys_mutex_unlock(l->mutex);
    return err;
}

void api_lock_release(api_lock *l)
{
    sys_mutex_lock(l->mutex);
    TAKO_ASSERT(l->held);
    l->held = false;
    if (l->first != NULL)
        sys_cond_broadcast(l->cond);
    sys_mutex_unlock(l->mutex);
}

void api_lock_refuse_loop(api_lock *l, bool refuse)
{
    sys_mutex_lock(l->mutex);
    l->loop_refused = refuse;
    sys_cond_broadcast(l->cond);
    sys_mutex_unlock(l->mutex);
}
