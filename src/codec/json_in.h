// SPDX-License-Identifier: Apache-2.0
/* JSON_IN -- what the files of JSON share; inside codec only.
 *
 * The reader appends CBOR to `out` as it goes. A container gets a head of one
 * byte when it opens, and its count when it closes; where the count needs
 * more bytes they are inserted then. Offsets are relative to `base`. */
#ifndef TAKO_CODEC_JSON_IN_H
#define TAKO_CODEC_JSON_IN_H

#include "codec/json.h"
#include "codec/word.h"

#define JSON_PAIRS_MAX 512u /* keys of open objects that have their offset */

typedef struct json_frame {
    const uint8_t *open; /* the '{' or '[' in the text */
    size_t head;         /* offset of the container's head */
    size_t key;          /* of the newest key, for its order */
    size_t count;        /* elements or pairs that are complete */
    uint32_t pairs;      /* index of the first key in json_in.pairs */
    bool map;
    bool sorted;  /* every key came after the one before it */
    bool indexed; /* all keys are in json_in.pairs */
} json_frame;

typedef struct json_in {
    const uint8_t *start;
    const uint8_t *cur;
    const uint8_t *end;
    tako_buf *out;
    tako_errbuf *e;
    size_t base;
    unsigned depth;
    unsigned depth_max;
    uint32_t pairs_len;
    uint32_t pairs[JSON_PAIRS_MAX];
    /* One more than the limit: {"$bytes": ...} is a value, not a level. */
    json_frame stack[TAKO_JSON_DEPTH_MAX + 1];
} json_in;

/* "line L column C: " and the text; `at` is where. Columns count characters. */
tako_err json_fail(const json_in *in, tako_err code, const uint8_t *at,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same: "expected <what>, found <what stands at `at`>". */
tako_err json_fail_expected(const json_in *in, const uint8_t *at,
                            const char *what);

/* The string whose opening quote is at cur, appended as CBOR text. */
tako_err json_read_string(json_in *in);

/* The number at cur ('-' or a digit), appended. */
tako_err json_read_number(json_in *in);

/* Ends the map of frame f: sorts its pairs, refuses duplicate keys, turns
 * {"$bytes": "..."} into bytes (then *value is true and no head is due). */
tako_err json_map_close(json_in *in, json_frame *f, bool *value);

/* Notes the key that begins at offset `at`, the last thing in out. */
tako_err json_map_key(json_in *in, json_frame *f, size_t at,
                      const uint8_t *text);

/* The rule that lets every value through JSON. A map whose only key is this
 * one and whose value is text says bytes in JSON; so in JSON such a map, were
 * it an ordinary one, has one '$' more. Returns how many '$' the key has, 0
 * for any other key. */
size_t json_bytes_key(tako_slice key);

/* A word whose byte i has its high bit set where byte i of w ends plain text;
 * exact up to the lowest such byte, the only one that counts: a borrow can set
 * a bit wrongly only above a byte where it is right. */
static inline uint64_t json_scan_word(uint64_t w, bool ascii)
{
    uint64_t quote = w ^ WORD_EACH('"'), slash = w ^ WORD_EACH('\\');
    uint64_t hit = (quote - WORD_EACH(1)) & ~quote; /* zero bytes */

    hit |= (slash - WORD_EACH(1)) & ~slash;
    hit |= (w - WORD_EACH(0x20)) & ~w; /* below 0x20 */
    if (ascii)
        hit |= w;
    return hit & WORD_EACH(0x80);
}

/* The first byte from p on that ends a string or needs a look: a quote, a
 * backslash, a control character, and with `ascii` one that is not ASCII. */
static inline const uint8_t *json_scan_plain(const uint8_t *p,
                                             const uint8_t *end, bool ascii)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t hit;

    for (; end - p >= 8; p += 8) {
        hit = json_scan_word(word_load(p), ascii);
        if (hit != 0)
            return p + (unsigned)__builtin_ctzll(hit) / 8;
    }
    hit = json_scan_word(word_load_tail(p, (size_t)(end - p)), ascii);
    return hit == 0 ? end : p + (unsigned)__builtin_ctzll(hit) / 8;
#else
    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' &&
           !(ascii && *p >= 0x80))
        p++;
    return p;
#endif
}

#endif /* TAKO_CODEC_JSON_IN_H */
