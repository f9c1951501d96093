// SPDX-License-Identifier: Apache-2.0
/* 128 bits are 26 characters of 5 bits with 2 to spare, at the front: the
 * first character is at most '7'. */
#include "codec/ulid.h"

#include "base/check.h"

#define ULID_BYTES        16u
#define ULID_RANDOM_BYTES 10u
#define ULID_WALL_BYTES   (ULID_BYTES - ULID_RANDOM_BYTES)

static const char ulid_letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void ulid_to_text(const uint8_t in[16], char out[ULID_TEXT_BYTES])
{
    unsigned acc = 0, bits = 2; /* as if two zero bits came first */
    size_t n = 0;

    for (size_t i = 0; i < ULID_BYTES; i++) {
        acc = (acc << 8 | in[i]) & 0xfff;
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            out[n++] = ulid_letters[(acc >> bits) & 31];
        }
    }
    TAKO_ASSERT(n == ULID_TEXT_BYTES && bits == 0);
}

/* 0..31, or 32 for a character that is not in the alphabet. */
static unsigned ulid_letter(uint8_t c)
{
    const char *at = c == 0 ? NULL : strchr(ulid_letters, c);

    return at == NULL ? 32 : (unsigned)(at - ulid_letters);
}

bool ulid_from_text(tako_slice text, uint8_t out[16])
{
    uint8_t bytes[ULID_BYTES];
    unsigned acc = 0, bits = 0;
    size_t n = 0;

    if (text.len != ULID_TEXT_BYTES || text.ptr[0] > '7')
        return false;
    for (size_t i = 0; i < ULID_TEXT_BYTES; i++) {
        unsigned v = ulid_letter(text.ptr[i]);

        if (v == 32)
            return false;
        acc = (acc << 5 | v) & 0xfff;
        bits += i == 0 ? 3 : 5;
        if (bits >= 8) {
            bits -= 8;
            bytes[n++] = (uint8_t)(acc >> bits);
        }
    }
    memcpy(out, bytes, sizeof bytes);
    return true;
}

void ulid_make(uint64_t wall_ms, const uint8_t random[10], uint8_t out[16])
{
    for (unsigned i = 0; i < ULID_WALL_BYTES; i++)
        out[i] = (uint8_t)(wall_ms >> (8 * (ULID_WALL_BYTES - 1 - i)));
    memcpy(out + ULID_WALL_BYTES, random, ULID_RANDOM_BYTES);
}
