// SPDX-License-Identifier: Apache-2.0
/* What the files of a query share. */
#ifndef TAKO_QUERY_INTERNAL_H
#define TAKO_QUERY_INTERNAL_H

#include "query/ast.h"
#include "query/functions.h"
#include "query/value.h"

enum {
    OUT_IS_OFF = -1, /* a field of * that is left out */
};

/* A field of the result, sorted by key. */
typedef struct query_out {
    tako_slice key; /* CBOR text */
    int column;     /* of the SQL, or OUT_IS_OFF */
    bool id;        /* an _id, in the columns row and id from there on */
} query_out;

/* How a row is put together from the columns of a statement. */
typedef struct query_plan {
    bool star;  /* a document and columns beside it */
    bool whole; /* one column is the row */
    query_out *outs;
    size_t out_count;
} query_plan;

/* A path that is written. */
typedef struct query_op {
    crdt_path path;
    crdt_type type;
    const node *value; /* APPLY: its number or NULL; else the expression */
    uint8_t op;        /* APPLY: apply_op */
    uint32_t pos;
} query_op;

typedef struct query_ops {
    query_op *ops;
    size_t count;
} query_ops;

struct query {
    const tako_env *env;
    store_conn *conn; /* NULL: a projection, on a pool's connection */
    sqlite3 *db;      /* of either */
    query_parse parse;
    uint32_t coll;  /* 0: does not exist */
    int64_t schema; /* SQLite's schema version when prepared */

    sqlite3_stmt *stmt; /* SELECT; UPDATE and DELETE: what finds the rows */
    query_plan plan;    /* of a SELECT's rows, also INSERT's */
    const node *by_id;  /* _id = this is all that they ask; or NULL */
    sqlite3_stmt *returning; /* RETURNING of one row; or NULL */
    query_plan returned;
    tako_buf rows; /* blocks: what a run left for query_step */
    size_t rows_at;
    bool left; /* EXPLAIN and the like: rows were left */

    fn_state *fn; /* of the connection */
    bool (*stop)(void *ctx);
    void *stop_ctx;
    uint64_t run;     /* number of the present run */
    const char *note; /* see query_note */
    char said[120];   /* of a run, for note */
    uint64_t prepare_ms;

    bool bound, done;
    bool running; /* has the time of its run */
    int64_t now_ms;
    bool asks, asks_text; /* calls clock(), request_info() */
    tako_buf params;      /* the bound map */
    bool params_flat;     /* no value in it is too deep for a document */

    query_ops types, sets, unsets, applies;
    sqlite3_stmt **docs; /* INSERT: per document NULL or its SELECT */
    size_t doc_count;
};

tako_err query_sql_error(sqlite3 *db, int rc, tako_errbuf *e);
/* sqlite3_step() of one of the query's statements, which can be stopped. */
int query_sql_step(const query *q, sqlite3_stmt *stmt);
/* To be asked between documents: TAKO_CANCELED when the run is to stop. */
tako_err query_tick(const query *q, tako_errbuf *e);
/* Before each step of a run: it has one time, which clock() gives. */
tako_err query_begin(query *q, tako_errbuf *e);
tako_err query_sql_prepare(const query *q, tako_buf *sql, bool keep,
                           sqlite3_stmt **out, tako_errbuf *e);
/* Binds the parameters of q to a statement. */
tako_err query_bind_stmt(const query *q, sqlite3_stmt *stmt, tako_errbuf *e);
/* The bound value of a parameter, or a constant. */
tako_slice query_fixed(const query *q, const node *n);

/* Leaves a row for query_step: how statements that do more than read give
 * rows. TAKO_LIMIT beyond TAKO_RETURNING_BYTES_MAX */
tako_err query_leave_row(query *q, tako_slice row, tako_errbuf *e);
/* The same from JSON. */
tako_err query_leave_json(query *q, const tako_buf *json, tako_errbuf *e);
void query_forget_rows(query *q);
/* Prepares RETURNING for the collection as it is now. */
tako_err query_prepare_returning(query *q, tako_errbuf *e);

/* note.c: the collection, and the index, whose name is nearest; empty when
 * none is near. Of an arena. */
tako_slice query_near_collection(query *q, tako_slice name);
tako_slice query_near_index(query *q, tako_slice collection, tako_slice name);
/* Sets q->note. TAKO_NOMEM */
tako_err query_find_note(query *q);

/* exec_settings.c: SHOW, ALTER SYSTEM SET, RESET. */
tako_err query_prepare_setting(query *q, tako_errbuf *e);
tako_err query_run_setting(query *q, store *s, tako_errbuf *e);

/* explain.c, advise.c: leave their rows. */
tako_err query_explain(query *q, tako_errbuf *e);
/* s: where PROVISION makes the indexes, NULL: only advises. */
tako_err query_advise(query *q, store *s, tako_errbuf *e);
/* The emitted statement that reads, as prepare_reading() prepares it. */
void query_emit_reading(query *q, tako_buf *sql, bool counted);

/* row.c: plans the fields of the result; appends the row that a statement
 * stands on. */
tako_err query_plan_outs(query *q, const query_select *s, query_plan *out);
tako_err query_put_row(const query_plan *p, sqlite3_stmt *stmt, tako_buf *row);

/* ops.c: the paths of types, sets, unsets and applies. */
tako_err query_plan_ops(query *q);
/* Sets q->by_id for an UPDATE or DELETE. */
void query_plan_by_id(query *q);
crdt_type query_declared(const query *q, crdt_path path);

/* The equalities that a predicate requires (terms.h). */
struct query_terms;
const struct query_terms *query_predicate_terms(const query_predicate *p);

/* What a running write statement needs. */
typedef struct query_run_state {
    query *q;
    store *s;
    tako_buf *ids;
    uint64_t count;
    crdt_dot dot;
    bool have_dot;
    tako_buf a, b, c; /* scratch */
    tako_buf row;     /* of RETURNING */
    uint8_t ulid[16];
    bool have_ulid;
    tako_errbuf *e;
} query_run_state;

/* exec_returning.c. Nothing without RETURNING: begin, then one by one; or all
 * whose _ids stand in `ids`, one after the other, or as blocks. */
tako_err query_returning_begin(query_run_state *r);
tako_err query_returning_one(query_run_state *r, tako_slice id);
tako_err query_returning_all(query_run_state *r, tako_slice ids);
tako_err query_returning_blocks(query_run_state *r, tako_slice found);

tako_err query_run_insert(query_run_state *r);
tako_err query_run_change(query_run_state *r); /* UPDATE and DELETE */
tako_err query_run_evict(query_run_state *r);
tako_err query_run_dismiss(query_run_state *r);
/* What q->stmt finds: blocks of _ids, each followed by what UPDATE needs. */
tako_err query_collect(query_run_state *r, tako_buf *out);
tako_err query_run_dot(query_run_state *r);
/* Makes room for an id in r->ids, before its document is written: after that
 * nothing may fail. */
bool query_run_room(query_run_state *r, tako_slice id);
/* types.c: fails where a declared type contradicts what the document has; for
 * a document before it is written. */
tako_err query_types_check(query_run_state *r, const crdt_doc *d);
/* Writes one value of a declared or undeclared type. */
tako_err query_set_field(query_run_state *r, crdt_doc *d, crdt_path path,
                         crdt_type type, tako_slice value);
tako_err query_apply(query_run_state *r, crdt_doc *d, const query_op *op);
/* "a.b: text" */
tako_err query_path_fail(query_run_state *r, crdt_path path, tako_err code,
                         const char *text);

#endif /* TAKO_QUERY_INTERNAL_H */
