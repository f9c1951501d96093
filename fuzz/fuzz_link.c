// SPDX-License-Identifier: Apache-2.0
/* fuzz/fuzz_link.c -- any bytes may arrive on a link.
 *
 * First byte even: the rest goes to an accepter as it is, cut into pieces.
 * Odd: a real dialler makes the handshake first; then the rest is the
 * plaintext of records that it encrypts, so that the frames are reached; bit 1
 * of the first byte says whether before or after its proof of identity.
 *
 * Properties: no error without a reason, nothing delivered before UP, a closed
 * link stays closed, memory held at most proportional to what was sent. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "mesh/frame.h"
#include "mesh/link.h"
#include "mesh/transport/tls.h"
#include "sys/sys.h"

#define CHECK(x)                                                               \
    do {                                                                       \
        if (!(x))                                                              \
            abort();                                                           \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Made once: a context costs more than a handshake. */
typedef struct world {
    tako_env env;
    sec_identity ann, bob;
    sec_mesh mesh;
    tako_buf ann_grant, bob_grant;
    mesh_context *context;
    tls_context *dialler;
    bool ready;
} world;

typedef struct seen {
    int ups;
    size_t messages, bytes;
    mesh_link *link;
} seen;

static void on_up(void *user, const mesh_peer *peer)
{
    CHECK(strcmp(peer->name, "ann") == 0);
    ((seen *)user)->ups++;
}

static void on_message(void *user, mesh_lane lane, tako_slice m)
{
    seen *s = user;

    CHECK(s->ups == 1 && lane < MESH_LANES);
    s->messages++;
    s->bytes += m.len;
    if (m.len > 0 && m.ptr[m.len - 1] == 'e')
        (void)mesh_link_send(s->link, lane, m);
    if (m.len > 0 && m.ptr[m.len - 1] == 'c')
        mesh_link_close(s->link, TAKO_CLOSED, "enough");
}

static const mesh_link_events events = { on_up, on_message };

static void grant_make(world *w, const sec_identity *id, const char *name,
                       tako_buf *out)
{
    sec_claims c = { .subject = tako_slice_str(name),
                     .expires_ms = UINT64_MAX };

    memcpy(c.device, id->public_key, sizeof c.device);
    *out = tako_buf_on(&w->env);
    CHECK(sec_grant_issue(&w->mesh, &c, out, NULL) == TAKO_OK);
}

static void world_init(world *w)
{
    sys_env_init(&w->env);
    sec_identity_new(&w->env, &w->ann);
    sec_identity_new(&w->env, &w->bob);
    CHECK(sec_mesh_from_secret(tako_slice_str("0123456789abcdef"), &w->mesh,
                               NULL) == TAKO_OK);
    grant_make(w, &w->ann, "ann", &w->ann_grant);
    grant_make(w, &w->bob, "bob", &w->bob_grant);
    CHECK(mesh_context_new(&w->env, &w->bob, &w->mesh,
                           tako_buf_slice(&w->bob_grant), &w->context,
                           NULL) == TAKO_OK);
    CHECK(tls_context_new(&w->env, &w->dialler, NULL) == TAKO_OK);
    w->ready = true;
}

/* Gives bytes in pieces; false once the link has failed. */
static bool give(mesh_link *l, tako_slice bytes, size_t piece)
{
    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t n = bytes.len - at < piece ? bytes.len - at : piece;
        tako_errbuf e = { "" };
        tako_err err =
            mesh_link_recv(l, 1, tako_slice_of(bytes.ptr + at, n), &e);

        CHECK((err != TAKO_OK) == mesh_link_is_closed(l));
        if (err != TAKO_OK) {
            CHECK(e.text[0] != '\0');
            CHECK(mesh_link_recv(l, 1, bytes, &e) == TAKO_CLOSED);
            return false;
        }
    }
    return true;
}

static bool handshake(world *w, mesh_link *l, tls_session *t, bool prove)
{
    tako_buf sink = tako_buf_on(&w->env), wire = tako_buf_on(&w->env);
    tako_buf proof = tako_buf_on(&w->env);
    uint8_t exporter[SEC_EXPORTER_BYTES], frame[4 + SEC_AUTH_BYTES_MAX];
    bool ok;
    size_t n;

    CHECK(tls_handshake(t, &sink, NULL) == TLS_MORE);
    ok = give(l, tako_buf_slice(&sink), 100000);
    CHECK(mesh_link_output(l, 1, 100000, &wire) == TAKO_OK);
    tls_feed(t, tako_buf_slice(&wire));
    tako_buf_reset(&sink);
    CHECK(tls_handshake(t, &sink, NULL) == TLS_DONE);
    CHECK(tls_exporter(t, exporter));
    if (prove) {
        CHECK(sec_auth_make(&w->ann, tako_buf_slice(&w->ann_grant), SEC_DIALLER,
                            exporter, &proof) == TAKO_OK);
        n = frame_head(frame, proof.len, FRAME_AUTH);
        memcpy(frame + n, proof.ptr, proof.len);
        CHECK(tls_write(t, tako_slice_of(frame, n + proof.len), &sink, NULL) ==
              TLS_DONE);
    }
    ok = ok && give(l, tako_buf_slice(&sink), 100000);
    CHECK(ok);
    tako_buf_fini(&sink);
    tako_buf_fini(&wire);
    tako_buf_fini(&proof);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    seen s = { 0, 0, 0, NULL };
    tls_session *t = NULL;
    tako_buf out;
    size_t piece;

    if (!w.ready)
        world_init(&w);
    if (size < 2)
        return 0;
    out = tako_buf_on(&w.env);
    piece = 1u + data[1];
    CHECK(mesh_link_new(w.context, SEC_ACCEPTER, &events, &s, 1, &s.link) ==
          TAKO_OK);
    if ((data[0] & 1) != 0) {
        CHECK(tls_session_new(w.dialler, SEC_DIALLER, &t) == TAKO_OK);
        (void)handshake(&w, s.link, t, (data[0] & 2) != 0);
        CHECK(s.ups == ((data[0] & 2) != 0));
    }
    for (size_t at = 2; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;

        tako_buf_reset(&out);
        if (t == NULL)
            tako_put_bytes(&out, tako_slice_of(data + at, n));
        else
            CHECK(tls_write(t, tako_slice_of(data + at, n), &out, NULL) ==
                  TLS_DONE);
        if (!give(s.link, tako_buf_slice(&out), 1000))
            break;
        tako_buf_reset(&out);
        CHECK(mesh_link_output(s.link, 1, piece * 10, &out) == TAKO_OK);
        (void)mesh_link_tick(s.link, 1 + at * 100, NULL);
        if (mesh_link_is_closed(s.link))
            break;
    }
    CHECK(s.bytes <= size);
    mesh_link_free(s.link);
    tls_session_free(t);
    tako_buf_fini(&out);
    return 0;
}
