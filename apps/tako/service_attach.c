// SPDX-License-Identifier: Apache-2.0
/* A file becomes an attachment of a document, and an attachment a file. What
 * is written to a file goes beside it first, so that nobody meets half of it. */
#include "service_attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/json.h"

#define NOTE_BYTES    (1u << 20) /* between two reports of progress */
#define WAIT_SLICE_MS 250u
#define COPY_BYTES    (256u << 10)
#define PATH_BYTES    4096u

typedef struct job {
    service *v;
    tako_slice request;
    service_emit *emit;
    void *ctx;
    tako_errbuf *e;
    tako_buf collection, id, path, file, token; /* ending in NUL */
    FILE *f;
    uint64_t done, all, noted;
    tako_err emitted;
} job;

/* ---- the request ------------------------------------------------------------ */

static tako_err failed(const job *j, tako_err err)
{
    return tako_fail(j->e, err, "%s", tako_last_error(j->v->db));
}

static tako_err text_read(const job *j, const char *key, tako_buf *out)
{
    tako_slice s = cbor_map_text(j->request, key);

    if (s.len == 0)
        return tako_fail(j->e, TAKO_INVALID, "\"%s\" is missing", key);
    if (memchr(s.ptr, '\0', s.len) != NULL)
        return tako_fail(j->e, TAKO_INVALID, "\"%s\" holds a NUL", key);
    tako_put_bytes(out, s);
    tako_buf_cstr(out);
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err job_begin(job *j, service *v, tako_slice request,
                          service_emit *emit, void *ctx, tako_errbuf *e)
{
    tako_buf none = tako_buf_on(v->env);
    tako_slice id = cbor_map_get(request, tako_slice_str("id"));

    *j = (job){ .v = v, .request = request, .emit = emit, .ctx = ctx, .e = e };
    j->collection = j->id = j->path = j->file = j->token = none;
    if (v->tx != NULL)
        return tako_fail(e, TAKO_INVALID, "a transaction is open");
    TAKO_TRY(text_read(j, "collection", &j->collection));
    TAKO_TRY(text_read(j, "path", &j->path));
    TAKO_TRY(text_read(j, "file", &j->file));
    if (id.len == 0)
        return tako_fail(e, TAKO_INVALID, "\"id\" is missing");
    TAKO_TRY(json_from_cbor(id, &j->id));
    tako_buf_cstr(&j->id);
    return j->id.failed ? TAKO_NOMEM : TAKO_OK;
}

static void job_end(job *j)
{
    if (j->f != NULL)
        (void)fclose(j->f);
    tako_buf_fini(&j->collection);
    tako_buf_fini(&j->id);
    tako_buf_fini(&j->path);
    tako_buf_fini(&j->file);
    tako_buf_fini(&j->token);
}

static const char *text(const tako_buf *b)
{
    return (const char *)b->ptr;
}

static tako_err file_failed(const job *j, const char *path)
{
    int why = errno;

    return tako_fail(j->e,
                     why == ENOENT   ? TAKO_NOTFOUND
                     : why == ENOSPC ? TAKO_FULL
                                     : TAKO_IO,
                     "%s: %s", path, strerror(why));
}

static tako_err note(job *j, const char *state, uint32_t sources)
{
    tako_buf b = tako_buf_on(j->v->env);
    tako_err err = TAKO_NOMEM;

    tako_put_fmt(&b,
                 "{\"done\":%llu,\"all\":%llu,\"state\":\"%s\","
                 "\"sources\":%u}",
                 (unsigned long long)j->done, (unsigned long long)j->all, state,
                 sources);
    if (!b.failed)
        err = j->emit(j->ctx, "note", tako_buf_slice(&b));
    tako_buf_fini(&b);
    if (err == TAKO_OK && j->v->pause != NULL)
        err = j->v->pause(j->ctx);
    return err;
}

static tako_err said(job *j, uint64_t commit)
{
    tako_buf b = tako_buf_on(j->v->env);
    tako_err err = TAKO_NOMEM;

    tako_put_fmt(&b, "{\"bytes\":%llu,", (unsigned long long)j->all);
    if (commit != 0)
        tako_put_fmt(&b, "\"commit\":%llu,", (unsigned long long)commit);
    tako_put_str(&b, "\"token\":");
    tako_put_str(&b, text(&j->token));
    tako_put_u8(&b, '}');
    if (!b.failed)
        err = j->emit(j->ctx, "done", tako_buf_slice(&b));
    tako_buf_fini(&b);
    return err;
}

/* ---- put ---------------------------------------------------------------------- */

static long file_read(void *ctx, void *buf, size_t cap)
{
    job *j = ctx;
    size_t n = fread(buf, 1, cap, j->f);

    if (n == 0 && ferror(j->f))
        return -1;
    j->done += n;
    if (j->done - j->noted >= NOTE_BYTES) {
        j->noted = j->done;
        j->emitted = note(j, "putting", 0);
    }
    return j->emitted == TAKO_OK ? (long)n : -1;
}

tako_err service_put_path(tako_buf *out, tako_slice path, tako_errbuf *e)
{
    bool quoted = false, bare = false;

    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];

        if (c == '`' && !bare) {
            quoted = !quoted;
        } else if (!quoted && !bare && c != '.') {
            bare = true;
            tako_put_u8(out, '`');
        } else if (bare && (c == '.' || c == '`')) {
            if (c == '`')
                break;
            bare = false;
            tako_put_u8(out, '`');
        }
        tako_put_u8(out, c);
    }
    if (bare)
        tako_put_u8(out, '`');
    return quoted || path.len == 0 || path.ptr[path.len - 1] == '.'
               ? tako_fail(e, TAKO_INVALID, "a path is keys with dots between")
               : TAKO_OK;
}

static tako_err token_write(job *j, uint64_t *commit)
{
    tako_buf s = tako_buf_on(j->v->env), p = tako_buf_on(j->v->env);
    tako_params params = { NULL, NULL, 0 };
    tako_result *r = NULL;
    tako_err err;

    tako_put_str(&s, "UPDATE ");
    err = service_put_name(&s, tako_buf_slice(&j->collection), j->e);
    tako_put_str(&s, " SET ");
    if (err == TAKO_OK)
        err = service_put_path(&s, tako_buf_slice(&j->path), j->e);
    tako_put_str(&s, " = :token WHERE _id = :id");
    tako_put_fmt(&p, "{\"token\":%s,\"id\":%s}", text(&j->token), text(&j->id));
    tako_buf_cstr(&s);
    params.json = tako_buf_cstr(&p);
    if (err == TAKO_OK && (s.failed || p.failed))
        err = TAKO_NOMEM;
    if (err == TAKO_OK) {
        err = tako_execute(j->v->db, text(&s), &params, &r);
        if (err != TAKO_OK)
            err = failed(j, err);
        else if (tako_result_mutated(r) == 0)
            err = tako_fail(j->e, TAKO_NOTFOUND, "no document %s in %s",
                            text(&j->id), text(&j->collection));
        else
            *commit = tako_result_commit(r);
    }
    tako_result_free(r);
    tako_buf_fini(&s);
    tako_buf_fini(&p);
    return err;
}

/* The document must be there before the file is read. */
static tako_err document_check(job *j)
{
    char *json = NULL;
    tako_err err =
        tako_get(j->v->db, text(&j->collection), text(&j->id), &json);

    if (err == TAKO_OK)
        tako_free(json);
    if (err == TAKO_NOTFOUND)
        return tako_fail(j->e, err, "no document %s in %s", text(&j->id),
                         text(&j->collection));
    return err == TAKO_OK ? err : failed(j, err);
}

static tako_err file_attach(job *j)
{
    tako_attach_opts o = TAKO_ATTACH_OPTS_INIT;
    tako_buf type = tako_buf_on(j->v->env), name = tako_buf_on(j->v->env);
    const char *slash = strrchr(text(&j->file), '/');
    char *token = NULL;
    struct stat st;
    tako_err err = TAKO_OK;

    j->f = fopen(text(&j->file), "rb");
    if (j->f == NULL || fstat(fileno(j->f), &st) != 0)
        return file_failed(j, text(&j->file));
    if (S_ISDIR(st.st_mode))
        return tako_fail(j->e, TAKO_INVALID, "%s is a folder", text(&j->file));
    j->all = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (cbor_map_text(j->request, "type").len > 0) {
        err = text_read(j, "type", &type);
        o.type = text(&type);
    }
    o.name = slash != NULL ? slash + 1 : text(&j->file);
    if (err == TAKO_OK && cbor_map_text(j->request, "name").len > 0) {
        err = text_read(j, "name", &name);
        o.name = text(&name);
    }
    if (err == TAKO_OK) {
        err = tako_attach(j->v->db, file_read, j, &o, &token);
        if (err == TAKO_CANCELED && j->emitted != TAKO_OK)
            err = j->emitted;
        else if (err == TAKO_CANCELED)
            err =
                tako_fail(j->e, TAKO_IO, "%s: reading failed", text(&j->file));
        else if (err != TAKO_OK)
            err = failed(j, err);
    }
    if (err == TAKO_OK) {
        tako_put_str(&j->token, token);
        tako_buf_cstr(&j->token);
        err = j->token.failed ? TAKO_NOMEM : TAKO_OK;
    }
    tako_free(token);
    tako_buf_fini(&type);
    tako_buf_fini(&name);
    return err;
}

tako_err service_attach_put(service *v, tako_slice request, service_emit *emit,
                            void *ctx, tako_errbuf *e)
{
    uint64_t commit = 0;
    job j;
    tako_err err = job_begin(&j, v, request, emit, ctx, e);

    if (err == TAKO_OK)
        err = document_check(&j);
    if (err == TAKO_OK)
        err = file_attach(&j);
    if (err == TAKO_OK)
        err = token_write(&j, &commit);
    j.all = j.done;
    if (err == TAKO_OK)
        err = said(&j, commit);
    job_end(&j);
    return err;
}

/* ---- get ------------------------------------------------------------------------ */

static const char *state_name(tako_attachment_state s)
{
    static const char *const names[] = { "here", "fetching", "unavailable",
                                         "absent" };

    return names[s];
}

/* Waits while something comes, and so long when nothing does. */
static tako_err attachment_wait(job *j, tako_attachment *a, uint64_t patience)
{
    const tako_env *env = j->v->env;
    uint64_t since = env->mono_ms(env->ctx);
    tako_attachment_info i;

    for (;;) {
        uint64_t left, now = env->mono_ms(env->ctx);
        tako_err err = tako_attachment_status(a, &i);

        if (err != TAKO_OK)
            return failed(j, err);
        j->all = i.bytes;
        if (i.here > j->done)
            since = now;
        j->done = i.here;
        if (i.state == TAKO_ATTACHMENT_HERE)
            return TAKO_OK;
        TAKO_TRY(note(j, state_name(i.state), i.sources));
        left = now < since + patience ? since + patience - now : 0;
        err = tako_attachment_wait(
            a, (uint32_t)(left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS));
        if (err == TAKO_OK ||
            (left > 0 && (err == TAKO_TIMEOUT || err == TAKO_UNREACH)))
            continue;
        return failed(j, err);
    }
}

static tako_err content_copy(job *j, tako_attachment *a, FILE *f,
                             const char *path)
{
    uint8_t *buf = tako_env_alloc(j->v->env, COPY_BYTES);
    uint64_t at = 0;
    size_t n = 1;
    tako_err err = buf != NULL ? TAKO_OK : TAKO_NOMEM;

    while (err == TAKO_OK && n > 0) {
        err = tako_attachment_read(a, at, buf, COPY_BYTES, &n);
        if (err != TAKO_OK)
            err = failed(j, err);
        else if (fwrite(buf, 1, n, f) != n)
            err = file_failed(j, path);
        at += err == TAKO_OK ? n : 0;
    }
    tako_env_free(j->v->env, buf, buf != NULL ? COPY_BYTES : 0);
    return err;
}

static tako_err content_write(job *j, tako_attachment *a)
{
    char part[PATH_BYTES];
    FILE *f;
    tako_err err;
    int n = snprintf(part, sizeof part, "%s.part", text(&j->file));

    if (n < 0 || (size_t)n >= sizeof part)
        return tako_fail(j->e, TAKO_INVALID, "%.200s...: the path is too long",
                         text(&j->file));
    f = fopen(part, "wb");
    if (f == NULL)
        return file_failed(j, part);
    err = content_copy(j, a, f, part);
    if (fclose(f) != 0 && err == TAKO_OK)
        err = file_failed(j, part);
    if (err == TAKO_OK && rename(part, text(&j->file)) != 0)
        err = file_failed(j, text(&j->file));
    if (err != TAKO_OK)
        (void)unlink(part);
    return err;
}

static tako_err token_find(job *j)
{
    char *token = NULL;
    tako_err err = tako_attachment_token(j->v->db, text(&j->collection),
                                         text(&j->id), text(&j->path), &token);

    if (err != TAKO_OK)
        return tako_fail(j->e, err, "%s %s: %s", text(&j->collection),
                         text(&j->id), tako_last_error(j->v->db));
    tako_put_str(&j->token, token);
    tako_buf_cstr(&j->token);
    tako_free(token);
    return j->token.failed ? TAKO_NOMEM : TAKO_OK;
}

static uint64_t patience_of(tako_slice request)
{
    tako_slice v = cbor_map_get(request, tako_slice_str("timeout_ms"));
    tako_reader r = tako_reader_of(v);
    cbor_item item;

    if (v.len == 0 || cbor_kind_of(v) != CBOR_INT || !cbor_read(&r, &item) ||
        item.integer < 0)
        return 30000;
    return (uint64_t)item.integer;
}

tako_err service_attach_get(service *v, tako_slice request, service_emit *emit,
                            void *ctx, tako_errbuf *e)
{
    tako_attachment *a = NULL;
    job j;
    tako_err err = job_begin(&j, v, request, emit, ctx, e);

    if (err == TAKO_OK)
        err = token_find(&j);
    if (err == TAKO_OK) {
        err = tako_attachment_open(v->db, text(&j.token), TAKO_ATTACHMENT_FETCH,
                                   &a);
        if (err != TAKO_OK)
            err = failed(&j, err);
    }
    if (err == TAKO_OK)
        err = attachment_wait(&j, a, patience_of(request));
    if (err == TAKO_OK)
        err = content_write(&j, a);
    if (err == TAKO_OK)
        err = said(&j, 0);
    tako_attachment_close(a);
    job_end(&j);
    return err;
}
