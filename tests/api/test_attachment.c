// SPDX-License-Identifier: Apache-2.0
/* Reading contents, and waiting for them. */
#include "support_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEN 500000u

static tako_db *start(db_dir *d, const char *name, const char *peer)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    static const char *const listen[] = { "tcp://127.0.0.1:0" };
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;
    tako_db *db = db_open(db_path(d, name));

    o.secret = secret;
    o.secret_len = sizeof secret - 1;
    o.name = name;
    o.listen = listen;
    o.listen_count = 1;
    if (peer != NULL) {
        o.peers = &peer;
        o.peers_count = 1;
    }
    db_ok(db, tako_sync_start(db, &o), "sync");
    return db;
}

static uint8_t *content(void)
{
    uint8_t *bytes = malloc(LEN);

    assert_non_null(bytes);
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)(i * i / 11);
    return bytes;
}

static char *put(tako_db *db, const char *name)
{
    tako_attach_opts o = TAKO_ATTACH_OPTS_INIT;
    uint8_t *bytes = content();
    char *token = NULL;

    o.name = name;
    o.type = "image/png";
    o.meta_json = "{\"width\":640}";
    db_ok(db, tako_attach_bytes(db, bytes, LEN, &o, &token), "attach");
    free(bytes);
    return token;
}

static void insert(tako_db *db, const char *token)
{
    char *p = malloc(strlen(token) + 32);

    assert_non_null(p);
    (void)snprintf(p, strlen(token) + 32, "{\"t\":%s}", token);
    db_run(db,
           "INSERT INTO m DOCUMENTS ({'_id': 'taco', 'photo': :t, 'a b': "
           "{'c.d': :t}, 'n': 1})",
           p);
    free(p);
}

static void test_attachment__reads_from_anywhere(void **state)
{
    static const struct {
        uint64_t at;
        size_t cap, got;
    } rows[] = {
        { 0, 1, 1 },         { 0, LEN, LEN },
        { 15359, 2, 2 },     { 15360, 10, 10 },
        { LEN - 1, 100, 1 }, { LEN, 100, 0 },
        { LEN + 9, 100, 0 }, { UINT64_MAX, 100, 0 },
        { 7, 0, 0 },         { 99999, 99999, 99999 },
    };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *token = put(db, "x");
    uint8_t *want = content(), *got = malloc(LEN);
    tako_attachment *a;
    tako_attachment_info info;
    size_t n;

    assert_non_null(got);
    db_ok(db, tako_attachment_open(db, token, TAKO_ATTACHMENT_FETCH, &a),
          "open");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        db_ok(db, tako_attachment_read(a, rows[i].at, got, rows[i].cap, &n),
              "read");
        assert_int_equal(n, rows[i].got);
        if (n > 0)
            assert_memory_equal(got, want + rows[i].at, n);
    }
    db_ok(db, tako_attachment_wait(a, 0), "wait");
    db_ok(db, tako_attachment_status(a, &info), "status");
    assert_int_equal(info.state, TAKO_ATTACHMENT_HERE);
    assert_int_equal(info.here, LEN);
    tako_attachment_close(a);
    free(want);
    free(got);
    tako_free(token);
    tako_close(db);
}

/* Published faults (CouchDB 3239): names with "+" and others are names only. */
static void test_attachment__any_name_does(void **state)
{
    static const char *const names[] = {
        "a+b.png", "a b%2B.png", "../etc/x", "", "\xc3\xa9\xf0\x9f\x8c\xae",
        "a'\"`"
    };
    tako_db *db = db_open(db_path(*state, "a.tako"));

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *token = put(db, names[i]), *found = NULL;
        tako_attachment *a;
        uint8_t byte;
        size_t n;

        db_run(db, "DELETE FROM m", NULL);
        insert(db, token);
        db_ok(db, tako_attachment_token(db, "m", "\"taco\"", "photo", &found),
              names[i]);
        assert_string_equal(found, token);
        db_ok(db, tako_attachment_open(db, found, 0, &a), names[i]);
        db_ok(db, tako_attachment_read(a, LEN - 1, &byte, 1, &n), names[i]);
        assert_int_equal(n, 1);
        tako_attachment_close(a);
        tako_free(found);
        tako_free(token);
    }
    db_expect(db, "SELECT count(*) AS n FROM system:blobs", NULL,
              "[{\"n\":1}]");
    tako_close(db);
}

static void test_attachment__tokens_are_found_by_path(void **state)
{
    static const struct {
        const char *id, *path;
        tako_err err;
        const char *says;
    } rows[] = {
        { "\"taco\"", "photo", TAKO_OK, "" },
        { "\"taco\"", "`photo`", TAKO_OK, "" },
        { "\"taco\"", "a b.`c.d`", TAKO_OK, "" },
        { "\"taco\"", "`a b`.`c.d`", TAKO_OK, "" },
        { "\"taco\"", "n", TAKO_INVALID, "n is not an attachment" },
        { "\"taco\"", "a b", TAKO_INVALID, "not an attachment" },
        { "\"taco\"", "none", TAKO_NOTFOUND, "nothing is at none" },
        { "\"taco\"", "", TAKO_INVALID, "keys with dots" },
        { "\"taco\"", "a..b", TAKO_INVALID, "keys with dots" },
        { "\"taco\"", "photo.", TAKO_INVALID, "keys with dots" },
        { "\"taco\"", "`photo", TAKO_INVALID, "keys with dots" },
        { "\"taco\"", "`photo`x", TAKO_INVALID, "keys with dots" },
        { "\"none\"", "photo", TAKO_NOTFOUND, "no such document in m" },
        { "{", "photo", TAKO_INVALID, "" },
    };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *token = put(db, "x");

    insert(db, token);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *found = NULL;
        tako_err err =
            tako_attachment_token(db, "m", rows[i].id, rows[i].path, &found);

        assert_int_equal(err, rows[i].err);
        if (err == TAKO_OK)
            assert_string_equal(found, token);
        else
            assert_non_null(strstr(tako_last_error(db), rows[i].says));
        tako_free(found);
    }
    tako_free(token);
    tako_close(db);
}

static void test_attachment__says_what_is_no_token(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_attachment *a = NULL;

    assert_int_equal(tako_attachment_open(db, "{}", 0, &a), TAKO_INVALID);
    assert_int_equal(tako_attachment_open(db, "7", 0, &a), TAKO_INVALID);
    assert_int_equal(tako_attachment_open(db, "", 0, &a), TAKO_INVALID);
    assert_int_equal(tako_attachment_open(db, "{}", 8, &a), TAKO_MISUSE);
    assert_int_equal(tako_attachment_open(NULL, "{}", 0, &a), TAKO_MISUSE);
    assert_null(a);
    tako_attachment_close(NULL);
    tako_close(db);
}

/* From another device; before that, what is said. */
static void test_attachment__is_fetched_when_it_is_opened(void **state)
{
    tako_db *one = start(*state, "a.tako", NULL), *two, *alone;
    char *address = NULL, *token = put(one, "x");
    uint8_t *want = content(), *got = malloc(LEN);
    tako_attachment *a;
    tako_attachment_info info;
    size_t n = 0;

    assert_non_null(got);
    db_ok(one, tako_sync_address(one, 0, &address), "address");
    alone = db_open(db_path(*state, "c.tako"));
    db_ok(alone, tako_attachment_open(alone, token, TAKO_ATTACHMENT_FETCH, &a),
          "open");
    assert_int_equal(tako_attachment_read(a, 0, got, 1, &n), TAKO_UNREACH);
    assert_non_null(strstr(tako_last_error(alone), "0 of 35 parts"));
    assert_int_equal(tako_attachment_wait(a, 20), TAKO_UNREACH);
    tako_attachment_close(a);
    tako_close(alone);

    two = start(*state, "b.tako", address);
    db_ok(two, tako_attachment_open(two, token, 0, &a), "open");
    db_ok(two, tako_attachment_status(a, &info), "status");
    assert_int_equal(info.state, TAKO_ATTACHMENT_ABSENT);
    assert_int_equal(tako_attachment_wait(a, 1000), TAKO_UNREACH);
    tako_attachment_close(a);
    db_ok(two, tako_attachment_open(two, token, TAKO_ATTACHMENT_FETCH, &a),
          "open");
    db_ok(two, tako_attachment_wait(a, 20000), "wait");
    db_ok(two, tako_attachment_read(a, 0, got, LEN, &n), "read");
    assert_int_equal(n, LEN);
    assert_memory_equal(got, want, LEN);
    tako_attachment_close(a);
    tako_free(address);
    tako_free(token);
    free(want);
    free(got);
    tako_close(two);
    tako_close(one);
}

static long numbers(void *ctx, void *buf, size_t cap)
{
    size_t *left = ctx, n = *left < cap ? *left : cap;

    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)((*left - i) * 7 / 5);
    *left -= n;
    return (long)n;
}

/* Where nothing else is written, too, the log is moved while it is short: all
 * at once it would hold up an order's change. */
static void test_attachment__does_not_pile_up_in_the_log(void **state)
{
    tako_db *one = start(*state, "a.tako", NULL), *two;
    size_t left = 24u << 20;
    char *address = NULL, *token = NULL, log[200];
    tako_attachment *a;
    struct stat st;

    db_ok(one, tako_attach(one, numbers, &left, NULL, &token), "attach");
    db_ok(one, tako_sync_address(one, 0, &address), "address");
    two = start(*state, "b.tako", address);
    db_ok(two, tako_attachment_open(two, token, TAKO_ATTACHMENT_FETCH, &a),
          "open");
    db_ok(two, tako_attachment_wait(a, 60000), "wait");
    (void)snprintf(log, sizeof log, "%s-wal", db_path(*state, "b.tako"));
    assert_int_equal(stat(log, &st), 0);
    assert_in_range(st.st_size, 1, 12 << 20);
    tako_attachment_close(a);
    tako_free(address);
    tako_free(token);
    tako_close(two);
    tako_close(one);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_attachment__reads_from_anywhere),
        T(test_attachment__any_name_does),
        T(test_attachment__tokens_are_found_by_path),
        T(test_attachment__says_what_is_no_token),
        T(test_attachment__is_fetched_when_it_is_opened),
        T(test_attachment__does_not_pile_up_in_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
