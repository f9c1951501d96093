// SPDX-License-Identifier: Apache-2.0
/* BLOB FORM -- how an attachment's content is cut and named. Pure.
 *
 * The content is cut into chunks of BLOB_PART_BYTES, the last one shorter. A
 * tree of hashes lies over them, always three levels deep, so that every
 * piece can be checked when it arrives, and a bad one is refused alone:
 *
 *   chunk hash  BLAKE2b-256 (0, the chunk's bytes)
 *   node        the hashes of up to 480 chunks, one after the other
 *   node hash   BLAKE2b-256 (1, the node's bytes)
 *   root        the hashes of up to 480 nodes
 *   id          BLAKE2b-256 (2, length of the content as 8 bytes big-endian,
 *               the root's bytes)
 *
 * The bytes 0, 1, 2 in front keep one level from passing for another. The
 * length is in the id, so a token with a wrong one names nothing.
 *
 * PARTS are what is stored and sent: part 0 is the root, then the nodes, then
 * the chunks, in order. Each fits with its head into one frame of a link, so
 * that an urgent change waits for one part at most. The id is of the content
 * as it is: nothing is compressed before it is hashed. */
#ifndef TAKO_STORE_BLOB_FORM_H
#define TAKO_STORE_BLOB_FORM_H

#include "base/limits.h"
#include "base/slice.h"

#define BLOB_ID_BYTES   32u
#define BLOB_HASH_BYTES 32u
#define BLOB_NODE_MAX   480u /* hashes in a node, and in the root */
#define BLOB_PART_BYTES (BLOB_NODE_MAX * BLOB_HASH_BYTES)

_Static_assert(BLOB_PART_BYTES + 64u < TAKO_FRAME_BYTES_MAX,
               "a part and its head fit in one frame");
_Static_assert(TAKO_BLOB_BYTES_MAX <=
                   (uint64_t)BLOB_NODE_MAX * BLOB_NODE_MAX * BLOB_PART_BYTES,
               "three levels are enough");

typedef struct blob_form {
    uint64_t len;    /* of the content */
    uint32_t chunks; /* 0 for an empty content */
    uint32_t nodes;
    uint32_t parts; /* 1 + nodes + chunks */
} blob_form;

/* False: longer than TAKO_BLOB_BYTES_MAX. */
bool blob_form_of(uint64_t len, blob_form *out);

static inline uint32_t blob_part_of_node(uint32_t i)
{
    return 1u + i;
}
static inline uint32_t blob_part_of_chunk(const blob_form *f, uint32_t i)
{
    return 1u + f->nodes + i;
}
static inline bool blob_part_is_chunk(const blob_form *f, uint32_t part)
{
    return part > f->nodes;
}

/* The exact length of a part's bytes; part < f->parts. */
size_t blob_part_len(const blob_form *f, uint32_t part);
/* The part whose bytes hold this one's hash, and where in them; part > 0. */
uint32_t blob_part_parent(const blob_form *f, uint32_t part, size_t *at);

/* Is it what it should be? of a root: the id; of any other: its hash. */
bool blob_root_is(const blob_form *f, const uint8_t id[BLOB_ID_BYTES],
                  tako_slice bytes);
bool blob_part_is(const blob_form *f, uint32_t part,
                  const uint8_t hash[BLOB_HASH_BYTES], tako_slice bytes);

void blob_hash_chunk(tako_slice bytes, uint8_t out[BLOB_HASH_BYTES]);
void blob_hash_node(tako_slice bytes, uint8_t out[BLOB_HASH_BYTES]);
void blob_id_of(uint64_t len, tako_slice root, uint8_t out[BLOB_ID_BYTES]);

/* ---- sets of parts -------------------------------------------------------- */

/* Bit i of byte i / 8, from the lowest. */
static inline size_t blob_bits_len(uint32_t parts)
{
    return (parts + 7u) / 8u;
}
static inline bool blob_bit(const uint8_t *bits, uint32_t i)
{
    return (((unsigned)bits[i / 8u] >> (i % 8u)) & 1u) != 0;
}
static inline void blob_bit_set(uint8_t *bits, uint32_t i)
{
    bits[i / 8u] = (uint8_t)(bits[i / 8u] | (1u << (i % 8u)));
}
static inline void blob_bit_clear(uint8_t *bits, uint32_t i)
{
    bits[i / 8u] = (uint8_t)(bits[i / 8u] & ~(1u << (i % 8u)));
}

#endif /* TAKO_STORE_BLOB_FORM_H */
