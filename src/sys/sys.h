// SPDX-License-Identifier: Apache-2.0
/* SYS -- the operating system: the only folder that calls it. */
#ifndef TAKO_SYS_SYS_H
#define TAKO_SYS_SYS_H

#include "base/env.h"
#include "base/files.h"
#include "base/net.h"

/* The process's own world: malloc, clocks, getrandom, no log. Its functions
 * may be used from any thread. */
void sys_env_init(tako_env *out);
/* Gives freed memory back to the system where the heap would keep it. Takes up
 * to some milliseconds. */
void sys_memory_trim(void);
/* Files through POSIX. `env` is used for memory. */
void sys_files_init(tako_files *out, const tako_env *env);

/* ---- loop: libuv in a thread of its own --------------------------------- */
typedef struct sys_loop sys_loop;
tako_err sys_loop_start(const tako_env *env, sys_loop **out, tako_net *net,
                        tako_errbuf *e);
/* Runs fn(arg) on the loop's thread and waits for it. Not from that thread. */
tako_err sys_loop_call(sys_loop *l, void (*fn)(void *arg), void *arg);
/* Closes all streams and listeners, ends and joins the thread. */
void sys_loop_stop(sys_loop *l);

/* ---- threads ------------------------------------------------------------ */
typedef struct sys_mutex sys_mutex;
typedef struct sys_cond sys_cond;
typedef struct sys_thread sys_thread;
tako_err sys_mutex_new(const tako_env *env, sys_mutex **out);
void sys_mutex_free(sys_mutex *m);
void sys_mutex_lock(sys_mutex *m);
bool sys_mutex_trylock(sys_mutex *m);
void sys_mutex_unlock(sys_mutex *m);
tako_err sys_cond_new(const tako_env *env, sys_cond **out);
void sys_cond_free(sys_cond *c);
void sys_cond_signal(sys_cond *c);
void sys_cond_broadcast(sys_cond *c);
/* timeout_ms UINT64_MAX: for ever. false: timed out. Wakes may be spurious. */
bool sys_cond_wait(sys_cond *c, sys_mutex *m, uint64_t timeout_ms);
tako_err sys_thread_start(const tako_env *env, void (*fn)(void *arg), void *arg,
                          sys_thread **out);
void sys_thread_join(sys_thread *t);
/* A number that is the same within a thread and differs between living ones. */
uint64_t sys_thread_self(void);

#endif /* TAKO_SYS_SYS_H */
