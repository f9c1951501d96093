// SPDX-License-Identifier: Apache-2.0
/* Patterns come from apps, search fields and peers' permissions. The input is
 * a byte of flags, a pattern up to a line feed, and a text.
 *
 * Any pattern compiles to a program within its limit or is refused; a match
 * takes no more steps than regexp.h promises and is the same the second time;
 * a text that all of which a pattern matches is one that it matches. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "query/regexp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *fuzz_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

/* 1, 0, or -1 for what is no pattern. */
static int match(const tako_env *env, tako_slice pattern, unsigned flags,
                 tako_slice text)
{
    regexp *r;
    bool found;
    tako_err err = regexp_new(env, pattern, flags, &r);

    TAKO_ASSERT(err == TAKO_OK || err == TAKO_INVALID || err == TAKO_LIMIT);
    if (err != TAKO_OK)
        return -1;
    TAKO_ASSERT(regexp_size(r) <= TAKO_REGEXP_PROGRAM_MAX);
    found = regexp_match(r, text);
    TAKO_ASSERT(regexp_steps(r) <=
                4 * (uint64_t)(text.len + 1) * (regexp_size(r) + 1));
    TAKO_ASSERT(regexp_match(r, text) == found);
    regexp_free(r);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_env env = { NULL, fuzz_realloc, NULL, NULL, NULL, NULL };
    tako_buf whole = tako_buf_on(&env);
    const uint8_t *end;
    tako_slice pattern, text;
    unsigned flags;

    if (size < 2 || size > 4096)
        return 0;
    flags = data[0] & 31u;
    end = memchr(data + 1, '\n', size - 1);
    end = end == NULL ? data + size : end;
    pattern = tako_slice_of(data + 1, (size_t)(end - data) - 1);
    text = end == data + size
               ? TAKO_SLICE_NONE
               : tako_slice_of(end + 1, (size_t)(data + size - end) - 1);
    if (flags & REGEXP_SIMILAR) {
        (void)match(&env, pattern, flags, text);
        return 0;
    }
    tako_put_str(&whole, "\\A(?:");
    tako_put_bytes(&whole, pattern);
    tako_put_str(&whole, ")\\z");
    if (match(&env, tako_buf_slice(&whole), flags, text) == 1)
        TAKO_ASSERT(match(&env, pattern, flags, text) != 0);
    (void)match(&env, pattern, flags, text);
    tako_buf_fini(&whole);
    return 0;
}
