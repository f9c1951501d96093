// SPDX-License-Identifier: Apache-2.0
#include "mesh/support_pair.h"

#include <string.h>

const char *const pair_secret = "correct horse battery staple 7\n";

static void on_up(void *user, const mesh_peer *peer)
{
    pair_end *x = user;

    x->ups++;
    x->peer = *peer;
}

static void on_message(void *user, mesh_lane lane, tako_slice m)
{
    pair_end *x = user;

    if (x->count < PAIR_LOG_MAX) {
        x->log[x->count].lane = lane;
        x->log[x->count].len = m.len;
        x->log[x->count].first = m.len > 0 ? m.ptr[0] : 0;
    }
    for (size_t i = 0; i < m.len && m.len < 100000; i++)
        x->sum[lane] = x->sum[lane] * 31 + m.ptr[i];
    x->count++;
    x->bytes += m.len;
    tako_buf_reset(&x->last);
    tako_put_bytes(&x->last, m);
    if (x->echo)
        (void)mesh_link_send(x->link, lane, m);
}

static const mesh_link_events events = { on_up, on_message };

tako_err pair_grant(pair_end *x, const char *subject, uint64_t issued_ms,
                    uint64_t expires_ms)
{
    sec_claims c = { .subject = tako_slice_str(subject),
                     .roles = SEC_ROLE_READ | SEC_ROLE_WRITE,
                     .issued_ms = issued_ms,
                     .expires_ms = expires_ms };

    memcpy(c.device, x->identity.public_key, sizeof c.device);
    tako_buf_reset(&x->grant);
    return sec_grant_issue(&x->mesh, &c, &x->grant, NULL);
}

tako_err pair_init_ends(pair *p, test_env *t)
{
    tako_err err = TAKO_OK;

    memset(p, 0, sizeof *p);
    p->t = t;
    p->budget = 1u << 20;
    for (int i = 0; i < 2; i++) {
        pair_end *x = &p->end[i];

        x->grant = x->wire = x->last = tako_buf_on(&t->env);
        sec_identity_new(&t->env, &x->identity);
        (void)sec_mesh_from_secret(tako_slice_str(pair_secret), &x->mesh, NULL);
        if (err == TAKO_OK)
            err = pair_grant(x, i == 0 ? "ann" : "bob", t->wall_ms, UINT64_MAX);
    }
    return err;
}

tako_err pair_init_links(pair *p)
{
    for (int i = 0; i < 2; i++) {
        pair_end *x = &p->end[i];

        TAKO_TRY(mesh_context_new(&p->t->env, &x->identity, &x->mesh,
                                  tako_buf_slice(&x->grant), &x->context,
                                  &x->e));
        TAKO_TRY(mesh_link_new(x->context, i == 0 ? SEC_DIALLER : SEC_ACCEPTER,
                               &events, x, p->t->mono_ms, &x->link));
    }
    return TAKO_OK;
}

tako_err pair_init(pair *p, test_env *t)
{
    TAKO_TRY(pair_init_ends(p, t));
    return pair_init_links(p);
}

void pair_fini(pair *p)
{
    for (int i = 0; i < 2; i++) {
        pair_end *x = &p->end[i];

        mesh_link_free(x->link);
        mesh_context_free(x->context);
        tako_buf_fini(&x->grant);
        tako_buf_fini(&x->wire);
        tako_buf_fini(&x->last);
    }
}

static void note(pair_end *x, tako_err err, const tako_errbuf *e)
{
    if (err != TAKO_OK && x->err == TAKO_OK) {
        x->err = err;
        x->e = *e;
    }
}

static void give(pair *p, pair_end *to, tako_slice bytes)
{
    size_t chunk = p->chunk == 0 ? bytes.len : p->chunk;

    for (size_t at = 0; at < bytes.len; at += chunk) {
        size_t n = bytes.len - at < chunk ? bytes.len - at : chunk;
        tako_errbuf e = { "" };
        tako_err err = mesh_link_recv(to->link, p->t->mono_ms,
                                      tako_slice_of(bytes.ptr + at, n), &e);

        note(to, err, &e);
        if (err != TAKO_OK)
            return;
    }
}

bool pair_step(pair *p, int from)
{
    pair_end *x = &p->end[from];
    tako_errbuf e = { "output" };
    bool moved;

    note(x, mesh_link_output(x->link, p->t->mono_ms, p->budget, &x->wire), &e);
    moved = x->wire.len > 0;
    give(p, &p->end[1 - from], tako_buf_slice(&x->wire));
    tako_buf_fini(&x->wire);
    return moved;
}

bool pair_pump(pair *p)
{
    bool any = false, moved = true;

    for (int i = 0; moved && i < 100000; i++) {
        moved = pair_step(p, 0);
        moved = pair_step(p, 1) || moved;
        any = any || moved;
    }
    return any;
}

void pair_connect(pair *p)
{
    (void)pair_pump(p);
    for (int i = 0; i < 2; i++)
        if (p->end[i].err != TAKO_OK || p->end[i].ups != 1)
            fail_msg("end %d is not up: %s", i, p->end[i].e.text);
}

void pair_fill(uint8_t *out, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((i + seed) * 2654435761u >> 11);
}
