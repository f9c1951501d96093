// SPDX-License-Identifier: Apache-2.0
/* BUF -- growable bytes that own themselves, with a sticky failure.
 *
 * After a failed growth every later put is a no-op and `failed` stays set, so
 * an encoder puts everything and checks once (TAKO_NOMEM). A reset keeps the
 * memory for the next use; fini gives it back. */
#ifndef TAKO_BASE_BUF_H
#define TAKO_BASE_BUF_H

#include "base/env.h"
#include "base/slice.h"

typedef struct tako_buf {
    const tako_env *env;
    uint8_t *ptr;
    size_t len;
    size_t cap;
    bool failed;
} tako_buf;

static inline tako_buf tako_buf_on(const tako_env *env)
{
    return (tako_buf){ env, NULL, 0, 0, false };
}

void tako_buf_fini(tako_buf *b);

static inline void tako_buf_reset(tako_buf *b)
{
    b->len = 0;
    b->failed = false;
}

static inline tako_slice tako_buf_slice(const tako_buf *b)
{
    return tako_slice_of(b->ptr, b->len);
}

/* Slow path: makes room for n more bytes; false (and failed) without. */
bool tako_buf_grow(tako_buf *b, size_t n);

static inline bool tako_buf_reserve(tako_buf *b, size_t n)
{
    if (!b->failed && n <= b->cap - b->len)
        return true;
    return tako_buf_grow(b, n);
}

static inline void tako_put_u8(tako_buf *b, uint8_t v)
{
    if (tako_buf_reserve(b, 1))
        b->ptr[b->len++] = v;
}

static inline void tako_put_bytes(tako_buf *b, tako_slice s)
{
    if (s.len > 0 && tako_buf_reserve(b, s.len)) {
        memcpy(b->ptr + b->len, s.ptr, s.len);
        b->len += s.len;
    }
}

static inline void tako_put_str(tako_buf *b, const char *text)
{
    tako_put_bytes(b, tako_slice_str(text));
}

void tako_put_u64(tako_buf *b, uint64_t v);     /* 8 bytes, big-endian */
void tako_put_varint(tako_buf *b, uint64_t v);  /* LEB128, shortest */
void tako_put_block(tako_buf *b, tako_slice s); /* varint length, bytes */
void tako_put_fmt(tako_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Inserts s at `at` <= len, moving what follows. */
void tako_buf_insert(tako_buf *b, size_t at, tako_slice s);

/* A NUL after the content, not counted in len; "" when failed. */
const char *tako_buf_cstr(tako_buf *b);

#endif /* TAKO_BASE_BUF_H */
