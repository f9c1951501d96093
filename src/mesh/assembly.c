// SPDX-License-Identifier: Apache-2.0
/* A message that came in one piece is handed on without a copy. Others grow in
 * their lane's buffer as bytes arrive; nothing is reserved for what was only
 * announced, and the buffer goes when the message has gone, so that an idle
 * link holds none. */
#include "mesh/assembly.h"

#include "base/check.h"

void assembly_init(assembly *a, const tako_env *env)
{
    for (int i = 0; i < MESH_LANES; i++)
        a->lane[i] = tako_buf_on(env);
    a->held = 0;
}

void assembly_fini(assembly *a)
{
    for (int i = 0; i < MESH_LANES; i++)
        tako_buf_fini(&a->lane[i]);
    a->held = 0;
}

tako_err assembly_take(assembly *a, const frame_reader *r,
                       const frame_part *part, tako_slice *message, bool *done,
                       tako_errbuf *e)
{
    tako_buf *b = &a->lane[r->lane];

    TAKO_ASSERT(r->kind == FRAME_PAYLOAD);
    *done = r->last && part->end;
    if (*done && b->len == 0) {
        *message = part->body;
        return TAKO_OK;
    }
    if (part->body.len > TAKO_MESSAGE_BYTES_MAX - b->len ||
        part->body.len > ASSEMBLY_BYTES_MAX - a->held)
        return tako_fail(e, TAKO_LIMIT, "a message is longer than %u bytes",
                         TAKO_MESSAGE_BYTES_MAX);
    tako_put_bytes(b, part->body);
    if (b->failed)
        return TAKO_NOMEM;
    a->held += part->body.len;
    *message = tako_buf_slice(b);
    return TAKO_OK;
}

void assembly_release(assembly *a, mesh_lane lane)
{
    TAKO_ASSERT(a->held >= a->lane[lane].len);
    a->held -= a->lane[lane].len;
    tako_buf_fini(&a->lane[lane]);
}
