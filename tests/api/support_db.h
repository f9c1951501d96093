// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_DB -- databases in a folder of the test's own, and short ways to run
 * statements and look at what they give. */
#ifndef TAKO_TESTS_SUPPORT_DB_H
#define TAKO_TESTS_SUPPORT_DB_H

#include "support/test_env.h"
#include "tako/tako.h"

typedef struct db_dir {
    char path[128];
    char file[8][160]; /* db_path's, one after the other */
    size_t files;
} db_dir;

/* cmocka fixtures: *state is a db_dir. */
int db_dir_setup(void **state);
int db_dir_teardown(void **state);
/* A path in the folder; valid until the test's end (8 at most). */
const char *db_path(db_dir *d, const char *name);
/* Of the file beside a database with that suffix; 0: there is none. */
long db_file_bytes(const char *path, const char *suffix);

tako_db *db_open(const char *path);
/* Fails the test unless err is TAKO_OK. */
void db_ok(tako_db *db, tako_err err, const char *what);
/* Runs a statement that must work; params may be NULL. */
uint64_t db_run(tako_db *db, const char *text, const char *params);
/* Runs one that must fail so, with `part` in the detail. */
void db_refused(tako_db *db, const char *text, const char *params,
                tako_err expected, const char *part);
/* All rows of a SELECT as a JSON array, to be freed with free(). */
char *db_rows(tako_db *db, const char *text, const char *params);
char *db_result_rows(tako_db *db, tako_result *r); /* frees r */
void db_expect(tako_db *db, const char *text, const char *params,
               const char *json);
/* n documents {"n": i, "group": i % 10} into a collection, one transaction. */
void db_fill(tako_db *db, const char *collection, unsigned n);

void sleep_ms(unsigned ms);

#endif /* TAKO_TESTS_SUPPORT_DB_H */
