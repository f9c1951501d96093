// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_QUERY -- a database in a temporary folder with TQL registered, and
 * statements as one call: text and JSON parameters in, JSON out. */
#ifndef TAKO_TESTS_QUERY_SUPPORT_QUERY_H
#define TAKO_TESTS_QUERY_SUPPORT_QUERY_H

#include "support/test_env.h"
#include "support/test_files.h"

#include "query/query.h"

typedef struct test_db {
    test_env t;
    char dir[64];
    char path[80];
    tako_files files;
    uint8_t boot;
    store *s;
    store_conn *conn; /* the writer's */
    tako_buf out;     /* of the last run, see run() */
    tako_errbuf e;
    tako_arena arena;
    uint64_t count; /* touched by the last write */
} test_db;

void test_db_open(test_db *db, uint64_t seed);
/* Without a file: only the environment, for what needs no store. */
void test_db_bare(test_db *db, uint64_t seed);
void test_db_close(test_db *db); /* checks the memory */

/* CBOR of a JSON text, living in the arena; fails the test on bad JSON. */
tako_slice cbor_of(test_db *db, const char *json);

/* Runs a statement. A SELECT gives its rows as JSON objects, one after the
 * other, separated by spaces; a write "n" and the touched ids, then its rows.
 * Borrowed until the next call. On an error "ERROR <name>: <text>". params may be NULL. */
const char *run(test_db *db, const char *text, const char *params);
/* As run, but an error fails the test. */
const char *must(test_db *db, const char *text, const char *params);
/* Checks the result, printing both when they differ. */
void expect(test_db *db, const char *text, const char *params,
            const char *want);
/* EXPLAIN QUERY PLAN details of a SELECT, joined by ';'. */
const char *plan_of(test_db *db, const char *text, const char *params);

/* cmocka fixtures: *state is a test_db. */
int test_db_setup(void **state);
int test_db_teardown(void **state);
#define IN_DB(test)                                                            \
    cmocka_unit_test_setup_teardown(test, test_db_setup, test_db_teardown)

/* An expression over one document and its value as JSON; "" where it is
 * MISSING. */
typedef struct expr_row {
    const char *expr, *want;
} expr_row;
/* Checks each as a result, and that WHERE and WHERE NOT agree. */
void expect_exprs(test_db *db, const expr_row *rows, size_t count);

/* Ten documents of all kinds in collection p. */
void insert_kinds(test_db *db);

#endif /* TAKO_TESTS_QUERY_SUPPORT_QUERY_H */
