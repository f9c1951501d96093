// SPDX-License-Identifier: Apache-2.0
/* The words of TQL in one sorted table, their token codes, and how messages
 * name the tokens. Words that mean something only in places of their own are
 * also good as names: parse.y's %fallback list. */
#include "query/ast.h"
#include "parse.h"

static const struct {
    const char *word;
    int code;
} words[] = {
    { "ADVISE", TK_ADVISE },
    { "ALL", TK_ALL },
    { "ALTER", TK_ALTER },
    { "AND", TK_AND },
    { "ANY", TK_ANY },
    { "APPLY", TK_APPLY },
    { "ARRAY", TK_ARRAY },
    { "AS", TK_AS },
    { "ASC", TK_ASC },
    { "AT", TK_AT },
    { "ATTACHMENT", TK_ATTACHMENT },
    { "BEGIN", TK_BEGIN },
    { "BETWEEN", TK_BETWEEN },
    { "BY", TK_BY },
    { "CASE", TK_CASE },
    { "COLLECTION", TK_COLLECTION },
    { "COMMIT", TK_COMMIT },
    { "CONFLICT", TK_CONFLICT },
    { "COUNTER", TK_COUNTER },
    { "CREATE", TK_CREATE },
    { "CROSS", TK_CROSS },
    { "DEFAULT", TK_DEFAULT },
    { "DELETE", TK_DELETE },
    { "DESC", TK_DESC },
    { "DISTINCT", TK_DISTINCT },
    { "DO", TK_DO },
    { "DOCUMENTS", TK_DOCUMENTS },
    { "DROP", TK_DROP },
    { "ELSE", TK_ELSE },
    { "END", TK_END },
    { "EVERY", TK_EVERY },
    { "EVICT", TK_EVICT },
    { "EXCEPT", TK_EXCEPT },
    { "EXISTS", TK_EXISTS },
    { "EXPLAIN", TK_EXPLAIN },
    { "FAIL", TK_FAIL },
    { "FALSE", TK_FALSE },
    { "FOR", TK_FOR },
    { "FORCE", TK_FORCE },
    { "FROM", TK_FROM },
    { "GROUP", TK_GROUP },
    { "HAVING", TK_HAVING },
    { "ID", TK_IDWORD },
    { "IDS", TK_IDS },
    { "IF", TK_IF },
    { "ILIKE", TK_ILIKE },
    { "IN", TK_IN },
    { "INCREMENT", TK_INCREMENT },
    { "INDEX", TK_INDEX },
    { "INITIAL", TK_INITIAL },
    { "INNER", TK_INNER },
    { "INSERT", TK_INSERT },
    { "INTERSECT", TK_INTERSECT },
    { "INTO", TK_INTO },
    { "IS", TK_IS },
    { "JOIN", TK_JOIN },
    { "LEFT", TK_LEFT },
    { "LIKE", TK_LIKE },
    { "LIMIT", TK_LIMIT },
    { "LIST", TK_LIST },
    { "MAP", TK_MAP },
    { "MISSING", TK_MISSING },
    { "NOT", TK_NOT },
    { "NOTHING", TK_NOTHING },
    { "NULL", TK_NULL },
    { "OBJECT", TK_OBJECT },
    { "OFFSET", TK_OFFSET },
    { "ON", TK_ON },
    { "ONLY", TK_ONLY },
    { "OR", TK_OR },
    { "ORDER", TK_ORDER },
    { "OUTER", TK_OUTER },
    { "PN_INCREMENT", TK_PNINCREMENT },
    { "PROFILE", TK_PROFILE },
    { "PROVISION", TK_PROVISION },
    { "READ", TK_READ },
    { "REGISTER", TK_REGISTER },
    { "RESET", TK_RESET },
    { "RESTART", TK_RESTART },
    { "RETURNING", TK_RETURNING },
    { "RIGHT", TK_RIGHT },
    { "ROLLBACK", TK_ROLLBACK },
    { "SATISFIES", TK_SATISFIES },
    { "SELECT", TK_SELECT },
    { "SET", TK_SET },
    { "SHOW", TK_SHOW },
    { "SIMILAR", TK_SIMILAR },
    { "SYSTEM", TK_SYSTEM },
    { "THEN", TK_THEN },
    { "TO", TK_TO },
    { "TRANSACTION", TK_TRANSACTION },
    { "TRUE", TK_TRUE },
    { "UNION", TK_UNION },
    { "UNIQUE", TK_UNIQUE },
    { "UNNEST", TK_UNNEST },
    { "UNSET", TK_UNSET },
    { "UPDATE", TK_UPDATE },
    { "UPDATE_LOCAL_DIFF", TK_LOCALDIFF },
    { "USE", TK_USE },
    { "VERSION", TK_VERSION },
    { "WHEN", TK_WHEN },
    { "WHERE", TK_WHERE },
    { "WITH", TK_WITH },
    { "WITHIN", TK_WITHIN },
};

static const struct {
    int code;
    const char *name;
} signs[] = {
    { TK_COMMA, "','" },
    { TK_LP, "'('" },
    { TK_RP, "')'" },
    { TK_LB, "'['" },
    { TK_RB, "']'" },
    { TK_LC, "'{'" },
    { TK_RC, "'}'" },
    { TK_COLON, "':'" },
    { TK_DOT, "'.'" },
    { TK_SEMI, "';'" },
    { TK_EQ, "'='" },
    { TK_NE, "'!='" },
    { TK_LT, "'<'" },
    { TK_LE, "'<='" },
    { TK_GT, "'>'" },
    { TK_GE, "'>='" },
    { TK_PLUS, "'+'" },
    { TK_MINUS, "'-'" },
    { TK_STAR, "'*'" },
    { TK_SLASH, "'/'" },
    { TK_REM, "'%'" },
    { TK_CONCAT, "'||'" },
    { TK_ID, "a name" },
    { TK_STRING, "a string" },
    { TK_NUMBER, "a number" },
    { TK_PARAM, "a parameter" },
    { 0, "the end of the statement" },
};

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}

static int word_cmp(tako_slice a, const char *b)
{
    for (size_t i = 0; i < a.len; i++) {
        int d = upper(a.ptr[i]) - (int)(uint8_t)b[i];

        if (d != 0)
            return d; /* also at the NUL of a shorter b */
    }
    return b[a.len] == '\0' ? 0 : -1;
}

int query_keyword(tako_slice word)
{
    size_t lo = 0, hi = sizeof words / sizeof words[0];

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = word_cmp(word, words[mid].word);

        if (c == 0)
            return words[mid].code;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return TK_ID;
}

const char *query_keyword_at(size_t i)
{
    return i < sizeof words / sizeof words[0] ? words[i].word : NULL;
}

const char *query_token_name(int code)
{
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (signs[i].code == code)
            return signs[i].name;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (words[i].code == code)
            return words[i].word;
    }
    return "?";
}

/* Optimal string alignment distance (Damerau 1964) by rows; words of more
 * than 24 letters are far from everything. */
unsigned query_word_distance(tako_slice a, tako_slice b)
{
    enum { MAX = 24 };
    unsigned d[3][MAX + 1];

    if (a.len > MAX || b.len > MAX)
        return 9;
    for (size_t j = 0; j <= b.len; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = d[i % 3], *up = d[(i - 1) % 3], *up2 = d[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            uint8_t x = upper(a.ptr[i - 1]), y = upper(b.ptr[j - 1]);
            unsigned best = up[j - 1] + (x != y);

            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == upper(b.ptr[j - 2]) &&
                y == upper(a.ptr[i - 2]) && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[a.len % 3][b.len] < 9 ? d[a.len % 3][b.len] : 9;
}

void query_word_nearer(tako_slice word, tako_slice candidate, unsigned *least,
                       tako_slice *best)
{
    unsigned d = query_word_distance(word, candidate);

    if (d < *least && d < word.len) {
        *least = d;
        *best = candidate;
    }
}
