// SPDX-License-Identifier: Apache-2.0
#include "splitter.h"

#include <errno.h>

#include "base/limits.h"

#define SPLITTER_CHUNK_BYTES 65536u

void splitter_init(splitter *s, const tako_env *env, FILE *f)
{
    *s = (splitter){ 0 };
    s->f = f;
    s->in = tako_buf_on(env);
    s->line = 1;
    s->first = true;
}

void splitter_fini(splitter *s)
{
    tako_buf_fini(&s->in);
}

/* Moves over n bytes, counting lines. */
static void advance(splitter *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->line += s->in.ptr[s->pos + i] == '\n';
    s->pos += n;
}

/* Makes the byte at pos + ahead available. TAKO_NOTFOUND: the file ends. */
static tako_err need(splitter *s, size_t ahead, tako_errbuf *e)
{
    while (s->in.len - s->pos <= ahead) {
        size_t n;

        if (s->eof)
            return TAKO_NOTFOUND;
        if (ahead > TAKO_VALUE_BYTES_MAX)
            return tako_fail(e, TAKO_LIMIT, "a value of more than %u bytes",
                             TAKO_VALUE_BYTES_MAX);
        if (s->pos > SPLITTER_CHUNK_BYTES) {
            memmove(s->in.ptr, s->in.ptr + s->pos, s->in.len - s->pos);
            s->in.len -= s->pos;
            s->pos = 0;
        }
        if (!tako_buf_reserve(&s->in, SPLITTER_CHUNK_BYTES))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        n = fread(s->in.ptr + s->in.len, 1, SPLITTER_CHUNK_BYTES, s->f);
        s->in.len += n;
        s->eof = n == 0;
        if (n == 0 && ferror(s->f))
            return tako_fail(e, TAKO_IO, "%s", strerror(errno));
    }
    return TAKO_OK;
}

static tako_err skip_space(splitter *s, tako_errbuf *e)
{
    for (;;) {
        uint8_t c;

        TAKO_TRY(need(s, 0, e));
        c = s->in.ptr[s->pos];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return TAKO_OK;
        advance(s, 1);
    }
}

/* The length of the element at pos, up to its comma or closing bracket. */
static tako_err element_len(splitter *s, size_t *len, tako_errbuf *e)
{
    size_t depth = 0;
    bool string = false;

    for (size_t i = 0;; i++) {
        tako_err err = need(s, i, e);
        uint8_t c;

        if (err == TAKO_NOTFOUND) {
            advance(s, i);
            return tako_fail(e, TAKO_INVALID, "the array has no end");
        }
        TAKO_TRY(err);
        c = s->in.ptr[s->pos + i];
        if (string) {
            string = c != '"';
            i += c == '\\';
        } else if (c == '"') {
            string = true;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ']')) {
            *len = i;
            return TAKO_OK;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        }
    }
}

static tako_err next_element(splitter *s, tako_slice *text, uint64_t *line,
                             tako_errbuf *e)
{
    size_t len;
    tako_err err;

    err = skip_space(s, e);
    if (s->ended && err == TAKO_NOTFOUND)
        return err;
    if (s->ended && err == TAKO_OK)
        return tako_fail(e, TAKO_INVALID, "something follows the array");
    if (err != TAKO_OK && err != TAKO_NOTFOUND)
        return err;
    TAKO_TRY(element_len(s, &len, e));
    *line = s->line;
    *text = tako_slice_of(s->in.ptr + s->pos, len);
    s->ended = s->in.ptr[s->pos + len] == ']';
    advance(s, len + 1);
    if (len == 0 && s->ended && s->first)
        return next_element(s, text, line, e); /* []: says what follows */
    s->first = false;
    return TAKO_OK;
}

static tako_err next_line(splitter *s, tako_slice *text, uint64_t *line,
                          tako_errbuf *e)
{
    size_t len = 0;

    TAKO_TRY(skip_space(s, e));
    for (;; len++) {
        tako_err err = need(s, len, e);

        if (err == TAKO_NOTFOUND ||
            (err == TAKO_OK && s->in.ptr[s->pos + len] == '\n'))
            break;
        TAKO_TRY(err);
    }
    *line = s->line;
    *text = tako_slice_of(s->in.ptr + s->pos, len);
    advance(s, len);
    return TAKO_OK;
}

tako_err splitter_next(splitter *s, tako_slice *text, uint64_t *line,
                       tako_errbuf *e)
{
    if (!s->begun) {
        TAKO_TRY(skip_space(s, e));
        s->begun = true;
        s->array = s->in.ptr[s->pos] == '[';
        if (s->array)
            advance(s, 1);
    }
    return s->array ? next_element(s, text, line, e)
                    : next_line(s, text, line, e);
}
