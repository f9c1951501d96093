// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int db_dir_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    db_dir *d = calloc(1, sizeof *d);

    if (d == NULL)
        return 1;
    (void)snprintf(d->path, sizeof d->path, "%s/tako-test-XXXXXX",
                   parent != NULL ? parent : "/tmp");
    if (mkdtemp(d->path) == NULL)
        return 1;
    *state = d;
    return 0;
}

int db_dir_teardown(void **state)
{
    db_dir *d = *state;
    DIR *dir = opendir(d->path);
    struct dirent *e;
    char path[512];

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", d->path, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlink(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(d->path);
    free(d);
    return 0;
}

const char *db_path(db_dir *d, const char *name)
{
    char *out = d->file[d->files++ % 8];
    size_t n = strlen(d->path), m = strlen(name);

    assert_true(n + m + 2 <= sizeof d->file[0]);
    memcpy(out, d->path, n);
    out[n] = '/';
    memcpy(out + n + 1, name, m + 1);
    return out;
}

long db_file_bytes(const char *path, const char *suffix)
{
    char name[256];
    struct stat st;

    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (long)st.st_size : 0;
}

tako_db *db_open(const char *path)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    tako_db *db = NULL;
    char detail[256] = "";
    tako_err err;

    o.path = path;
    err = tako_open(&o, &db, detail, sizeof detail);
    if (err != TAKO_OK)
        fail_msg("opening %s: %s: %s", path, tako_err_name(err), detail);
    return db;
}

void db_ok(tako_db *db, tako_err err, const char *what)
{
    if (err != TAKO_OK)
        fail_msg("%s: %s: %s", what, tako_err_name(err), tako_last_error(db));
}

uint64_t db_run(tako_db *db, const char *text, const char *params)
{
    tako_params p = { params, NULL, 0 };
    tako_result *r = NULL;
    uint64_t count;

    db_ok(db, tako_execute(db, text, &p, &r), text);
    count = tako_result_mutated(r);
    tako_result_free(r);
    return count;
}

void db_refused(tako_db *db, const char *text, const char *params,
                tako_err expected, const char *part)
{
    tako_params p = { params, NULL, 0 };
    tako_result *r = NULL;
    tako_err err = tako_execute(db, text, &p, &r);

    assert_null(r);
    if (err != expected)
        fail_msg("%s: %s instead of %s: %s", text, tako_err_name(err),
                 tako_err_name(expected), tako_last_error(db));
    if (part != NULL && strstr(tako_last_error(db), part) == NULL)
        fail_msg("%s: \"%s\" without \"%s\"", text, tako_last_error(db), part);
}

char *db_result_rows(tako_db *db, tako_result *r)
{
    size_t cap = 64, len = 1;
    char *out = malloc(cap);
    tako_err err;

    assert_non_null(out);
    out[0] = '[';
    while ((err = tako_result_next(r)) == TAKO_OK) {
        const char *json = NULL;
        size_t n = 0;

        db_ok(db, tako_result_json(r, &json, &n), "json");
        assert_int_equal(n, strlen(json));
        while (len + n + 3 > cap)
            cap *= 2;
        out = realloc(out, cap);
        assert_non_null(out);
        if (len > 1)
            out[len++] = ',';
        memcpy(out + len, json, n);
        len += n;
    }
    assert_int_equal(err, TAKO_NOTFOUND);
    memcpy(out + len, "]", 2);
    tako_result_free(r);
    return out;
}

char *db_rows(tako_db *db, const char *text, const char *params)
{
    tako_params p = { params, NULL, 0 };
    tako_result *r = NULL;

    db_ok(db, tako_execute(db, text, &p, &r), text);
    assert_true(tako_result_has_rows(r));
    return db_result_rows(db, r);
}

void db_expect(tako_db *db, const char *text, const char *params,
               const char *json)
{
    char *rows = db_rows(db, text, params);

    assert_string_equal(rows, json);
    free(rows);
}

void db_fill(tako_db *db, const char *collection, unsigned n)
{
    tako_tx *tx = NULL;
    char text[160];

    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(text, sizeof text,
                       "INSERT INTO %s DOCUMENTS ({'_id': %u, 'n': %u, "
                       "'group': %u})",
                       collection, i, i, i % 10);
        db_ok(db, tako_tx_execute(tx, text, NULL, NULL), text);
    }
    db_ok(db, tako_tx_commit(tx, NULL), "commit");
}

void sleep_ms(unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000L };

    (void)nanosleep(&t, NULL);
}
