// SPDX-License-Identifier: Apache-2.0
/* The lexer of TQL. re2c makes a matcher of the rules below; the text ends in
 * a NUL beyond its length, which no rule but the end accepts, so the matcher
 * needs no bounds of its own. Strings and quoted names are decoded into the
 * parse's arena, everything else is a slice of the text. */
#include "query/ast.h"
#include "parse.h"

#include "codec/cbor.h"

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex4(const uint8_t *s, const uint8_t *end, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int h = s + i < end ? hex_of(s[i]) : -1;

        if (h < 0)
            return false;
        *out = *out << 4 | (uint32_t)h;
    }
    return true;
}

static size_t put_utf8(uint8_t *o, uint32_t c)
{
    if (c < 0x80) {
        o[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        o[0] = (uint8_t)(0xC0 | c >> 6);
        o[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        o[0] = (uint8_t)(0xE0 | c >> 12);
        o[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        o[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    o[0] = (uint8_t)(0xF0 | c >> 18);
    o[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    o[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    o[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

/* One \uXXXX or a surrogate pair; *s is at the first X. */
static bool decode_u(const uint8_t **s, const uint8_t *end, uint32_t *c)
{
    uint32_t low;

    if (!hex4(*s, end, c))
        return false;
    *s += 4;
    if (*c >= 0xD800 && *c < 0xDC00) {
        if (end - *s < 6 || (*s)[0] != '\\' || (*s)[1] != 'u' ||
            !hex4(*s + 2, end, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        *s += 6;
        *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    } else if (*c >= 0xDC00 && *c < 0xE000) {
        return false;
    }
    return true;
}

static uint8_t simple_escape(uint8_t c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case '\\':
    case '/':
    case '\'':
    case '"':
        return c;
    default:
        return 0;
    }
}

/* The content of a quoted token: JSON escapes (not in names) and a doubled
 * quote for the quote itself. */
static bool decode(query_parse *p, query_token *t, uint8_t quote)
{
    const uint8_t *s = p->text.ptr + t->pos + 1;
    const uint8_t *end = p->text.ptr + t->end - 1;
    uint8_t       *out = tako_arena_alloc(&p->arena, (size_t)(end - s) + 1);
    size_t         n = 0;

    if (out == NULL) {
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
        return false;
    }
    while (s < end) {
        uint32_t c;

        if (*s == quote) {
            s += 2;
            out[n++] = quote;
            continue;
        }
        if (*s != '\\' || quote == '`') {
            out[n++] = *s++;
            continue;
        }
        if (s[1] == 'u') {
            const uint8_t *at = s;

            s += 2;
            if (!decode_u(&s, end, &c)) {
                (void)query_fail_at(p, (uint32_t)(at - p->text.ptr),
                                    TAKO_INVALID,
                                    "expected four hexadecimal digits of a "
                                    "character after \\u");
                return false;
            }
            n += put_utf8(out + n, c);
            continue;
        }
        c = simple_escape(s[1]);
        if (c == 0) {
            (void)query_fail_at(p, (uint32_t)(s - p->text.ptr), TAKO_INVALID,
                                "'\\%c' is no escape; write \\\\ for a "
                                "backslash",
                                s[1] < 0x20 || s[1] > 0x7E ? '?' : s[1]);
            return false;
        }
        out[n++] = (uint8_t)c;
        s += 2;
    }
    t->text = tako_slice_of(out, n);
    return true;
}

bool query_lex(query_parse *p, uint32_t *pos, bool after_dot, query_token *out)
{
    const uint8_t *YYCURSOR = p->text.ptr + *pos;
    const uint8_t *YYMARKER, *start;
    int            code;
    uint8_t        quote = 0;

again:
    start = YYCURSOR;
    /*!re2c
    re2c:define:YYCTYPE = uint8_t;
    re2c:yyfill:enable = 0;

    word   = [A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*;
    digits = [0-9]+;
    exp    = [eE][+-]?[0-9]+;

    [ \t\r\n\f]+                 { goto again; }
    "--" [^\n\x00]*              { goto again; }
    "/*"                         { goto comment; }
    "\x00"                       { goto end; }

    "'" ([^'\\\x00] | "\\" [^\x00] | "''")* "'"
                                 { code = TK_STRING; quote = '\''; goto done; }
    ["] ([^"\\\x00] | "\\" [^\x00] | ["]["])* ["]
                                 { code = TK_STRING; quote = '"'; goto done; }
    "`" ([^`\x00] | "``")+ "`"   { code = TK_ID; quote = '`'; goto done; }
    ['"`]                        { goto open_quote; }

    "0" [xX] [0-9a-fA-F]+        { code = TK_NUMBER; goto done; }
    digits ("." digits)? exp?    { code = TK_NUMBER; goto done; }
    "." digits exp?              { code = TK_NUMBER; goto done; }
    digits ("." digits)? exp? [A-Za-z_\x80-\xff]
                                 { goto bad_number; }
    ":" word                     { goto param; }
    word                         { code = TK_ID; goto word; }

    "="                          { code = TK_EQ; goto done; }
    "=="                         { code = TK_EQ; goto done; }
    "!="                         { code = TK_NE; goto done; }
    "<>"                         { code = TK_NE; goto done; }
    "<"                          { code = TK_LT; goto done; }
    "<="                         { code = TK_LE; goto done; }
    ">"                          { code = TK_GT; goto done; }
    ">="                         { code = TK_GE; goto done; }
    "+"                          { code = TK_PLUS; goto done; }
    "-"                          { code = TK_MINUS; goto done; }
    "*"                          { code = TK_STAR; goto done; }
    "/"                          { code = TK_SLASH; goto done; }
    "%"                          { code = TK_REM; goto done; }
    "||"                         { code = TK_CONCAT; goto done; }
    "("                          { code = TK_LP; goto done; }
    ")"                          { code = TK_RP; goto done; }
    "["                          { code = TK_LB; goto done; }
    "]"                          { code = TK_RB; goto done; }
    "{"                          { code = TK_LC; goto done; }
    "}"                          { code = TK_RC; goto done; }
    ","                          { code = TK_COMMA; goto done; }
    "."                          { code = TK_DOT; goto done; }
    ":"                          { code = TK_COLON; goto done; }
    ";"                          { code = TK_SEMI; goto done; }
    *                            { goto bad; }
    */

param:
    code = TK_PARAM;
    /* {'k':v}, a[1:n], system:info: after what ends a value or a name there
     * is no parameter. */
    if (p->now.code == TK_STRING || p->now.code == TK_ID ||
        p->now.code == TK_NUMBER || p->now.code == TK_RP ||
        p->now.code == TK_RB || p->now.code == TK_RC ||
        p->now.code == TK_END || p->now.code == TK_SYSTEM) {
        code = TK_COLON;
        YYCURSOR = start + 1;
    }
    goto done;
comment:
    while (!(YYCURSOR[0] == '*' && YYCURSOR[1] == '/')) {
        if (YYCURSOR[0] == 0 &&
            YYCURSOR >= p->text.ptr + p->text.len) {
            (void)query_fail_at(p, (uint32_t)(start - p->text.ptr),
                                TAKO_INVALID, "the comment is never closed");
            return false;
        }
        YYCURSOR++;
    }
    YYCURSOR += 2;
    goto again;
word:
    if (!after_dot)
        code = query_keyword(
            tako_slice_of(start, (size_t)(YYCURSOR - start)));
done:
    *out = (query_token){ code, (uint32_t)(start - p->text.ptr),
                          (uint32_t)(YYCURSOR - p->text.ptr),
                          tako_slice_of(start, (size_t)(YYCURSOR - start)) };
    *pos = out->end;
    if (quote != 0)
        return decode(p, out, quote);
    if (code == TK_PARAM) {
        out->text.ptr++;
        out->text.len--;
    }
    return true;
end:
    if (start < p->text.ptr + p->text.len) {
        (void)query_fail_at(p, (uint32_t)(start - p->text.ptr), TAKO_INVALID,
                            "a NUL character in the text");
        return false;
    }
    *out = (query_token){ 0, (uint32_t)p->text.len, (uint32_t)p->text.len,
                          TAKO_SLICE_NONE };
    return true;
open_quote:
    (void)query_fail_at(p, (uint32_t)(start - p->text.ptr), TAKO_INVALID,
                        "the quote %c is never closed", *start);
    return false;
bad_number:
    (void)query_fail_at(p, (uint32_t)(start - p->text.ptr), TAKO_INVALID,
                        "a number is followed by a letter");
    return false;
bad:
    (void)query_fail_at(p, (uint32_t)(start - p->text.ptr), TAKO_INVALID,
                        "the character '%c' has no meaning here", *start);
    return false;
}
