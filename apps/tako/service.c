// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "query/query.h"
#include "service_attach.h"
#include "sys/sys.h"
#include "text.h"

#define WATCH_PAUSE_MS 500u /* between looks whether the caller is there */

typedef struct call {
    service *v;
    tako_slice request; /* a CBOR map */
    service_emit *emit;
    void *ctx;
    tako_errbuf *e;
    tako_err note_err; /* of an emit inside a callback */
} call;

void service_init(service *v, const tako_env *env, tako_db *db)
{
    *v = (service){ .env = env, .db = db };
}

bool service_rollback(service *v)
{
    bool open = v->tx != NULL;

    if (open)
        tako_tx_rollback(v->tx);
    v->tx = NULL;
    return open;
}

void service_fini(service *v)
{
    service_rollback(v);
}

/* The detail of a failed call on the database. */
static tako_err failed(const call *c, tako_err err)
{
    return tako_fail(c->e, err, "%s", tako_last_error(c->v->db));
}

/* A text in the request, empty when absent. */
static tako_slice text_of(const call *c, const char *key)
{
    return cbor_map_text(c->request, key);
}

static uint64_t number_of(const call *c, const char *key, uint64_t fallback)
{
    tako_slice v = cbor_map_get(c->request, tako_slice_str(key));
    tako_reader r = tako_reader_of(v);
    cbor_item item;

    if (v.len == 0 || cbor_kind_of(v) != CBOR_INT || !cbor_read(&r, &item) ||
        item.integer < 0)
        return fallback;
    return (uint64_t)item.integer;
}

/* The same ending in NUL, in `b`. NUL inside: TAKO_INVALID. */
static tako_err cstr_of(const call *c, const char *key, tako_buf *b)
{
    tako_slice s = text_of(c, key);

    if (s.len == 0)
        return tako_fail(c->e, TAKO_INVALID, "\"%s\" is missing", key);
    if (memchr(s.ptr, '\0', s.len) != NULL)
        return tako_fail(c->e, TAKO_INVALID, "\"%s\" holds a NUL", key);
    tako_put_bytes(b, s);
    tako_buf_cstr(b);
    return b->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err done(const call *c, const tako_buf *json)
{
    return json->failed ? TAKO_NOMEM
                        : c->emit(c->ctx, "done", tako_buf_slice(json));
}

tako_err service_put_name(tako_buf *out, tako_slice name, tako_errbuf *e)
{
    if (name.len == 0 || name.len > TAKO_NAME_BYTES_MAX ||
        memchr(name.ptr, '\0', name.len) != NULL)
        return tako_fail(e, TAKO_INVALID,
                         "a collection's name has 1 to %u bytes",
                         TAKO_NAME_BYTES_MAX);
    tako_put_u8(out, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '`')
            tako_put_u8(out, '`');
        tako_put_u8(out, name.ptr[i]);
    }
    tako_put_u8(out, '`');
    return TAKO_OK;
}

/* ---- execute ---------------------------------------------------------------- */

static tako_err emit_rows(call *c, tako_result *r, tako_buf *b)
{
    uint64_t rows = 0;
    tako_err err;

    while ((err = tako_result_next(r)) == TAKO_OK) {
        const char *json;
        size_t len;

        err = tako_result_json(r, &json, &len);
        if (err != TAKO_OK)
            return failed(c, err);
        TAKO_TRY(c->emit(c->ctx, "row", tako_slice_of(json, len)));
        rows++;
    }
    if (err != TAKO_NOTFOUND)
        return failed(c, err);
    tako_put_fmt(b, "\"rows\":%llu", (unsigned long long)rows);
    return TAKO_OK;
}

static tako_err put_mutated(tako_result *r, tako_buf *b)
{
    const char *ids = tako_result_ids_json(r);

    if (ids == NULL)
        return TAKO_NOMEM;
    tako_put_str(b, "\"mutated\":");
    tako_put_str(b, ids);
    tako_put_fmt(b, ",\"commit\":%llu",
                 (unsigned long long)tako_result_commit(r));
    return TAKO_OK;
}

/* Says the number that the statement is going to have, where that is asked. */
static tako_err announce(call *c)
{
    tako_slice v = cbor_map_get(c->request, tako_slice_str("announce"));
    char note[48];
    int n;

    if (v.len == 0)
        return TAKO_OK;
    n = snprintf(note, sizeof note, "{\"request\":%llu}",
                 (unsigned long long)tako_request_next(c->v->db));
    return c->emit(c->ctx, "note", tako_slice_of(note, (size_t)n));
}

static tako_err emit_result(call *c, query_kind kind, tako_result *r,
                            tako_buf *b)
{
    bool rows = tako_result_has_rows(r);
    const char *note = tako_result_note(r);

    tako_put_u8(b, '{');
    if (rows)
        TAKO_TRY(emit_rows(c, r, b));
    if (rows && !query_kind_reads(kind))
        tako_put_u8(b, ',');
    if (!query_kind_reads(kind))
        TAKO_TRY(put_mutated(r, b));
    if (note[0] != '\0') {
        tako_put_str(b, ",\"note\":");
        json_put_string(b, tako_slice_str(note));
    }
    tako_put_u8(b, '}');
    return done(c, b);
}

tako_slice service_after_rows(tako_slice done)
{
    tako_slice rows = tako_slice_str("{\"rows\":");
    tako_slice mutated = tako_slice_str(",\"mutated\":");
    size_t at = rows.len;

    if (done.len < at || memcmp(done.ptr, rows.ptr, at) != 0)
        return TAKO_SLICE_NONE;
    while (at < done.len && done.ptr[at] != ',')
        at++;
    done = tako_slice_of(done.ptr + at, done.len - at);
    return done.len > mutated.len &&
                   memcmp(done.ptr, mutated.ptr, mutated.len) == 0
               ? tako_slice_of(done.ptr + 1, done.len - 1)
               : TAKO_SLICE_NONE;
}

static tako_err run_statement(call *c, query_kind kind, const char *text)
{
    tako_params params = { NULL, NULL, 0 };
    tako_slice given = cbor_map_get(c->request, tako_slice_str("params"));
    tako_result *r = NULL;
    tako_buf b = tako_buf_on(c->v->env);
    tako_err err;

    params.cbor = given.ptr;
    params.cbor_len = given.len;
    TAKO_TRY(announce(c));
    if (c->v->tx != NULL)
        err = tako_tx_execute(c->v->tx, text, given.len ? &params : NULL, &r);
    else
        err = tako_execute(c->v->db, text, given.len ? &params : NULL, &r);
    if (err != TAKO_OK)
        return failed(c, err);
    err = emit_result(c, kind, r, &b);
    tako_result_free(r);
    tako_buf_fini(&b);
    return err;
}

static tako_err begin(call *c, uint32_t flags)
{
    tako_err err;

    if (c->v->tx != NULL)
        return tako_fail(c->e, TAKO_INVALID, "a transaction is open already");
    err = tako_tx_begin(c->v->db, flags, &c->v->tx);
    if (err != TAKO_OK) {
        c->v->tx = NULL;
        return failed(c, err);
    }
    return c->emit(c->ctx, "done", tako_slice_str("{\"transaction\":true}"));
}

static tako_err end(call *c, bool commit)
{
    uint64_t number = 0;
    tako_buf b = tako_buf_on(c->v->env);
    tako_err err = TAKO_OK;

    if (c->v->tx == NULL)
        return tako_fail(c->e, TAKO_INVALID, "no transaction is open");
    if (commit) {
        err = tako_tx_commit(c->v->tx, &number);
        c->v->tx = NULL;
        if (err != TAKO_OK)
            return failed(c, err);
    } else {
        service_rollback(c->v);
    }
    tako_put_fmt(&b, "{\"transaction\":false,\"commit\":%llu}",
                 (unsigned long long)number);
    err = done(c, &b);
    tako_buf_fini(&b);
    return err;
}

static tako_err run_kind(call *c, query_kind kind, const char *text)
{
    if (kind == QUERY_BEGIN || kind == QUERY_BEGIN_READ_ONLY)
        return begin(c, kind == QUERY_BEGIN ? 0 : TAKO_TX_READ_ONLY);
    if (query_kind_is_control(kind))
        return end(c, kind == QUERY_COMMIT);
    return run_statement(c, kind, text);
}

static tako_err op_execute(call *c)
{
    tako_buf text = tako_buf_on(c->v->env);
    tako_err err = text_one_statement(text_of(c, "statement"), c->e);
    tako_slice s;
    query_kind kind;

    if (err == TAKO_OK)
        err = cstr_of(c, "statement", &text);
    s = tako_buf_slice(&text);
    if (err == TAKO_OK)
        err = query_classify(c->v->env, s, &kind, c->e);
    if (err == TAKO_OK)
        err = run_kind(c, kind, (const char *)text.ptr);
    tako_buf_fini(&text);
    return err;
}

/* ---- import -------------------------------------------------------------------- */

static tako_err insert(call *c, tako_tx *tx, const char *statement,
                       tako_slice docs, uint64_t *count)
{
    tako_buf args = tako_buf_on(c->v->env);
    tako_params params = { NULL, NULL, 0 };
    tako_result *r = NULL;
    tako_err err = TAKO_NOMEM;

    cbor_put_map(&args, 1);
    cbor_put_text(&args, tako_slice_str("d"));
    tako_put_bytes(&args, docs);
    params.cbor = args.ptr;
    params.cbor_len = args.len;
    if (!args.failed)
        err = tx != NULL ? tako_tx_execute(tx, statement, &params, &r)
                         : tako_execute(c->v->db, statement, &params, &r);
    if (err == TAKO_OK && count != NULL)
        *count = tako_result_mutated(r);
    tako_result_free(r);
    tako_buf_fini(&args);
    return err;
}

/* A batch failed as a whole: tries its documents one by one, in a transaction
 * that is rolled back, to learn which one it is. Notes {"document":n}. */
static tako_err find_culprit(call *c, const char *statement, tako_slice docs,
                             tako_err err)
{
    tako_reader r = tako_reader_of(docs);
    cbor_item head;
    tako_tx *tx = NULL;
    tako_buf note = tako_buf_on(c->v->env);

    (void)failed(c, err);
    if (!cbor_read(&r, &head) || tako_tx_begin(c->v->db, 0, &tx) != TAKO_OK)
        return err;
    for (uint64_t i = 0; i < head.count; i++) {
        tako_err one = insert(c, tx, statement, cbor_read_value(&r), NULL);

        if (one == TAKO_OK)
            continue;
        err = failed(c, one);
        tako_put_fmt(&note, "{\"document\":%llu}", (unsigned long long)i);
        if (!note.failed)
            (void)c->emit(c->ctx, "note", tako_buf_slice(&note));
        break;
    }
    tako_tx_rollback(tx);
    tako_buf_fini(&note);
    return err;
}

static tako_err op_import(call *c)
{
    tako_slice docs = cbor_map_get(c->request, tako_slice_str("docs"));
    tako_slice mode = text_of(c, "on_conflict");
    tako_buf text = tako_buf_on(c->v->env);
    tako_buf b = tako_buf_on(c->v->env);
    uint64_t count = 0;
    tako_err err;

    if (docs.len == 0 || cbor_kind_of(docs) != CBOR_ARRAY)
        return tako_fail(c->e, TAKO_INVALID, "\"docs\" is no array");
    if (c->v->tx != NULL)
        return tako_fail(c->e, TAKO_INVALID, "a transaction is open");
    tako_put_str(&text, "INSERT INTO ");
    err = service_put_name(&text, text_of(c, "collection"), c->e);
    tako_put_str(&text, " DOCUMENTS (:d) ON ID CONFLICT ");
    if (tako_slice_eq(mode, tako_slice_str("skip")))
        tako_put_str(&text, "DO NOTHING");
    else if (tako_slice_eq(mode, tako_slice_str("update")))
        tako_put_str(&text, "DO UPDATE");
    else
        tako_put_str(&text, "FAIL");
    tako_buf_cstr(&text);
    if (err == TAKO_OK && text.failed)
        err = TAKO_NOMEM;
    if (err == TAKO_OK) {
        err = insert(c, NULL, (const char *)text.ptr, docs, &count);
        if (err != TAKO_OK)
            err = find_culprit(c, (const char *)text.ptr, docs, err);
    }
    if (err == TAKO_OK) {
        tako_put_fmt(&b, "{\"count\":%llu}", (unsigned long long)count);
        err = done(c, &b);
    }
    tako_buf_fini(&text);
    tako_buf_fini(&b);
    return err;
}

/* ---- the rest ------------------------------------------------------------------- */

/* Emits JSON that the library allocated. */
static tako_err done_owned(call *c, tako_err err, char *json)
{
    if (err != TAKO_OK)
        return failed(c, err);
    err = c->emit(c->ctx, "done", tako_slice_str(json));
    tako_free(json);
    return err;
}

static tako_err op_collections(call *c)
{
    char *json = NULL;
    tako_err err = tako_collections(c->v->db, &json);

    return done_owned(c, err, json);
}

static tako_err op_status(call *c)
{
    char *json = NULL;
    tako_err err = tako_status(c->v->db, &json);

    return done_owned(c, err, json);
}

static tako_err op_hash(call *c)
{
    tako_buf name = tako_buf_on(c->v->env);
    tako_buf b = tako_buf_on(c->v->env);
    bool one = text_of(c, "collection").len > 0;
    char hex[65];
    uint64_t documents = 0;
    tako_err err = one ? cstr_of(c, "collection", &name) : TAKO_OK;
    const char *which = one ? (const char *)name.ptr : NULL;

    if (err == TAKO_OK) {
        err = tako_hash(c->v->db, which, hex, &documents);
        if (err != TAKO_OK)
            err = failed(c, err);
    }
    if (err == TAKO_OK) {
        tako_put_fmt(&b, "{\"hash\":\"%s\",\"documents\":%llu}", hex,
                     (unsigned long long)documents);
        err = done(c, &b);
    }
    tako_buf_fini(&name);
    tako_buf_fini(&b);
    return err;
}

static void note_text(void *ctx, const char *text)
{
    call *c = ctx;
    tako_buf b = tako_buf_on(c->v->env);

    json_put_string(&b, tako_slice_str(text));
    if (c->note_err == TAKO_OK)
        c->note_err =
            b.failed ? TAKO_NOMEM : c->emit(c->ctx, "note", tako_buf_slice(&b));
    tako_buf_fini(&b);
}

static void note_progress(void *ctx, uint64_t so_far, uint64_t all)
{
    call *c = ctx;
    tako_buf b = tako_buf_on(c->v->env);

    tako_put_fmt(&b, "{\"done\":%llu,\"all\":%llu}", (unsigned long long)so_far,
                 (unsigned long long)all);
    if (c->note_err == TAKO_OK && !b.failed)
        c->note_err = c->emit(c->ctx, "note", tako_buf_slice(&b));
    tako_buf_fini(&b);
}

static tako_err op_check(call *c)
{
    tako_err err = tako_check(c->v->db, note_text, c);

    if (err != TAKO_OK)
        return failed(c, err);
    TAKO_TRY(c->note_err);
    return c->emit(c->ctx, "done", tako_slice_str("{\"ok\":true}"));
}

static tako_err op_backup(call *c)
{
    tako_buf to = tako_buf_on(c->v->env);
    tako_err err = cstr_of(c, "to", &to);

    if (err == TAKO_OK) {
        err = tako_backup(c->v->db, (const char *)to.ptr, note_progress, c);
        if (err != TAKO_OK)
            err = failed(c, err);
    }
    tako_buf_fini(&to);
    if (err == TAKO_OK)
        err = c->emit(c->ctx, "done", tako_slice_str("{}"));
    return err;
}

static tako_err op_compact(call *c)
{
    tako_err err = tako_compact(c->v->db);

    if (err != TAKO_OK)
        return failed(c, err);
    return c->emit(c->ctx, "done", tako_slice_str("{}"));
}

static tako_err peer(call *c, bool add)
{
    tako_buf address = tako_buf_on(c->v->env);
    tako_err err = cstr_of(c, "address", &address);

    if (err == TAKO_OK) {
        const char *a = (const char *)address.ptr;

        err = add ? tako_peer_add(c->v->db, a) : tako_peer_remove(c->v->db, a);
        if (err != TAKO_OK)
            err = failed(c, err);
    }
    tako_buf_fini(&address);
    if (err == TAKO_OK)
        err = c->emit(c->ctx, "done", tako_slice_str("{}"));
    return err;
}

static tako_err op_peer_add(call *c)
{
    return peer(c, true);
}

static tako_err op_peer_remove(call *c)
{
    return peer(c, false);
}

static tako_err op_wait(call *c)
{
    tako_buf name = tako_buf_on(c->v->env);
    bool one = text_of(c, "peer").len > 0;
    uint64_t timeout = number_of(c, "timeout_ms", 10000);
    tako_err err = one ? cstr_of(c, "peer", &name) : TAKO_OK;
    const char *who = one ? (const char *)name.ptr : NULL;

    if (timeout > UINT32_MAX)
        timeout = UINT32_MAX;
    if (err == TAKO_OK) {
        tako_wait_opts opts = TAKO_WAIT_OPTS_INIT;

        opts.commit = number_of(c, "commit", 0);
        opts.peer = who;
        opts.keepers = (uint32_t)number_of(c, "keepers", 0);
        opts.timeout_ms = (uint32_t)timeout;
        err = tako_wait_for(c->v->db, &opts);
        if (err != TAKO_OK)
            err = failed(c, err);
    }
    tako_buf_fini(&name);
    if (err == TAKO_OK)
        err = c->emit(c->ctx, "done", tako_slice_str("{}"));
    return err;
}

/* ---- watch ---------------------------------------------------------------------- */

/* What the observer's thread leaves for the caller's. */
typedef struct watcher {
    sys_mutex *mutex;
    sys_cond *told;
    tako_buf json;
    bool full;
} watcher;

/* A whole result that was not fetched gives way to the next. */
static void on_told(void *ctx, const char *json, size_t len, uint64_t commit)
{
    watcher *w = ctx;

    (void)commit;
    sys_mutex_lock(w->mutex);
    tako_buf_reset(&w->json);
    tako_put_bytes(&w->json, tako_slice_of(json, len));
    w->full = true;
    sys_cond_signal(w->told);
    sys_mutex_unlock(w->mutex);
}

static tako_err watch_pause(const call *c)
{
    return c->v->pause != NULL ? c->v->pause(c->ctx) : TAKO_OK;
}

/* Waits for the next delivery, which is moved to `json`. */
static tako_err watch_wait(const call *c, watcher *w, tako_buf *json)
{
    tako_err err = watch_pause(c);

    sys_mutex_lock(w->mutex);
    while (err == TAKO_OK && !w->full) {
        if (sys_cond_wait(w->told, w->mutex, WATCH_PAUSE_MS))
            continue;
        sys_mutex_unlock(w->mutex);
        err = watch_pause(c);
        sys_mutex_lock(w->mutex);
    }
    if (err == TAKO_OK) {
        tako_buf was = *json;

        *json = w->json;
        w->json = was;
        w->full = false;
    }
    sys_mutex_unlock(w->mutex);
    return err == TAKO_OK && json->failed ? TAKO_NOMEM : err;
}

static tako_err watch_all(call *c, watcher *w, tako_observer o, bool diff)
{
    uint64_t most = number_of(c, "count", 0), count = 0;
    tako_buf json = tako_buf_on(c->v->env);
    tako_err err = TAKO_OK;

    while (err == TAKO_OK && (most == 0 || count < most)) {
        err = watch_wait(c, w, &json);
        if (err == TAKO_OK)
            err = c->emit(c->ctx, "row", tako_buf_slice(&json));
        if (err == TAKO_OK && diff)
            err = tako_observer_next(c->v->db, o);
        count++;
    }
    if (err == TAKO_OK) {
        tako_buf_reset(&json);
        tako_put_fmt(&json, "{\"count\":%llu}", (unsigned long long)count);
        err = done(c, &json);
    }
    tako_buf_fini(&json);
    return err;
}

static tako_err watch_statement(call *c, watcher *w, const char *text)
{
    tako_slice given = cbor_map_get(c->request, tako_slice_str("params"));
    tako_slice how = cbor_map_get(c->request, tako_slice_str("diff"));
    bool diff = how.len == 1 && how.ptr[0] == 0xF5; /* true */
    tako_params params = { NULL, given.ptr, given.len };
    const tako_params *p = given.len > 0 ? &params : NULL;
    tako_observer o = { 0 };
    tako_err err;

    err = diff ? tako_observe_diff(c->v->db, text, p, TAKO_OBSERVE_ASKED,
                                   on_told, w, &o)
               : tako_observe(c->v->db, text, p, on_told, w, &o);
    if (err != TAKO_OK)
        return failed(c, err);
    err = watch_all(c, w, o, diff);
    (void)tako_unobserve(c->v->db, o);
    return err;
}

static tako_err op_watch(call *c)
{
    const tako_env *env = c->v->env;
    watcher w = { .json = tako_buf_on(env) };
    tako_buf text = tako_buf_on(env);
    tako_err err = text_one_statement(text_of(c, "statement"), c->e);

    if (err == TAKO_OK && c->v->tx != NULL)
        err = tako_fail(c->e, TAKO_INVALID, "a transaction is open");
    if (err == TAKO_OK)
        err = cstr_of(c, "statement", &text);
    if (err == TAKO_OK)
        err = sys_mutex_new(env, &w.mutex);
    if (err == TAKO_OK)
        err = sys_cond_new(env, &w.told);
    if (err == TAKO_OK)
        err = watch_statement(c, &w, (const char *)text.ptr);
    sys_cond_free(w.told);
    sys_mutex_free(w.mutex);
    tako_buf_fini(&w.json);
    tako_buf_fini(&text);
    return err;
}

static tako_err op_cancel(call *c)
{
    tako_err err = tako_cancel(c->v->db, number_of(c, "request", 0));

    if (err != TAKO_OK)
        return failed(c, err);
    return c->emit(c->ctx, "done", tako_slice_str("{}"));
}

static tako_err op_attach_put(call *c)
{
    return service_attach_put(c->v, c->request, c->emit, c->ctx, c->e);
}

static tako_err op_attach_get(call *c)
{
    return service_attach_get(c->v, c->request, c->emit, c->ctx, c->e);
}

static const struct {
    const char *op;
    tako_err (*run)(call *c);
} ops[] = {
    { "execute", op_execute },
    { "import", op_import },
    { "status", op_status },
    { "collections", op_collections },
    { "hash", op_hash },
    { "check", op_check },
    { "backup", op_backup },
    { "compact", op_compact },
    { "peer_add", op_peer_add },
    { "peer_remove", op_peer_remove },
    { "wait", op_wait },
    { "watch", op_watch },
    { "cancel", op_cancel },
    { "attach_put", op_attach_put },
    { "attach_get", op_attach_get },
};

tako_err service_call(service *v, tako_slice request, service_emit *emit,
                      void *ctx, tako_errbuf *e)
{
    tako_buf cbor = tako_buf_on(v->env);
    call c = { v, TAKO_SLICE_NONE, emit, ctx, e, TAKO_OK };
    tako_slice op;
    tako_err err = json_to_cbor(request, TAKO_JSON_DEPTH_MAX, &cbor, e);

    if (err != TAKO_OK)
        goto out;
    c.request = tako_buf_slice(&cbor);
    op = text_of(&c, "op");
    err = tako_fail(e, TAKO_UNSUPPORTED, "unknown operation: %.*s",
                    (int)(op.len < 40 ? op.len : 40),
                    op.len == 0 ? "" : (const char *)op.ptr);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!tako_slice_eq(op, tako_slice_str(ops[i].op)))
            continue;
        e->text[0] = '\0';
        err = ops[i].run(&c);
        break;
    }
out:
    tako_buf_fini(&cbor);
    return err;
}
