// SPDX-License-Identifier: Apache-2.0
#include "text.h"

/* The offset after the token-like thing at i, where a quote or a comment is
 * one thing; text.len when it has no end. */
static size_t skip(tako_slice t, size_t i)
{
    uint8_t c = t.ptr[i];

    if (c == '\'' || c == '"' || c == '`') {
        for (i++; i < t.len && t.ptr[i] != c; i++) {
            if (t.ptr[i] == '\\' && c != '`')
                i++;
        }
        return i < t.len ? i + 1 : t.len;
    }
    if (c == '-' && i + 1 < t.len && t.ptr[i + 1] == '-') {
        while (i < t.len && t.ptr[i] != '\n')
            i++;
        return i;
    }
    if (c == '/' && i + 1 < t.len && t.ptr[i + 1] == '*') {
        for (i += 2; i + 1 < t.len; i++) {
            if (t.ptr[i] == '*' && t.ptr[i + 1] == '/')
                return i + 2;
        }
        return t.len;
    }
    return i + 1;
}

static bool is_comment(tako_slice t, size_t i)
{
    return i + 1 < t.len && ((t.ptr[i] == '-' && t.ptr[i + 1] == '-') ||
                             (t.ptr[i] == '/' && t.ptr[i + 1] == '*'));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool text_statement_end(tako_slice text, size_t *end)
{
    for (size_t i = 0; i < text.len; i = skip(text, i)) {
        if (text.ptr[i] == ';') {
            *end = i + 1;
            return true;
        }
    }
    return false;
}

/* The first offset from i on with something that means something. */
static size_t first_of_next(tako_slice t, size_t i)
{
    while (i < t.len) {
        if (is_comment(t, i))
            i = skip(t, i);
        else if (is_space(t.ptr[i]) || t.ptr[i] == ';')
            i++;
        else
            break;
    }
    return i;
}

bool text_is_blank(tako_slice text)
{
    return first_of_next(text, 0) >= text.len;
}

tako_err text_one_statement(tako_slice text, tako_errbuf *e)
{
    size_t end, next;
    unsigned line, column;

    if (text_is_blank(text))
        return tako_fail(e, TAKO_INVALID, "there is no statement");
    if (!text_statement_end(text, &end))
        return TAKO_OK;
    next = first_of_next(text, end);
    if (next >= text.len)
        return TAKO_OK;
    text_place(text, next, &line, &column);
    return tako_fail(e, TAKO_INVALID,
                     "line %u column %u: one statement at a time: a second "
                     "one begins here",
                     line, column);
}

void text_place(tako_slice text, size_t offset, unsigned *line,
                unsigned *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            *line += 1;
            *column = 1;
        } else {
            *column += (text.ptr[i] & 0xC0) != 0x80;
        }
    }
}
