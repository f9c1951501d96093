// SPDX-License-Identifier: Apache-2.0
/* See interrupt.h. The signal's handler may do next to nothing: it writes a
 * byte to a pipe. A thread of our own reads it and cancels the request, whose
 * number the answer's first note says; pressed before that note came, the
 * cancelling waits for it. */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/sys.h"

struct interrupt {
    const program *program;
    session *session;
    sys_mutex *mutex;
    sys_thread *thread;
    int wake[2];
    uint64_t request; /* 0: none runs, or its number is not known yet */
    bool pressed;     /* before the number was known */
    service_emit *emit;
    void *ctx;
};

/* The handler's: where it writes, and how often it has for this statement. */
static volatile sig_atomic_t wake_fd = -1;
static volatile sig_atomic_t presses;

static void on_signal(int number)
{
    int saved = errno;
    int fd = (int)wake_fd;

    if (presses++ > 0)
        _exit(128 + number);
    if (fd >= 0 && write(fd, "c", 1) < 0)
        _exit(128 + number);
    errno = saved;
}

static void cancel(interrupt *i, uint64_t request)
{
    tako_errbuf e;

    /* A failure means that it has ended, or that the process which runs it
     * has gone, which the caller is about to hear. */
    (void)session_cancel(i->session, request, &e);
}

static void watch(void *arg)
{
    interrupt *i = arg;
    char what;

    for (;;) {
        ssize_t n = read(i->wake[0], &what, 1);
        uint64_t request;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        sys_mutex_lock(i->mutex);
        request = i->request;
        i->pressed = request == 0;
        sys_mutex_unlock(i->mutex);
        if (request != 0)
            cancel(i, request);
    }
}

tako_err interrupt_new(const program *p, session *s, interrupt **out)
{
    interrupt *i = tako_env_alloc(&p->env, sizeof *i);
    tako_err err;

    if (i == NULL)
        return TAKO_NOMEM;
    i->program = p;
    i->session = s;
    i->wake[0] = i->wake[1] = -1;
    err = sys_mutex_new(&p->env, &i->mutex);
    if (err == TAKO_OK && pipe2(i->wake, O_CLOEXEC) != 0)
        err = TAKO_IO;
    if (err == TAKO_OK)
        err = sys_thread_start(&p->env, watch, i, &i->thread);
    if (err != TAKO_OK)
        interrupt_free(i);
    else
        *out = i;
    return err;
}

void interrupt_free(interrupt *i)
{
    const program *p;

    if (i == NULL)
        return;
    p = i->program;
    if (i->wake[1] >= 0)
        close(i->wake[1]); /* the thread reads the end */
    if (i->thread != NULL)
        sys_thread_join(i->thread);
    if (i->wake[0] >= 0)
        close(i->wake[0]);
    sys_mutex_free(i->mutex);
    tako_env_free(&p->env, i, sizeof *i);
}

/* {"request":17}; 0 when it is another note. */
static uint64_t number_of(tako_slice json)
{
    tako_slice head = tako_slice_str("{\"request\":");

    if (json.len <= head.len || memcmp(json.ptr, head.ptr, head.len) != 0)
        return 0;
    return strtoull((const char *)json.ptr + head.len, NULL, 10);
}

static tako_err take_answer(void *ctx, const char *kind, tako_slice json)
{
    interrupt *i = ctx;
    uint64_t request = strcmp(kind, "note") == 0 ? number_of(json) : 0;
    bool pressed;

    if (request == 0)
        return i->emit(i->ctx, kind, json);
    sys_mutex_lock(i->mutex);
    i->request = request;
    pressed = i->pressed;
    i->pressed = false;
    sys_mutex_unlock(i->mutex);
    if (pressed)
        cancel(i, request);
    return TAKO_OK;
}

tako_err interrupt_call(interrupt *i, tako_slice request, service_emit *emit,
                        void *ctx, tako_errbuf *e)
{
    struct sigaction ours = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct sigaction before;
    tako_err err;

    i->emit = emit;
    i->ctx = ctx;
    sys_mutex_lock(i->mutex);
    i->request = 0;
    i->pressed = false;
    sys_mutex_unlock(i->mutex);
    presses = 0;
    wake_fd = i->wake[1];
    sigemptyset(&ours.sa_mask);
    sigaction(SIGINT, &ours, &before);
    err = session_call(i->session, request, take_answer, i, e);
    sigaction(SIGINT, &before, NULL);
    wake_fd = -1;
    sys_mutex_lock(i->mutex);
    i->request = 0;
    sys_mutex_unlock(i->mutex);
    return err;
}
