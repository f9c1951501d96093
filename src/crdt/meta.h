// SPDX-License-Identifier: Apache-2.0
/* META -- the stored form's small parts; private to this folder.
 *
 *   meta   = n, n actor ids ascending, generation,
 *            [n > 1: actor of the default dot], default hlc,
 *            [rest]                      none: "fresh", see below
 *   rest   = per actor its hlc in the context,
 *            count of the other births, each (generation, dot),
 *            [alive: inside]
 *   inside = count of exceptions * 2 + (hidden ? 1 : 0), [count of hidden],
 *            per hidden child: key, slot;  per exception: gap, slot
 *   slot   = what shows and which parts follow (CRDT_HAS_*), the parts
 *
 * A map's children that are in the body are numbered as they stand there; the
 * ones that are not as the default says are the exceptions, the gap is the
 * number of default ones in between. Children that show nothing, and all
 * children of a map that does not show, are hidden and come with their key.
 *
 * The default dot is the least birth of the last life. By default, what is a
 * CBOR map in the body is a map with the default dot as its only mark, and
 * anything else is one register value of the default dot. Fresh is: one
 * actor, one birth, a context of just the default dot, all children default.
 *
 * Numbers are varints. An hlc is the difference of its milliseconds to the
 * default's (zigzag; the default's own to 0), then its counter. A dot is 0:
 * the default dot; 1 + i: actor i at its hlc in the context; 1 + n + i: actor
 * i, and an hlc follows. The least of these that fits is the one written. */
#ifndef TAKO_CRDT_META_H
#define TAKO_CRDT_META_H

#include "crdt/tree.h"

#define CRDT_SHOWS_MASK  0x03u /* a crdt_show up to CRDT_SHOW_NOTHING */
#define CRDT_HAS_VALUES  0x04u /* a list; else one register that shows */
#define CRDT_HAS_GEN     0x08u /* the map's generation is not 1 */
#define CRDT_HAS_MARKS   0x10u /* a list; else the default of what shows */
#define CRDT_HAS_INSIDE  0x20u
#define CRDT_HAS_COUNTER 0x40u
#define CRDT_HAS_MASK    0x7fu

typedef struct crdt_front {
    tako_slice actors; /* count * 16 bytes */
    size_t count;
    uint64_t generation;
    crdt_dot origin; /* the default dot */
    tako_reader rest;
} crdt_front;

/* Reads the front; false when malformed. Actors ascend, all is in range. */
bool crdt_front_read(tako_slice meta, crdt_front *out);

/* The generation of the life that the default dot began. */
static inline uint64_t crdt_last_life(uint64_t generation)
{
    return generation - !(generation & 1);
}

crdt_actor crdt_front_actor(const crdt_front *f, size_t i);

/* hlcs as differences to ref. Reading fails the reader. */
void crdt_hlc_put(tako_buf *out, uint64_t ref, uint64_t hlc);
uint64_t crdt_hlc_read(tako_reader *r, uint64_t ref);

void crdt_front_put(tako_buf *meta, const crdt_context *context,
                    uint64_t generation, crdt_dot origin);

#endif /* TAKO_CRDT_META_H */
