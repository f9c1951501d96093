// SPDX-License-Identifier: Apache-2.0
/* TABLES -- what is here of what somebody asks for, ready to be compared.
 *
 * One table for each canonical text, shared by all sessions of a node and by
 * both directions: how many items (symbols.h) the set has, their xor, a sketch,
 * and, from SYNC_TABLE_LIST items on, their first symbols. It is
 * built by a walk in pieces when it is first needed, follows every commit, and
 * is dropped SYNC_TABLE_IDLE_MS after the last session let go of it.
 *
 * The set: living documents that match, and, where the subscription matches a
 * document without fields, those evicted here, with the version that they had.
 *
 * PENDING. A commit takes out of each table what its documents were, which it
 * tells; what they are is read when somebody looks (or when SYNC_TABLE_GATHER
 * have gathered): a live change has no time for it, and of many changes of one
 * document the last is read alone. A row that is read may be newer than the
 * last commit that sync_tables_on_commit told of: it stays pending, and the
 * commit that wrote it finds it so, and takes nothing out. While a row is
 * pending the table is not ready.
 *
 * A commit that rewrites a large part of a set throws the table away instead
 * (SYNC_TABLE_BULK): a walk costs less than so many rows one by one. */
#ifndef TAKO_SYNC_TABLES_H
#define TAKO_SYNC_TABLES_H

#include "sync/session.h"
#include "sync/symbols.h"

#define SYNC_TABLE_LIST    256u /* below it versions are listed */
#define SYNC_TABLE_IDLE_MS 60000u
#define SYNC_TABLE_BULK    1024u /* changes in one commit */
#define SYNC_TABLE_GATHER  64u   /* pending before they are read anyway */
#define SYNC_TABLE_ROWS    4096u /* looked at in one piece of the walk */

typedef struct sync_table sync_table;

typedef struct sync_tables_opts {
    const tako_env *env;
    const sync_host *host;     /* only its predicates */
    store_conn *reader;        /* the sessions' one */
    const uint8_t *digest_key; /* 16 bytes, the same in the whole mesh */
} sync_tables_opts;

/* TAKO_NOMEM, or what reading the store says. */
tako_err sync_tables_new(const sync_tables_opts *opts, sync_tables **out,
                         tako_errbuf *e);
/* No session may use it any more. NULL is a no-op. */
void sync_tables_free(sync_tables *t);

/* What sync_session_on_commit hears, before the sessions do. */
tako_err sync_tables_on_commit(sync_tables *t, uint64_t lsn,
                               const store_change *changes, size_t count);
/* Commits were missed: everything is built anew when it is needed. */
void sync_tables_start_over(sync_tables *t);
/* Drops what nobody used for a while. */
void sync_tables_tick(sync_tables *t, uint64_t now_ms);

/* ---- for sessions ---------------------------------------------------------- */

/* The table of a text, kept until it is let go of. TAKO_LIMIT, TAKO_NOMEM,
 * and what predicate_open says. */
tako_err sync_table_get(sync_tables *t, tako_slice text, sync_table **out,
                        tako_errbuf *e);
void sync_table_let_go(sync_table *t, uint64_t now_ms);

typedef struct sync_summary {
    uint64_t count;
    uint64_t check; /* xor of all checks */
    uint64_t rows;  /* of the collection, of any state */
    uint64_t markers;
    int32_t sketch[SYNC_SKETCH];
    const sync_symbol *symbols; /* TAKO_SYNC_SYMBOLS_MAX; NULL: too few items */
} sync_summary;

/* What to do next, to have it: nothing; call sync_table_step; or wait for a
 * commit to be told. Reads what changed, and so must be asked before the table
 * is used, as long as nothing else was told. */
typedef enum sync_table_state {
    SYNC_TABLE_READY,
    SYNC_TABLE_BUILDING,
    SYNC_TABLE_PENDING,
} sync_table_state;
sync_table_state sync_table_look(sync_table *t);
/* One piece of the walk. */
tako_err sync_table_step(sync_table *t, tako_errbuf *e);
/* Borrowed until the next commit is told. */
const sync_summary *sync_table_summary(const sync_table *t);

/* WIDE. More than TAKO_SYNC_SYMBOLS_MAX symbols are made when they are needed,
 * by another walk, and go to who took them: as the series of a set has no end,
 * its beginning is what the table keeps.
 *
 * Has the table, when it is ready, so many? Else it begins to be built anew
 * with them. At most TAKO_SYNC_WIDE_MAX. */
bool sync_table_widen(sync_table *t, uint32_t symbols);
/* Symbols as they are now, at least that many: *count of them, *out the
 * caller's. sum.symbols is not NULL. TAKO_NOMEM */
tako_err sync_table_take(sync_table *t, uint32_t symbols, sync_symbol **out,
                         uint32_t *count);

/* Is a row of the set that tables are about? */
bool sync_counted(const sync_host *host, sync_predicate *p,
                  const store_row *row);

#endif /* TAKO_SYNC_TABLES_H */
