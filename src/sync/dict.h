// SPDX-License-Identifier: Apache-2.0
/* DICT -- names that are sent once and then by number.
 *
 * The sender chooses the number and says it in the definition, so both sides
 * hold the same table whatever the sender's policy is. A full table takes the
 * slot after the one replaced last that the running message has not used:
 * definitions stand before the records that use them, so a slot in use must
 * keep its meaning for the whole message. */
#ifndef TAKO_SYNC_DICT_H
#define TAKO_SYNC_DICT_H

#include "base/buf.h"
#include "base/err.h"

#define SYNC_DICT_NAME_BYTES_MAX 128u /* longer names are sent in full */

typedef struct sync_dict_entry {
    uint8_t *bytes;
    uint32_t len;
    uint32_t next;  /* 1 + slot in the same hash chain */
    uint32_t stamp; /* of the last message that used it */
    uint32_t extra; /* the user's */
} sync_dict_entry;

typedef struct sync_dict {
    const tako_env *env;
    sync_dict_entry *entries;
    uint32_t *chains; /* senders only; a power of two */
    uint32_t count, cap, max, chain_count;
    uint32_t hand;
    uint8_t key[16];
} sync_dict;

void sync_dict_init(sync_dict *d, const tako_env *env, uint32_t max);
void sync_dict_fini(sync_dict *d);

/* Sender: the slot of `name`, or UINT32_MAX. Marks it used by `stamp`. */
uint32_t sync_dict_find(sync_dict *d, tako_slice name, uint32_t stamp);
/* Sender: gives an unknown name a slot. UINT32_MAX when the name is too long,
 * every slot is used by this message, or memory is out: send it in full. */
uint32_t sync_dict_add(sync_dict *d, tako_slice name, uint32_t stamp);

/* Receiver: takes a definition. *replaced tells that the slot had another
 * meaning before. TAKO_CORRUPT (a slot beyond the next new one, or the
 * table's size), TAKO_NOMEM */
tako_err sync_dict_define(sync_dict *d, uint64_t slot, tako_slice name,
                          bool *replaced);
/* Receiver: NULL for an unknown slot. */
sync_dict_entry *sync_dict_at(sync_dict *d, uint64_t slot);

#endif /* TAKO_SYNC_DICT_H */
