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

typedef struct query_uses {
    node *ids;
    tako_slice index;
    uint32_t pos;
} query_uses;

typedef struct query_any {
    uint8_t op;
    uint32_t pos;
} query_any;

#define UNUSED(x) ((void)(x))

static void syntax_error(query_parse *p, const bool *expected, int count,
                         query_token found);
static void start(query_parse *p, query_kind kind);
static void aim(query_parse *p, query_source *target, node *ids, node *where,
                node *limit);
static void returning(query_parse *p, node *outs);
static node *type_node(query_parse *p, node *path, int type);
}

%stack_overflow {
    (void)query_fail_at(p, p->now.pos, TAKO_LIMIT,
                        "the statement nests too deep");
}

/* A comma and an ON go on with what they can go on with. */
%nonassoc ENOUGH.
%nonassoc ON COMMA.
%left OR.
%left AND.
%right NOT.
%left IS IN LIKE ILIKE SIMILAR BETWEEN EQ NE.
%left LT LE GT GE.
%left PLUS MINUS.
%left STAR SLASH REM.
%left CONCAT.
%right NEG.
%left DOT LB.

/* Words that are names too where nothing else is meant. The ones that can
 * follow a name in FROM are not among them, or they would be taken for an
 * alias: rule `name` lets them stand where a field may. */
%fallback ID
  ADVISE ALL ALTER APPLY ASC ATTACHMENT BEGIN COLLECTION COMMIT CONFLICT
  COUNTER CREATE DEFAULT DESC DO DOCUMENTS DROP EVICT EXPLAIN FAIL FOR FORCE
  IDWORD IDS IF INCREMENT INDEX INITIAL INSERT LIST MAP NOTHING ONLY
  PNINCREMENT PROFILE PROVISION READ REGISTER RESET RESTART ROLLBACK SATISFIES
  SHOW SIMILAR SYSTEM TO TRANSACTION UNIQUE LOCALDIFF VERSION WITH WITHIN
  UPDATE DELETE.

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

statement ::= runnable.
statement ::= EXPLAIN runnable.        { ST->explain = EXPLAIN_PLAN; }
statement ::= PROFILE runnable.        { ST->explain = EXPLAIN_PROFILE; }
statement ::= ADVISE runnable.         { ST->explain = EXPLAIN_ADVISE; }
statement ::= ADVISE AND PROVISION runnable. { ST->explain = EXPLAIN_PROVISION; }
runnable ::= select(S). { start(p, QUERY_SELECT); ST->select = S; }
runnable ::= insert.
runnable ::= update.
runnable ::= delete.
statement ::= create_index.
statement ::= drop_index.
statement ::= BEGIN transaction.            { start(p, QUERY_BEGIN); }
statement ::= BEGIN transaction READ ONLY.  { start(p, QUERY_BEGIN_READ_ONLY); }
statement ::= COMMIT transaction.           { start(p, QUERY_COMMIT); }
statement ::= ROLLBACK transaction.         { start(p, QUERY_ROLLBACK); }
transaction ::= .
transaction ::= TRANSACTION.
%type name { query_token }
name(A) ::= ID(T).                  { A = T; }
name(A) ::= AT|CROSS|INNER|JOIN|LEFT|OUTER|RETURNING|RIGHT(T). { A = T; }


/* ---- settings ------------------------------------------------------------ */

statement ::= ALTER SYSTEM SET setting EQ expr(V). {
    start(p, QUERY_SET);
    ST->setting_value = V;
}
statement ::= ALTER COLLECTION altered SET setting EQ expr(V). {
    start(p, QUERY_SET);
    ST->setting_value = V;
}
statement ::= ALTER COLLECTION altered SET setting EQ DEFAULT. {
    start(p, QUERY_RESET);
}
statement ::= ALTER COLLECTION altered RESET setting. { start(p, QUERY_RESET); }
altered ::= name(T).                        { ST->setting_coll = T.text; }
statement ::= ALTER SYSTEM SET setting EQ DEFAULT. { start(p, QUERY_RESET); }
statement ::= ALTER SYSTEM RESET setting.   { start(p, QUERY_RESET); }
statement ::= ALTER SYSTEM RESET ALL.       { start(p, QUERY_RESET); }
statement ::= RESET setting.                { start(p, QUERY_RESET); }
statement ::= RESET ALL.                    { start(p, QUERY_RESET); }
statement ::= SHOW setting.                 { start(p, QUERY_SHOW); }
statement ::= SHOW ALL.                     { start(p, QUERY_SHOW); }
statement ::= SHOW ALL LIKE expr(L). {
    start(p, QUERY_SHOW);
    ST->setting_like = L;
}
setting ::= ID(T). { ST->setting = T.text; ST->setting_pos = T.pos; }

/* ---- SELECT ------------------------------------------------------------- */

%type select { query_select * }
select(A) ::= compound(C) order(R) limit(L) offset(F).
        { A = ast_select(p, NULL, C, R, L, F); }
select(A) ::= WITH withs(W) compound(C) order(R) limit(L) offset(F).
        { A = ast_select(p, W, C, R, L, F); }
%type withs { query_with * }
withs(A) ::= ID(N) AS LP select(S) RP.  { A = ast_with(p, NULL, N, S); }
withs(A) ::= withs(B) COMMA ID(N) AS LP select(S) RP.
        { A = ast_with(p, B, N, S); }
%type compound { query_core * }
compound(A) ::= core(B).                { A = B; }
compound(A) ::= compound(B) set_op(O) core(C). { A = ast_set_op(p, B, O, C); }
%type set_op { set_op }
set_op(A) ::= UNION.                    { A = SET_UNION; }
set_op(A) ::= UNION ALL.                { A = SET_UNION_ALL; }
set_op(A) ::= INTERSECT.                { A = SET_INTERSECT; }
set_op(A) ::= EXCEPT.                   { A = SET_EXCEPT; }
%type core { query_core * }
core(A) ::= SELECT(T) distinct(D) outs(O) from(F) where(W) group(G) having(H). {
    A = ast_core(p, T.pos);
    if (A != NULL) {
        A->distinct = D; A->outs = O; A->from = F; A->where = W;
        A->group = G; A->having = H;
    }
}
%type distinct { bool }
distinct(A) ::= .                           { A = false; }
distinct(A) ::= ALL.                        { A = false; }
distinct(A) ::= DISTINCT.                   { A = true; }

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
out(A) ::= expr(B) alias_name(N). {
    A = ast_one(p, AST_OUT, B);
    if (A != NULL) {
        A->op = B->kind == AST_CONST && B->text.len == 0 ? OUT_WITHOUT
                                                          : OUT_NAMED;
        A->text = N.text; A->end = N.end;
    }
}
%type alias_name { query_token }
alias_name(A) ::= ID(T).            { A = T; }
alias_name(A) ::= AS name(T).       { A = T; }
out(A) ::= expr(B) AS STRING(N). {
    A = ast_one(p, AST_OUT, B);
    if (A != NULL) { A->op = OUT_NAMED; A->text = N.text; A->end = N.end; }
}

%type from { query_source * }
from(A) ::= .                       { A = NULL; }
from(A) ::= FROM sources(B).        { A = B; }
%type sources { query_source * }
sources(A) ::= source(B).           { A = B; }
sources(A) ::= sources(B) COMMA source(C).
        { A = ast_join(p, B, JOIN_INNER, C, NULL); }
sources(A) ::= sources(B) join_op(O) JOIN source(C) on(E).
        { A = ast_join(p, B, O, C, E); }
sources(A) ::= sources(B) CROSS JOIN source(C).
        { A = ast_join(p, B, JOIN_INNER, C, NULL); }
sources(A) ::= sources(B) unnest(C).
        { A = ast_join(p, B, JOIN_INNER, C, NULL); }
sources(A) ::= sources(B) INNER unnest(C).
        { A = ast_join(p, B, JOIN_INNER, C, NULL); }
sources(A) ::= sources(B) LEFT outer unnest(C).
        { A = ast_join(p, B, JOIN_LEFT, C, NULL); }
%type join_op { join_op }
join_op(A) ::= .                    { A = JOIN_INNER; }
join_op(A) ::= INNER.               { A = JOIN_INNER; }
join_op(A) ::= LEFT outer.          { A = JOIN_LEFT; }
join_op(A) ::= RIGHT outer.         { A = JOIN_RIGHT; }
outer ::= .
outer ::= OUTER.
on(A) ::= . [ENOUGH]                { A = NULL; }
on(A) ::= ON expr(B).               { A = B; }

%type source { query_source * }
source(A) ::= collection(B) alias(N) uses(U). {
    A = B;
    if (A != NULL) {
        if (N.text.len > 0) { A->alias = N.text; }
        A->ids = U.ids; A->use_index = U.index; A->use_index_pos = U.pos;
    }
}
source(A) ::= system(B) alias(N). {
    A = B;
    if (A != NULL && N.text.len > 0) { A->alias = N.text; }
}
source(A) ::= LP(T) select(S) RP alias(N). {
    A = ast_source(p, SOURCE_SELECT, N.text, T.pos);
    if (A != NULL) { A->select = S; }
}
source(A) ::= unnest(B).            { A = B; }
%type unnest { query_source * }
unnest(A) ::= UNNEST(T) unit(E) alias(N) at(K). {
    A = ast_source(p, SOURCE_UNNEST, N.text, T.pos);
    if (A != NULL) { A->expr = E; A->at = K.text; }
}
unnest(A) ::= UNNEST(T) LP expr(E) RP alias(N) at(K). {
    A = ast_source(p, SOURCE_UNNEST, N.text, T.pos);
    if (A != NULL) { A->expr = E; A->at = K.text; }
}
%type at { query_token }
at(A) ::= .                         { A = (query_token){ 0 }; }
at(A) ::= AT name(T).                 { A = T; }

/* The name of a collection, as a source. */
%type collection { query_source * }
collection(A) ::= name(T).
        { A = ast_source(p, SOURCE_COLLECTION, T.text, T.pos); }
collection(A) ::= COLLECTION name(T).
        { A = ast_source(p, SOURCE_COLLECTION, T.text, T.pos); }
%type system { query_source * }
system(A) ::= SYSTEM(T) COLON name(N). {
    A = ast_source(p, SOURCE_SYSTEM, N.text, T.pos);
}
%type alias { query_token }
alias(A) ::= .                      { A = (query_token){ 0 }; }
alias(A) ::= alias_name(T).         { A = T; }
%type uses { query_uses }
uses(A) ::= .                       { A = (query_uses){ 0 }; }
uses(A) ::= uses(B) USE INDEX STRING(T).
        { A = B; A.index = T.text; A.pos = T.pos; }
uses(A) ::= uses(B) USE INDEX ID(T).
        { A = B; A.index = T.text; A.pos = T.pos; }
uses(A) ::= uses(B) use_id(C).      { A = B; A.ids = C; }
use_id(A) ::= USE IDS exprs(L). [ENOUGH] {
    if (L != NULL) { L->kind = AST_ARRAY; }
    A = ast_fold(p, L);
}
use_id(A) ::= USE IDS LIST param(V).   { A = V; }
/* What a statement writes to. */
%type target { query_source * }
target(A) ::= collection(B).        { A = B; }
target(A) ::= system(B).            { A = B; }
use_ids(A) ::= .                    { A = NULL; }
use_ids(A) ::= use_id(B).           { A = B; }
where(A) ::= .                      { A = NULL; }
where(A) ::= WHERE expr(B).         { A = B; }
group(A) ::= .                      { A = NULL; }
group(A) ::= GROUP BY exprs(L).     { A = L; }
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

insert ::= INSERT INTO target(C) types initial DOCUMENTS docs(D) policy
           returning. {
    start(p, QUERY_INSERT);
    ST->target = C; ST->docs = D;
}
insert ::= INSERT INTO target(C) types select(S) policy returning. {
    start(p, QUERY_INSERT);
    ST->target = C; ST->select = S;
}
returning ::= .
returning ::= RETURNING outs(O).            { returning(p, O); }
types ::= .
types ::= LP type_list(L) RP.               { ST->types = L; }
type_list(A) ::= type(B).                   { A = ast_one(p, AST_LIST, B); }
type_list(A) ::= type_list(B) COMMA type(C).{ A = ast_add(p, B, C); }
type(A) ::= path(B) REGISTER.    { A = type_node(p, B, CRDT_REGISTER); }
type(A) ::= path(B) MAP.         { A = type_node(p, B, CRDT_MAP); }
type(A) ::= path(B) COUNTER.     { A = type_node(p, B, CRDT_COUNTER); }
type(A) ::= path(B) ATTACHMENT.  { A = type_node(p, B, CRDT_ATTACHMENT); }
path(A) ::= name(T).             { A = ast_named(p, AST_NAME, T); }
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

update ::= UPDATE target(C) types use_ids(I) applies sets unsets where(W)
           returning. {
    start(p, QUERY_UPDATE);
    aim(p, C, I, W, NULL);
    if (p->err == TAKO_OK && ST->applies == NULL && ST->sets == NULL &&
        ST->unsets == NULL)
        (void)query_fail_at(p, p->now.pos, TAKO_INVALID,
                            "expected APPLY, SET or UNSET after UPDATE %.*s",
                            (int)C->name.len, (const char *)C->name.ptr);
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

delete ::= DELETE FROM target(C) use_ids(I) where(W) limit(L) returning. {
    start(p, QUERY_DELETE);
    aim(p, C, I, W, L);
}
delete ::= EVICT FROM target(C) use_ids(I) where(W) limit(L) force returning. {
    start(p, QUERY_EVICT);
    aim(p, C, I, W, L);
}
force ::= .
force ::= FORCE.                            { ST->force = true; }

/* ---- indexes ------------------------------------------------------------------ */

create_index ::= CREATE INDEX if_not_exists ID(N) ON target(C) LP keys(K) RP
                 where(W). {
    start(p, QUERY_CREATE_INDEX);
    aim(p, C, NULL, W, NULL);
    ST->index_name = N.text; ST->index_keys = K;
}
create_index ::= CREATE UNIQUE(T) INDEX. {
    (void)query_fail_at(p, T.pos, TAKO_UNSUPPORTED,
                        "an index cannot be UNIQUE here: two devices that "
                        "are apart can both write the same value, so no "
                        "device can promise it; make the value the _id");
}
if_not_exists ::= .
if_not_exists ::= IF NOT EXISTS.            { ST->if_exists = true; }
drop_index ::= DROP INDEX if_exists ID(N) ON target(C). {
    start(p, QUERY_DROP_INDEX);
    ST->target = C; ST->index_name = N.text;
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
unit(A) ::= name(T).               { A = ast_named(p, AST_NAME, T); }
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
pair_key(A) ::= name(T).                { A = T; }
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
unit(A) ::= LP(T) select(S) RP(E).
        { A = ast_subselect(p, AST_SELECT, S, T.pos, E.end); }
unit(A) ::= EXISTS(T) LP select(S) RP(E).
        { A = ast_subselect(p, AST_EXISTS, S, T.pos, E.end); }
unit(A) ::= any(O) name(V) within(I) expr(L) SATISFIES expr(B) END(E). {
    A = ast_for(p, AST_ANY, V, I, L, B, NULL, NULL);
    if (A != NULL) { A->op = O.op; A->pos = O.pos; A->end = E.end; }
}
unit(A) ::= ARRAY(T) expr(B) FOR name(V) within(I) expr(L) when(W) END(E).
        { A = ast_span(ast_for(p, AST_ARRAY_FOR, V, I, L, B, W, NULL),
                       T.pos, E.end); }
unit(A) ::= OBJECT(T) expr(K) COLON expr(B) FOR name(V) within(I) expr(L) when(W)
            END(E).
        { A = ast_span(ast_for(p, AST_OBJECT_FOR, V, I, L, K, B, W),
                       T.pos, E.end); }
%type any { query_any }
any(A) ::= ANY(T).              { A = (query_any){ ANY_SOME, T.pos }; }
any(A) ::= EVERY(T).            { A = (query_any){ ANY_EVERY, T.pos }; }
any(A) ::= ANY(T) AND EVERY.    { A = (query_any){ ANY_AND_EVERY, T.pos }; }
%type within { bool }
within(A) ::= IN.               { A = false; }
within(A) ::= WITHIN.           { A = true; }
when(A) ::= .                   { A = NULL; }
when(A) ::= WHEN expr(B).       { A = B; }
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
%type like { int }
like(A) ::= LIKE.       { A = LIKE_EXACT; }
like(A) ::= ILIKE.      { A = LIKE_ANY_CASE; }
like(A) ::= SIMILAR TO. { A = LIKE_SIMILAR; }
expr(A) ::= expr(B) like(N) expr(C). [LIKE]
        { A = ast_two(p, AST_LIKE, (uint8_t)N, B, C); }
expr(A) ::= expr(B) NOT like(N) expr(C). [LIKE] {
    A = ast_two(p, AST_LIKE, (uint8_t)N, B, C);
    if (A != NULL) { A->negated = true; }
}

%code {

static void start(query_parse *p, query_kind kind)
{
    p->stmt.kind = kind;
    p->have_stmt = true;
}

/* What an UPDATE, DELETE, EVICT or CREATE INDEX is about. */
static void aim(query_parse *p, query_source *target, node *ids, node *where,
                node *limit)
{
    if (target != NULL)
        target->ids = ids;
    p->stmt.target = target;
    p->stmt.select = ast_select_from(p, target, where, limit);
}

/* FROM the target, which is known when the statement is whole. */
static void returning(query_parse *p, node *outs)
{
    query_core *c = ast_core(p, outs == NULL ? 0 : outs->pos);

    if (c == NULL || outs == NULL)
        return;
    c->outs = outs;
    p->stmt.returning = ast_select(p, NULL, c, NULL, NULL, NULL);
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

/* Good as names by rule `name`. */
static bool is_name_word(int t)
{
    return t == TK_AT || t == TK_CROSS || t == TK_INNER || t == TK_JOIN ||
           t == TK_LEFT || t == TK_OUTER || t == TK_RETURNING || t == TK_RIGHT;
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
    bool        joined = expected[TK_COMMA] && expected[TK_JOIN];

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
                     t == TK_SIMILAR ||
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
                      t == TK_ANY || t == TK_EVERY || t == TK_ARRAY ||
                      t == TK_OBJECT || t == TK_EXISTS ||
                      t == TK_MISSING || t == TK_TRUE || t == TK_FALSE))
            continue;
        if (word && (yyFallback[t] != 0 || (is_name_word(t) && !joined)))
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
