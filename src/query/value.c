// SPDX-License-Identifier: Apache-2.0
/* Walking encoded maps is the hot loop of every scan. Keys are stored in
 * order of their encodings (RFC 8949 section 4.2.1), so a path is kept as the
 * encodings of its keys: a comparison is mostly one of two words, a search
 * stops at the first greater key, and values in between are stepped over by
 * their heads with a counter of open items instead of a stack. */
#include "query/value.h"

#include <math.h>

/* The most that a step of value_skip takes without looking for the end. */
#define SKIP_MARGIN 32

value_rank value_rank_cbor(tako_slice v)
{
    if (v.len == 0)
        return RANK_MISSING;
    switch (v.ptr[0] >> 5) {
    case 0:
    case 1:
        return RANK_NUMBER;
    case 2:
        return RANK_BYTES;
    case 3:
        return RANK_TEXT;
    case 4:
        return RANK_ARRAY;
    case 5:
        return RANK_OBJECT;
    case 7:
        break;
    default:
        return RANK_MISSING;
    }
    switch (v.ptr[0]) {
    case VALUE_FALSE:
        return RANK_FALSE;
    case VALUE_TRUE:
        return RANK_TRUE;
    case VALUE_NULL:
        return RANK_NULL;
    case 0xF9:
    case 0xFA:
    case 0xFB:
        return RANK_NUMBER;
    default:
        return RANK_MISSING;
    }
}

tako_slice value_blob(sqlite3_value *v)
{
    const void *p;

    if (sqlite3_value_type(v) != SQLITE_BLOB)
        return TAKO_SLICE_NONE;
    p = sqlite3_value_blob(v);
    return tako_slice_of(p, p == NULL ? 0 : (size_t)sqlite3_value_bytes(v));
}

tako_slice value_text(sqlite3_value *v)
{
    const void *p = sqlite3_value_text(v);

    return tako_slice_of(p, p == NULL ? 0 : (size_t)sqlite3_value_bytes(v));
}

value_rank value_rank_of(sqlite3_value *v)
{
    switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT:
        return RANK_NUMBER;
    case SQLITE_TEXT:
        return RANK_TEXT;
    case SQLITE_BLOB:
        return value_rank_cbor(value_blob(v));
    default:
        return RANK_MISSING;
    }
}

/* An integer against a float, exactly. */
static int compare_mixed(int64_t i, double r)
{
    int64_t whole;
    double back;

    if (r < -9223372036854775808.0)
        return 1;
    if (r >= 9223372036854775808.0)
        return -1;
    whole = (int64_t)r;
    if (i != whole)
        return i < whole ? -1 : 1;
    back = (double)whole;
    return back < r ? -1 : back > r;
}

bool value_number_of(sqlite3_value *v, value_number *out)
{
    int type = sqlite3_value_type(v);

    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT)
        return false;
    out->real = type == SQLITE_FLOAT;
    out->i = out->real ? 0 : sqlite3_value_int64(v);
    out->d = out->real ? sqlite3_value_double(v) : 0;
    return true;
}

int value_number_compare(const value_number *a, const value_number *b)
{
    if (!a->real && !b->real)
        return a->i < b->i ? -1 : a->i > b->i;
    if (!a->real)
        return compare_mixed(a->i, b->d);
    if (!b->real)
        return -compare_mixed(b->i, a->d);
    return a->d < b->d ? -1 : a->d > b->d;
}

static int compare_numbers(sqlite3_value *a, sqlite3_value *b)
{
    value_number x = { 0 }, y = { 0 };

    (void)value_number_of(a, &x);
    (void)value_number_of(b, &y);
    return value_number_compare(&x, &y);
}

int value_compare(sqlite3_value *a, sqlite3_value *b)
{
    value_rank x = value_rank_of(a), y = value_rank_of(b);

    if (x != y)
        return x < y ? -1 : 1;
    if (x == RANK_NUMBER)
        return compare_numbers(a, b);
    if (x == RANK_TEXT)
        return tako_slice_cmp(value_text(a), value_text(b));
    if (x == RANK_MISSING)
        return 0;
    return tako_slice_cmp(value_blob(a), value_blob(b));
}

int value_compare_cbor(tako_slice a, tako_slice b)
{
    tako_reader ra = tako_reader_of(a), rb = tako_reader_of(b);
    cbor_item x, y;

    if (!cbor_read(&ra, &x) || !cbor_read(&rb, &y))
        return 0;
    if (x.kind == CBOR_TEXT)
        return tako_slice_cmp(x.str, y.str);
    if (x.kind == CBOR_INT && y.kind == CBOR_INT)
        return x.integer < y.integer ? -1 : x.integer > y.integer;
    if (x.kind == CBOR_INT)
        return compare_mixed(x.integer, y.real);
    if (y.kind == CBOR_INT)
        return -compare_mixed(y.integer, x.real);
    return x.real < y.real ? -1 : x.real > y.real;
}

void value_put(tako_buf *out, sqlite3_value *v)
{
    double d;

    switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER:
        cbor_put_int(out, sqlite3_value_int64(v));
        break;
    case SQLITE_FLOAT:
        d = sqlite3_value_double(v);
        if (isfinite(d))
            cbor_put_float(out, d);
        break;
    case SQLITE_TEXT:
        cbor_put_text(out, value_text(v));
        break;
    case SQLITE_BLOB:
        tako_put_bytes(out, value_blob(v));
        break;
    default:
        break;
    }
}

void value_result_bool(sqlite3_context *ctx, bool v)
{
    sqlite3_result_blob(ctx, v ? "\xF5" : "\xF4", 1, SQLITE_STATIC);
}

void value_result_buf(sqlite3_context *ctx, const tako_buf *b)
{
    if (b->failed)
        sqlite3_result_error_nomem(ctx);
    else if (b->len > TAKO_ROW_BYTES_MAX)
        sqlite3_result_error_toobig(ctx);
    else
        sqlite3_result_blob(ctx, b->ptr, (int)b->len, SQLITE_TRANSIENT);
}

void value_result(sqlite3_context *ctx, tako_slice cbor)
{
    tako_reader r;
    cbor_item item;
    uint8_t first;

    if (cbor.len == 0)
        return;
    first = cbor.ptr[0];
    if (first < 0x18) { /* small whole numbers */
        sqlite3_result_int(ctx, first);
        return;
    }
    if (first - 0x60u < 24 && cbor.len > first - 0x60u) { /* short texts */
        sqlite3_result_text(ctx, (const char *)cbor.ptr + 1, first - 0x60,
                            SQLITE_TRANSIENT);
        return;
    }
    if (first == 0x78 && cbor.len > 1 && cbor.len - 2 >= cbor.ptr[1]) {
        sqlite3_result_text(ctx, (const char *)cbor.ptr + 2, cbor.ptr[1],
                            SQLITE_TRANSIENT);
        return;
    }
    switch (value_rank_cbor(cbor)) {
    case RANK_NUMBER:
    case RANK_TEXT:
        r = tako_reader_of(cbor);
        if (!cbor_read(&r, &item))
            return;
        if (item.kind == CBOR_TEXT)
            sqlite3_result_text(ctx, (const char *)item.str.ptr,
                                (int)item.str.len, SQLITE_TRANSIENT);
        else if (item.kind == CBOR_INT)
            sqlite3_result_int64(ctx, item.integer);
        else
            sqlite3_result_double(ctx, item.real);
        return;
    case RANK_FALSE:
    case RANK_TRUE:
    case RANK_NULL:
    case RANK_BYTES:
    case RANK_ARRAY:
    case RANK_OBJECT:
        sqlite3_result_blob(ctx, cbor.ptr, (int)cbor.len, SQLITE_TRANSIENT);
        return;
    case RANK_MISSING:
        return;
    }
}

int value_bind(sqlite3_stmt *stmt, int index, tako_slice cbor)
{
    tako_reader r = tako_reader_of(cbor);
    cbor_item item;

    switch (value_rank_cbor(cbor)) {
    case RANK_NUMBER:
    case RANK_TEXT:
        if (!cbor_read(&r, &item))
            return SQLITE_MISUSE;
        if (item.kind == CBOR_TEXT)
            return sqlite3_bind_text(
                stmt, index, item.str.len > 0 ? (const char *)item.str.ptr : "",
                (int)item.str.len, SQLITE_STATIC);
        if (item.kind == CBOR_INT)
            return sqlite3_bind_int64(stmt, index, item.integer);
        return sqlite3_bind_double(stmt, index, item.real);
    case RANK_FALSE:
    case RANK_TRUE:
    case RANK_NULL:
    case RANK_BYTES:
    case RANK_ARRAY:
    case RANK_OBJECT:
        return sqlite3_bind_blob(stmt, index, cbor.ptr, (int)cbor.len,
                                 SQLITE_STATIC);
    case RANK_MISSING:
        break;
    }
    return sqlite3_bind_null(stmt, index);
}

/* ---- walking ---------------------------------------------------------------- */

/* Reads a head: sets *n to its argument and returns what follows it; NULL at
 * the end or for an indefinite length. */
const uint8_t *value_head(const uint8_t *p, const uint8_t *end, uint64_t *n)
{
    unsigned info, bytes;
    uint64_t v = 0;

    if (p >= end)
        return NULL;
    info = *p++ & 0x1Fu;
    if (info < 24) {
        *n = info;
        return p;
    }
    if (info > 27)
        return NULL;
    bytes = 1u << (info - 24);
    if ((size_t)(end - p) < bytes)
        return NULL;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    *n = v;
    return p + bytes;
}

/* Steps over a head and the content of a string; adds what is inside of an
 * array or a map to *open. */
static const uint8_t *skip_one(const uint8_t *p, const uint8_t *end,
                               uint64_t *open)
{
    unsigned major = *p >> 5;
    uint64_t n;

    p = value_head(p, end, &n);
    if (p == NULL || major < 2 || major > 5)
        return p;
    /* Each item takes a byte, so more than is left is a lie. */
    if (n > (uint64_t)(end - p))
        return NULL;
    if (major < 4)
        return p + n;
    *open += major == 5 ? 2 * n : n;
    return p;
}

/* 8 bytes, the first lowest. */
static uint64_t load_word(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* A step waits for the load of the head before it. So a short text, which
 * nearly always is a key, is taken together with the head after it, by one
 * load of both; and the commonest heads are branches, which are foreseen. */
const uint8_t *value_skip(const uint8_t *p, const uint8_t *end)
{
    uint64_t open = 1;

    do {
        uint64_t w;
        unsigned head;

        if (end - p < SKIP_MARGIN) {
            if (p >= end || (p = skip_one(p, end, &open)) == NULL)
                return NULL;
            continue;
        }
        w = load_word(p);
        head = w & 0xFF;
        if (head - 0x60u < 7 && open > 1) {
            p += head - 0x5Fu;
            head = w >> 8 * (head - 0x5Fu) & 0xFF;
            open--;
        }
        if (head - 0x60u < 24) { /* a short text */
            p += head - 0x5Fu;
        } else if (head < 24) {
            p++;
        } else if (head == 0x19) { /* an integer of two bytes */
            p += 3;
        } else if (head == 0xFB) {
            p += 9;
        } else if (head - 0xA0u < 24) { /* a small map */
            p++;
            open += 2 * (head - 0xA0u);
        } else if ((p = skip_one(p, end, &open)) == NULL) {
            return NULL;
        }
    } while (--open > 0);
    return p;
}

/* A key as its encoding, and its first 8 bytes as a number that has their
 * order; mask covers those that it has. */
typedef struct find_by {
    tako_slice key;
    uint64_t word, mask;
} find_by;

static find_by find_by_of(tako_slice key)
{
    find_by f = { .key = key, .mask = UINT64_MAX };
    size_t n = key.len < sizeof f.word ? key.len : sizeof f.word;

    for (size_t i = 0; i < n; i++)
        f.word = f.word << 8 | key.ptr[i];
    if (n < sizeof f.word) {
        f.word <<= 8 * (sizeof f.word - n);
        f.mask = ~(UINT64_MAX >> 8 * n);
    }
    return f;
}

/* The order of the key at p and f, which begin with the same byte: so that
 * where this byte has the length, the lengths are the same. */
static int key_cmp(const find_by *f, const uint8_t *p, size_t len,
                   const uint8_t *end)
{
    if ((size_t)(end - p) >= sizeof f->word) {
        uint64_t w = __builtin_bswap64(load_word(p)) & f->mask;

        if (w != f->word)
            return w < f->word ? -1 : 1;
        if (len <= sizeof w && len == f->key.len)
            return 0;
    }
    return tako_slice_cmp(tako_slice_of(p, len), f->key);
}

/* The value of a key (as its encoding) in the map at p. */
static const uint8_t *find_key(const uint8_t *p, const uint8_t *end,
                               tako_slice key)
{
    find_by f = find_by_of(key);
    uint64_t n, len;

    if (p >= end || *p >> 5 != 5 || (p = value_head(p, end, &n)) == NULL)
        return NULL;
    for (; n > 0; n--) {
        const uint8_t *at = p;

        if (p < end && (*p & 0x1Fu) < 24)
            len = *p++ & 0x1Fu;
        else if ((p = value_head(p, end, &len)) == NULL)
            return NULL;
        if (len > (uint64_t)(end - p))
            return NULL;
        p += len;
        if (*at >= *key.ptr) {
            int c = *at > *key.ptr ? 1 : key_cmp(&f, at, (size_t)(p - at), end);

            if (c >= 0)
                return c == 0 && p < end ? p : NULL;
        }
        p = value_skip(p, end);
        if (p == NULL)
            return NULL;
    }
    return NULL;
}

static const uint8_t *find_index(const uint8_t *p, const uint8_t *end,
                                 int64_t index)
{
    uint64_t n, skip;

    if (p >= end || *p >> 5 != 4 || (p = value_head(p, end, &n)) == NULL)
        return NULL;
    if (index < 0) {
        skip = (uint64_t)(-(index + 1)) + 1;
        if (skip > n)
            return NULL;
        skip = n - skip;
    } else {
        skip = (uint64_t)index;
        if (skip >= n)
            return NULL;
    }
    while (skip-- > 0) {
        p = value_skip(p, end);
        if (p == NULL)
            return NULL;
    }
    return p;
}

tako_slice value_at(tako_slice array, int64_t index)
{
    const uint8_t *end, *p, *q;

    if (array.len == 0)
        return TAKO_SLICE_NONE;
    end = array.ptr + array.len;
    p = find_index(array.ptr, end, index);
    q = p == NULL ? NULL : value_skip(p, end);
    return q == NULL ? TAKO_SLICE_NONE : tako_slice_of(p, (size_t)(q - p));
}

tako_slice value_get(tako_slice v, tako_slice path)
{
    const uint8_t *p = v.ptr, *end, *k = path.ptr, *kend;

    if (v.len == 0 || path.len == 0)
        return TAKO_SLICE_NONE;
    end = v.ptr + v.len;
    kend = path.ptr + path.len;
    while (k < kend && p != NULL) {
        uint64_t n;
        const uint8_t *content = value_head(k, kend, &n);

        if (content == NULL)
            return TAKO_SLICE_NONE;
        if (*k >> 5 == 3) {
            if (n > (uint64_t)(kend - content))
                return TAKO_SLICE_NONE;
            p = find_key(p, end,
                         tako_slice_of(k, (size_t)(content - k) + (size_t)n));
            k = content + n;
        } else {
            if (n > INT64_MAX)
                return TAKO_SLICE_NONE;
            p = find_index(p, end, *k >> 5 == 1 ? -1 - (int64_t)n : (int64_t)n);
            k = content;
        }
    }
    if (p == NULL)
        return TAKO_SLICE_NONE;
    kend = value_skip(p, end);
    return kend == NULL ? TAKO_SLICE_NONE
                        : tako_slice_of(p, (size_t)(kend - p));
}

bool value_iter_init(value_iter *it, tako_slice v, uint64_t *count)
{
    memset(it, 0, sizeof *it);
    if (v.len == 0 || (v.ptr[0] >> 5 != 4 && v.ptr[0] >> 5 != 5))
        return false;
    it->end = v.ptr + v.len;
    it->p = value_head(v.ptr, it->end, &it->left);
    if (it->p == NULL || it->left > v.len)
        return false;
    *count = it->left;
    if (v.ptr[0] >> 5 == 5)
        it->key = tako_slice_of(it->p, 0); /* not NULL: a map */
    return true;
}

bool value_iter_next(value_iter *it)
{
    const uint8_t *q;

    if (it->left == 0)
        return false;
    it->left--;
    if (it->key.ptr != NULL) {
        q = value_skip(it->p, it->end);
        if (q == NULL)
            return false;
        it->key = tako_slice_of(it->p, (size_t)(q - it->p));
        it->p = q;
    }
    q = value_skip(it->p, it->end);
    if (q == NULL)
        return false;
    it->value = tako_slice_of(it->p, (size_t)(q - it->p));
    it->p = q;
    return true;
}

tako_slice value_content(tako_slice text)
{
    uint64_t n;
    const uint8_t *end, *p;

    if (text.len == 0)
        return TAKO_SLICE_NONE;
    end = text.ptr + text.len;
    p = value_head(text.ptr, end, &n);
    if (p == NULL || n > (uint64_t)(end - p))
        return TAKO_SLICE_NONE;
    return tako_slice_of(p, (size_t)n);
}
