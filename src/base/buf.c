// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define BUF_CAP_MIN 64u

void tako_buf_fini(tako_buf *b)
{
    if (b->env != NULL)
        tako_env_free(b->env, b->ptr, b->cap);
    b->ptr = NULL;
    b->len = b->cap = 0;
}

bool tako_buf_grow(tako_buf *b, size_t n)
{
    size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
    void *p;

    if (b->failed)
        return false;
    if (n > SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return false;
    }
    while (cap - b->len < n)
        cap *= 2;
    p = b->env->realloc(b->env->ctx, b->ptr, b->cap, cap);
    if (p == NULL) {
        b->failed = true;
        return false;
    }
    b->ptr = p;
    b->cap = cap;
    return true;
}

void tako_put_u64(tako_buf *b, uint64_t v)
{
    if (!tako_buf_reserve(b, 8))
        return;
    for (int i = 7; i >= 0; i--)
        b->ptr[b->len++] = (uint8_t)(v >> (8 * i));
}

void tako_put_varint(tako_buf *b, uint64_t v)
{
    while (v >= 0x80) {
        tako_put_u8(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    tako_put_u8(b, (uint8_t)v);
}

void tako_put_block(tako_buf *b, tako_slice s)
{
    tako_put_varint(b, s.len);
    tako_put_bytes(b, s);
}

void tako_put_fmt(tako_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    if (n < 0 || !tako_buf_reserve(b, (size_t)n + 1))
        return;
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void tako_buf_insert(tako_buf *b, size_t at, tako_slice s)
{
    if (s.len == 0 || !tako_buf_reserve(b, s.len))
        return;
    memmove(b->ptr + at + s.len, b->ptr + at, b->len - at);
    memcpy(b->ptr + at, s.ptr, s.len);
    b->len += s.len;
}

const char *tako_buf_cstr(tako_buf *b)
{
    if (!tako_buf_reserve(b, 1))
        return "";
    b->ptr[b->len] = '\0';
    return (const char *)b->ptr;
}
