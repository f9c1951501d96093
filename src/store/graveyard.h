// SPDX-License-Identifier: Apache-2.0
/* What the files about death share and nobody else of the store sees. */
#ifndef TAKO_STORE_GRAVEYARD_H
#define TAKO_STORE_GRAVEYARD_H

#include "store/deaths.h"

/* One collection's graveyard, as the writer knows it. */
typedef struct yard {
    bool loaded;
    bool floors; /* some actor has one */
    uint64_t epoch, graves, sum;
    uint64_t bytes; /* of all blocks */
    int64_t below;  /* no row from here up to -1 is given out again; 0: none */
    uint64_t *filter; /* a bit for each grave's hash; NULL: not made */
    size_t filter_words;
} yard;

typedef struct yards {
    yard *at; /* by number - 1 */
    size_t count;
} yards;

/* Borrowed until the next call. */
tako_err yard_of(store *s, uint32_t coll, yard **out, tako_errbuf *e);
tako_err yard_save(store *s, uint32_t coll, const yard *y, tako_errbuf *e);
/* After a rollback: what is in memory may never have been. */
void yards_forget(store *s);
void yards_fini(store *s);

/* Is this birth buried? Costs nothing where nothing is. */
tako_err grave_has(store *s, uint32_t coll, const store_grave *g, bool *buried,
                   tako_errbuf *e);
/* The actor's floor; 0 none. */
tako_err floor_of(store *s, uint32_t coll, crdt_actor actor, uint64_t *hlc,
                  tako_errbuf *e);

#endif /* TAKO_STORE_GRAVEYARD_H */
