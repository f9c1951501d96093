// SPDX-License-Identifier: Apache-2.0
/* ATTACHMENT -- reading contents, and waiting for them.
 *
 * A handle knows a content by its token and holds no snapshot: each read takes
 * a reader, looks up one chunk at a time, checks it, and gives the reader back.
 * Fetching belongs to the node and goes on without the handle. */
#include "api/api.h"

#include "codec/json.h"
#include "crdt/doc.h"
#include "store/blob.h"

#define WAIT_LOOK_FIRST_MS 2u
#define WAIT_LOOK_MAX_MS   100u
#define PATH_KEYS_MAX      TAKO_VALUE_DEPTH_MAX

struct tako_attachment {
    tako_db *db;
    uint8_t id[BLOB_ID_BYTES];
    uint64_t len;
    blob_view view;
    bool viewed;
    bool fetch;
};

/* ---- the token of a document ------------------------------------------------- */

/* One key of a path: bare up to '.', or between back-ticks, where two stand
 * for one. */
static tako_err path_key(tako_slice *text, tako_arena *a, tako_slice *key,
                         tako_errbuf *e)
{
    bool quoted = text->len > 0 && text->ptr[0] == '`';
    uint8_t *out = tako_arena_alloc(a, text->len + 1);
    size_t i = quoted, n = 0;

    if (out == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    for (; i < text->len; i++) {
        uint8_t c = text->ptr[i];

        if (!quoted && c == '.')
            break;
        if (quoted && c == '`') {
            if (i + 1 == text->len || text->ptr[i + 1] != '`')
                break;
            i++;
        }
        out[n++] = c;
    }
    if ((quoted && i == text->len) || (!quoted && n == 0))
        return tako_fail(e, TAKO_INVALID, "a path is keys with dots between");
    i += quoted;
    *key = tako_slice_of(out, n);
    *text = tako_slice_of(text->ptr + i, text->len - i);
    return TAKO_OK;
}

static tako_err path_read(const char *path, tako_arena *a, tako_slice *keys,
                          size_t *count, tako_errbuf *e)
{
    tako_slice text = tako_slice_str(path);

    for (*count = 0;; ++*count) {
        if (*count == PATH_KEYS_MAX)
            return tako_fail(e, TAKO_INVALID, "a path has over %u keys",
                             PATH_KEYS_MAX);
        TAKO_TRY(path_key(&text, a, &keys[*count], e));
        if (text.len == 0)
            break;
        if (text.ptr[0] != '.')
            return tako_fail(e, TAKO_INVALID,
                             "a path is keys with dots between");
        text = tako_slice_of(text.ptr + 1, text.len - 1);
    }
    ++*count;
    return TAKO_OK;
}

static tako_err token_find(api_reader *r, tako_arena *a, const char *collection,
                           const char *path, tako_buf *json, tako_errbuf *e)
{
    tako_slice keys[PATH_KEYS_MAX];
    crdt_path p = { keys, 0 };
    store_row row;
    uint32_t coll = 0;
    crdt_doc *d;
    crdt_at at;
    tako_err err;

    TAKO_TRY(path_read(path, a, keys, &p.count, e));
    err = store_coll_find(r->conn, tako_slice_str(collection), &coll);
    if (err == TAKO_OK)
        err = store_get(r->conn, coll, tako_buf_slice(&r->scratch), &row);
    if (err == TAKO_OK && row.body.len == 0)
        err = TAKO_NOTFOUND;
    if (err != TAKO_OK)
        return tako_fail(e, err,
                         err == TAKO_NOTFOUND ? "no such document in %s"
                                              : "reading %s failed",
                         collection);
    TAKO_TRY(crdt_doc_decode_trusted(a, row.meta, row.body, &d, e));
    at = crdt_look(d, p);
    if (at.type == CRDT_AUTO)
        return tako_fail(e, TAKO_NOTFOUND, "nothing is at %s", path);
    if (at.type != CRDT_ATTACHMENT)
        return tako_fail(e, TAKO_INVALID, "%s is not an attachment", path);
    return json_from_cbor(at.value, json);
}

tako_err tako_attachment_token(tako_db *db, const char *collection,
                               const char *id_json, const char *path,
                               char **token_json)
{
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    tako_arena a;
    tako_buf out;
    tako_err err;

    TAKO_ARG(db != NULL && collection != NULL && id_json != NULL &&
             path != NULL && token_json != NULL);
    a = tako_arena_on(&db->env);
    out = tako_buf_on(&db->env);
    err = api_reader_take(db, &r, &e);
    if (err != TAKO_OK)
        return api_fail(db, err, &e);
    tako_buf_reset(&r->scratch);
    err = json_to_cbor(tako_slice_str(id_json), TAKO_VALUE_DEPTH_MAX,
                       &r->scratch, &e);
    api_text_begin(&out);
    if (err == TAKO_OK)
        err = token_find(r, &a, collection, path, &out, &e);
    api_reader_give(db, r);
    if (err == TAKO_OK)
        err = api_text_end(&out, token_json);
    tako_arena_fini(&a);
    if (err == TAKO_OK)
        return TAKO_OK;
    tako_buf_fini(&out);
    return api_fail(db, err, &e);
}

/* ---- fetching ------------------------------------------------------------------ */

typedef struct blob_call {
    tako_attachment *a;
    sync_blob_state state;
    tako_errbuf *e;
    tako_err err;
} blob_call;

static void fetch_on_loop(void *arg)
{
    blob_call *c = arg;

    c->err = node_blob_fetch(c->a->db->sync.node, c->a->id, c->a->len, c->e);
}

static void state_on_loop(void *arg)
{
    blob_call *c = arg;

    c->err = node_blob_state(c->a->db->sync.node, c->a->id, &c->state);
}

/* TAKO_CLOSED: sync does not run. */
static tako_err call_node(blob_call *c, void (*fn)(void *arg))
{
    tako_db *db = c->a->db;
    tako_err err = TAKO_CLOSED;

    sys_mutex_lock(db->sync.mutex);
    if (db->sync.running) {
        err = api_loop_call(db, fn, c, c->e);
        if (err == TAKO_OK)
            err = c->err;
    }
    sys_mutex_unlock(db->sync.mutex);
    return err;
}

/* Without sync there is nobody to fetch it from; that is no failure, and it is
 * fetched when it is waited for later. */
static tako_err fetch_begin(tako_attachment *a, tako_errbuf *e)
{
    blob_call c = { .a = a, .e = e };
    tako_err err = call_node(&c, fetch_on_loop);

    if (err != TAKO_CLOSED && err != TAKO_EXISTS)
        return err;
    e->text[0] = '\0';
    return TAKO_OK;
}

/* ---- the handle ------------------------------------------------------------------ */

static tako_err facts_read(tako_attachment *a, blob_facts *out, tako_errbuf *e)
{
    api_reader *r = NULL;
    tako_err err;

    TAKO_TRY(api_reader_take(a->db, &r, e));
    err = store_blob_find(r->conn, a->id, out, e);
    if (err == TAKO_OK && out->form.len != a->len)
        err = TAKO_NOTFOUND; /* the token's length is wrong */
    api_reader_give(a->db, r);
    return err;
}

static tako_err open_fetch(tako_attachment *a, tako_errbuf *e)
{
    blob_facts f;
    tako_err err = facts_read(a, &f, e);

    if (err == TAKO_NOTFOUND || (err == TAKO_OK && !f.whole))
        return fetch_begin(a, e);
    return err;
}

static tako_err open_token(tako_attachment *a, const char *json, tako_errbuf *e)
{
    tako_buf cbor = tako_buf_on(&a->db->env);
    blob_token t;
    tako_err err =
        json_to_cbor(tako_slice_str(json), TAKO_VALUE_DEPTH_MAX, &cbor, e);

    if (err == TAKO_OK)
        err = blob_token_read(tako_buf_slice(&cbor), &t, e);
    if (err == TAKO_OK) {
        memcpy(a->id, t.id, sizeof a->id);
        a->len = t.len;
    }
    tako_buf_fini(&cbor);
    return err;
}

tako_err tako_attachment_open(tako_db *db, const char *token_json,
                              uint32_t flags, tako_attachment **out)
{
    tako_errbuf e = { "" };
    tako_attachment *a;
    tako_err err;

    TAKO_ARG(db != NULL && token_json != NULL && out != NULL);
    if ((flags & ~TAKO_ATTACHMENT_FETCH) != 0)
        return api_fail(db, tako_fail(&e, TAKO_MISUSE, "unknown flags"), &e);
    a = tako_env_alloc(&db->env, sizeof *a);
    if (a == NULL)
        return api_fail(db, TAKO_NOMEM, NULL);
    a->db = db;
    a->fetch = flags != 0;
    err = open_token(a, token_json, &e);
    if (err == TAKO_OK && a->fetch)
        err = open_fetch(a, &e);
    if (err == TAKO_OK) {
        *out = a;
        return TAKO_OK;
    }
    tako_attachment_close(a);
    return api_fail(db, err, &e);
}

void tako_attachment_close(tako_attachment *a)
{
    if (a == NULL)
        return;
    if (a->viewed)
        blob_view_close(&a->view);
    tako_env_free(&a->db->env, a, sizeof *a);
}

/* ---- reading ----------------------------------------------------------------------- */

static void view_drop(tako_attachment *a)
{
    if (a->viewed)
        blob_view_close(&a->view);
    a->viewed = false;
}

static tako_err view_ready(tako_attachment *a, store_conn *c, tako_errbuf *e)
{
    tako_err err;

    if (a->viewed)
        return TAKO_OK;
    err = blob_view_open(c, a->id, &a->view, e);
    a->viewed = true;
    if (err == TAKO_OK && a->view.facts.form.len != a->len)
        err = TAKO_NOTFOUND;
    if (err != TAKO_OK)
        view_drop(a);
    return err;
}

/* One chunk's worth. A content that was collected and came again has another
 * place: so it is looked for once more. */
static tako_err read_chunk(tako_attachment *a, store_conn *c, uint64_t offset,
                           tako_slice *out, tako_errbuf *e)
{
    bool fresh = !a->viewed;
    tako_err err = view_ready(a, c, e);

    if (err == TAKO_OK)
        err = blob_view_read(&a->view, c, offset, out, e);
    if (err != TAKO_NOTFOUND || fresh)
        return err;
    view_drop(a);
    TAKO_TRY(view_ready(a, c, e));
    return blob_view_read(&a->view, c, offset, out, e);
}

static tako_err not_here(tako_attachment *a, tako_errbuf *e)
{
    blob_facts f = { .have = 0 };
    blob_form form = { .parts = 0 };

    (void)blob_form_of(a->len, &form);
    (void)facts_read(a, &f, e);
    return tako_fail(e, TAKO_UNREACH,
                     "the attachment is not here: %u of %u parts are", f.have,
                     form.parts);
}

tako_err tako_attachment_read(tako_attachment *a, uint64_t offset, void *buf,
                              size_t cap, size_t *got)
{
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    size_t n = 0;
    tako_err err;

    TAKO_ARG(a != NULL && (buf != NULL || cap == 0) && got != NULL);
    err = api_reader_take(a->db, &r, &e);
    while (err == TAKO_OK && n < cap && offset < a->len) {
        tako_slice s;

        err = read_chunk(a, r->conn, offset, &s, &e);
        if (err != TAKO_OK || s.len == 0)
            break;
        if (s.len > cap - n)
            s.len = cap - n;
        memcpy((uint8_t *)buf + n, s.ptr, s.len);
        n += s.len;
        offset += s.len;
    }
    if (r != NULL)
        api_reader_give(a->db, r);
    if (err == TAKO_NOTFOUND && n > 0)
        err = TAKO_OK;
    if (err == TAKO_NOTFOUND)
        err = not_here(a, &e);
    if (err != TAKO_OK)
        return api_fail(a->db, err, &e);
    *got = n;
    return TAKO_OK;
}

/* ---- state, waiting ------------------------------------------------------------------- */

static tako_err info_read(tako_attachment *a, tako_attachment_info *out,
                          tako_errbuf *e)
{
    blob_call c = { .a = a, .e = e };
    blob_facts f = { .have = 0 };
    tako_err err = facts_read(a, &f, e);

    *out = (tako_attachment_info){ .bytes = a->len,
                                   .state = TAKO_ATTACHMENT_ABSENT };
    if (err != TAKO_OK && err != TAKO_NOTFOUND)
        return err;
    if (f.whole) {
        out->here = a->len;
        out->state = TAKO_ATTACHMENT_HERE;
        return TAKO_OK;
    }
    if (f.have > 1u + f.form.nodes)
        out->here = (uint64_t)(f.have - 1u - f.form.nodes) * BLOB_PART_BYTES;
    if (out->here >= a->len)
        out->here = a->len > 0 ? a->len - 1 : 0;
    err = call_node(&c, state_on_loop);
    if (err == TAKO_CLOSED || err == TAKO_NOTFOUND)
        return TAKO_OK;
    if (err != TAKO_OK)
        return err;
    out->sources = c.state.sources;
    out->state = c.state.unavailable ? TAKO_ATTACHMENT_UNAVAILABLE
                                     : TAKO_ATTACHMENT_FETCHING;
    return TAKO_OK;
}

tako_err tako_attachment_status(tako_attachment *a, tako_attachment_info *out)
{
    tako_errbuf e = { "" };
    tako_attachment_info info;
    tako_err err;

    TAKO_ARG(a != NULL && out != NULL);
    err = info_read(a, &info, &e);
    if (err != TAKO_OK)
        return api_fail(a->db, err, &e);
    *out = info;
    return TAKO_OK;
}

/* Sleeps so long, or until something of sync was told. */
static void rest(tako_db *db, uint64_t ms)
{
    sys_mutex_lock(db->sync.wait_mutex);
    (void)sys_cond_wait(db->sync.wait_cond, db->sync.wait_mutex, ms);
    sys_mutex_unlock(db->sync.wait_mutex);
}

static tako_err wait_over(const tako_attachment_info *i, tako_errbuf *e)
{
    bool way = i->state == TAKO_ATTACHMENT_FETCHING;
    const char *how = i->state == TAKO_ATTACHMENT_UNAVAILABLE
                          ? "nobody linked has the attachment"
                      : way ? "the attachment is on its way"
                            : "sync is not running";

    return tako_fail(e, way ? TAKO_TIMEOUT : TAKO_UNREACH,
                     "%s: %llu of %llu bytes are here", how,
                     (unsigned long long)i->here, (unsigned long long)i->bytes);
}

static tako_err wait_for(tako_attachment *a, uint64_t until, tako_errbuf *e)
{
    const tako_env *env = &a->db->env;
    uint64_t pause = WAIT_LOOK_FIRST_MS;
    tako_attachment_info i;

    for (;;) {
        uint64_t now;

        TAKO_TRY(info_read(a, &i, e));
        if (i.state == TAKO_ATTACHMENT_HERE)
            return TAKO_OK;
        if (i.state == TAKO_ATTACHMENT_ABSENT && a->fetch)
            TAKO_TRY(fetch_begin(a, e)); /* sync began since, or once again */
        if (i.state == TAKO_ATTACHMENT_ABSENT && !a->fetch)
            return tako_fail(e, TAKO_UNREACH,
                             "the attachment is not being fetched");
        now = env->mono_ms(env->ctx);
        if (now >= until)
            return wait_over(&i, e);
        rest(a->db, pause < until - now ? pause : until - now);
        pause = pause < WAIT_LOOK_MAX_MS ? pause * 2 : pause;
    }
}

tako_err tako_attachment_wait(tako_attachment *a, uint32_t timeout_ms)
{
    tako_errbuf e = { "" };
    tako_err err;

    TAKO_ARG(a != NULL);
    err = wait_for(a, a->db->env.mono_ms(a->db->env.ctx) + timeout_ms, &e);
    return err == TAKO_OK ? TAKO_OK : api_fail(a->db, err, &e);
}
