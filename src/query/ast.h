// SPDX-License-Identifier: Apache-2.0
/* AST -- what the parser makes of a text: one statement and its expressions.
 *
 * All nodes live in the parse's arena and own nothing. A node knows its depth
 * and none is deeper than TAKO_EXPR_DEPTH_MAX, so walks over a tree may
 * recurse: no text can exhaust the stack. Positions are byte offsets into the
 * text. AND and OR are flat lists, so long ones are not deep. */
#ifndef TAKO_QUERY_AST_H
#define TAKO_QUERY_AST_H

#include "base/arena.h"
#include "base/limits.h"
#include "query/query.h"

typedef enum ast_kind {
    AST_CONST,   /* text: CBOR; empty: MISSING */
    AST_PARAM,   /* text: name; op: unused; count: number from 1 */
    AST_NAME,    /* text: a first identifier */
    AST_FIELD,   /* kid . text */
    AST_INDEX,   /* kid [ kid ] */
    AST_SLICE,   /* kid [ kid : kid ], an absent bound is MISSING */
    AST_NOT,     /* kid */
    AST_NEG,     /* kid */
    AST_AND,     /* two or more kids */
    AST_OR,      /* two or more kids */
    AST_COMPARE, /* op: compare_op; two kids */
    AST_ARITH,   /* op: arith_op; two kids */
    AST_IS,      /* op: is_op; kid; negated */
    AST_IN,      /* kid, then AST_ARRAY or another value; negated */
    AST_BETWEEN, /* three kids; negated */
    AST_LIKE,    /* two kids; op: 1 for ILIKE; negated */
    AST_CASE,    /* op: 1 has an operand; WHEN, THEN, ..., op2 has ELSE */
    AST_CALL,    /* text: name in lower case; kids; distinct, star */
    AST_ARRAY,   /* kids */
    AST_OBJECT,  /* kids: AST_PAIR */
    AST_PAIR,    /* text: key; kid */
    AST_OUT,     /* text: name of the field; kid; star: *; op: out_op */
    AST_ORDER,   /* kid; negated: DESC */
    AST_TYPE,    /* kid: path; op: crdt_type */
    AST_SET,     /* kid: path, value; op: 1 for REPLACE(...) */
    AST_UNSET,   /* kid: path */
    AST_APPLY,   /* kid: path, [number]; op: apply_op */
    AST_LIST,    /* kids */
} ast_kind;

typedef enum compare_op {
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_LT,
    COMPARE_LE,
    COMPARE_GT,
    COMPARE_GE,
} compare_op;

typedef enum arith_op {
    ARITH_ADD,
    ARITH_SUB,
    ARITH_MUL,
    ARITH_DIV,
    ARITH_REM,
    ARITH_CONCAT,
} arith_op;

typedef enum is_op {
    IS_NULL,
    IS_MISSING,
} is_op;

typedef enum out_op {
    OUT_NAMED,   /* expr AS name */
    OUT_UNNAMED, /* expr: its last name, else its text */
    OUT_STAR,    /* * or alias.* */
    OUT_WITHOUT, /* MISSING name */
} out_op;

typedef enum apply_op {
    APPLY_INCREMENT,
    APPLY_RESTART,
} apply_op;

typedef enum conflict_policy {
    CONFLICT_FAIL,
    CONFLICT_NOTHING,
    CONFLICT_UPDATE,
    CONFLICT_LOCAL_DIFF,
} conflict_policy;

typedef struct node node;
struct node {
    ast_kind kind;
    uint8_t op, op2;
    bool negated, distinct, star;
    uint16_t depth;
    uint32_t pos, end;
    uint32_t count; /* kids; for a parameter its number */
    tako_slice text;
    node *first, *last, *next;
};

typedef struct query_stmt {
    query_kind kind;
    tako_slice collection; /* empty: SELECT without FROM */
    uint32_t collection_pos;
    tako_slice alias; /* the collection's name when none was given */
    bool distinct;
    node *outs; /* LIST of OUT */
    node *ids;  /* an ARRAY, or a value that is one */
    tako_slice use_index;
    uint32_t use_index_pos;
    node *where, *having;
    node *group, *order; /* LIST */
    node *limit, *offset;
    node *docs; /* LIST of expressions */
    node *types, *applies, *sets, *unsets;
    conflict_policy policy;
    bool initial;
    node *seed_version;
    tako_slice index_name;
    bool if_exists;   /* also: IF NOT EXISTS */
    node *index_keys; /* LIST of ORDER */
} query_stmt;

/* A token as the lexer gives it. */
typedef struct query_token {
    int code; /* TK_*; 0 at the end */
    uint32_t pos, end;
    tako_slice text; /* decoded for strings and quoted names */
} query_token;

typedef struct query_parse {
    const tako_env *env;
    tako_arena arena;
    tako_slice text; /* NUL-terminated beyond its length */
    query_stmt stmt;
    bool have_stmt;
    tako_err err;
    tako_errbuf *e;
    uint32_t nodes;
    tako_slice *params; /* names, numbered from 1 at index 0 */
    uint32_t param_count;
    query_token now, before; /* for messages */
    const void *states;      /* the parser\'s, before `now` */
    uint32_t state_count;
} query_parse;

/* Parses `text`, which is copied. The result is usable until
 * query_parse_fini, which must be called also after a failure.
 * TAKO_INVALID, TAKO_LIMIT, TAKO_NOMEM. */
tako_err query_parse_init(query_parse *p, const tako_env *env, tako_slice text,
                          tako_errbuf *e);
void query_parse_fini(query_parse *p);
/* The grammar (parse.y): runs lexer and parser over p->text. */
void query_parse_run(query_parse *p);

/* Fails the parse (the first failure stays) with the position of `pos`. */
tako_err query_fail_at(query_parse *p, uint32_t pos, tako_err code,
                       const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- the lexer (lex.re) --------------------------------------------------- */

/* The next token from *pos on; p->err is set on bad text. after_dot: words
 * are plain names there. */
bool query_lex(query_parse *p, uint32_t *pos, bool after_dot, query_token *out);

/* ---- keywords ---------------------------------------------------------------- */

/* The token code of a word in any case; TK_ID when it is no keyword. */
int query_keyword(tako_slice word);
/* How a message names a token code. */
const char *query_token_name(int code);
/* True for words of TQL that this version does not run yet. */
bool query_word_unsupported(tako_slice word);
/* Edits (insert, delete, replace, swap) between two words, any case, at most
 * 9. */
unsigned query_word_distance(tako_slice a, tako_slice b);

/* ---- making nodes (used by parse.y) ----------------------------------------- */

/* All give NULL after a failure and accept NULL kids then. */
node *ast_new(query_parse *p, ast_kind kind, uint32_t pos, uint32_t end);
node *ast_add(query_parse *p, node *parent, node *kid);
node *ast_one(query_parse *p, ast_kind kind, node *kid);
node *ast_two(query_parse *p, ast_kind kind, uint8_t op, node *a, node *b);
/* Joins under AND or OR, flattening on the left. */
node *ast_logic(query_parse *p, ast_kind kind, node *a, node *b);
node *ast_negate(query_parse *p, node *n, query_token op);
node *ast_number(query_parse *p, query_token t);
node *ast_string(query_parse *p, query_token t);
/* One byte of CBOR (null, false, true), or MISSING for 0. */
node *ast_simple(query_parse *p, query_token t, uint8_t byte);
node *ast_param(query_parse *p, query_token t);
node *ast_named(query_parse *p, ast_kind kind, query_token t);
node *ast_field(query_parse *p, node *of, query_token t);
node *ast_span(node *n, uint32_t pos, uint32_t end);
/* A copy of the name in lower case: functions. */
node *ast_call(query_parse *p, query_token name, node *args, query_token end);
/* An ARRAY or OBJECT of constants becomes a constant. */
node *ast_fold(query_parse *p, node *n);
/* A call REPLACE({...}) on the right of SET. */
node *ast_set(query_parse *p, node *path, node *value);

/* ---- looking at them -------------------------------------------------------- */

bool ast_equal(const node *a, const node *b);
/* A constant int64. */
bool ast_is_int(const node *n, int64_t *v);
static inline node *ast_kid(const node *n, unsigned i)
{
    node *k = n->first;

    while (i-- > 0 && k != NULL)
        k = k->next;
    return k;
}

#endif /* TAKO_QUERY_AST_H */
