// SPDX-License-Identifier: Apache-2.0
#include "sync/state.h"

tako_err sync_lazy_step(sync_session *s, uint64_t now_ms, tako_errbuf *e)
{
    (void)s;
    (void)now_ms;
    (void)e;
    return TAKO_OK;
}

uint64_t sync_lazy_deadline(const sync_session *s)
{
    (void)s;
    return UINT64_MAX;
}

tako_err sync_on_mode(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    (void)s;
    (void)in;
    (void)e;
    return TAKO_OK;
}

tako_err sync_on_summary(sync_session *s, uint64_t now_ms, tako_reader *in,
                         tako_errbuf *e)
{
    (void)s;
    (void)now_ms;
    (void)in;
    (void)e;
    return TAKO_OK;
}
