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
    AST_CONST,      /* text: CBOR; empty: MISSING */
    AST_PARAM,      /* text: name; op: unused; count: number from 1 */
    AST_NAME,       /* text: a first identifier; op: name_op, source: bind's */
    AST_FIELD,      /* kid . text */
    AST_INDEX,      /* kid [ kid ] */
    AST_SLICE,      /* kid [ kid : kid ], an absent bound is MISSING */
    AST_NOT,        /* kid */
    AST_NEG,        /* kid */
    AST_AND,        /* two or more kids */
    AST_OR,         /* two or more kids */
    AST_COMPARE,    /* op: compare_op; two kids */
    AST_ARITH,      /* op: arith_op; two kids */
    AST_IS,         /* op: is_op; kid; negated */
    AST_IN,         /* kid, then AST_ARRAY, AST_SELECT or another; negated */
    AST_BETWEEN,    /* three kids; negated */
    AST_LIKE,       /* two kids; op: like_op; negated */
    AST_CASE,       /* op: 1 has an operand; WHEN, THEN, ..., op2 has ELSE */
    AST_CALL,       /* text: name in lower case; kids; distinct, star */
    AST_ARRAY,      /* kids */
    AST_OBJECT,     /* kids: AST_PAIR */
    AST_PAIR,       /* text: key; kid */
    AST_ANY,        /* op: any_op; source: variable; list, condition */
    AST_ARRAY_FOR,  /* source; list, value, [condition] */
    AST_OBJECT_FOR, /* source; list, key, value, [condition] */
    AST_SELECT,     /* select: the value of its first row; after IN: rows */
    AST_EXISTS,     /* select */
    AST_OUT,        /* text: name of the field; kid; op: out_op */
    AST_ORDER,      /* kid; negated: DESC */
    AST_TYPE,       /* kid: path; op: crdt_type */
    AST_SET,        /* kid: path, value; op: 1 for REPLACE(...) */
    AST_UNSET,      /* kid: path */
    AST_APPLY,      /* kid: path, [number]; op: apply_op */
    AST_LIST,       /* kids */
} ast_kind;

/* What a name means, found by bind.c. */
typedef enum name_op {
    NAME_UNBOUND,
    NAME_FIELD, /* a field of source's document */
    NAME_WHOLE, /* what source gives: a document or a value */
    NAME_AT,    /* where in the list source stands */
} name_op;

typedef enum any_op {
    ANY_SOME,
    ANY_EVERY,
    ANY_AND_EVERY,
} any_op;

typedef enum like_op {
    LIKE_EXACT,
    LIKE_ANY_CASE,
    LIKE_SIMILAR,
} like_op;

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
    OUT_STAR,    /* * or, with a kid, alias.* */
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
typedef struct query_source query_source;
typedef struct query_select query_select;

struct node {
    ast_kind kind;
    uint8_t op, op2;
    bool negated, distinct, star;
    uint16_t depth;
    uint32_t pos, end;
    uint32_t count; /* kids; for a parameter its number */
    tako_slice text;
    node *first, *last, *next;
    query_source *source;
    query_select *select;
};

/* ---- what is read ----------------------------------------------------------- */

typedef enum source_kind {
    SOURCE_COLLECTION, /* a table of documents */
    SOURCE_SYSTEM,     /* system:name: objects that the program provides */
    SOURCE_SELECT,     /* (SELECT ...) */
    SOURCE_WITH,       /* the name of a WITH; select: what it stands for */
    SOURCE_UNNEST,     /* the elements of expr */
    SOURCE_VARIABLE,   /* the same, of ANY ... IN and ... FOR ... IN */
} source_kind;

typedef enum join_op {
    JOIN_INNER,
    JOIN_LEFT,
    JOIN_RIGHT,
} join_op;

/* One item of a FROM; in SQL it is called t<number>. */
struct query_source {
    source_kind kind;
    join_op join;  /* how it is joined to all before it */
    bool within;   /* of a VARIABLE: on all levels of the list */
    bool nullable; /* an outer join may leave it without a row */
    uint32_t pos, end;
    uint32_t number;  /* from 1, unique in the statement */
    tako_slice name;  /* of the collection, of the WITH */
    tako_slice alias; /* the name when none was given */
    tako_slice at;    /* UNNEST ... AT: empty when there is none */
    node *expr;       /* UNNEST: the list */
    query_select *select;
    uint32_t with_number; /* WITH: w<number> in SQL */
    node *on;
    node *ids; /* USE IDS: an ARRAY, or a value that is one */
    tako_slice use_index;
    uint32_t use_index_pos;
    query_source *next, *last; /* in the FROM; last: of its first item */
    query_source *next_all;    /* of the statement */

    /* Found when the statement is prepared. */
    uint32_t coll;            /* 0: there is no such collection */
    const char *indexes;      /* SQL of its indexes, or NULL */
    const char *indexes_real; /* while ADVISE tries others */
    bool hint_failed;         /* USE INDEX could not be followed */
};

typedef enum set_op {
    SET_NONE,
    SET_UNION,
    SET_UNION_ALL,
    SET_INTERSECT,
    SET_EXCEPT,
} set_op;

/* SELECT ... HAVING: what set operators join. */
typedef struct query_core query_core;
struct query_core {
    set_op op; /* with the one before */
    bool distinct;
    bool grouped;
    uint32_t pos;
    node *outs; /* LIST of OUT */
    query_source *from;
    node *where, *having;
    node *group; /* LIST */
    query_core *next, *last;
};

/* How the rows of a SELECT come out of SQL. */
typedef enum shape {
    SHAPE_DOC,     /* row, id, body of one collection, and columns beside */
    SHAPE_COLUMNS, /* a column for each name */
    SHAPE_VALUE,   /* one column: an object */
} shape;

typedef struct query_with query_with;
struct query_with {
    tako_slice name;
    uint32_t pos;
    uint32_t number; /* w<number> in SQL */
    query_select *select;
    query_with *next, *last;
};

struct query_select {
    query_with *with;
    query_core *first;
    node *order; /* LIST */
    node *limit, *offset;
    uint32_t depth; /* of the SELECTs inside */

    /* Found by bind.c. */
    bool bound;
    shape shape;
    tako_slice *names; /* of SHAPE_COLUMNS */
    uint32_t name_count;
};

typedef enum explain_op {
    EXPLAIN_NONE,
    EXPLAIN_PLAN,      /* EXPLAIN */
    EXPLAIN_PROFILE,   /* PROFILE: the plan, having run */
    EXPLAIN_ADVISE,    /* ADVISE: the indexes that would help */
    EXPLAIN_PROVISION, /* ADVISE AND PROVISION: and makes them */
} explain_op;

typedef struct query_stmt {
    query_kind kind;
    explain_op explain; /* what the rest is not run but looked at for */

    /* SELECT and INSERT ... SELECT: the rows. UPDATE, DELETE, EVICT: what
     * they touch; CREATE INDEX: its WHERE; both FROM the target alone. */
    query_select *select;
    query_source *target; /* the collection that is written, or NULL */
    node *docs;           /* LIST of expressions */
    node *types, *applies, *sets, *unsets;
    conflict_policy policy;
    bool initial, force;
    node *seed_version;
    query_select *returning; /* FROM the target */

    tako_slice index_name;
    bool if_exists;   /* also: IF NOT EXISTS */
    node *index_keys; /* LIST of ORDER */

    tako_slice setting;      /* empty: ALL */
    tako_slice setting_coll; /* of ALTER COLLECTION; else empty */
    uint32_t setting_pos;
    node *setting_value; /* SET: NULL for DEFAULT */
    node *setting_like;  /* SHOW ALL LIKE */
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
    query_source *sources; /* all, the last one first */
    uint32_t source_count, with_count;
    tako_slice *params;  /* names, numbered from 1 at index 0 */
    const char **counts; /* the clause that wants a whole number, or NULL */
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
/* All keywords by number, to go through them; NULL beyond the last. */
const char *query_keyword_at(size_t i);
/* How a message names a token code. */
const char *query_token_name(int code);
/* Edits (insert, delete, replace, swap) between two words, any case, at most
 * 9. */
unsigned query_word_distance(tako_slice a, tako_slice b);
/* Takes a candidate for "did you mean" as *best when it is less than *least
 * edits from the word, of which something is left. */
void query_word_nearer(tako_slice word, tako_slice candidate, unsigned *least,
                       tako_slice *best);

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
/* An OBJECT with its pairs in the order of keys; none may come twice. */
node *ast_sort(query_parse *p, node *n);
/* A call REPLACE({...}) on the right of SET. */
node *ast_set(query_parse *p, node *path, node *value);

/* ---- making SELECTs (ast_select.c, used by parse.y) -------------------------- */

query_source *ast_source(query_parse *p, source_kind kind, tako_slice name,
                         uint32_t pos);
/* Appends `more` to a FROM; on may be NULL. */
query_source *ast_join(query_parse *p, query_source *from, join_op join,
                       query_source *more, node *on);
query_core *ast_core(query_parse *p, uint32_t pos);
query_core *ast_set_op(query_parse *p, query_core *first, set_op op,
                       query_core *more);
query_with *ast_with(query_parse *p, query_with *list, query_token name,
                     query_select *select);
/* A SELECT of cores; with more than one, or a set operator, ORDER BY and LIMIT
 * go to a SELECT * around them. */
query_select *ast_select(query_parse *p, query_with *with, query_core *first,
                         node *order, node *limit, node *offset);
/* A SELECT FROM one source, for the statements that write. */
query_select *ast_select_from(query_parse *p, query_source *from, node *where,
                              node *limit);
/* A node that holds a SELECT. */
node *ast_subselect(query_parse *p, ast_kind kind, query_select *select,
                    uint32_t pos, uint32_t end);
/* ANY, ARRAY ... FOR and OBJECT ... FOR: a variable over a list, then kids;
 * the later ones may be NULL. */
node *ast_for(query_parse *p, ast_kind kind, query_token name, bool within,
              node *list, node *a, node *b, node *c);

/* Calls fn for every expression of a SELECT and of the SELECTs inside it (not
 * for kids of expressions, nor for SELECTs inside those): stops at false. */
typedef bool ast_visit(void *ctx, node *n);
bool ast_each_expr(query_select *s, ast_visit *fn, void *ctx);

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
