// SPDX-License-Identifier: Apache-2.0
/* EVICT: found as for DELETE, and forgotten here alone. Documents with changes
 * made on this device, which nobody is known to keep, need FORCE; one of them
 * refuses the statement, which says how many there are. */
#include "query/internal.h"

static tako_err evict_one(query_run_state *r, tako_slice id, uint64_t *own)
{
    tako_errbuf e = { "" };
    tako_err err =
        store_evict(r->s, r->q->coll, id, r->q->parse.stmt.force, &e);

    if (err == TAKO_DENIED) {
        ++*own;
        return TAKO_OK;
    }
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "%s", e.text);
    tako_put_bytes(r->ids, id);
    r->count++;
    return r->ids->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err evict_found(query_run_state *r, tako_slice found)
{
    tako_reader in = tako_reader_of(found);
    uint64_t own = 0;

    TAKO_TRY(query_returning_blocks(r, found));
    while (tako_reader_left(&in) > 0)
        TAKO_TRY(evict_one(r, tako_read_block(&in), &own));
    if (own == 0)
        return TAKO_OK;
    return tako_fail(r->e, TAKO_DENIED,
                     "%llu of the documents have changes made on this device "
                     "that no other is known to keep; EVICT ... FORCE drops "
                     "them",
                     (unsigned long long)own);
}

tako_err query_run_evict(query_run_state *r)
{
    tako_buf found = tako_buf_on(r->q->env);
    tako_err err = TAKO_OK;

    if (r->q->coll != 0)
        err = query_collect(r, &found);
    if (err == TAKO_OK)
        err = evict_found(r, tako_buf_slice(&found));
    tako_buf_fini(&found);
    return err;
}
