// SPDX-License-Identifier: Apache-2.0
/* The grammar of TQL for lemon. Precedences are SQLite's. The parser's stack
 * is fixed (TAKO_PARSE_DEPTH_MAX) and lives in the parse's arena; a text that
 * nests deeper gets an error. What was expected at an error is found by
 * trying every token against the tables, reductions included. */

%name query_lemon
%token_prefix TK_
%token_type { query_token }
%extra_argument { query_parse *p }
%stack_size 1200
%default_type { node * }

%include {
#include "query/ast.h"
#include "base/check.h"
#include <stdio.h>
#include "crdt/doc.h"
#define NDEBUG 1
#define ST (&p->stmt)
#define UNUSED(x) ((void)(x))

static void syntax_error(query_parse *p, const bool *expected, int count,
                         query_token found);
static void start(query_parse *p, query_kind kind);
static void set_collection(query_parse *p, query_token t);
static node *type_node(query_parse *p, node *path, int type);
}

%stack_overflow {
    (void)query_fail_at(p, p->now.pos, TAKO_LIMIT,
                        "the statement nests too deep");
}

%left OR.
%left AND.
%right NOT.
%left IS IN LIKE ILIKE BETWEEN EQ NE.
%left LT LE GT GE.
%left PLUS MINUS.
%left STAR SLASH REM.
%left CONCAT.
%right NEG.
%left DOT LB.

%fallback ID
  APPLY ASC ATTACHMENT BEGIN COLLECTION COMMIT CONFLICT COUNTER CREATE
  DESC DO DOCUMENTS DROP EXISTS FAIL IDWORD IDS IF INCREMENT INDEX INITIAL
  INSERT LIST MAP NOTHING ONLY PNINCREMENT READ REGISTER RESTART
  ROLLBACK TRANSACTION UNIQUE LOCALDIFF VERSION WITH UPDATE DELETE.

%syntax_error {
    /* Would token t have been taken here? Replays the reductions it would have
     * caused on a copy of the stack of states before the bad token. */
    bool         expected[YYNTOKEN];
    YYACTIONTYPE        states[YYSTACKDEPTH + 2];
    const YYACTIONTYPE *before = p->states;
    for (int t = 0; t < YYNTOKEN; t++) {
        int depth = (int)p->state_count - 1;

        for (int i = 0; i <= depth; i++)
            states[i] = before[i];
        for (;;) {
            YYACTIONTYPE act =
                yy_find_shift_action((YYCODETYPE)t, states[depth]);
            unsigned rule;

            expected[t] = act <= YY_MAX_SHIFTREDUCE || act == YY_ACCEPT_ACTION;
            if (act < YY_MIN_REDUCE)
                break;
            rule = (unsigned)act - YY_MIN_REDUCE;
            depth += yyRuleInfoNRhs[rule]; /* a negative count */
            if (depth + 1 > YYSTACKDEPTH)
                break;
            states[depth + 1] =
                yy_find_reduce_action(states[depth], yyRuleInfoLhs[rule]);
            depth++;
            if (states[depth] == YY_ACCEPT_ACTION) {
                expected[t] = true;
                break;
            }
        }
    }
    syntax_error(p, expected, YYNTOKEN, TOKEN);
}

input ::= statement semis.
semis ::= .
semis ::= semis SEMI.

statement ::= select.
statement ::= insert.
statement ::= update.
statement ::= delete.
statement ::= create_index.
statement ::= drop_index.
statement ::= BEGIN transaction.            { start(p, QUERY_BEGIN); }
statement ::= BEGIN transaction READ ONLY.  { start(p, QUERY_BEGIN_READ_ONLY); }
statement ::= COMMIT transaction.           { start(p, QUERY_COMMIT); }
statement ::= ROLLBACK transaction.         { start(p, QUERY_ROLLBACK); }
transaction ::= .
transaction ::= TRANSACTION.

/* ---- SELECT ------------------------------------------------------------- */

select ::= SELECT distinct outs(O) from where(W) group having(H) order(R)
           limit(L) offset(F). {
    start(p, QUERY_SELECT);
    ST->outs = O; ST->where = W; ST->having = H; ST->order = R;
    ST->limit = L; ST->offset = F;
}
distinct ::= .
distinct ::= DISTINCT.                      { ST->distinct = true; }

outs(A) ::= out(B).             { A = ast_one(p, AST_LIST, B); }
outs(A) ::= outs(B) COMMA out(C). { A = ast_add(p, B, C); }
out(A) ::= STAR(T). {
    A = ast_new(p, AST_OUT, T.pos, T.end);
    if (A != NULL) { A->op = OUT_STAR; }
}
out(A) ::= unit(B) DOT STAR(T). {
    A = ast_one(p, AST_OUT, B);
    if (A != NULL) { A->op = OUT_STAR; A->end = T.end; }
}
out(A) ::= expr(B). {
    A = ast_one(p, AST_OUT, B);
    if (A != NULL) { A->op = OUT_UNNAMED; }
}
out(A) ::= expr(B) as ID(N). {
    A = ast_one(p, AST_OUT, B);
    if (A != NULL) {
        A->op = B->kind == AST_CONST && B->text.len == 0 ? OUT_WITHOUT
                                                          : OUT_NAMED;
        A->text = N.text; A->end = N.end;
    }
}
out(A) ::= expr(B) AS STRING(N). {
    A = ast_one(p, AST_OUT, B);
    if (A != NULL) { A->op = OUT_NAMED; A->text = N.text; A->end = N.end; }
}
as ::= .
as ::= AS.

from ::= .
from ::= FROM collection alias uses.
collection ::= ID(T).               { set_collection(p, T); }
collection ::= COLLECTION ID(T).    { set_collection(p, T); }
collection ::= ID(T) COLON ID(N). {
    UNUSED(N);
    (void)query_fail_at(p, T.pos, TAKO_UNSUPPORTED,
                        "system collections are not supported here");
}
alias ::= .
alias ::= as ID(T).                 { ST->alias = T.text; }
uses ::= .
uses ::= uses use_id.
uses ::= uses use_index.
use_ids ::= .
use_ids ::= use_id.
use_id ::= USE IDS exprs(L). {
    if (L != NULL) { L->kind = AST_ARRAY; }
    ST->ids = ast_fold(p, L);
}
use_id ::= USE IDS LIST param(V).   { ST->ids = V; }
use_index ::= USE INDEX STRING(T). {
    ST->use_index = T.text; ST->use_index_pos = T.pos;
}
use_index ::= USE INDEX ID(T). {
    ST->use_index = T.text; ST->use_index_pos = T.pos;
}
where(A) ::= .                      { A = NULL; }
where(A) ::= WHERE expr(B).         { A = B; }
group ::= .
group ::= GROUP BY exprs(L).        { ST->group = L; }
having(A) ::= .                     { A = NULL; }
having(A) ::= HAVING expr(B).       { A = B; }
order(A) ::= .                      { A = NULL; }
order(A) ::= ORDER BY keys(B).      { A = B; }
keys(A) ::= key(B).                 { A = ast_one(p, AST_LIST, B); }
keys(A) ::= keys(B) COMMA key(C).   { A = ast_add(p, B, C); }
key(A) ::= expr(B).                 { A = ast_one(p, AST_ORDER, B); }
key(A) ::= expr(B) ASC.             { A = ast_one(p, AST_ORDER, B); }
key(A) ::= expr(B) DESC. {
    A = ast_one(p, AST_ORDER, B);
    if (A != NULL) { A->negated = true; }
}
limit(A) ::= .                      { A = NULL; }
limit(A) ::= LIMIT value(B).        { A = B; }
offset(A) ::= .                     { A = NULL; }
offset(A) ::= OFFSET value(B).      { A = B; }

/* ---- INSERT --------------------------------------------------------------- */

insert ::= INSERT INTO collection types initial DOCUMENTS docs(D) policy. {
    start(p, QUERY_INSERT);
    ST->docs = D;
}
types ::= .
types ::= LP type_list(L) RP.               { ST->types = L; }
type_list(A) ::= type(B).                   { A = ast_one(p, AST_LIST, B); }
type_list(A) ::= type_list(B) COMMA type(C).{ A = ast_add(p, B, C); }
type(A) ::= path(B) REGISTER.    { A = type_node(p, B, CRDT_REGISTER); }
type(A) ::= path(B) MAP.         { A = type_node(p, B, CRDT_MAP); }
type(A) ::= path(B) COUNTER.     { A = type_node(p, B, CRDT_COUNTER); }
type(A) ::= path(B) ATTACHMENT.  { A = type_node(p, B, CRDT_ATTACHMENT); }
path(A) ::= ID(T).               { A = ast_named(p, AST_NAME, T); }
path(A) ::= path(B) DOT ID(T).   { A = ast_field(p, B, T); }
path(A) ::= path(B) LB STRING(T) RB. { A = ast_field(p, B, T); }
initial ::= .
initial ::= INITIAL.                        { ST->initial = true; }
initial ::= INITIAL VERSION value(V).
        { ST->initial = true; ST->seed_version = V; }
docs(A) ::= LP expr(B) RP.           { A = ast_one(p, AST_LIST, B); }
docs(A) ::= docs(B) COMMA LP expr(C) RP. { A = ast_add(p, B, C); }
policy ::= .
policy ::= ON IDWORD CONFLICT FAIL.         { ST->policy = CONFLICT_FAIL; }
policy ::= ON IDWORD CONFLICT DO NOTHING.   { ST->policy = CONFLICT_NOTHING; }
policy ::= ON IDWORD CONFLICT DO UPDATE.    { ST->policy = CONFLICT_UPDATE; }
policy ::= ON IDWORD CONFLICT DO LOCALDIFF.
        { ST->policy = CONFLICT_LOCAL_DIFF; }

/* ---- UPDATE and DELETE ------------------------------------------------------ */

update ::= UPDATE(T) collection types use_ids applies sets unsets where(W). {
    start(p, QUERY_UPDATE);
    ST->where = W;
    if (p->err == TAKO_OK && ST->applies == NULL && ST->sets == NULL &&
        ST->unsets == NULL)
        (void)query_fail_at(p, p->now.pos, TAKO_INVALID,
                            "expected APPLY, SET or UNSET after UPDATE %.*s",
                            (int)ST->collection.len,
                            (const char *)ST->collection.ptr);
    UNUSED(T);
}
applies ::= .
applies ::= APPLY apply_list(L).            { ST->applies = L; }
apply_list(A) ::= apply(B).                 { A = ast_one(p, AST_LIST, B); }
apply_list(A) ::= apply_list(B) COMMA apply(C). { A = ast_add(p, B, C); }
apply(A) ::= path(B) INCREMENT BY value(V).
        { A = ast_two(p, AST_APPLY, APPLY_INCREMENT, B, V); }
apply(A) ::= path(B) PNINCREMENT BY value(V).
        { A = ast_two(p, AST_APPLY, APPLY_INCREMENT, B, V); }
apply(A) ::= path(B) RESTART. {
    A = ast_one(p, AST_APPLY, B);
    if (A != NULL) { A->op = APPLY_RESTART; }
}
apply(A) ::= path(B) RESTART WITH value(V).
        { A = ast_two(p, AST_APPLY, APPLY_RESTART, B, V); }
sets ::= .
sets ::= SET set_list(L).                   { ST->sets = L; }
set_list(A) ::= set(B).                     { A = ast_one(p, AST_LIST, B); }
set_list(A) ::= set_list(B) COMMA set(C).   { A = ast_add(p, B, C); }
set(A) ::= path(B) EQ expr(C).              { A = ast_set(p, B, C); }
unsets ::= .
unsets ::= UNSET unset_list(L).             { ST->unsets = L; }
unset_list(A) ::= unset(B).                 { A = ast_one(p, AST_LIST, B); }
unset_list(A) ::= unset_list(B) COMMA unset(C). { A = ast_add(p, B, C); }
unset(A) ::= path(B).                       { A = ast_one(p, AST_UNSET, B); }

delete ::= DELETE FROM collection use_ids where(W) limit(L). {
    start(p, QUERY_DELETE);
    ST->where = W; ST->limit = L;
}

/* ---- indexes ------------------------------------------------------------------ */

create_index ::= CREATE INDEX if_not_exists ID(N) ON collection LP keys(K) RP
                 where(W). {
    start(p, QUERY_CREATE_INDEX);
    ST->index_name = N.text; ST->index_keys = K; ST->where = W;
}
create_index ::= CREATE UNIQUE(T) INDEX. {
    (void)query_fail_at(p, T.pos, TAKO_UNSUPPORTED,
                        "an index cannot be UNIQUE here: two devices that "
                        "are apart can both write the same value, so no "
                        "device can promise it; make the value the _id");
}
if_not_exists ::= .
if_not_exists ::= IF NOT EXISTS.            { ST->if_exists = true; }
drop_index ::= DROP INDEX if_exists ID(N) ON collection. {
    start(p, QUERY_DROP_INDEX);
    ST->index_name = N.text;
}
if_exists ::= .
if_exists ::= IF EXISTS.                    { ST->if_exists = true; }

/* ---- expressions ---------------------------------------------------------------- */

exprs(A) ::= expr(B).                  { A = ast_one(p, AST_LIST, B); }
exprs(A) ::= exprs(B) COMMA expr(C).   { A = ast_add(p, B, C); }

literal(A) ::= NUMBER(T).   { A = ast_number(p, T); }
literal(A) ::= STRING(T).   { A = ast_string(p, T); }
literal(A) ::= TRUE(T).     { A = ast_simple(p, T, 0xF5); }
literal(A) ::= FALSE(T).    { A = ast_simple(p, T, 0xF4); }
literal(A) ::= NULL(T).     { A = ast_simple(p, T, 0xF6); }
literal(A) ::= MISSING(T).  { A = ast_simple(p, T, 0); }
param(A) ::= PARAM(T).      { A = ast_param(p, T); }

/* What stands where a whole number is wanted. */
value(A) ::= NUMBER(T).            { A = ast_number(p, T); }
value(A) ::= MINUS(M) NUMBER(T).   { A = ast_negate(p, ast_number(p, T), M); }
value(A) ::= param(B).             { A = B; }

unit(A) ::= literal(B).            { A = B; }
unit(A) ::= param(B).              { A = B; }
unit(A) ::= ID(T).                 { A = ast_named(p, AST_NAME, T); }
unit(A) ::= unit(B) DOT ID(T).     { A = ast_field(p, B, T); }
unit(A) ::= unit(B) LB expr(C) RB(T). {
    A = ast_two(p, AST_INDEX, 0, B, C);
    if (A != NULL) { A->end = T.end; }
}
unit(A) ::= unit(B) LB expr(C) COLON expr(D) RB(T). {
    A = ast_add(p, ast_two(p, AST_SLICE, 0, B, C), D);
    if (A != NULL) { A->end = T.end; }
}
unit(A) ::= unit(B) LB expr(C) COLON RB(T). {
    A = ast_two(p, AST_SLICE, 0, B, C);
    if (A != NULL) { A->end = T.end; }
}
unit(A) ::= ID(T) LP RP(E).        {
    A = ast_call(p, T, ast_new(p, AST_LIST, T.pos, E.end), E);
}
unit(A) ::= ID(T) LP exprs(L) RP(E). { A = ast_call(p, T, L, E); }
unit(A) ::= ID(T) LP DISTINCT exprs(L) RP(E). {
    if (L != NULL) { L->distinct = true; }
    A = ast_call(p, T, L, E);
}
unit(A) ::= ID(T) LP STAR RP(E). {
    node *l = ast_new(p, AST_LIST, T.pos, E.end);
    if (l != NULL) { l->star = true; }
    A = ast_call(p, T, l, E);
}
unit(A) ::= LB(T) RB(E).
        { A = ast_fold(p, ast_new(p, AST_ARRAY, T.pos, E.end)); }
unit(A) ::= LB(T) exprs(L) RB(E). {
    if (L != NULL) { L->kind = AST_ARRAY; }
    A = ast_fold(p, ast_span(L, T.pos, E.end));
}
unit(A) ::= LC(T) RC(E).
        { A = ast_fold(p, ast_new(p, AST_OBJECT, T.pos, E.end)); }
unit(A) ::= LC(T) pairs(L) RC(E).
        { A = ast_fold(p, ast_span(L, T.pos, E.end)); }
pairs(A) ::= pair(B).                 { A = ast_one(p, AST_OBJECT, B); }
pairs(A) ::= pairs(B) COMMA pair(C).  { A = ast_add(p, B, C); }
pair(A) ::= pair_key(K) COLON expr(B). {
    A = ast_one(p, AST_PAIR, B);
    if (A != NULL) { A->text = K.text; A->pos = K.pos; }
}
%type pair_key { query_token }
pair_key(A) ::= STRING(T).            { A = T; }
pair_key(A) ::= ID(T).                { A = T; }
unit(A) ::= CASE(T) whens(L) else(F) END(E). {
    if (F != NULL) { ast_add(p, L, F); }
    A = ast_span(L, T.pos, E.end);
    if (A != NULL) { A->op2 = F != NULL; }
}
unit(A) ::= CASE(T) expr(X) whens(L) else(F) END(E). {
    A = ast_one(p, AST_CASE, X);
    if (A != NULL && L != NULL) {
        A->last->next = L->first; A->last = L->last; A->count += L->count;
        A->depth = A->depth > L->depth ? A->depth : L->depth;
        A->op = 1;
    }
    if (F != NULL) { A = ast_add(p, A, F); }
    A = ast_span(A, T.pos, E.end);
    if (A != NULL) { A->op2 = F != NULL; }
}
whens(A) ::= WHEN expr(B) THEN expr(C).  { A = ast_two(p, AST_CASE, 0, B, C); }
whens(A) ::= whens(L) WHEN expr(B) THEN expr(C).
        { A = ast_add(p, ast_add(p, L, B), C); }
else(A) ::= .                            { A = NULL; }
else(A) ::= ELSE expr(B).                { A = B; }

expr(A) ::= unit(B).                     { A = B; }
expr(A) ::= LP(T) expr(B) RP(E).         { A = ast_span(B, T.pos, E.end); }
expr(A) ::= NOT(T) expr(B). {
    A = ast_one(p, AST_NOT, B);
    if (A != NULL) { A->pos = T.pos; }
}
expr(A) ::= MINUS(T) expr(B). [NEG]      { A = ast_negate(p, B, T); }
expr(A) ::= PLUS expr(B). [NEG]          { A = B; }
expr(A) ::= expr(B) OR expr(C).          { A = ast_logic(p, AST_OR, B, C); }
expr(A) ::= expr(B) AND expr(C).         { A = ast_logic(p, AST_AND, B, C); }
expr(A) ::= expr(B) EQ expr(C).
        { A = ast_two(p, AST_COMPARE, COMPARE_EQ, B, C); }
expr(A) ::= expr(B) NE expr(C).
        { A = ast_two(p, AST_COMPARE, COMPARE_NE, B, C); }
expr(A) ::= expr(B) LT expr(C).
        { A = ast_two(p, AST_COMPARE, COMPARE_LT, B, C); }
expr(A) ::= expr(B) LE expr(C).
        { A = ast_two(p, AST_COMPARE, COMPARE_LE, B, C); }
expr(A) ::= expr(B) GT expr(C).
        { A = ast_two(p, AST_COMPARE, COMPARE_GT, B, C); }
expr(A) ::= expr(B) GE expr(C).
        { A = ast_two(p, AST_COMPARE, COMPARE_GE, B, C); }
expr(A) ::= expr(B) PLUS expr(C).   { A = ast_two(p, AST_ARITH, ARITH_ADD, B, C); }
expr(A) ::= expr(B) MINUS expr(C).  { A = ast_two(p, AST_ARITH, ARITH_SUB, B, C); }
expr(A) ::= expr(B) STAR expr(C).   { A = ast_two(p, AST_ARITH, ARITH_MUL, B, C); }
expr(A) ::= expr(B) SLASH expr(C).  { A = ast_two(p, AST_ARITH, ARITH_DIV, B, C); }
expr(A) ::= expr(B) REM expr(C).    { A = ast_two(p, AST_ARITH, ARITH_REM, B, C); }
expr(A) ::= expr(B) CONCAT expr(C). { A = ast_two(p, AST_ARITH, ARITH_CONCAT, B, C); }
expr(A) ::= expr(B) IS not(N) NULL(T). {
    A = ast_one(p, AST_IS, B);
    if (A != NULL) { A->op = IS_NULL; A->negated = N; A->end = T.end; }
}
expr(A) ::= expr(B) IS not(N) MISSING(T). {
    A = ast_one(p, AST_IS, B);
    if (A != NULL) { A->op = IS_MISSING; A->negated = N; A->end = T.end; }
}
%type not { bool }
not(A) ::= .     { A = false; }
not(A) ::= NOT.  { A = true; }
%type in_op { bool }
in_op(A) ::= IN.              { A = false; }
in_op(A) ::= NOT IN.          { A = true; }
expr(A) ::= expr(B) in_op(N) unit(C). [IN] {
    A = ast_two(p, AST_IN, 0, B, C);
    if (A != NULL) { A->negated = N; }
}
expr(A) ::= expr(B) in_op(N) LP(T) exprs(L) RP(E). [IN] {
    if (L != NULL) { L->kind = AST_ARRAY; }
    A = ast_two(p, AST_IN, 0, B, ast_fold(p, ast_span(L, T.pos, E.end)));
    if (A != NULL) { A->negated = N; }
}
%type between_op { bool }
between_op(A) ::= BETWEEN.      { A = false; }
between_op(A) ::= NOT BETWEEN.  { A = true; }
expr(A) ::= expr(B) between_op(N) expr(C) AND expr(D). [BETWEEN] {
    A = ast_add(p, ast_two(p, AST_BETWEEN, 0, B, C), D);
    if (A != NULL) { A->negated = N; }
}
%type like_op { int }
like_op(A) ::= LIKE.       { A = 0; }
like_op(A) ::= NOT LIKE.   { A = 2; }
like_op(A) ::= ILIKE.      { A = 1; }
like_op(A) ::= NOT ILIKE.  { A = 3; }
expr(A) ::= expr(B) like_op(N) expr(C). [LIKE] {
    A = ast_two(p, AST_LIKE, (uint8_t)(N & 1), B, C);
    if (A != NULL) { A->negated = N >= 2; }
}

%code {

static void start(query_parse *p, query_kind kind)
{
    p->stmt.kind = kind;
    p->have_stmt = true;
    if (p->stmt.alias.len == 0)
        p->stmt.alias = p->stmt.collection;
}

static void set_collection(query_parse *p, query_token t)
{
    p->stmt.collection = t.text;
    p->stmt.collection_pos = t.pos;
}

static node *type_node(query_parse *p, node *path, int type)
{
    node *n = ast_one(p, AST_TYPE, path);

    if (n != NULL)
        n->op = (uint8_t)type;
    return n;
}

/* Appends to a fixed text, cutting. */
static void append(char *out, size_t cap, const char *text)
{
    size_t n = strlen(out), m = strlen(text);

    if (n + m + 1 <= cap)
        memcpy(out + n, text, m + 1);
}

/* "A, B or C" of the expected tokens; where an expression may begin, that
 * stands for all that may begin one, and where any name may, for all words
 * that are good names. */
static void list_expected(const bool *expected, int count, char *out,
                          size_t cap)
{
    const char *names[YYNTOKEN + 3];
    int         n = 0;
    bool        value = expected[TK_NUMBER] && expected[TK_LB];
    bool        word = expected[TK_ID];
    bool        sign = expected[TK_PLUS] && expected[TK_OR];

    out[0] = '\0';
    if (value)
        names[n++] = "an expression";
    if (sign)
        names[n++] = "an operator";
    for (int t = 1; t < count; t++) {
        if (!expected[t] || t == TK_SEMI)
            continue;
        if (sign && (t == TK_OR || t == TK_AND || t == TK_NOT || t == TK_IS ||
                     t == TK_IN || t == TK_LIKE || t == TK_ILIKE ||
                     t == TK_BETWEEN || t == TK_EQ || t == TK_NE ||
                     t == TK_LT || t == TK_LE || t == TK_GT || t == TK_GE ||
                     t == TK_PLUS || t == TK_MINUS || t == TK_STAR ||
                     t == TK_SLASH || t == TK_REM || t == TK_CONCAT ||
                     t == TK_DOT || t == TK_LB))
            continue;
        if (value && (t == TK_NUMBER || t == TK_STRING || t == TK_ID ||
                      t == TK_PARAM || t == TK_LP || t == TK_LB ||
                      t == TK_LC || t == TK_NOT || t == TK_MINUS ||
                      t == TK_PLUS || t == TK_CASE || t == TK_NULL ||
                      t == TK_MISSING || t == TK_TRUE || t == TK_FALSE))
            continue;
        if (word && yyFallback[t] != 0)
            continue;
        names[n++] = query_token_name(t);
    }
    if (expected[0])
        names[n++] = query_token_name(0);
    for (int i = 0; i < n; i++) {
        if (i > 0)
            append(out, cap, i + 1 == n ? " or " : ", ");
        append(out, cap, names[i]);
    }
}

/* The expected keyword that is nearest to a word, at most two edits off. */
static const char *nearest(const bool *expected, int count, tako_slice word)
{
    const char *best = NULL;
    unsigned    least = word.len <= 3 ? 2 : 3;

    for (int t = 1; t < count; t++) {
        const char *name = query_token_name(t);
        unsigned    d;

        if (!expected[t] || name[0] < 'A' || name[0] > 'Z')
            continue;
        d = query_word_distance(word, tako_slice_str(name));
        if (d > 0 && d < least) {
            least = d;
            best = name;
        }
    }
    return best;
}

static void syntax_error(query_parse *p, const bool *expected, int count,
                         query_token found)
{
    char        list[260], got[80], hint[80] = "";
    const char *near = NULL;
    query_token before = p->before;
    int         shown = found.text.len > 40 ? 40 : (int)found.text.len;

    if (query_word_unsupported(found.text) ||
        (query_word_unsupported(before.text) && before.code != TK_STRING)) {
        query_token t = query_word_unsupported(found.text) ? found : before;

        (void)query_fail_at(p, t.pos, TAKO_UNSUPPORTED,
                            "%.*s is not supported", (int)t.text.len,
                            (const char *)t.text.ptr);
        return;
    }
    if (found.code == TK_SELECT && before.code != 0) {
        (void)query_fail_at(p, found.pos, TAKO_UNSUPPORTED,
                            "a SELECT inside a statement is not supported");
        return;
    }
    if (found.code == 0 && before.code == 0) {
        (void)query_fail_at(p, 0, TAKO_INVALID, "the statement is empty");
        return;
    }
    list_expected(expected, count, list, sizeof list);
    if (found.code == 0)
        (void)snprintf(got, sizeof got, "the end of the statement");
    else
        (void)snprintf(got, sizeof got, "'%.*s'", shown,
                       (const char *)found.text.ptr);
    if (found.code == TK_ID)
        near = nearest(expected, count, found.text);
    if (near != NULL) {
        (void)snprintf(hint, sizeof hint, "; did you mean %s?", near);
    } else if (before.code == TK_ID) {
        /* FROM c WHER x: the misspelt word was taken for a name. */
        static const int usual[] = { TK_WHERE, TK_ORDER, TK_GROUP, TK_FROM,
                                     TK_LIMIT, TK_OFFSET, TK_HAVING, TK_SET,
                                     TK_VERSION, TK_DOCUMENTS, TK_INITIAL };
        unsigned least = 3;

        for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
            const char *name = query_token_name(usual[i]);
            unsigned    d = query_word_distance(before.text,
                                                tako_slice_str(name));

            if (d > 0 && d < least && before.text.len > 3) {
                least = d;
                (void)snprintf(hint, sizeof hint,
                               "; did you mean %s instead of %.*s?", name,
                               before.text.len > 24 ? 24
                                                    : (int)before.text.len,
                               (const char *)before.text.ptr);
            }
        }
    }
    (void)query_fail_at(p, found.pos, TAKO_INVALID, "expected %s, found %s%s",
                        list, got, hint);
}

void query_parse_run(query_parse *p)
{
    yyParser     *parser = tako_arena_alloc(&p->arena, sizeof *parser);
    YYACTIONTYPE *states =
        tako_arena_array(&p->arena, YYSTACKDEPTH + 2, sizeof *states);
    uint32_t      pos = 0;
    query_token   t;

    p->states = states;
    if (parser == NULL || states == NULL) {
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
        return;
    }
    query_lemonInit(parser);
    do {
        if (!query_lex(p, &pos, p->now.code == TK_DOT, &t))
            break;
        p->before = p->now;
        p->now = t;
        p->state_count = (uint32_t)(parser->yytos - parser->yystack) + 1;
        for (uint32_t i = 0; i < p->state_count; i++)
            states[i] = parser->yystack[i].stateno;
        query_lemon(parser, t.code, t, p);
    } while (t.code != 0 && p->err == TAKO_OK);
    query_lemonFinalize(parser);
    if (p->err == TAKO_OK && !p->have_stmt)
        (void)query_fail_at(p, 0, TAKO_INVALID, "the statement is empty");
}
}
