// SPDX-License-Identifier: Apache-2.0
/* Ending an object. Its pairs were written in the order of the text; where
 * that is not the order of the encoding, an index of the pairs is sorted and
 * the pairs are copied through the free end of the output buffer.
 *
 * Keys are compared by the first eight bytes of their encoding, as a number,
 * and in full only where these are equal. Behind a short key these eight are
 * bytes of its value, which does no harm: encodings of different keys differ
 * within both of them, and equal keys still come to lie next to each other. */
#include "codec/json_in.h"

#include "base/check.h"
#include "codec/base64.h"
#include "codec/cbor_head.h"
#include "codec/utf8.h"

#define SMALL_MAP 24u /* pairs that are sorted without scratch memory */

typedef struct map_pair {
    uint64_t prefix;
    uint32_t at;
    uint32_t len;
} map_pair;

static tako_slice key_at(const json_in *in, size_t at)
{
    return cbor_head_string(in->out->ptr + in->base + at,
                            in->out->len - in->base - at);
}

/* --- where a duplicate is --------------------------------------------- */

/* The n-th key (from 0) of the object that opens at p; its text is valid up
 * to there. */
static const uint8_t *find_key(const json_in *in, const uint8_t *p, size_t n)
{
    size_t depth = 0;
    bool quoted = false;

    for (p++; p < in->end && n > 0; p++) {
        if (quoted) {
            quoted = *p != '"';
            p += *p == '\\'; /* and what it escapes */
        } else if (*p == '"') {
            quoted = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            depth--;
        } else if (*p == ',' && depth == 0) {
            n--;
        }
    }
    while (p < in->end && *p != '"')
        p++;
    return p;
}

static tako_err fail_duplicate(const json_in *in, const uint8_t *text,
                               tako_slice key)
{
    char show[UTF8_SHOW_BYTES];

    return json_fail(in, TAKO_INVALID, text, "duplicate key \"%s\"",
                     utf8_show(key, show));
}

/* --- sorting ---------------------------------------------------------- */

static bool pair_after(const json_in *in, const map_pair *a, const map_pair *b)
{
    if (a->prefix != b->prefix)
        return a->prefix > b->prefix;
    return cbor_key_cmp(key_at(in, a->at), key_at(in, b->at)) > 0;
}

static uint64_t prefix_at(const json_in *in, size_t at)
{
    const uint8_t *p = in->out->ptr + in->base + at;
    size_t left = in->out->len - in->base - at;
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (i < left ? p[i] : 0);
    return v;
}

/* The pairs of f, in the order of the text. */
static void index_pairs(const json_in *in, const json_frame *f, map_pair *pairs)
{
    size_t end = in->out->len - in->base;
    tako_reader r = tako_reader_of(
        tako_slice_of(in->out->ptr + in->base, in->out->len - in->base));

    r.pos = f->head + 1;
    for (size_t i = 0; i < f->count; i++) {
        size_t at = f->indexed ? in->pairs[f->pairs + i] : r.pos;

        if (!f->indexed) {
            (void)cbor_read_value(&r);
            (void)cbor_read_value(&r);
        }
        pairs[i].prefix = prefix_at(in, at);
        pairs[i].at = (uint32_t)at;
        if (i > 0)
            pairs[i - 1].len = (uint32_t)(at - pairs[i - 1].at);
    }
    TAKO_ASSERT(!r.failed);
    pairs[f->count - 1].len = (uint32_t)(end - pairs[f->count - 1].at);
}

static void sort_small(const json_in *in, map_pair *pairs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        map_pair x = pairs[i];
        size_t j = i;

        for (; j > 0 && pair_after(in, &pairs[j - 1], &x); j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = x;
    }
}

/* Merges the sorted runs a[from..mid) and a[mid..to) into b[from..to). */
static void merge(const json_in *in, const map_pair *a, map_pair *b,
                  size_t from, size_t mid, size_t to)
{
    size_t i = from, j = mid;

    for (size_t k = from; k < to; k++)
        if (j == to || (i < mid && !pair_after(in, &a[i], &a[j])))
            b[k] = a[i++];
        else
            b[k] = a[j++];
}

/* Merge sort from runs of SMALL_MAP upwards, to and fro between a and b;
 * returns the one that has the result. */
static map_pair *sort_large(const json_in *in, map_pair *a, map_pair *b,
                            size_t n)
{
    for (size_t i = 0; i < n; i += SMALL_MAP)
        sort_small(in, a + i, n - i < SMALL_MAP ? n - i : SMALL_MAP);
    for (size_t run = SMALL_MAP; run < n; run *= 2) {
        map_pair *swap = a;

        for (size_t i = 0; i < n; i += 2 * run) {
            size_t mid = n - i < run ? n : i + run;
            size_t to = n - i < 2 * run ? n : i + 2 * run;

            merge(in, a, b, i, mid, to);
        }
        a = b;
        b = swap;
    }
    return a;
}

/* Refuses equal neighbours, names the later of the two in the text. */
static tako_err check_unique(const json_in *in, const json_frame *f,
                             const map_pair *pairs)
{
    for (size_t i = 1; i < f->count; i++) {
        size_t later, n = 0;

        if (pairs[i].prefix >> 56 != pairs[i - 1].prefix >> 56 ||
            cbor_key_cmp(key_at(in, pairs[i].at), key_at(in, pairs[i - 1].at)))
            continue;
        later = pairs[i].at > pairs[i - 1].at ? pairs[i].at : pairs[i - 1].at;
        for (size_t j = 0; j < f->count; j++)
            n += pairs[j].at < later;
        return fail_duplicate(in, find_key(in, f->open, n), key_at(in, later));
    }
    return TAKO_OK;
}

static tako_err sort_pairs(json_in *in, const json_frame *f)
{
    tako_buf *out = in->out;
    map_pair small[SMALL_MAP];
    map_pair *pairs = small;
    size_t from = in->base + f->head + 1, body = out->len - from;
    size_t index = f->count > SMALL_MAP ? 2 * f->count * sizeof *pairs : 0;
    uint8_t *copy;

    if (!tako_buf_reserve(out, body + index + sizeof *pairs))
        return TAKO_NOMEM;
    copy = out->ptr + out->len;
    if (index > 0) {
        /* The index first, on a boundary of its type, then the copy. */
        copy +=
            (sizeof *pairs - (uintptr_t)copy % sizeof *pairs) % sizeof *pairs;
        pairs = (map_pair *)(void *)copy;
        copy += index;
    }
    index_pairs(in, f, pairs);
    if (index > 0)
        pairs = sort_large(in, pairs, pairs + f->count, f->count);
    else
        sort_small(in, pairs, f->count);
    TAKO_TRY(check_unique(in, f, pairs));
    for (size_t i = 0; i < f->count; i++) {
        memcpy(copy, out->ptr + in->base + pairs[i].at, pairs[i].len);
        copy += pairs[i].len;
    }
    memcpy(out->ptr + from, copy - body, body);
    return TAKO_OK;
}

tako_err json_map_key(json_in *in, json_frame *f, size_t at,
                      const uint8_t *text)
{
    if (f->count > 0 && f->sorted) {
        int c = cbor_key_cmp(key_at(in, f->key), key_at(in, at));

        if (c == 0)
            return fail_duplicate(in, text, key_at(in, at));
        f->sorted = c < 0;
    }
    f->key = at;
    if (in->pairs_len < JSON_PAIRS_MAX)
        in->pairs[in->pairs_len++] = (uint32_t)at;
    else
        f->indexed = false;
    return TAKO_OK;
}

/* --- bytes ------------------------------------------------------------ */

size_t json_bytes_key(tako_slice key)
{
    static const char word[] = "bytes";
    size_t n = 0;

    while (n < key.len && key.ptr[n] == '$')
        n++;
    if (n == 0 || !tako_slice_eq(tako_slice_of(key.ptr + n, key.len - n),
                                 tako_slice_str(word)))
        return 0;
    return n;
}

/* {"$$bytes": text}: the same with one '$' less. */
static void drop_dollar(json_in *in, size_t at, tako_slice key)
{
    tako_buf *out = in->out;
    uint8_t *to = out->ptr + in->base + at;
    size_t rest = (size_t)(out->ptr + out->len - (key.ptr + 1));

    to += cbor_head_write(to, CBOR_MAJOR_TEXT, key.len - 1);
    memmove(to, key.ptr + 1, rest);
    out->len = (size_t)(to - out->ptr) + rest;
}

/* An object of one pair: bytes, if it says so. */
static tako_err map_bytes(json_in *in, const json_frame *f, bool *value)
{
    tako_buf *out = in->out;
    uint8_t *head = out->ptr + in->base + f->head, *end = out->ptr + out->len;
    tako_slice key = key_at(in, f->head + 1), text;
    size_t n, dollars = json_bytes_key(key);
    const uint8_t *at = key.ptr + key.len;

    if (dollars == 0 || *at >> 5 != CBOR_MAJOR_TEXT)
        return TAKO_OK;
    if (dollars > 1) {
        drop_dollar(in, f->head + 1, key);
        return TAKO_OK;
    }
    text = cbor_head_string(at, (size_t)(end - at));
    if (!base64_check(text, &n))
        return json_fail(in, TAKO_INVALID, f->open,
                         "the text of \"$bytes\" is not padded base64 "
                         "(RFC 4648 section 4)");
    head += cbor_head_write(head, CBOR_MAJOR_BYTES, n);
    base64_decode(text, head);
    out->len = (size_t)(head - out->ptr) + n;
    *value = true;
    return TAKO_OK;
}

tako_err json_map_close(json_in *in, json_frame *f, bool *value)
{
    if (!f->sorted)
        TAKO_TRY(sort_pairs(in, f));
    in->pairs_len = f->pairs;
    if (f->count == 1)
        return map_bytes(in, f, value);
    return TAKO_OK;
}
