// SPDX-License-Identifier: Apache-2.0
/* ASSEMBLY -- received frames of several lanes, put together to messages. */
#ifndef TAKO_MESH_ASSEMBLY_H
#define TAKO_MESH_ASSEMBLY_H

#include "base/buf.h"
#include "mesh/frame.h"

/* What may be held in all: the largest message, and in each lane a frame that
 * came in pieces. */
#define ASSEMBLY_BYTES_MAX                                                     \
    (TAKO_MESSAGE_BYTES_MAX + MESH_LANES * TAKO_FRAME_BYTES_MAX)

typedef struct assembly {
    tako_buf lane[MESH_LANES];
    size_t held;
} assembly;

void assembly_init(assembly *a, const tako_env *env);
void assembly_fini(assembly *a);

/* Takes a part of a payload frame. *done: *message is whole, and borrowed
 * until assembly_release or, where nothing was held, as long as the part.
 * TAKO_LIMIT, TAKO_NOMEM */
tako_err assembly_take(assembly *a, const frame_reader *r,
                       const frame_part *part, tako_slice *message, bool *done,
                       tako_errbuf *e);
/* Lets go of the lane's message that was handed out. */
void assembly_release(assembly *a, mesh_lane lane);

#endif /* TAKO_MESH_ASSEMBLY_H */
