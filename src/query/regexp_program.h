// SPDX-License-Identifier: Apache-2.0
/* What the compiler of regular expressions hands to the matcher. */
#ifndef TAKO_QUERY_REGEXP_PROGRAM_H
#define TAKO_QUERY_REGEXP_PROGRAM_H

#include "query/regexp.h"

typedef enum regexp_op {
    OP_CHAR,  /* the code point x */
    OP_LOWER, /* x, an ASCII letter in lower case, in any case */
    OP_ANY,   /* any character */
    OP_LINE,  /* any but a line feed */
    OP_CLASS, /* of class x */
    OP_JUMP,  /* goes on at +x */
    OP_SPLIT, /* goes on at +1 and at +x */
    OP_BEGIN, /* from here to OP_INSIDE: true or false at a place */
    OP_END,
    OP_LINE_BEGIN,
    OP_LINE_END,
    OP_WORD, /* at the edge of a word */
    OP_INSIDE,
    OP_MATCH,
} regexp_op;

/* Jumps are relative, so that a piece of program can be moved and copied. */
typedef struct regexp_step {
    uint8_t op; /* regexp_op */
    int32_t x;
} regexp_step;

/* Code points from low to high. */
typedef struct regexp_range {
    uint32_t low, high;
} regexp_range;

/* Ranges in order, apart from each other. */
typedef struct regexp_class {
    uint32_t first, count;
    uint64_t ascii[2]; /* a bit for each of the first 128 */
} regexp_class;

typedef struct regexp_program {
    tako_buf steps, ranges, classes; /* arrays of the above */
} regexp_program;

static inline const regexp_step *regexp_steps_of(const regexp_program *p)
{
    return (const regexp_step *)(const void *)p->steps.ptr;
}

/* regexp_compile.c. Fills an empty program, which the caller frees. */
tako_err regexp_compile(regexp_program *p, tako_slice pattern, unsigned flags);

/* The character at s[i], i < s.len, and its length in bytes; a byte that
 * begins none is U+FFFD. */
uint32_t regexp_char(tako_slice s, size_t i, size_t *len);
static inline bool regexp_word_char(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= 'a' && c <= 'z');
}

#endif /* TAKO_QUERY_REGEXP_PROGRAM_H */
