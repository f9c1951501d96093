// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_regexp.c mirrors src/query/regexp.c: matches by table,
 * against a naive matcher, and never more steps than promised. */
#include "support/test_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/regexp.h"

/* 1, 0; -1 when the pattern does not compile. */
static int matches(const char *pattern, unsigned flags, tako_slice text)
{
    test_env t;
    regexp *r;
    size_t chars = 0;
    int match;

    test_env_init(&t, 1);
    if (regexp_new(&t.env, tako_slice_str(pattern), flags, &r) != TAKO_OK)
        return -1;
    match = regexp_match(r, text);
    for (size_t i = 0; i < text.len; i++)
        chars += (text.ptr[i] & 0xC0) != 0x80;
    assert_true(regexp_steps(r) <=
                4 * (uint64_t)(chars + 1) * (regexp_size(r) + 1));
    /* A program has no memory of its last text. */
    assert_int_equal(regexp_match(r, text), match);
    regexp_free(r);
    test_env_check_empty(&t);
    return match;
}

typedef struct match_row {
    const char *pattern, *yes, *no; /* NULL: nothing to try */
} match_row;

static void check_rows(const match_row *rows, size_t count, unsigned flags)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].yes != NULL &&
            matches(rows[i].pattern, flags, tako_slice_str(rows[i].yes)) != 1)
            fail_msg("%s does not match %s", rows[i].pattern, rows[i].yes);
        if (rows[i].no != NULL &&
            matches(rows[i].pattern, flags, tako_slice_str(rows[i].no)) != 0)
            fail_msg("%s matches %s", rows[i].pattern, rows[i].no);
    }
}
#define CHECK_ROWS(rows, flags)                                                \
    check_rows(rows, sizeof rows / sizeof rows[0], flags)

static void test_regexp__matches_are_those_of_the_table(void **state)
{
    static const match_row rows[] = {
        { "", "", NULL },
        { "b", "abc", "ac" },
        { "^b", "bc", "abc" },
        { "b$", "ab", "abc" },
        { "^$", "", "a" },
        { "^a.c$",
          "a\xC3\xA4"
          "c",
          "ac" },
        { "a.c", "a c", "a\nc" },
        { "^(ab|cd)+$", "abcdab", "abc" },
        { "^a*$", "", "b" },
        { "^a+$", "aa", "" },
        { "^a?b$", "b", "aab" },
        { "^a{2}$", "aa", "aaa" },
        { "^a{2,}$", "aaaa", "a" },
        { "^a{2,3}$", "aaa", "aaaa" },
        { "^a{2,3}$", "aa", "a" },
        { "^a+?b$", "aab", "b" },
        { "^[a-c]+$", "abc", "abd" },
        { "^[^a-c]+$", "xyz\n", "xaz" },
        { "^[]-]+$", "]-", "a" },
        { "^[\\d.]+$", "1.5", "x" },
        { "^[^\\d]$", "x", "5" },
        { "^[\\D]$", "x", "5" },
        { "^\\w+$", "aZ_9", "a-b" },
        { "^\\W$", "-", "a" },
        { "^\\s\\S$", " x", "xx" },
        { "^[[:upper:][:digit:]]+$", "A1", "a1" },
        { "\\bcat\\b", "a cat!", "concat" },
        { "\\Bat", "cat", "at" },
        { "^\\x41\\u0042\\x{43}$", "ABC", "abc" },
        { "^\\x{1F600}$", "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x81" },
        { "^[\xCE\xB1-\xCF\x89]+$", "\xCE\xB2\xCF\x88", "b" },
        { "^\\.\\*\\\\$", ".*\\", "xx\\" },
        { "a{,2}", "a{,2}", "aa" },
        { "^(a|b|)c$", "c", "dc" },
        { "^(?:x|y)z$", "yz", "xy" },
        { "^a{0}b$", "b", "ab" },
        { "^\\t\\n$", "\t\n", "tn" },
        { "x^", NULL, "x" },
        { "(^a|b$)c?", "ab", "cac" },
        { "^a|b", "xb", "xa" },
        { "[^\\s\\S]", NULL, "a" },
    };

    (void)state;
    CHECK_ROWS(rows, 0);
}

static void test_regexp__flags_change_the_meaning(void **state)
{
    static const match_row any_case[] = {
        { "^aBc$", "AbC", "abd" },
        { "^[a-c]$", "B", "D" },
        { "^[^a-c]$", "d", "B" },
        { "^\\x41$", "a", "b" },
        { "^\xC3\xA4$", "\xC3\xA4", "\xC3\x84" }, /* letters of ASCII only */
        { "^[X-`]$", "x", "w" },
    };
    static const match_row lines[] = {
        { "^b$", "a\nb\nc", "ab" },
        { "\\Ab", "b\na", "a\nb" },
        { "a\\z", "b\na", "a\nb" },
    };
    static const match_row dot_all[] = { { "^a.b$", "a\nb", "ab" } };
    static const match_row spaced[] = {
        { " a b \n+ $", "xabb", "a b" },
        { "[ ] x", " x", "x" },
    };

    (void)state;
    CHECK_ROWS(any_case, REGEXP_ANY_CASE);
    CHECK_ROWS(lines, REGEXP_LINES);
    CHECK_ROWS(dot_all, REGEXP_DOT_ALL);
    CHECK_ROWS(spaced, REGEXP_SPACED);
}

static void test_regexp__similar_is_the_whole_text(void **state)
{
    static const match_row rows[] = {
        { "abc", "abc", "abcd" },  { "%b%", "a\nbc", "ac" },
        { "_", "\xC3\xA4", "ab" }, { "(b|c)%", "cx", "ac" },
        { "a|bc", "bc", "abc" },   { "a{2,3}", "aaa", "a" },
        { "[0-9]+", "12", "1x" },  { "a.c", "a.c", "abc" },
        { "^a$", "^a$", "a" },     { "\\%\\_", "%_", "xx" },
        { "", "", "a" },           { "(a%)*", "abab", "b" },
    };

    (void)state;
    CHECK_ROWS(rows, REGEXP_SIMILAR);
}

static void test_regexp__bytes_that_are_no_text_do_no_harm(void **state)
{
    static const char text[] = "\xFF\xC3\0\xED\xA0\x80\xF8x\xE2\x82";

    (void)state;
    assert_int_equal(matches("^.*x", 0, tako_slice_of(text, sizeof text - 1)),
                     1);
    assert_int_equal(matches("^.{3}$", 0, tako_slice_of("\xE2\x82\0", 3)), 1);
    assert_int_equal(matches("a", 0, TAKO_SLICE_NONE), 0);
}

/* ---- time ------------------------------------------------------------------------- */

/* Patterns on which a backtracking matcher takes longer than the universe. */
static void test_regexp__no_pattern_is_slow(void **state)
{
    static const char *const patterns[] = {
        "^(a+)+$",          "^(a|a)*$",
        "^(a|aa)+$",        "^(a*)*$",
        "^((a*)*)*b$",      "(x+x+)+y",
        "^(.*)*.*[^a]$",    "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(a?){100}a{100}$", "^(a{1,40}){1,40}$",
        "(.*){5}b",
    };
    static char text[20001];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 2] = '!';
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        assert_int_equal(matches(patterns[i], 0, tako_slice_str(text)),
                         strstr(patterns[i], "[^a]") != NULL);
}

/* ---- against a naive matcher ------------------------------------------------------ */

typedef enum kind {
    CHAR,
    DOT,
    SET, /* [ab] */
    NOT_SET,
    BEGIN,
    END,
    EDGE,
    EMPTY,
    SEQUENCE,
    CHOICE,
    REPEAT,
} kind;

typedef struct tree {
    kind kind;
    char c;
    int min, max; /* max -1: none */
    struct tree *a, *b;
} tree;

static tree nodes[200];
static size_t node_count;

static tree *random_tree(test_env *t, unsigned depth)
{
    tree *n = &nodes[node_count++];

    *n = (tree){ .kind = (kind)test_below(t, depth == 0 ? 8 : 11),
                 .c = (char)('a' + test_below(t, 3)) };
    if (depth > 0 && test_below(t, 2) == 0)
        n->kind = (kind)(SEQUENCE + test_below(t, 3));
    if (n->kind >= SEQUENCE)
        n->a = random_tree(t, depth - 1);
    if (n->kind == SEQUENCE || n->kind == CHOICE)
        n->b = random_tree(t, depth - 1);
    if (n->kind == REPEAT) {
        n->min = (int)test_below(t, 4);
        n->max = n->min + (int)test_below(t, 3);
        if (test_below(t, 2) == 0)
            n->max = -1;
    }
    return n;
}

static void print_tree(const tree *n, char *out, size_t size)
{
    static const char *const marks[] = { "", ".", "", "", "^", "$", "\\b", "" };
    char a[4000] = "", b[4000] = "";

    if (n->a != NULL)
        print_tree(n->a, a, sizeof a);
    if (n->b != NULL)
        print_tree(n->b, b, sizeof b);
    if (n->kind == CHAR)
        (void)snprintf(out, size, "%c", n->c);
    else if (n->kind == SET || n->kind == NOT_SET)
        (void)snprintf(out, size, "[%s%c-c]", n->kind == SET ? "" : "^", n->c);
    else if (n->kind < SEQUENCE)
        (void)snprintf(out, size, "%s", marks[n->kind]);
    else if (n->kind == SEQUENCE)
        (void)snprintf(out, size, "%s%s", a, b);
    else if (n->kind == CHOICE)
        (void)snprintf(out, size, "(%s|%s)", a, b);
    else if (n->max == -1 && n->min < 2)
        (void)snprintf(out, size, "(%s)%c", a, n->min == 0 ? '*' : '+');
    else if (n->max == -1)
        (void)snprintf(out, size, "(?:%s){%d,}?", a, n->min);
    else
        (void)snprintf(out, size, "(%s){%d,%d}", a, n->min, n->max);
}

static bool word_at(const char *text, int i, int len)
{
    return i >= 0 && i < len && text[i] != ' ';
}

/* A bit for each place where a match of n that begins at `at` may end. */
static uint32_t ends(const tree *n, const char *text, int at, int len);

static uint32_t ends_of_all(const tree *n, const char *text, uint32_t from,
                            int len)
{
    uint32_t to = 0;

    for (int i = 0; i <= len; i++)
        to |= from >> i & 1 ? ends(n, text, i, len) : 0;
    return to;
}

static uint32_t ends(const tree *n, const char *text, int at, int len)
{
    uint32_t here = 1u << at, all;
    bool more = at < len;

    switch (n->kind) {
    case CHAR:
        return more && text[at] == n->c ? here << 1 : 0;
    case DOT:
        return more ? here << 1 : 0;
    case SET:
        return more && text[at] >= n->c && text[at] <= 'c' ? here << 1 : 0;
    case NOT_SET:
        return more && !(text[at] >= n->c && text[at] <= 'c') ? here << 1 : 0;
    case BEGIN:
        return at == 0 ? here : 0;
    case END:
        return at == len ? here : 0;
    case EDGE:
        return word_at(text, at - 1, len) != word_at(text, at, len) ? here : 0;
    case EMPTY:
        return here;
    case SEQUENCE:
        return ends_of_all(n->b, text, ends(n->a, text, at, len), len);
    case CHOICE:
        return ends(n->a, text, at, len) | ends(n->b, text, at, len);
    case REPEAT:
        for (int i = 0; i < n->min; i++)
            here = ends_of_all(n->a, text, here, len);
        all = here;
        /* Once more adds nothing new after so many times as there are places. */
        for (int i = n->min; i < (n->max == -1 ? len + 2 : n->max); i++) {
            here = ends_of_all(n->a, text, here, len);
            all |= here;
        }
        return all;
    }
    return 0;
}

static void test_regexp__agrees_with_a_naive_matcher(void **state)
{
    test_env t;
    char pattern[4000], text[12];
    unsigned yes = 0, no = 0;

    (void)state;
    test_env_init(&t, test_seed(14));
    for (int i = 0; i < 4000; i++) {
        const tree *n;

        node_count = 0;
        n = random_tree(&t, 4);
        print_tree(n, pattern, sizeof pattern);
        for (int k = 0; k < 10; k++) {
            int len = (int)test_below(&t, sizeof text);
            bool want = false;

            for (int j = 0; j < len; j++)
                text[j] = "abc "[test_below(&t, 4)];
            for (int j = 0; j <= len; j++)
                want = want || ends(n, text, j, len) != 0;
            if (matches(pattern, 0, tako_slice_of(text, (size_t)len)) != want)
                fail_msg("%s on '%.*s': want %d", pattern, len, text, want);
            *(want ? &yes : &no) += 1;
        }
    }
    assert_true(yes > 1000 && no > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regexp__matches_are_those_of_the_table),
        cmocka_unit_test(test_regexp__flags_change_the_meaning),
        cmocka_unit_test(test_regexp__similar_is_the_whole_text),
        cmocka_unit_test(test_regexp__bytes_that_are_no_text_do_no_harm),
        cmocka_unit_test(test_regexp__no_pattern_is_slow),
        cmocka_unit_test(test_regexp__agrees_with_a_naive_matcher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
