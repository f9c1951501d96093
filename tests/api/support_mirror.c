// SPDX-License-Identifier: Apache-2.0
#include "support_mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/json.h"

/* The environment of what this file decodes. */
static void *plain_realloc(void *ctx, void *p, size_t old, size_t n)
{
    (void)ctx;
    (void)old;
    if (n > 0)
        return realloc(p, n);
    free(p);
    return NULL;
}
static const tako_env plain = { .realloc = plain_realloc };

/* ---- reading a diff ----------------------------------------------------------- */

static tako_slice get(tako_slice map, const char *key)
{
    return cbor_map_get(map, tako_slice_str(key));
}

static size_t number(tako_slice item, const char *key)
{
    tako_slice v = get(item, key);
    tako_reader r = tako_reader_of(v);
    cbor_item i;

    return v.len > 0 && cbor_read(&r, &i) && i.kind == CBOR_INT
               ? (size_t)i.integer
               : SIZE_MAX;
}

static char *row_text(tako_slice item, const char *key)
{
    tako_buf b = tako_buf_on(&plain);
    char *text;

    if (get(item, key).len == 0)
        return NULL;
    (void)json_from_cbor(get(item, key), &b);
    text = strdup(tako_buf_cstr(&b));
    tako_buf_fini(&b);
    return text;
}

/* The elements of a list; *out is to be freed. */
static size_t items(tako_slice diff, const char *key, tako_slice **out)
{
    tako_reader r = tako_reader_of(get(diff, key));
    cbor_item head = { 0 };

    *out = NULL;
    if (!cbor_read(&r, &head) || head.kind != CBOR_ARRAY)
        return 0;
    *out = calloc(head.count + 1, sizeof **out);
    for (size_t i = 0; i < head.count; i++)
        (*out)[i] = cbor_read_value(&r);
    return head.count;
}

/* ---- the rows --------------------------------------------------------------------- */

static void need(mirror *m, bool ok, const char *what)
{
    if (!ok && m->wrong == NULL)
        m->wrong = what;
}

static void take_out(mirror *m, size_t at)
{
    need(m, at < m->count, "nothing at this place to take out");
    if (at >= m->count)
        return;
    free(m->rows[at]);
    memmove(m->rows + at, m->rows + at + 1,
            (--m->count - at) * sizeof *m->rows);
}

static void put_in(mirror *m, size_t at, char *row)
{
    need(m, at <= m->count && row != NULL, "no place to put this in");
    if (at > m->count)
        at = m->count;
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 16 : m->cap * 2;
        m->rows = realloc(m->rows, m->cap * sizeof *m->rows);
    }
    memmove(m->rows + at + 1, m->rows + at,
            (m->count++ - at) * sizeof *m->rows);
    m->rows[at] = row;
}

/* Where a row is that must be there. */
static size_t place_of(mirror *m, tako_slice item, const char *key)
{
    char *row = row_text(item, key);
    size_t at = m->set ? 0 : number(item, "at");

    if (m->set) {
        need(m, number(item, "at") == SIZE_MAX, "a place in a set");
        while (at < m->count && strcmp(m->rows[at], row) != 0)
            at++;
    }
    need(m, at < m->count, "the row is not there");
    free(row);
    return at;
}

/* ---- applying --------------------------------------------------------------------- */

typedef struct lists {
    tako_slice *inserted, *updated, *removed, *moved;
    size_t ins, ups, rems, movs;
} lists;

static void take_all_out(mirror *m, const lists *l, char **moved)
{
    for (size_t i = 0; i < l->movs; i++) {
        size_t from = number(l->moved[i], "from");

        need(m, from < m->count, "moved from nowhere");
        moved[i] = from < m->count ? strdup(m->rows[from]) : NULL;
    }
    for (size_t i = 0; i < l->rems; i++)
        if (m->set)
            take_out(m, place_of(m, l->removed[i], "row"));
        else
            need(m,
                 place_of(m, l->removed[i], "row") < m->count &&
                     (i == 0 || number(l->removed[i - 1], "at") <
                                    number(l->removed[i], "at")),
                 "removed rows are not in order");
    for (size_t at = m->set ? 0 : m->count; at-- > 0;) {
        bool gone = false;

        for (size_t i = 0; i < l->rems; i++)
            gone = gone || number(l->removed[i], "at") == at;
        for (size_t i = 0; i < l->movs; i++)
            gone = gone || number(l->moved[i], "from") == at;
        if (gone)
            take_out(m, at);
    }
}

static void put_all_in(mirror *m, const lists *l, char **moved)
{
    size_t i = 0, k = 0;

    while (i < l->ins || k < l->movs) {
        size_t at =
            i < l->ins && !m->set ? number(l->inserted[i], "at") : m->count;
        size_t to = k < l->movs ? number(l->moved[k], "to") : SIZE_MAX;

        if (i < l->ins && at < to) {
            put_in(m, at, row_text(l->inserted[i++], "row"));
        } else {
            put_in(m, to, moved[k++]);
        }
    }
}

static void update_all(mirror *m, const lists *l)
{
    for (size_t i = 0; i < l->ups; i++) {
        size_t at = place_of(m, l->updated[i], "old");
        char *old = row_text(l->updated[i], "old");

        if (at < m->count) {
            need(m, strcmp(m->rows[at], old) == 0, "the old row is another");
            free(m->rows[at]);
            m->rows[at] = row_text(l->updated[i], "new");
            need(m, strcmp(m->rows[at], old) != 0, "updated to the same");
        }
        free(old);
    }
}

static void apply(mirror *m, tako_slice diff)
{
    lists l;
    char **moved;

    l.ins = items(diff, "inserted", &l.inserted);
    l.ups = items(diff, "updated", &l.updated);
    l.rems = items(diff, "removed", &l.removed);
    l.movs = items(diff, "moved", &l.moved);
    if (get(diff, "reset").ptr[0] == 0xF5) {
        m->resets++;
        while (m->count > 0)
            take_out(m, m->count - 1);
    } else {
        need(m, l.ins + l.ups + l.rems + l.movs > 0, "nothing was told");
    }
    moved = calloc(l.movs + 1, sizeof *moved);
    take_all_out(m, &l, moved);
    put_all_in(m, &l, moved);
    update_all(m, &l);
    m->inserted += (unsigned)l.ins;
    m->updated += (unsigned)l.ups;
    m->removed += (unsigned)l.rems;
    m->moved += (unsigned)l.movs;
    free(moved);
    free(l.inserted);
    free(l.updated);
    free(l.removed);
    free(l.moved);
}

static int text_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *joined(char **rows, size_t count)
{
    size_t bytes = 3;
    char *text, *at;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(rows[i]) + 1;
    at = text = malloc(bytes);
    *at++ = '[';
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%s%s", i > 0 ? "," : "", rows[i]);
    memcpy(at, "]", 2);
    return text;
}

static void on_diff(void *ctx, const char *json, size_t len, uint64_t commit)
{
    mirror *m = ctx;
    tako_buf b = tako_buf_on(&plain);
    tako_slice diff;

    (void)pthread_mutex_lock(&m->mutex);
    if (json_to_cbor(tako_slice_of(json, len), TAKO_JSON_DEPTH_MAX, &b, NULL) !=
        TAKO_OK)
        need(m, false, "no JSON");
    diff = tako_buf_slice(&b);
    need(m, number(diff, "commit") == commit, "another commit");
    need(m,
         m->state_count == 0 || m->states[m->state_count - 1].commit < commit,
         "commits are not in order");
    apply(m, diff);
    if (m->set && m->count > 0)
        qsort(m->rows, m->count, sizeof *m->rows, text_cmp);
    if (m->state_count < MIRROR_STATES_MAX)
        m->states[m->state_count++] =
            (mirror_state){ commit, joined(m->rows, m->count) };
    (void)pthread_cond_broadcast(&m->cond);
    (void)pthread_mutex_unlock(&m->mutex);
    tako_buf_fini(&b);
}

/* ---- for tests ------------------------------------------------------------------------ */

void mirror_start(mirror *m, tako_db *db, const char *select, bool set,
                  uint32_t flags)
{
    memset(m, 0, sizeof *m);
    m->db = db;
    m->select = select;
    m->set = set;
    (void)pthread_mutex_init(&m->mutex, NULL);
    (void)pthread_cond_init(&m->cond, NULL);
    db_ok(db,
          tako_observe_diff(db, select, NULL, flags, on_diff, m, &m->observer),
          select);
}

void mirror_free(mirror *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->rows[i]);
    for (size_t i = 0; i < m->state_count; i++)
        free(m->states[i].rows);
    free(m->rows);
    (void)pthread_mutex_destroy(&m->mutex);
    (void)pthread_cond_destroy(&m->cond);
}

static bool wait_more(mirror *m, const struct timespec *until)
{
    return pthread_cond_timedwait(&m->cond, &m->mutex, until) == 0;
}

static struct timespec soon(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 10;
    return t;
}

void mirror_wait_commit(mirror *m, uint64_t commit)
{
    struct timespec until = soon();
    bool there = true;

    (void)pthread_mutex_lock(&m->mutex);
    while (there && (m->state_count == 0 ||
                     m->states[m->state_count - 1].commit < commit))
        there = wait_more(m, &until);
    (void)pthread_mutex_unlock(&m->mutex);
    if (!there)
        fail_msg("%s: commit %llu was not told", m->select,
                 (unsigned long long)commit);
}

void mirror_wait_rows(mirror *m, const char *rows)
{
    struct timespec until = soon();
    bool there = true;

    (void)pthread_mutex_lock(&m->mutex);
    while (there && (m->state_count == 0 ||
                     strcmp(m->states[m->state_count - 1].rows, rows) != 0))
        there = wait_more(m, &until);
    (void)pthread_mutex_unlock(&m->mutex);
    if (!there)
        fail_msg("%s\n  want %s\n  got  %s", m->select, rows,
                 m->state_count == 0 ? "nothing"
                                     : m->states[m->state_count - 1].rows);
}

size_t mirror_states(mirror *m)
{
    size_t n;

    (void)pthread_mutex_lock(&m->mutex);
    n = m->state_count;
    (void)pthread_mutex_unlock(&m->mutex);
    return n;
}

char *mirror_result(tako_db *db, const char *select, bool set)
{
    char *json = db_rows(db, select, NULL), *text;
    tako_buf b = tako_buf_on(&plain);
    tako_reader r;
    cbor_item head = { 0 };
    char **rows;

    assert_int_equal(
        json_to_cbor(tako_slice_str(json), TAKO_JSON_DEPTH_MAX, &b, NULL),
        TAKO_OK);
    r = tako_reader_of(tako_buf_slice(&b));
    assert_true(cbor_read(&r, &head));
    rows = calloc(head.count + 1, sizeof *rows);
    for (size_t i = 0; i < head.count; i++) {
        tako_buf row = tako_buf_on(&plain);

        (void)json_from_cbor(cbor_read_value(&r), &row);
        rows[i] = strdup(tako_buf_cstr(&row));
        tako_buf_fini(&row);
    }
    if (set && head.count > 0)
        qsort(rows, head.count, sizeof *rows, text_cmp);
    text = joined(rows, head.count);
    for (size_t i = 0; i < head.count; i++)
        free(rows[i]);
    free(rows);
    free(json);
    tako_buf_fini(&b);
    return text;
}
