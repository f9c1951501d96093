// SPDX-License-Identifier: Apache-2.0
/* REGEXP -- regular expressions in linear time, over UTF-8.
 *
 * No pattern can hang: for each character of the text a match looks at each
 * instruction of the program at most a few times, whatever the pattern, and a
 * program has at most TAKO_REGEXP_PROGRAM_MAX of them. What cannot be matched
 * in such time is refused: back references and look-around.
 *
 * Syntax: literals, . [a-z] [^a-z] [[:alpha:]] \d \w \s \D \W \S, ^ $ \A \z,
 * \b \B, groups ( ) (?: ), |, * + ? {m} {m,} {m,n} and their non-greedy forms
 * (which match the same texts), \n \t \r \f \v \xHH \x{H...} \uHHHH, and \
 * before punctuation. SIMILAR TO: % _ | * + ? { } ( ) [ ], and \. */
#ifndef TAKO_QUERY_REGEXP_H
#define TAKO_QUERY_REGEXP_H

#include "base/buf.h"
#include "base/err.h"

enum {
    REGEXP_ANY_CASE = 1, /* of ASCII letters */
    REGEXP_LINES = 2,    /* ^ and $ at every line */
    REGEXP_DOT_ALL = 4,  /* . takes line ends too */
    REGEXP_SPACED = 8,   /* white space in the pattern means nothing */
    REGEXP_SIMILAR = 16, /* a pattern of SIMILAR TO: the whole text */
};

/* Has its own scratch memory: one match at a time. */
typedef struct regexp regexp;

/* TAKO_INVALID malformed, TAKO_LIMIT too large a program or too deep groups,
 * TAKO_NOMEM. */
tako_err regexp_new(const tako_env *env, tako_slice pattern, unsigned flags,
                    regexp **out);
void regexp_free(regexp *r);

/* Whether the pattern occurs in the text; SIMILAR: is all of it. */
bool regexp_match(regexp *r, tako_slice text);

/* Instructions of the program; how many the last match looked at, at most
 * 4 (characters + 1) (instructions + 1). */
size_t regexp_size(const regexp *r);
uint64_t regexp_steps(const regexp *r);

#endif /* TAKO_QUERY_REGEXP_H */
