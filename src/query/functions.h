// SPDX-License-Identifier: Apache-2.0
/* FUNCTIONS -- TQL's functions as SQLite functions "tql_<name>": those that
 * users call, and those that only the emitter does. All are deterministic; a
 * wrong argument gives MISSING (NULL). */
#ifndef TAKO_QUERY_FUNCTIONS_H
#define TAKO_QUERY_FUNCTIONS_H

#include "query/value.h"

/* Shared by all functions of one connection, freed with the last. */
typedef struct fn_state {
    const tako_env *env;
    tako_buf out;
    unsigned refs;
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
extern const fn_entry fn_core[];    /* for the emitter alone */
extern const fn_entry fn_compare[]; /* likewise */
extern const fn_entry fn_arith[];   /* likewise */
extern const fn_entry fn_list[];    /* likewise */
extern const fn_entry fn_cond[];
extern const fn_entry fn_text[];
extern const fn_entry fn_object[];
extern const fn_entry fn_number[];
extern const fn_entry fn_aggregate[];

/* A function that users may call, by its name in lower case, or NULL. */
const fn_entry *fn_find(tako_slice name);
/* The nearest name for a message, or NULL. */
const char *fn_nearest(tako_slice name);

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

/* Registers the table-valued functions tql_each(list) and tql_within(list) ->
 * value, key. */
int query_each_register(sqlite3 *db);

#endif /* TAKO_QUERY_FUNCTIONS_H */
