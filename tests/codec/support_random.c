// SPDX-License-Identifier: Apache-2.0
#include "support_random.h"

#include "codec/cbor.h"
#include "codec/utf8.h"

#define KEYS_MAX 40u

double support_random_double(test_env *t)
{
    static const double scales[] = { 1, 10, 100, 1000, 1e6, 1e-3, 1e15 };
    uint64_t bits = test_random(t);
    double v;

    switch (test_below(t, 6)) {
    case 0:
        return (double)(int64_t)(bits >> test_below(t, 64));
    case 1:
        return (double)(bits % 100000) / scales[test_below(t, 7)];
    case 2: /* few bits set: powers of two, edges of formats */
        bits &= test_random(t) & test_random(t) & test_random(t);
        break;
    case 3: /* small integers and halves of them */
        return ((double)(bits % 4096) - 2048) / 2;
    case 4: /* around the range of half and single */
        bits = (bits & 0x800fffffffffffffu) | (1023 - 160 + test_below(t, 320))
                                                  << 52;
        bits &= ~(((uint64_t)1 << test_below(t, 53)) - 1);
        break;
    default:
        break;
    }
    memcpy(&v, &bits, sizeof v);
    return v - v == 0 ? v : 0.0;
}

void support_random_text(test_env *t, tako_buf *out, size_t max)
{
    size_t n = test_below(t, max + 1);

    while (n-- > 0) {
        uint32_t cp = (uint32_t)test_below(t, 0x80);
        uint8_t text[4];

        switch (test_below(t, 16)) {
        case 0:
            cp = (uint32_t)test_below(t, 0x800);
            break;
        case 1:
            cp = (uint32_t)test_below(t, 0xd800);
            break;
        case 2:
            cp = 0xe000 + (uint32_t)test_below(t, 0x110000 - 0xe000);
            break;
        case 3:
            cp = (uint32_t)test_below(t, 0x20);
            break;
        default:
            break;
        }
        tako_put_bytes(out, tako_slice_of(text, utf8_put(cp, text)));
    }
}

static void random_string(test_env *t, tako_buf *out)
{
    tako_buf s = tako_buf_on(&t->env);

    support_random_text(t, &s, test_below(t, 16) == 0 ? 300 : 12);
    if (test_below(t, 8) == 0)
        cbor_put_bytes(out, tako_buf_slice(&s));
    else
        cbor_put_text(out, tako_buf_slice(&s));
    tako_buf_fini(&s);
}

/* Keys in order: each longer than the last, or greater at the same length. */
static void random_map(test_env *t, tako_buf *out, unsigned depth)
{
    static const char *marked[] = { "$bytes", "$$bytes", "$$$bytes", "$" };
    char key[16];
    size_t n =
        test_below(t, 8) == 0 ? test_below(t, KEYS_MAX) : test_below(t, 5);

    if (test_below(t, 6) == 0) {
        cbor_put_map(out, 1);
        cbor_put_text(out, tako_slice_str(marked[test_below(t, 4)]));
        if (test_below(t, 2) == 0)
            cbor_put_text(out, tako_slice_str("aGk="));
        else
            support_random_value(t, out, depth);
        return;
    }
    cbor_put_map(out, n);
    for (size_t i = 0; i < n; i++) {
        size_t len = i / 8 + 1;

        memset(key, 'a' + (int)test_below(t, 3), sizeof key);
        key[0] = (char)('0' + i * 2 + test_below(t, 2));
        cbor_put_text(out, tako_slice_of(key, len));
        support_random_value(t, out, depth);
    }
}

void support_random_value(test_env *t, tako_buf *out, unsigned depth)
{
    size_t n;

    switch (test_below(t, depth > 0 ? 9 : 6)) {
    case 0:
        cbor_put_null(out);
        break;
    case 1:
        cbor_put_bool(out, test_below(t, 2) == 0);
        break;
    case 2:
        cbor_put_int(out, (int64_t)test_random(t) >> test_below(t, 64));
        break;
    case 3:
        cbor_put_float(out, support_random_double(t));
        break;
    case 4:
    case 5:
        random_string(t, out);
        break;
    case 6:
        n = test_below(t, 10) == 0 ? test_below(t, 60) : test_below(t, 4);
        cbor_put_array(out, n);
        while (n-- > 0)
            support_random_value(t, out, depth - 1);
        break;
    default:
        random_map(t, out, depth - 1);
        break;
    }
}
