// SPDX-License-Identifier: Apache-2.0
/* The reader hands bodies on as their bytes arrive and never collects them:
 * what a peer announces costs nothing, only what it sends. */
#include "mesh/frame.h"

#include "base/check.h"

_Static_assert(MESH_LANES == 4, "two bits of lane");
_Static_assert(TAKO_FRAME_BYTES_MAX < 1u << 21, "three bytes of length");

enum { STEP_LEN, STEP_KIND, STEP_FIRST, STEP_BODY };

size_t frame_head(uint8_t out[FRAME_HEAD_BYTES_MAX], size_t body_len,
                  uint8_t kind_byte)
{
    size_t n = 0;

    TAKO_ASSERT(body_len <= TAKO_FRAME_BYTES_MAX);
    while (body_len >= 0x80) {
        out[n++] = (uint8_t)(body_len | 0x80);
        body_len >>= 7;
    }
    out[n++] = (uint8_t)body_len;
    out[n++] = kind_byte;
    return n;
}

static tako_err length_add(frame_reader *r, uint8_t byte, tako_errbuf *e)
{
    r->len |= (uint32_t)(byte & 0x7f) << r->shift;
    if (r->len > TAKO_FRAME_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "a frame is longer than %u bytes",
                         TAKO_FRAME_BYTES_MAX);
    if ((byte & 0x80) == 0) {
        if (byte == 0 && r->shift > 0)
            return tako_fail(e, TAKO_CORRUPT,
                             "the length of a frame has needless bytes");
        r->step = STEP_KIND;
        return TAKO_OK;
    }
    r->shift = (uint8_t)(r->shift + 7);
    if (r->shift > 14)
        return tako_fail(e, TAKO_CORRUPT, "the length of a frame has no end");
    return TAKO_OK;
}

/* The one place that meets unknown kinds. */
static tako_err kind_set(frame_reader *r, uint8_t byte, tako_errbuf *e)
{
    r->left = r->len;
    r->step = STEP_FIRST;
    if (byte < 8) {
        r->kind = FRAME_PAYLOAD;
        r->lane = (mesh_lane)(byte & 3);
        r->last = (byte & 4) != 0;
        if (r->len == 0 && !r->last)
            return tako_fail(e, TAKO_CORRUPT, "a frame carries nothing");
        return TAKO_OK;
    }
    switch (byte) {
    case FRAME_AUTH:
    case FRAME_PING:
    case FRAME_PONG:
    case FRAME_BYE:
        r->kind = (frame_kind)byte;
        return TAKO_OK;
    default:
        if ((byte & FRAME_KIND_CRITICAL) != 0)
            return tako_fail(e, TAKO_UNSUPPORTED,
                             "a frame of kind %u, which this version does not "
                             "know and must",
                             byte);
        r->kind = FRAME_SKIP;
        return TAKO_OK;
    }
}

tako_err frame_read(frame_reader *r, tako_slice *in, frame_part *part,
                    bool *got, tako_errbuf *e)
{
    *got = false;
    while (in->len > 0 && r->step < STEP_FIRST) {
        uint8_t byte = in->ptr[0];

        *in = tako_slice_of(in->ptr + 1, in->len - 1);
        if (r->step == STEP_LEN)
            TAKO_TRY(length_add(r, byte, e));
        else
            TAKO_TRY(kind_set(r, byte, e));
    }
    /* An empty body is complete with its head. */
    if (r->step < STEP_FIRST || (in->len == 0 && r->left > 0))
        return TAKO_OK;
    part->first = r->step == STEP_FIRST;
    part->body = tako_slice_of(in->ptr, in->len < r->left ? in->len : r->left);
    r->left -= (uint32_t)part->body.len;
    r->step = STEP_BODY;
    part->end = r->left == 0;
    *in = tako_slice_of(in->ptr + part->body.len, in->len - part->body.len);
    if (part->end) {
        /* kind, lane and last stay for the caller to look at */
        r->step = STEP_LEN;
        r->shift = 0;
        r->len = 0;
    }
    *got = true;
    return TAKO_OK;
}
