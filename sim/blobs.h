// SPDX-License-Identifier: Apache-2.0
/* BLOBS -- what apps do with attachments, and what must hold of them.
 *
 * A content is its length: its bytes follow from that, so nothing of it has
 * to be remembered, and two of one length are the same content, put in at two
 * devices. An app puts one in as src/api does, in transactions of some bytes
 * each, between which the device does other things, or ends; then, in another
 * transaction, it writes the token into a document.
 *
 *   attachments are what they are   what is here whole, and what has been read,
 *       is byte for byte what was put in; one content has one name.
 *   what is committed survives   who had a content whole, and in whose
 *       documents it is still referred to, has it after its process was
 *       killed, and with durability full after its power failed.
 *   attachments arrive   after healing: whoever wants what its documents refer
 *       to (it fetches all, or its app asked for this one) has it whole, if
 *       anybody linked, over hops, has it;
 *   what nobody has is said to be unavailable   if not.
 *   what is not referred to is collected   when the time of grace is over,
 *       also what was left of puts and fetches that ended; and
 *   what is referred to stays.
 *   nobody keeps what it only passes on. */
#ifndef TAKO_SIM_BLOBS_H
#define TAKO_SIM_BLOBS_H

#include "sim/checkers.h"

typedef struct sim_blobs sim_blobs;
/* The app writes a token, parameter `t` of params. */
typedef void sim_attach_fn(void *ctx, sim_node *n, const sim_action *a,
                           tako_slice params);

typedef struct sim_blobs_counts {
    uint64_t put;         /* in, to the end */
    uint64_t fetched;     /* content and node that got it from others */
    uint64_t shared;      /* seen to come from several at once */
    uint64_t lost;        /* with durability normal, to power failures */
    uint64_t collected;   /* when all was over */
    uint64_t unavailable; /* likewise: wanted, and nobody has it */
    uint64_t checked;     /* contents read to the end */
} sim_blobs_counts;

/* Begins to look on; after sim_model_watch(). */
sim_blobs *sim_blobs_new(sim_world *w, sim_attach_fn *attach, void *ctx);
void sim_blobs_free(sim_blobs *b);
const sim_blobs_counts *sim_blobs_counted(const sim_blobs *b);

/* a: one step, SIM_OP_ATTACH. */
void sim_blobs_put(sim_blobs *b, sim_node *n, const sim_action *a);
/* The app reads what is attached to the document; what is not here it asks
 * for, until its process ends. */
void sim_blobs_get(sim_blobs *b, sim_node *n, uint32_t key);

/* After the world converged: time goes on until all have what they want. */
void sim_blobs_settle(sim_blobs *b, uint64_t patience_us);
/* At the very end: time goes on until what is free may go. */
void sim_blobs_final(sim_blobs *b);

/* Byte for byte, from `at` on. */
void sim_content_fill(uint64_t len, uint64_t at, uint8_t *out, size_t n);

#endif /* TAKO_SIM_BLOBS_H */
