// SPDX-License-Identifier: Apache-2.0
/* DICT -- an array of names by slot, and for the sender hash chains over it.
 *
 * The array grows by doubling, one definition at a time: a peer pays with a
 * message for every slot that it makes us allocate. */
#include "sync/dict.h"

#include "base/hash.h"

#define DICT_FIRST_SLOTS 16u

void sync_dict_init(sync_dict *d, const tako_env *env, uint32_t max)
{
    *d = (sync_dict){ .env = env, .max = max };
    env->random(env->ctx, d->key, sizeof d->key);
}

void sync_dict_fini(sync_dict *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        tako_env_free(d->env, d->entries[i].bytes, d->entries[i].len);
    tako_env_free(d->env, d->entries, d->cap * sizeof *d->entries);
    tako_env_free(d->env, d->chains, d->chain_count * sizeof *d->chains);
    d->entries = NULL;
    d->chains = NULL;
    d->count = d->cap = d->chain_count = 0;
}

static uint32_t *chain_of(const sync_dict *d, tako_slice name)
{
    return &d->chains[tako_hash64(d->key, name) & (d->chain_count - 1u)];
}

static void chain_in(sync_dict *d, uint32_t slot)
{
    sync_dict_entry *e = &d->entries[slot];
    uint32_t *head = chain_of(d, tako_slice_of(e->bytes, e->len));

    e->next = *head;
    *head = slot + 1u;
}

static void chain_out(sync_dict *d, uint32_t slot)
{
    sync_dict_entry *e = &d->entries[slot];
    uint32_t *at = chain_of(d, tako_slice_of(e->bytes, e->len));

    while (*at != slot + 1u)
        at = &d->entries[*at - 1u].next;
    *at = e->next;
}

/* Room for one more entry. */
static bool grow(sync_dict *d)
{
    uint32_t cap = d->cap == 0 ? DICT_FIRST_SLOTS : d->cap * 2u;
    sync_dict_entry *entries;

    if (d->count < d->cap)
        return true;
    entries = d->env->realloc(d->env->ctx, d->entries, d->cap * sizeof *entries,
                              cap * sizeof *entries);
    if (entries == NULL)
        return false;
    memset(entries + d->cap, 0, (cap - d->cap) * sizeof *entries);
    d->entries = entries;
    d->cap = cap;
    return true;
}

/* Keeps chains at least as many as entries. */
static bool grow_chains(sync_dict *d)
{
    uint32_t *chains;

    if (d->chain_count >= d->cap && d->chain_count > 0)
        return true;
    chains = tako_env_alloc(d->env, d->cap * sizeof *chains);
    if (chains == NULL)
        return false;
    tako_env_free(d->env, d->chains, d->chain_count * sizeof *chains);
    d->chains = chains;
    d->chain_count = d->cap;
    for (uint32_t i = 0; i < d->count; i++)
        chain_in(d, i);
    return true;
}

uint32_t sync_dict_find(sync_dict *d, tako_slice name, uint32_t stamp)
{
    if (d->chain_count == 0 || name.len > SYNC_DICT_NAME_BYTES_MAX)
        return UINT32_MAX;
    for (uint32_t at = *chain_of(d, name); at != 0;
         at = d->entries[at - 1u].next) {
        sync_dict_entry *e = &d->entries[at - 1u];

        if (tako_slice_eq(tako_slice_of(e->bytes, e->len), name)) {
            e->stamp = stamp;
            return at - 1u;
        }
    }
    return UINT32_MAX;
}

/* The next slot that this message has not used; UINT32_MAX: none. */
static uint32_t victim(sync_dict *d, uint32_t stamp)
{
    for (uint32_t tries = 0; tries < d->max; tries++) {
        uint32_t slot = d->hand;

        d->hand = (d->hand + 1u) % d->max;
        if (d->entries[slot].stamp != stamp)
            return slot;
    }
    return UINT32_MAX;
}

static uint8_t *copy_of(const sync_dict *d, tako_slice name)
{
    uint8_t *bytes = tako_env_alloc(d->env, name.len);

    if (bytes != NULL)
        memcpy(bytes, name.ptr, name.len);
    return bytes;
}

uint32_t sync_dict_add(sync_dict *d, tako_slice name, uint32_t stamp)
{
    uint32_t slot = d->count;
    uint8_t *bytes;

    if (name.len == 0 || name.len > SYNC_DICT_NAME_BYTES_MAX)
        return UINT32_MAX;
    if (slot < d->max && (!grow(d) || !grow_chains(d)))
        return UINT32_MAX;
    bytes = copy_of(d, name);
    if (bytes == NULL)
        return UINT32_MAX;
    if (slot < d->max) {
        d->count++;
    } else {
        slot = victim(d, stamp);
        if (slot == UINT32_MAX) {
            tako_env_free(d->env, bytes, name.len);
            return UINT32_MAX;
        }
        chain_out(d, slot);
        tako_env_free(d->env, d->entries[slot].bytes, d->entries[slot].len);
    }
    d->entries[slot] = (sync_dict_entry){ .bytes = bytes,
                                          .len = (uint32_t)name.len,
                                          .stamp = stamp };
    chain_in(d, slot);
    return slot;
}

tako_err sync_dict_define(sync_dict *d, uint64_t slot, tako_slice name,
                          bool *replaced)
{
    uint8_t *bytes;

    if (slot > d->count || slot >= d->max || name.len == 0 ||
        name.len > SYNC_DICT_NAME_BYTES_MAX)
        return TAKO_CORRUPT;
    *replaced = slot < d->count;
    if (!*replaced && !grow(d))
        return TAKO_NOMEM;
    bytes = copy_of(d, name);
    if (bytes == NULL)
        return TAKO_NOMEM;
    if (*replaced)
        tako_env_free(d->env, d->entries[slot].bytes, d->entries[slot].len);
    else
        d->count++;
    d->entries[slot] =
        (sync_dict_entry){ .bytes = bytes, .len = (uint32_t)name.len };
    return TAKO_OK;
}

sync_dict_entry *sync_dict_at(sync_dict *d, uint64_t slot)
{
    return slot < d->count ? &d->entries[slot] : NULL;
}
