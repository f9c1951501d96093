// SPDX-License-Identifier: Apache-2.0
/* 128 bits are 26 characters of 5 bits with 2 to spare, at the front: the
 * first character is at most '7'. */
#include "codec/ulid.h"

#define ULID_BYTES        16u
#define ULID_RANDOM_BYTES 10u
#define ULID_WALL_BYTES   (ULID_BYTES - ULID_RANDOM_BYTES)

static const char ulid_letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint64_t ulid_load(const uint8_t *p)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

void ulid_to_text(const uint8_t in[16], char out[ULID_TEXT_BYTES])
{
    uint64_t high = ulid_load(in), low = ulid_load(in + 8);
    size_t i = ULID_TEXT_BYTES;

    /* From the last: 12 characters are of the low half, one of both. */
    while (i-- > 14) {
        out[i] = ulid_letters[low & 31];
        low >>= 5;
    }
    out[i] = ulid_letters[(low | high << 4) & 31];
    high >>= 1;
    while (i-- > 0) {
        out[i] = ulid_letters[high & 31];
        high >>= 5;
    }
}

/* One more than the value of a character of the alphabet; 0: in none. */
static const uint8_t ulid_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
    ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12,
    ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16, ['G'] = 17, ['H'] = 18,
    ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30,
    ['Y'] = 31, ['Z'] = 32,
};

bool ulid_from_text(tako_slice text, uint8_t out[16])
{
    uint8_t bytes[ULID_BYTES];
    unsigned acc = 0, bits = 0;
    size_t n = 0;

    if (text.len != ULID_TEXT_BYTES || text.ptr[0] > '7')
        return false;
    for (size_t i = 0; i < ULID_TEXT_BYTES; i++) {
        unsigned v = ulid_values[text.ptr[i]];

        if (v == 0)
            return false;
        acc = (acc << 5 | (v - 1)) & 0xfff;
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
