// SPDX-License-Identifier: Apache-2.0
/* SYSTEM -- the collections "system:...": what is read from them. */
#ifndef TAKO_QUERY_SYSTEM_H
#define TAKO_QUERY_SYSTEM_H

#include "query/functions.h"

/* Appends the documents of a collection that can be given at once: CBOR
 * objects, each with an _id, one after another. */
tako_err system_docs_read(fn_state *s, tako_slice name, tako_buf *docs,
                          tako_errbuf *e);

/* system:conflicts, which has what was lost, and then scans all documents, some
 * at a time. */
typedef struct system_scan {
    fn_state *state;
    uint64_t lost; /* number of the loss that came last */
    bool lost_done;
    uint32_t coll; /* 0: not begun */
    store_cursor *cursor;
    tako_arena arena; /* of one document */
} system_scan;

void system_scan_begin(system_scan *k, fn_state *s);
void system_scan_end(system_scan *k);
/* Appends what the next document with conflicts has. TAKO_NOTFOUND: no more */
tako_err system_scan_next(system_scan *k, tako_buf *docs, tako_errbuf *e);

/* Of the _id of a loss in it: which. False: it is that of a place in a
 * document. */
bool system_lost_number(tako_slice id, uint64_t *number);

#endif /* TAKO_QUERY_SYSTEM_H */
