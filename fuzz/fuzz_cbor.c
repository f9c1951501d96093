// SPDX-License-Identifier: Apache-2.0
/* What cbor_check() lets through is a value: it goes to JSON (compact and
 * indented) and comes back as the same bytes, and writing it again item by
 * item gives the same bytes. What it refuses has a message, and the reader
 * survives it. */
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

static void rewrite(tako_slice in, tako_buf *out)
{
    tako_reader r = tako_reader_of(in);
    cbor_item item;

    /* Heads in order are the whole encoding: containers need no stack. */
    while (!tako_reader_done(&r)) {
        TAKO_ASSERT(cbor_read(&r, &item));
        switch (item.kind) {
        case CBOR_NULL:
            cbor_put_null(out);
            break;
        case CBOR_BOOL:
            cbor_put_bool(out, item.boolean);
            break;
        case CBOR_INT:
            cbor_put_int(out, item.integer);
            break;
        case CBOR_FLOAT:
            cbor_put_float(out, item.real);
            break;
        case CBOR_BYTES:
            cbor_put_bytes(out, item.str);
            break;
        case CBOR_TEXT:
            cbor_put_text(out, item.str);
            break;
        case CBOR_ARRAY:
            cbor_put_array(out, item.count);
            break;
        case CBOR_MAP:
            cbor_put_map(out, item.count);
            break;
        }
    }
}

static void check_value(const tako_env *env, tako_slice in)
{
    tako_buf one = tako_buf_on(env), two = tako_buf_on(env);
    tako_reader r = tako_reader_of(in);
    tako_errbuf e;

    TAKO_ASSERT(tako_slice_eq(cbor_read_value(&r), in));
    rewrite(in, &one);
    TAKO_ASSERT(tako_slice_eq(tako_buf_slice(&one), in));
    for (int pretty = 0; pretty < 2; pretty++) {
        tako_buf_reset(&one);
        tako_buf_reset(&two);
        TAKO_ASSERT((pretty ? json_pretty_from_cbor(in, &one)
                            : json_from_cbor(in, &one)) == TAKO_OK);
        TAKO_ASSERT(json_to_cbor(tako_buf_slice(&one), TAKO_JSON_DEPTH_MAX,
                                 &two, &e) == TAKO_OK);
        TAKO_ASSERT(tako_slice_eq(tako_buf_slice(&two), in));
    }
    tako_buf_fini(&one);
    tako_buf_fini(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_env env = { NULL, fuzz_realloc, NULL, NULL, NULL, NULL };
    tako_slice in = tako_slice_of(data, size);
    tako_reader r = tako_reader_of(in);
    tako_errbuf e = { "" };
    tako_buf out = tako_buf_on(&env);

    if (cbor_check(in, TAKO_JSON_DEPTH_MAX, &e) == TAKO_OK) {
        check_value(&env, in);
    } else {
        TAKO_ASSERT(e.text[0] != '\0');
        while (!r.failed)
            (void)cbor_read_value(&r);
        (void)cbor_map_get(in, tako_slice_str("a"));
        (void)json_from_cbor(in, &out);
    }
    tako_buf_fini(&out);
    return 0;
}
