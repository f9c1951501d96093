// SPDX-License-Identifier: Apache-2.0
/* RECEIPTS -- what a neighbour knows of devices behind it: see receipts.c. */
#ifndef TAKO_SYNC_RECEIPTS_H
#define TAKO_SYNC_RECEIPTS_H

#include "base/limits.h"
#include "sync/session.h"

#define SYNC_DEVICE_BYTES 32u

/* This device has on its disk a state that has seen what the receiver of the
 * message had, by commit lsn of the receiver's, of each document that matches
 * all these texts. */
typedef struct sync_receipt {
    uint8_t device[SYNC_DEVICE_BYTES];
    tako_slice name; /* of the device, UTF-8; may be empty */
    tako_slice texts[TAKO_RECEIPTS_TEXTS_MAX]; /* canonical, one at least */
    size_t text_count;
    bool passed; /* it carries them for others, and does not keep them */
    uint64_t lsn;
} sync_receipt;

/* What a host does with them; ctx is the session's host's. */
struct sync_receipts_host {
    /* Borrowed for the call. Gives it a number of the host's; 0: of no use
     * here. TAKO_NOMEM ends the session: it would not be said again. */
    tako_err (*made)(void *ctx, const sync_receipt *r, uint32_t *id);
    /* It reaches further. */
    void (*raised)(void *ctx, uint32_t id, uint64_t lsn);
    /* The device keeps them no longer. */
    void (*gone)(void *ctx, uint32_t id);
    /* Receipts of this device (its name, or its key in hex) are asked for, and
     * may be asked for so many devices further. */
    void (*asked)(void *ctx, tako_slice who, unsigned hops);
};

/* What we told the peer under which number, and it us. */
typedef struct sync_receipts sync_receipts;
void sync_receipts_free(const tako_env *env, sync_receipts *r);

/* Tells the peer, if that is news to it. key: the host's name of what is said,
 * of which it always says the same but for r->lsn. What is told waits for
 * sync_session_receipts_send. */
void sync_session_receipt(sync_session *s, uint64_t key, const sync_receipt *r);
void sync_session_receipt_gone(sync_session *s, uint64_t key);
void sync_session_receipt_ask(sync_session *s, tako_slice who, unsigned hops);
void sync_session_receipts_send(sync_session *s);

/* Of the i-th of our own subscriptions all that the peer had of it up to its
 * commit *lsn is here; 0: not in sync. False beyond the last. */
bool sync_session_held(const sync_session *s, size_t i, uint32_t *user,
                       uint64_t *lsn);

#endif /* TAKO_SYNC_RECEIPTS_H */
