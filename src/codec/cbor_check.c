// SPDX-License-Identifier: Apache-2.0
/* One pass over outside bytes with a stack of open containers. Each frame
 * remembers how many items are to come and, for a map, the key before, so
 * that order and duplicates show at once: strictly ascending encodings are
 * both sorted and unique. */
#include "codec/cbor.h"

#include "codec/cbor_float.h"
#include "codec/cbor_head.h"
#include "codec/utf8.h"

typedef struct check_frame {
    uint64_t left;  /* elements, or pairs, to come */
    tako_slice key; /* the key before; ptr NULL at the start */
    bool map;
} check_frame;

typedef struct checker {
    const uint8_t *start;
    const uint8_t *p;
    const uint8_t *end;
    tako_errbuf *e;
    unsigned depth;
    unsigned depth_max;
    check_frame stack[TAKO_JSON_DEPTH_MAX];
} checker;

static tako_err check_fail(const checker *c, const uint8_t *at,
                           const char *what)
{
    return tako_fail(c->e, TAKO_INVALID, "byte %zu: %s",
                     (size_t)(at - c->start), what);
}

/* Why cbor_head_read() refused the head at p. */
static tako_err check_fail_head(const checker *c)
{
    unsigned info;

    if (c->p == c->end)
        return check_fail(c, c->p, "the value is cut off");
    info = *c->p & 31;
    if (info == 31)
        return check_fail(c, c->p,
                          *c->p == 0xff ? "a break without a beginning"
                                        : "an indefinite length");
    if (info > CBOR_INFO_64)
        return check_fail(c, c->p, "a reserved length form");
    return check_fail(c, c->p, "the head of an item is cut off");
}

static bool head_is_shortest(const cbor_head *h)
{
    switch (h->info) {
    case CBOR_INFO_8:
        return h->arg >= CBOR_INFO_8;
    case CBOR_INFO_8 + 1:
        return h->arg > 0xff;
    case CBOR_INFO_8 + 2:
        return h->arg > 0xffff;
    case CBOR_INFO_64:
        return h->arg > 0xffffffffu;
    default:
        return true;
    }
}

static tako_err check_float(const checker *c, const cbor_head *h)
{
    uint64_t bits = h->arg;
    double v;
    uint32_t single;
    uint16_t half;

    switch (h->info) {
    case CBOR_HALF_BYTE & 31:
        v = cbor_float_of_half((uint16_t)h->arg);
        break;
    case CBOR_SINGLE_BYTE & 31:
        v = cbor_float_of_single((uint32_t)h->arg);
        break;
    default:
        memcpy(&v, &bits, sizeof v);
        break;
    }
    memcpy(&bits, &v, sizeof bits);
    if ((bits >> 52 & 0x7ff) == 0x7ff)
        return check_fail(c, c->p, bits << 12 != 0 ? "NaN" : "an infinity");
    if (h->info > (CBOR_HALF_BYTE & 31) && cbor_float_to_half(v, &half))
        return check_fail(c, c->p, "a float that a half holds");
    if (h->info > (CBOR_SINGLE_BYTE & 31) && cbor_float_to_single(v, &single))
        return check_fail(c, c->p, "a double that a single holds");
    return TAKO_OK;
}

static tako_err check_other(const checker *c, const cbor_head *h)
{
    switch (*c->p) {
    case CBOR_FALSE_BYTE:
    case CBOR_TRUE_BYTE:
    case CBOR_NULL_BYTE:
        return TAKO_OK;
    case CBOR_HALF_BYTE:
    case CBOR_SINGLE_BYTE:
    case CBOR_DOUBLE_BYTE:
        return check_float(c, h);
    case CBOR_NULL_BYTE + 1:
        return check_fail(c, c->p, "undefined");
    default:
        return check_fail(c, c->p, "a simple value");
    }
}

/* Reads text or bytes whose head, n bytes at p, is h. */
static tako_err check_string(checker *c, const cbor_head *h, size_t n,
                             tako_slice *out)
{
    tako_slice s;
    size_t ok;

    if (h->arg > (uint64_t)(c->end - c->p) - n)
        return check_fail(c, c->p,
                          h->major == CBOR_MAJOR_TEXT
                              ? "text longer than the input"
                              : "bytes longer than the input");
    s = tako_slice_of(c->p + n, (size_t)h->arg);
    if (h->major == CBOR_MAJOR_TEXT) {
        ok = utf8_valid_bytes(s);
        if (ok < s.len)
            return check_fail(c, s.ptr + ok, "text that is not UTF-8");
    }
    c->p = s.ptr + s.len;
    *out = s;
    return TAKO_OK;
}

static tako_err check_key(checker *c, check_frame *f)
{
    const uint8_t *at = c->p;
    tako_slice key, before = f->key;
    cbor_head h;
    size_t n = cbor_head_read(at, (size_t)(c->end - at), &h);
    char show[UTF8_SHOW_BYTES];
    int order;

    if (n == 0)
        return check_fail_head(c);
    if (h.major != CBOR_MAJOR_TEXT)
        return check_fail(c, at, "a map key that is not text");
    if (!head_is_shortest(&h))
        return check_fail(c, at, "a length that is not the shortest form");
    TAKO_TRY(check_string(c, &h, n, &key));
    f->key = key;
    if (before.ptr == NULL)
        return TAKO_OK;
    order = cbor_key_cmp(before, key);
    if (order < 0)
        return TAKO_OK;
    return tako_fail(c->e, TAKO_INVALID, "byte %zu: %s \"%s\"",
                     (size_t)(at - c->start),
                     order == 0 ? "duplicate key" : "out of order: key",
                     utf8_show(key, show));
}

/* One value's head, and its content when it is no container. */
static tako_err check_item(checker *c)
{
    cbor_head h;
    size_t n = cbor_head_read(c->p, (size_t)(c->end - c->p), &h);
    uint64_t left;
    tako_slice s;

    if (n == 0)
        return check_fail_head(c);
    if (h.major == CBOR_MAJOR_OTHER) {
        TAKO_TRY(check_other(c, &h));
        c->p += n;
        return TAKO_OK;
    }
    if (!head_is_shortest(&h))
        return check_fail(c, c->p, "a head that is not the shortest form");
    switch (h.major) {
    case CBOR_MAJOR_UINT:
    case CBOR_MAJOR_NINT:
        if (h.arg > INT64_MAX)
            return check_fail(c, c->p, "an integer beyond 64 bits with sign");
        break;
    case CBOR_MAJOR_BYTES:
    case CBOR_MAJOR_TEXT:
        return check_string(c, &h, n, &s);
    case CBOR_MAJOR_ARRAY:
    case CBOR_MAJOR_MAP:
        left = (uint64_t)(c->end - c->p) - n;
        if (h.arg > (h.major == CBOR_MAJOR_MAP ? left / 2 : left))
            return check_fail(c, c->p, "more items than the input can hold");
        if (c->depth >= c->depth_max)
            return tako_fail(c->e, TAKO_LIMIT,
                             "byte %zu: nested deeper than %u",
                             (size_t)(c->p - c->start), c->depth_max);
        c->stack[c->depth++] =
            (check_frame){ h.arg, TAKO_SLICE_NONE, h.major == CBOR_MAJOR_MAP };
        break;
    default:
        return check_fail(c, c->p, "a tag");
    }
    c->p += n;
    return TAKO_OK;
}

tako_err cbor_check(tako_slice in, unsigned depth_max, tako_errbuf *e)
{
    checker c;

    c.start = c.p = in.ptr;
    c.end = in.len > 0 ? in.ptr + in.len : in.ptr;
    c.e = e;
    c.depth = 0;
    c.depth_max =
        depth_max < TAKO_JSON_DEPTH_MAX ? depth_max : TAKO_JSON_DEPTH_MAX;
    TAKO_TRY(check_item(&c));
    while (c.depth > 0) {
        check_frame *f = &c.stack[c.depth - 1];

        if (f->left == 0) {
            c.depth--;
            continue;
        }
        f->left--;
        if (f->map)
            TAKO_TRY(check_key(&c, f));
        TAKO_TRY(check_item(&c));
    }
    if (c.p != c.end)
        return check_fail(&c, c.p, "bytes after the value");
    return TAKO_OK;
}
