// SPDX-License-Identifier: Apache-2.0
/* A walk over all slots with a stack of its own, as deep as a value may be. */
#include "crdt/attachments.h"

#include "base/limits.h"
#include "crdt/tree.h"

typedef struct level {
    const crdt_map *map;
    uint32_t next;
} level;

static tako_err slot_tokens(const crdt_slot *s, crdt_attachment_fn *fn,
                            void *ctx)
{
    for (uint32_t i = 0; i < s->values.count; i++)
        if (s->values.at[i].type == CRDT_ATTACHMENT)
            TAKO_TRY(fn(ctx, s->values.at[i].value));
    return TAKO_OK;
}

tako_err crdt_attachments(const crdt_doc *d, crdt_attachment_fn *fn, void *ctx)
{
    level stack[TAKO_VALUE_DEPTH_MAX + 1];
    size_t depth = 1;

    stack[0] = (level){ &d->root, 0 };
    while (depth > 0) {
        level *top = &stack[depth - 1];
        const crdt_slot *s;

        if (top->next == top->map->count) {
            depth--;
            continue;
        }
        s = &top->map->children[top->next++];
        TAKO_TRY(slot_tokens(s, fn, ctx));
        if (s->map != NULL && s->map->count > 0 &&
            depth < sizeof stack / sizeof stack[0])
            stack[depth++] = (level){ s->map, 0 };
    }
    return TAKO_OK;
}
