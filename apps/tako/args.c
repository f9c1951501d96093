// SPDX-License-Identifier: Apache-2.0
#include "args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"

#define READ_CHUNK_BYTES 65536u

static tako_err read_stream(FILE *f, const char *path, size_t max,
                            tako_buf *out, tako_errbuf *e)
{
    size_t start = out->len;

    for (;;) {
        size_t n;

        if (!tako_buf_reserve(out, READ_CHUNK_BYTES))
            return tako_fail(e, TAKO_NOMEM, "%s: out of memory", path);
        n = fread(out->ptr + out->len, 1, READ_CHUNK_BYTES, f);
        out->len += n;
        if (out->len - start > max)
            return tako_fail(e, TAKO_LIMIT, "%s: more than %zu bytes", path,
                             max);
        if (n == 0)
            break;
    }
    if (ferror(f))
        return tako_fail(e, TAKO_IO, "%s: %s", path, strerror(errno));
    return TAKO_OK;
}

tako_err args_read_file(const char *path, size_t max, tako_buf *out,
                        tako_errbuf *e)
{
    FILE *f;
    tako_err err;

    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "standard input", max, out, e);
    f = fopen(path, "rbe");
    if (f == NULL)
        return tako_fail(e, errno == ENOENT ? TAKO_NOTFOUND : TAKO_IO, "%s: %s",
                         path, strerror(errno));
    err = read_stream(f, path, max, out, e);
    fclose(f);
    return err;
}

/* Checks that `text` is JSON and appends it on one line. */
static tako_err put_json(tako_slice text, const char *what, bool object,
                         tako_buf *out, tako_errbuf *e)
{
    tako_buf cbor = tako_buf_on(out->env);
    tako_errbuf why = { "" };
    tako_err err = json_to_cbor(text, TAKO_VALUE_DEPTH_MAX, &cbor, &why);

    if (err != TAKO_OK)
        err = tako_fail(e, err, "%s: %s", what,
                        why.text[0] ? why.text : tako_err_message(err));
    else if (object && cbor_kind_of(tako_buf_slice(&cbor)) != CBOR_MAP)
        err = tako_fail(e, TAKO_INVALID, "%s: not a JSON object", what);
    else
        err = json_from_cbor(tako_buf_slice(&cbor), out);
    tako_buf_fini(&cbor);
    return err;
}

/* The name before the '=' in one of the pairs before the last. */
static bool named_before(const option_list *pairs, size_t last, size_t len)
{
    const char *name = pairs->items[last];

    for (size_t i = 0; i < last; i++) {
        if (strncmp(pairs->items[i], name, len + 1) == 0)
            return true;
    }
    return false;
}

static tako_err put_pairs(const option_list *pairs, tako_buf *out,
                          tako_errbuf *e)
{
    tako_put_u8(out, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        const char *text = pairs->items[i];
        const char *equals = strchr(text, '=');

        if (equals == NULL || equals == text)
            return tako_fail(e, TAKO_INVALID,
                             "--arg %s: as name=JSON is wanted", text);
        if (named_before(pairs, i, (size_t)(equals - text)))
            return tako_fail(e, TAKO_INVALID, "--arg %s: given twice", text);
        if (i > 0)
            tako_put_u8(out, ',');
        json_put_string(out, tako_slice_of(text, (size_t)(equals - text)));
        tako_put_u8(out, ':');
        TAKO_TRY(put_json(tako_slice_str(equals + 1), text, false, out, e));
    }
    tako_put_u8(out, '}');
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

tako_err args_read(const option_list *pairs, const char *path, tako_buf *out,
                   tako_errbuf *e)
{
    tako_buf text = tako_buf_on(out->env);
    tako_err err = TAKO_OK;

    if (path != NULL && pairs->count > 0)
        return tako_fail(e, TAKO_INVALID, "--arg and --args exclude another");
    if (path != NULL) {
        err = args_read_file(path, TAKO_VALUE_BYTES_MAX, &text, e);
        if (err == TAKO_OK)
            err = put_json(tako_buf_slice(&text), path, true, out, e);
    } else if (pairs->count > 0) {
        err = put_pairs(pairs, out, e);
    }
    tako_buf_fini(&text);
    return err;
}
