// SPDX-License-Identifier: Apache-2.0
/* A text that parses gives checked CBOR, which prints as a text that parses
 * to the same CBOR and is its own print. One that does not parse has a
 * message with a place in it and leaves the output alone. */
#include <stdlib.h>

#include "base/check.h"
#include "codec/json.h"

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

static void check_text(const tako_env *env, tako_slice value)
{
    tako_buf text = tako_buf_on(env), again = tako_buf_on(env);
    tako_buf text2 = tako_buf_on(env);
    tako_errbuf e;

    TAKO_ASSERT(cbor_check(value, TAKO_JSON_DEPTH_MAX, &e) == TAKO_OK);
    TAKO_ASSERT(json_from_cbor(value, &text) == TAKO_OK);
    TAKO_ASSERT(json_to_cbor(tako_buf_slice(&text), TAKO_JSON_DEPTH_MAX, &again,
                             &e) == TAKO_OK);
    TAKO_ASSERT(tako_slice_eq(tako_buf_slice(&again), value));
    TAKO_ASSERT(json_from_cbor(tako_buf_slice(&again), &text2) == TAKO_OK);
    TAKO_ASSERT(tako_slice_eq(tako_buf_slice(&text), tako_buf_slice(&text2)));
    tako_buf_fini(&text);
    tako_buf_fini(&again);
    tako_buf_fini(&text2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_env env = { NULL, fuzz_realloc, NULL, NULL, NULL, NULL };
    tako_slice in = tako_slice_of(data, size);
    tako_errbuf e = { "" };
    tako_buf out = tako_buf_on(&env);
    tako_err err;
    size_t at = 0, used = 0;

    err = json_to_cbor(in, TAKO_JSON_DEPTH_MAX, &out, &e);
    if (err == TAKO_OK) {
        check_text(&env, tako_buf_slice(&out));
    } else {
        TAKO_ASSERT(out.len == 0);
        TAKO_ASSERT(strncmp(e.text, "line ", 5) == 0);
    }
    /* As a sequence: it moves on, and what it takes are values. */
    while (json_next_to_cbor(tako_slice_of(data + at, size - at), 4, &out,
                             &used, &e) == TAKO_OK) {
        TAKO_ASSERT(used > 0 && used <= size - at);
        at += used;
        tako_buf_reset(&out);
    }
    tako_buf_fini(&out);
    return 0;
}
