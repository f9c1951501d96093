// SPDX-License-Identifier: Apache-2.0
/* VECTOR -- actor -> hlc: which events somebody has. A crdt_context whose
 * memory is the environment's instead of an arena's, as it lives as long as a
 * session, and grows. */
#ifndef TAKO_SYNC_VECTOR_H
#define TAKO_SYNC_VECTOR_H

#include "base/buf.h"
#include "crdt/dot.h"

typedef crdt_context sync_vector;

void sync_vector_fini(const tako_env *env, sync_vector *v);
/* Never lowers. TAKO_LIMIT (too many actors), TAKO_NOMEM */
tako_err sync_vector_raise(const tako_env *env, sync_vector *v, crdt_dot dot);
tako_err sync_vector_join(const tako_env *env, sync_vector *into,
                          const sync_vector *from);
/* Does `big` cover `small` in all actors but one? */
bool sync_vector_covers_but(const sync_vector *big, const sync_vector *small,
                            crdt_actor but);

/* As the store keeps it: 24 bytes an actor. Joined into a vector in an arena;
 * TAKO_CORRUPT, TAKO_NOMEM */
void sync_vector_put(tako_buf *out, const sync_vector *v);
tako_err sync_vector_get(tako_arena *a, tako_slice bytes, crdt_context *into);

#endif /* TAKO_SYNC_VECTOR_H */
