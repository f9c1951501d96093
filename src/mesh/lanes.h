// SPDX-License-Identifier: Apache-2.0
/* LANES -- messages waiting to go out, cut into frames in a fair order. */
#ifndef TAKO_MESH_LANES_H
#define TAKO_MESH_LANES_H

#include "mesh/frame.h"

typedef struct lane_message lane_message;

typedef struct lane_queue {
    lane_message *head, *tail;
    size_t bytes; /* payload not yet cut */
    size_t count; /* messages */
} lane_queue;

typedef struct lanes {
    const tako_env *env;
    lane_queue queue[MESH_LANES];
    size_t open_bytes; /* whole lengths of messages that are begun */
    mesh_lane turn;    /* of the lanes after control */
    size_t turn_left;  /* bytes that lane may still cut in its turn */
} lanes;

void lanes_init(lanes *q, const tako_env *env);
void lanes_fini(lanes *q);

/* Copies a message. TAKO_LIMIT (its length, or too much waits), TAKO_NOMEM */
tako_err lanes_put(lanes *q, mesh_lane lane, tako_slice message);

/* Payload waiting in one lane, or with MESH_LANES in all. */
size_t lanes_bytes(const lanes *q, mesh_lane lane);
/* True when any message waits, also one without bytes. */
bool lanes_waiting(const lanes *q);
/* Enough room for all that waits, heads included. */
size_t lanes_room(const lanes *q);

/* Cuts frames into out[0..cap) and returns how many bytes; 0 when nothing
 * waits. cap >= LANES_CUT_BYTES_MIN. *frames grows by the number cut. */
#define LANES_CUT_BYTES_MIN 64u
size_t lanes_cut(lanes *q, uint8_t *out, size_t cap, uint64_t *frames);

#endif /* TAKO_MESH_LANES_H */
