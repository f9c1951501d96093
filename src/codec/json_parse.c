// SPDX-License-Identifier: Apache-2.0
/* RFC 8259 to CBOR in one pass, without recursion: `stack` has the open
 * containers, the loop alternates between a value and what may follow it.
 * Nothing is accepted that the RFC does not allow, nor a byte order mark,
 * which it leaves to choice. */
#include "codec/json_in.h"

#include <stdio.h>

#include "codec/cbor_head.h"
#include "codec/utf8.h"

/* --- errors ----------------------------------------------------------- */

tako_err json_fail(const json_in *in, tako_err code, const uint8_t *at,
                   const char *fmt, ...)
{
    tako_errbuf what;
    size_t line = 1, column = 1;
    va_list ap;

    if (in->e == NULL)
        return code;
    for (const uint8_t *p = in->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) {
            column++;
        }
    }
    va_start(ap, fmt);
    (void)vsnprintf(what.text, sizeof what.text, fmt, ap);
    va_end(ap);
    return tako_fail(in->e, code, "line %zu column %zu: %s", line, column,
                     what.text);
}

tako_err json_fail_expected(const json_in *in, const uint8_t *at,
                            const char *what)
{
    tako_slice rest = tako_slice_of(at, (size_t)(in->end - at));
    char found[UTF8_SHOW_BYTES];
    size_t n = 1;

    if (rest.len == 0)
        return json_fail(in, TAKO_INVALID, at, "expected %s, found the end",
                         what);
    if (*at < 0x20 || *at == 0x7f)
        return json_fail(in, TAKO_INVALID, at,
                         "expected %s, found control character 0x%02x", what,
                         *at);
    if (rest.len > 4)
        rest.len = 4;
    if (*at >= 0x80) { /* the whole character, if it is one */
        while (n < rest.len && (at[n] & 0xc0) == 0x80)
            n++;
        if (!utf8_check(tako_slice_of(at, n)))
            return json_fail(in, TAKO_INVALID, at,
                             "expected %s, found byte 0x%02x", what, *at);
    }
    memcpy(found, at, n);
    found[n] = '\0';
    return json_fail(in, TAKO_INVALID, at, "expected %s, found %s%s%s", what,
                     *at == '\'' ? "\"" : "'", found, *at == '\'' ? "\"" : "'");
}

static tako_err fail_depth(const json_in *in)
{
    return json_fail(in, TAKO_LIMIT, in->cur, "nested deeper than %u",
                     in->depth_max);
}

/* --- values ----------------------------------------------------------- */

static void skip_space(json_in *in)
{
    const uint8_t *p = in->cur;

    while (p < in->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    in->cur = p;
}

static tako_err read_word(json_in *in, const char *word, uint8_t byte)
{
    for (; *word != '\0'; word++, in->cur++)
        if (in->cur == in->end || *in->cur != (uint8_t)*word)
            return json_fail_expected(in, in->cur,
                                      byte == CBOR_TRUE_BYTE    ? "true"
                                      : byte == CBOR_FALSE_BYTE ? "false"
                                                                : "null");
    tako_put_u8(in->out, byte);
    return TAKO_OK;
}

static tako_err fail_value(const json_in *in)
{
    if (in->end - in->cur >= 3 && memcmp(in->cur, "\xef\xbb\xbf", 3) == 0)
        return json_fail(in, TAKO_INVALID, in->cur,
                         "a byte order mark is not JSON");
    return json_fail_expected(in, in->cur, "a value");
}

/* Whether the object that begins at cur can be bytes; only then may it stand
 * where the depth is used up. Bounded by the white space there. */
static bool begins_bytes(json_in *in)
{
    static const char key[] = "\"$bytes\"";
    const uint8_t *open = in->cur;
    bool is;

    in->cur++;
    skip_space(in);
    is = (size_t)(in->end - in->cur) >= sizeof key - 1 &&
         memcmp(in->cur, key, sizeof key - 1) == 0;
    in->cur = open;
    return is;
}

static tako_err open_container(json_in *in, bool map)
{
    json_frame *f;

    if (in->depth >= in->depth_max &&
        !(map && in->depth == in->depth_max && begins_bytes(in)))
        return fail_depth(in);
    f = &in->stack[in->depth++];
    f->open = in->cur++;
    f->head = in->out->len - in->base;
    f->key = 0;
    f->count = 0;
    f->pairs = in->pairs_len;
    f->map = map;
    f->sorted = f->indexed = true;
    tako_put_u8(in->out, 0);
    return TAKO_OK;
}

static tako_err close_container(json_in *in)
{
    json_frame *f = &in->stack[in->depth - 1];
    tako_buf *out = in->out;
    uint8_t head[CBOR_HEAD_BYTES_MAX];
    size_t n;
    bool value = false;

    if (out->failed)
        return TAKO_NOMEM;
    if (out->len - in->base > TAKO_VALUE_BYTES_MAX)
        return json_fail(in, TAKO_LIMIT, in->cur,
                         "a value of more than %u bytes", TAKO_VALUE_BYTES_MAX);
    if (f->map)
        TAKO_TRY(json_map_close(in, f, &value));
    if (!value) {
        if (in->depth > in->depth_max)
            return json_fail(in, TAKO_LIMIT, f->open, "nested deeper than %u",
                             in->depth_max);
        n = cbor_head_write(head, f->map ? CBOR_MAJOR_MAP : CBOR_MAJOR_ARRAY,
                            f->count);
        if (n > 1)
            tako_buf_insert(out, in->base + f->head + 1,
                            tako_slice_of(head + 1, n - 1));
        if (!out->failed)
            out->ptr[in->base + f->head] = head[0];
    }
    in->depth--;
    in->cur++;
    return TAKO_OK;
}

/* A key and its colon; cur is where the key has to begin. */
static tako_err read_key(json_in *in, const char *expected)
{
    json_frame *f = &in->stack[in->depth - 1];
    size_t at = in->out->len - in->base;
    const uint8_t *text = in->cur;

    if (in->cur == in->end || *in->cur != '"')
        return json_fail_expected(in, in->cur, expected);
    TAKO_TRY(json_read_string(in));
    if (in->out->failed)
        return TAKO_NOMEM;
    TAKO_TRY(json_map_key(in, f, at, text));
    skip_space(in);
    if (in->cur == in->end || *in->cur != ':')
        return json_fail_expected(in, in->cur, "':' after a key");
    in->cur++;
    return TAKO_OK;
}

/* One value; *opened when it is a container whose first member is next. */
static tako_err read_value(json_in *in, bool *opened)
{
    skip_space(in);
    *opened = false;
    if (in->cur == in->end)
        return fail_value(in);
    switch (*in->cur) {
    case '"':
        return json_read_string(in);
    case '{':
        TAKO_TRY(open_container(in, true));
        skip_space(in);
        if (in->cur < in->end && *in->cur == '}')
            return close_container(in);
        *opened = true;
        return read_key(in, "a key in double quotes or '}'");
    case '[':
        TAKO_TRY(open_container(in, false));
        skip_space(in);
        if (in->cur < in->end && *in->cur == ']')
            return close_container(in);
        *opened = true;
        if (in->cur == in->end)
            return json_fail_expected(in, in->cur, "a value or ']'");
        return TAKO_OK;
    case 't':
        return read_word(in, "true", CBOR_TRUE_BYTE);
    case 'f':
        return read_word(in, "false", CBOR_FALSE_BYTE);
    case 'n':
        return read_word(in, "null", CBOR_NULL_BYTE);
    default:
        if (*in->cur == '-' || (*in->cur >= '0' && *in->cur <= '9'))
            return json_read_number(in);
        return fail_value(in);
    }
}

/* After a complete value in a container: closes what ends here, and stands
 * where the next value begins, or at depth 0. */
static tako_err after_value(json_in *in)
{
    while (in->depth > 0) {
        json_frame *f = &in->stack[in->depth - 1];
        uint8_t c;

        f->count++;
        skip_space(in);
        c = in->cur < in->end ? *in->cur : 0;
        if (c == ',') {
            in->cur++;
            if (!f->map)
                return TAKO_OK;
            skip_space(in);
            return read_key(in, "a key in double quotes");
        }
        if (c != (f->map ? '}' : ']'))
            return json_fail_expected(in, in->cur,
                                      f->map ? "',' or '}' after a value"
                                             : "',' or ']' after a value");
        TAKO_TRY(close_container(in));
    }
    return TAKO_OK;
}

static tako_err read_one(json_in *in)
{
    bool opened;

    do {
        TAKO_TRY(read_value(in, &opened));
        if (!opened)
            TAKO_TRY(after_value(in));
    } while (in->depth > 0);
    skip_space(in);
    if (in->out->failed)
        return TAKO_NOMEM;
    if (in->out->len - in->base > TAKO_VALUE_BYTES_MAX)
        return json_fail(in, TAKO_LIMIT, in->cur,
                         "a value of more than %u bytes", TAKO_VALUE_BYTES_MAX);
    return TAKO_OK;
}

static void begin(json_in *in, tako_slice text, unsigned depth_max,
                  tako_buf *out, tako_errbuf *e)
{
    in->start = in->cur = text.ptr;
    in->end = text.len > 0 ? text.ptr + text.len : text.ptr;
    in->out = out;
    in->e = e;
    in->base = out->len;
    in->depth = 0;
    in->depth_max =
        depth_max < TAKO_JSON_DEPTH_MAX ? depth_max : TAKO_JSON_DEPTH_MAX;
    in->pairs_len = 0;
}

tako_err json_to_cbor(tako_slice text, unsigned depth_max, tako_buf *out,
                      tako_errbuf *e)
{
    json_in in;
    tako_err err;

    if (text.len > TAKO_VALUE_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "a text of more than %u bytes",
                         TAKO_VALUE_BYTES_MAX);
    begin(&in, text, depth_max, out, e);
    err = read_one(&in);
    if (err == TAKO_OK && in.cur < in.end)
        err = json_fail_expected(&in, in.cur, "the end after one value");
    if (err != TAKO_OK)
        out->len = in.base;
    return err;
}

tako_err json_next_to_cbor(tako_slice text, unsigned depth_max, tako_buf *out,
                           size_t *used, tako_errbuf *e)
{
    json_in in;
    tako_err err;

    *used = 0;
    begin(&in, text, depth_max, out, e);
    skip_space(&in);
    if (in.cur == in.end) {
        *used = text.len;
        return tako_fail(e, TAKO_NOTFOUND, "nothing but white space");
    }
    err = read_one(&in);
    if (err != TAKO_OK)
        out->len = in.base;
    else
        *used = (size_t)(in.cur - in.start);
    return err;
}
