// SPDX-License-Identifier: Apache-2.0
#include "obs/object.h"

#include <inttypes.h>

#include "codec/json.h"

static const char hex_digits[] = "0123456789abcdef";

void obs_put_key(tako_buf *b, const char *key)
{
    uint8_t last = b->len > 0 ? b->ptr[b->len - 1] : '{';

    if (last != '{' && last != '[')
        tako_put_u8(b, ',');
    json_put_string(b, tako_slice_str(key));
    tako_put_u8(b, ':');
}

void obs_put_str(tako_buf *b, const char *key, tako_slice value)
{
    obs_put_key(b, key);
    json_put_string(b, value);
}

void obs_put_u64(tako_buf *b, const char *key, uint64_t value)
{
    obs_put_key(b, key);
    tako_put_fmt(b, "%" PRIu64, value);
}

void obs_put_bool(tako_buf *b, const char *key, bool value)
{
    obs_put_key(b, key);
    tako_put_str(b, value ? "true" : "false");
}

void obs_put_hex(tako_buf *b, const char *key, tako_slice value)
{
    obs_put_key(b, key);
    tako_put_u8(b, '"');
    for (size_t i = 0; i < value.len; i++) {
        tako_put_u8(b, (uint8_t)hex_digits[value.ptr[i] >> 4]);
        tako_put_u8(b, (uint8_t)hex_digits[value.ptr[i] & 15u]);
    }
    tako_put_u8(b, '"');
}

void obs_hex(tako_slice bytes, char *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        out[2 * i] = hex_digits[bytes.ptr[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes.ptr[i] & 15u];
    }
    out[2 * bytes.len] = '\0';
}
