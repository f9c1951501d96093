// SPDX-License-Identifier: Apache-2.0
/* FUNCTIONS -- TQL's functions as SQLite functions "tql_<name>": those that
 * users call, and those that only the emitter does. All are deterministic
 * inside one run of a statement; a wrong argument gives MISSING (NULL). */
#ifndef TAKO_QUERY_FUNCTIONS_H
#define TAKO_QUERY_FUNCTIONS_H

#include "query/query.h"
#include "query/value.h"

#define FN_STOP_STEPS 1000 /* of SQLite's machine, between two looks */

typedef struct system_docs system_docs;

/* Shared by all functions of one connection, freed with the last. */
typedef struct fn_state {
    const tako_env *env;
    tako_buf out;
    unsigned refs;
    int64_t now_ms;             /* what clock() says; see fn_request.c */
    tako_buf statement;         /* what request_info() says */
    struct fn_regexps *regexps; /* see fn_regexp.c */

    /* Set by the query that runs (query.c). */
    store_conn *conn;
    bool (*stop)(void *ctx); /* NULL: runs to its end */
    void *stop_ctx;
    uint64_t run;   /* its number; system collections stand still in it */
    uint64_t *seen; /* PROFILE: documents met, by the number of the source */
    uint32_t seen_count;

    uint64_t runs;          /* numbers given out */
    const query_host *host; /* NULL: none */
    system_docs *system;    /* what was read in the present run */
} fn_state;

typedef void fn_run(sqlite3_context *ctx, int argc, sqlite3_value **argv);

typedef struct fn_entry {
    const char *name; /* without tql_ */
    short min, max;
    fn_run *run;
    fn_run *step; /* aggregates: run is NULL */
    void (*final)(sqlite3_context *ctx);
} fn_entry;

/* Tables that end with a NULL name. */
extern const fn_entry fn_core[];     /* for the emitter alone */
extern const fn_entry fn_compare[];  /* likewise */
extern const fn_entry fn_arith[];    /* likewise */
extern const fn_entry fn_list[];     /* likewise */
extern const fn_entry fn_similar[];  /* likewise */
extern const fn_entry fn_begin[];    /* for the one who runs statements */
extern const fn_entry fn_state_at[]; /* likewise */
extern const fn_entry fn_cond[];
extern const fn_entry fn_text[];
extern const fn_entry fn_regexp[];
extern const fn_entry fn_date[];
extern const fn_entry fn_request[]; /* the volatile ones */
extern const fn_entry fn_object[];
extern const fn_entry fn_number[];
extern const fn_entry fn_aggregate[];

/* A function that users may call, by its name in lower case, or NULL. */
const fn_entry *fn_find(tako_slice name);
/* The nearest name for a message, or an empty slice. */
tako_slice fn_nearest(tako_slice name);

/* The i-th name that users may call, NULL beyond the last. */
const char *fn_name(size_t i);
/* Its value is not of its arguments alone: it can stand neither in an index
 * nor in a predicate, which must say the same on every device. Within one
 * run of a statement it is one value. */
bool fn_is_volatile(const fn_entry *f);

static inline bool fn_is_aggregate(const fn_entry *f)
{
    return f->run == NULL;
}

static inline tako_buf *fn_buf(sqlite3_context *ctx)
{
    fn_state *s = sqlite3_user_data(ctx);

    tako_buf_reset(&s->out);
    return &s->out;
}

/* The state of a connection that query_register() was called for. TAKO_NOMEM */
tako_err fn_state_of(store_conn *c, fn_state **out, tako_errbuf *e);
/* One use of it less; the last frees it. */
void fn_state_drop(void *state);

/* fn_date.c: a moment as clock() and date_cast() give it, by the arguments
 * [form [, offset]]. */
void fn_date_result(sqlite3_context *ctx, int64_t ms, int argc,
                    sqlite3_value **argv);
/* fn_regexp.c */
void fn_regexps_free(fn_state *s);

/* Registers the table-valued functions tql_each(list) and tql_within(list) ->
 * value, key. */
int query_each_register(sqlite3 *db);
/* Registers tql_system(name) -> value (system.c). */
int query_system_register(fn_state *s, sqlite3 *db);
void query_system_forget(fn_state *s);

#endif /* TAKO_QUERY_FUNCTIONS_H */
