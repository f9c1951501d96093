// SPDX-License-Identifier: Apache-2.0
/* QUERY -- TQL: text -> tokens (re2c) -> tree (lemon) -> checks -> one SQLite
 * statement over document bodies. SQLite plans, joins, sorts and groups; the
 * emitter owns what documents need and SQL lacks: MISSING, kinds that never
 * compare equal, true booleans, arrays and objects as values.
 *
 * TQL VALUES IN SQLITE: int64 -> INTEGER, float64 -> REAL, string -> TEXT,
 * MISSING -> NULL, and null, booleans, bytes, arrays and objects -> BLOB with
 * their CBOR. So equality of bytes is equality of values, and every kind keeps
 * its own storage class or first byte.
 *
 * A query belongs to one connection and is used by one thread at a time. */
#ifndef TAKO_QUERY_QUERY_H
#define TAKO_QUERY_QUERY_H

#include "store/store.h"

typedef enum query_kind {
    QUERY_SELECT,
    QUERY_INSERT,
    QUERY_UPDATE,
    QUERY_DELETE,
    QUERY_EVICT,
    QUERY_CREATE_INDEX,
    QUERY_DROP_INDEX,
    QUERY_BEGIN,
    QUERY_BEGIN_READ_ONLY,
    QUERY_COMMIT,
    QUERY_ROLLBACK,
    QUERY_SET,   /* ALTER SYSTEM SET */
    QUERY_RESET, /* RESET */
    QUERY_SHOW,
    QUERY_EXPLAIN,   /* EXPLAIN, PROFILE, ADVISE: rows, and nothing written */
    QUERY_PROVISION, /* ADVISE AND PROVISION: rows, and indexes made */
} query_kind;

/* Whether a statement only reads, and so can run on a reader. */
static inline bool query_kind_reads(query_kind kind)
{
    return kind == QUERY_SELECT || kind == QUERY_SHOW || kind == QUERY_EXPLAIN;
}

static inline bool query_kind_is_control(query_kind kind)
{
    return kind == QUERY_BEGIN || kind == QUERY_BEGIN_READ_ONLY ||
           kind == QUERY_COMMIT || kind == QUERY_ROLLBACK;
}

typedef struct query query;

/* Registers TQL's functions on a connection; the store calls it for each one
 * (store_opts.on_connect; ctx is the tako_env). */
tako_err query_register(void *env, sqlite3 *db);

/* The program around the store, for what only it knows. */
typedef struct query_host {
    void *ctx;
    /* Appends the documents of system:<name> as they are now, CBOR objects
     * with an _id one after another; none where there is nothing to tell. c:
     * the connection of the statement that reads them, inside its snapshot. */
    tako_err (*system)(void *ctx, store_conn *c, tako_slice name,
                       tako_buf *docs, tako_errbuf *e);
} query_host;

/* For a connection that query_register was called for; the host must outlive
 * it. Without one, system collections say what the store alone knows. */
tako_err query_host_set(store_conn *c, const query_host *host, tako_errbuf *e);

/* What a statement is, from a full parse, so that the caller can choose the
 * connection. TAKO_INVALID: e has "line L column C: ...". */
tako_err query_classify(const tako_env *env, tako_slice text, query_kind *kind,
                        tako_errbuf *e);

/* Compiles a statement for a connection (the writer's for anything but
 * SELECT). The text is copied. Parameters are bound later, so a query can be
 * kept and run again. A collection that does not exist reads as empty, and is
 * made by INSERT.
 * TAKO_INVALID syntax, names, types (e: line, column, what was expected)
 * TAKO_UNSUPPORTED  of the language, and not carried out by this version
 * TAKO_LIMIT   statement size, depth, parameters */
tako_err query_prepare(const tako_env *env, store_conn *c, tako_slice text,
                       query **out, tako_errbuf *e);
void query_free(query *q);
query_kind query_kind_of(const query *q);
/* The collection that a statement writes, or the first of a SELECT's FROM;
 * empty when there is none. */
tako_slice query_collection(const query *q);
/* The collections that it reads or writes, each once, also in SELECTs inside. */
size_t query_collection_count(const query *q);
tako_slice query_collection_at(const query *q, size_t i);
/* Whether it reads a collection "system:...". */
bool query_reads_system(const query *q);
/* Whether commits tell when such a collection changes: system:conflicts. */
bool query_is_told(const query *q);
/* Whether a document has a place where concurrent writes met, so that it is in
 * system:conflicts. True when out of memory. */
bool query_has_conflicts(const tako_env *env, tako_slice meta, tako_slice body);
/* A SELECT whose rows are documents of one collection, each for itself: no
 * join, aggregate, DISTINCT, LIMIT, or SELECT inside. It may have ORDER BY. */
bool query_is_simple(const query *q);

/* True when the query was compiled against an older schema (a collection or
 * index came or went) and must be prepared again before its next run. */
bool query_is_stale(const query *q);

/* Binds parameters, a checked CBOR map name -> value (an empty slice: none),
 * and rewinds. The map is copied. A name that the text uses and the map
 * lacks: TAKO_INVALID with the name. */
tako_err query_bind(query *q, tako_slice params, tako_errbuf *e);

/* Who may stop a run: it is asked often while the statement reads, and between
 * documents while it writes; at true the run ends with TAKO_CANCELED, undone.
 * NULL: nobody. Holds until query_reset or the next call. */
void query_guard(query *q, bool (*stop)(void *ctx), void *ctx);

/* What the user should know of a statement that is right: a collection that it
 * reads and that does not exist. "": nothing. */
const char *query_note(const query *q);

/* Whether it gives rows: what reads, and what writes and says what of. */
bool query_has_rows(const query *q);

/* What reads: appends the next row as a CBOR map to `row`; TAKO_NOTFOUND at
 * the end. Holds a read transaction of its connection until the end, an error,
 * or query_reset.
 * Anything else: the next of the rows that query_run left; they are kept until
 * query_reset or the next run. */
tako_err query_step(query *q, tako_buf *row, tako_errbuf *e);
void query_reset(query *q);

/* Everything else but transaction control: runs to its end inside the store's
 * running transaction, atomically (it undoes itself on failure). Appends the
 * CBOR of each touched _id to `ids`; *count is their number. rand10 random
 * bytes for generated ids come from env. */
tako_err query_run(query *q, store *s, tako_buf *ids, uint64_t *count,
                   tako_errbuf *e);

/* ---- live queries ----------------------------------------------------------- */

/* The collections that a SELECT reads. */
size_t query_collection_count(const query *q);
tako_slice query_collection_at(const query *q, size_t i);
/* Each row comes from one document of one collection and from nothing else:
 * no DISTINCT, aggregate, GROUP BY, LIMIT, OFFSET. An ORDER BY may be. */
bool query_is_simple(const query *q);
bool query_is_ordered(const query *q);

/* What predicates and projections share: a connection in memory. One thread
 * at a time uses a pool and all that is made in it; it is freed last. */
typedef struct query_pool query_pool;
tako_err query_pool_new(const tako_env *env, query_pool **out, tako_errbuf *e);
void query_pool_free(query_pool *p);

/* A simple SELECT, to be run on one document at a time that need not be
 * stored: bind, set the document, step (no row: it does not match). */
tako_err query_project_prepare(query_pool *p, tako_slice select, query **out,
                               tako_errbuf *e);
/* Sets the pool's one document: its row in the store, its _id, its body, which
 * must live until the last step. */
tako_err query_project_document(query_pool *p, int64_t row, tako_slice id,
                                tako_slice body, tako_errbuf *e);

/* ---- predicates: subscriptions and permissions --------------------------- */

/* The WHERE of `SELECT * FROM c [WHERE ...]` over one document at a time: the
 * same emitted expression, on a connection in memory, prepared once. One
 * thread at a time. */
typedef struct query_predicate query_predicate;

/* params: as query_bind; bound once. TAKO_INVALID when the statement needs
 * anything beyond one document (e: which clause). */
tako_err query_predicate_new(const tako_env *env, tako_slice text,
                             tako_slice params, query_predicate **out,
                             tako_errbuf *e);
/* The same in a pool. */
tako_err query_predicate_new_in(query_pool *pool, tako_slice text,
                                tako_slice params, query_predicate **out,
                                tako_errbuf *e);
/* The WHERE of any SELECT that reads one collection only: a change of a
 * document that matches neither before nor after does not change the result.
 * It has no canonical text. TAKO_UNSUPPORTED: it reads more. */
tako_err query_predicate_of(query_pool *pool, tako_slice select,
                            tako_slice params, query_predicate **out,
                            tako_errbuf *e);
void query_predicate_free(query_predicate *p);
tako_slice query_predicate_collection(const query_predicate *p);
/* Canonical text, parameters folded in: equal interests, equal text. */
tako_slice query_predicate_text(const query_predicate *p);
/* id: CBOR; body: as stored. An empty body (tombstone) never matches. A
 * failure reads as no match; of the second it is told. */
/* Whether `big`, by its canonical text, matches whatever `small` does: the
 * same text, the whole collection, or an OR with it as one operand. Nothing
 * cleverer, so false says little. */
bool query_predicate_covers(const query_predicate *big,
                            const query_predicate *small);
bool query_predicate_match(query_predicate *p, tako_slice id, tako_slice body);
tako_err query_predicate_eval(query_predicate *p, tako_slice id,
                              tako_slice body, bool *match);

#endif /* TAKO_QUERY_QUERY_H */
