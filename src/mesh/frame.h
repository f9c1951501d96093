// SPDX-License-Identifier: Apache-2.0
/* FRAME -- varint length of the body, one byte of kind, the body.
 *
 *   0x00..0x07  payload: bits 0-1 the lane, bit 2 the message's last frame
 *   0x10 AUTH   proof of identity (sec.h), once from each side
 *   0x11 PING   empty; answered with
 *   0x12 PONG   empty
 *   0x13 BYE    one byte of reason (the number of a tako_err without its
 *               sign), then text: the sender closes
 *
 * Other kinds are a newer version's: skipped, or with bit 7 set fatal. */
#ifndef TAKO_MESH_FRAME_H
#define TAKO_MESH_FRAME_H

#include "base/err.h"
#include "base/limits.h"
#include "base/slice.h"
#include "mesh/link.h"

#define FRAME_HEAD_BYTES_MAX 4u
#define FRAME_KIND_CRITICAL  0x80u

typedef enum frame_kind {
    FRAME_PAYLOAD,
    FRAME_AUTH = 0x10,
    FRAME_PING = 0x11,
    FRAME_PONG = 0x12,
    FRAME_BYE = 0x13,
    FRAME_SKIP = 0x7f, /* not on the wire: a kind to be ignored */
} frame_kind;

/* Writes a head and returns its length. body_len <= TAKO_FRAME_BYTES_MAX. */
size_t frame_head(uint8_t out[FRAME_HEAD_BYTES_MAX], size_t body_len,
                  uint8_t kind_byte);
static inline uint8_t frame_payload_byte(mesh_lane lane, bool last)
{
    return (uint8_t)((unsigned)lane | (last ? 4u : 0u));
}

/* What is known of the frame under way. A zeroed reader is at a start. */
typedef struct frame_reader {
    uint8_t step;
    uint8_t shift;
    uint32_t len;  /* of the body */
    uint32_t left; /* of the body, still to come */
    frame_kind kind;
    mesh_lane lane; /* of a payload frame */
    bool last;
} frame_reader;

/* A piece of one frame's body. */
typedef struct frame_part {
    tako_slice body; /* borrowed from the input, maybe empty */
    bool first;      /* the body begins here */
    bool end;        /* and ends here */
} frame_part;

/* Takes the next part from *in. *got false: *in is used up. TAKO_LIMIT (too
 * long), TAKO_CORRUPT, TAKO_UNSUPPORTED (a critical kind); e says which. */
tako_err frame_read(frame_reader *r, tako_slice *in, frame_part *part,
                    bool *got, tako_errbuf *e);

#endif /* TAKO_MESH_FRAME_H */
