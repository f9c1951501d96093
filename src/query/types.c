// SPDX-License-Identifier: Apache-2.0
/* Declared types, and what a path is written as.
 *
 * A field has one meaning for everyone, and it lies in the documents: a
 * statement that declares another one is refused, with the path, the type
 * that it declares and what the field is. REGISTER over a map is no such
 * contradiction: that is how a statement says that it replaces whole. null is
 * of every type.
 *
 * An object whose insides have declared types is written key by key, so that
 * each is written as what it is. A token of an attachment is an ATTACHMENT
 * without being declared, unless another type is. */
#include "query/internal.h"

#include <stdio.h>

#include "store/blob_token.h"

static const char *type_name(crdt_type type)
{
    static const char *const names[] = { "of no type", "a REGISTER", "a MAP",
                                         "a COUNTER", "an ATTACHMENT" };

    return names[type];
}

static const char *kind_name(cbor_kind kind)
{
    switch (kind) {
    case CBOR_NULL:
        return "null";
    case CBOR_BOOL:
        return "a boolean";
    case CBOR_INT:
    case CBOR_FLOAT:
        return "a number";
    case CBOR_BYTES:
        return "bytes";
    case CBOR_TEXT:
        return "a string";
    case CBOR_ARRAY:
        return "an array";
    case CBOR_MAP:
        return "an object";
    }
    return "";
}

tako_err query_path_fail(query_run_state *r, crdt_path path, tako_err code,
                         const char *text)
{
    tako_buf name = tako_buf_on(r->q->env);

    for (size_t i = 0; i < path.count && name.len < 200; i++) {
        if (i > 0)
            tako_put_u8(&name, '.');
        tako_put_bytes(&name, path.keys[i]);
    }
    code =
        tako_fail(r->e, code, "%.*s: %s", name.len > 200 ? 200 : (int)name.len,
                  name.failed ? "" : (const char *)name.ptr, text);
    tako_buf_fini(&name);
    return code;
}

/* ---- what is there ------------------------------------------------------------ */

static bool is_number(tako_slice v)
{
    return cbor_kind_of(v) == CBOR_INT || cbor_kind_of(v) == CBOR_FLOAT;
}

/* Can what is there be declared so? */
static bool fits(const crdt_at *at, crdt_type type)
{
    if (at->unknown)
        return false;
    switch (at->type) {
    case CRDT_AUTO:
        return true;
    case CRDT_MAP:
        return type == CRDT_MAP || type == CRDT_REGISTER;
    case CRDT_COUNTER:
    case CRDT_ATTACHMENT:
        return type == at->type;
    case CRDT_REGISTER:
        return type == CRDT_REGISTER || cbor_kind_of(at->value) == CBOR_NULL ||
               (type == CRDT_COUNTER && is_number(at->value));
    }
    return false;
}

static const char *at_name(const crdt_at *at)
{
    if (at->unknown)
        return "of a type that this version does not know";
    if (at->type == CRDT_REGISTER && cbor_kind_of(at->value) != CBOR_MAP)
        return kind_name(cbor_kind_of(at->value));
    return type_name(at->type);
}

tako_err query_types_check(query_run_state *r, const crdt_doc *d)
{
    const query_ops *types = &r->q->types;

    for (size_t i = 0; i < types->count; i++) {
        const query_op *op = &types->ops[i];
        crdt_at at = crdt_look(d, op->path);
        char text[120];

        if (fits(&at, op->type))
            continue;
        (void)snprintf(text, sizeof text, "declared %s, but it is %s",
                       type_name(op->type), at_name(&at));
        return query_path_fail(r, op->path, TAKO_INVALID, text);
    }
    return TAKO_OK;
}

/* ---- what is written ----------------------------------------------------------- */

/* NULL when a value may be written as this type; else a text that the name of
 * its kind ends. */
static const char *refused(const query_run_state *r, crdt_type type,
                           tako_slice value)
{
    cbor_kind kind = cbor_kind_of(value);

    switch (type) {
    case CRDT_AUTO:
    case CRDT_REGISTER:
        return NULL;
    case CRDT_MAP:
        return kind == CBOR_MAP ? NULL : "declared a MAP, and set to ";
    case CRDT_ATTACHMENT:
        return kind == CBOR_MAP || kind == CBOR_NULL
                   ? NULL
                   : "declared an ATTACHMENT, whose token is an object, and "
                     "set to ";
    case CRDT_COUNTER:
        if (r->q->parse.stmt.kind != QUERY_INSERT)
            return "a COUNTER changes by INCREMENT and RESTART, not by SET to ";
        return kind == CBOR_INT ? NULL
                                : "a COUNTER starts with a whole number, not "
                                  "with ";
    }
    return NULL;
}

static tako_err set_one(query_run_state *r, crdt_doc *d, crdt_path path,
                        crdt_type type, tako_slice value)
{
    const char *why = refused(r, type, value);
    tako_reader in = tako_reader_of(value);
    tako_errbuf e = { "" };
    cbor_item item;
    tako_err err;
    char text[160];

    if (why != NULL) {
        (void)snprintf(text, sizeof text, "%s%s", why,
                       kind_name(cbor_kind_of(value)));
        return query_path_fail(r, path, TAKO_INVALID, text);
    }
    if (type == CRDT_COUNTER && cbor_read(&in, &item))
        err = crdt_restart(d, r->dot, path, item.integer, &e);
    else
        err = crdt_set(d, r->dot, path, type, value, &e);
    if (err == TAKO_OK || err == TAKO_NOMEM)
        return err;
    return query_path_fail(r, path, err, e.text);
}

/* Is a type declared of something below the path? */
static bool declared_below(const query *q, crdt_path path)
{
    for (size_t i = 0; i < q->types.count; i++) {
        crdt_path have = q->types.ops[i].path;
        size_t k = 0;

        while (k < path.count && k < have.count &&
               tako_slice_eq(path.keys[k], have.keys[k]))
            k++;
        if (k == path.count && k < have.count)
            return true;
    }
    return false;
}

/* Depth: that of a stored value. */
static tako_err set_keys(query_run_state *r, crdt_doc *d, tako_slice *keys,
                         size_t depth, tako_slice object)
{
    value_iter it;
    uint64_t n;

    if (!value_iter_init(&it, object, &n))
        return TAKO_OK;
    while (value_iter_next(&it)) {
        crdt_path path = { keys, depth + 1 };

        keys[depth] = value_content(it.key);
        TAKO_TRY(
            query_set_field(r, d, path, query_declared(r->q, path), it.value));
    }
    return TAKO_OK;
}

tako_err query_set_field(query_run_state *r, crdt_doc *d, crdt_path path,
                         crdt_type type, tako_slice value)
{
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];

    if (type == CRDT_AUTO && blob_token_is(value))
        return set_one(r, d, path, CRDT_ATTACHMENT, value);
    if ((type != CRDT_AUTO && type != CRDT_MAP) ||
        value_rank_cbor(value) != RANK_OBJECT || value.ptr[0] == 0xa0 ||
        path.count >= TAKO_VALUE_DEPTH_MAX ||
        (!declared_below(r->q, path) && !blob_token_near(value)))
        return set_one(r, d, path, type, value);
    memcpy(keys, path.keys, path.count * sizeof keys[0]);
    return set_keys(r, d, keys, path.count, value);
}

tako_err query_apply(query_run_state *r, crdt_doc *d, const query_op *op)
{
    tako_reader in;
    cbor_item item = { .kind = CBOR_INT };
    tako_errbuf e = { "" };
    tako_err err;

    if (op->type != CRDT_AUTO && op->type != CRDT_COUNTER)
        return query_path_fail(r, op->path, TAKO_INVALID,
                               "only a COUNTER is incremented or restarted");
    if (op->value != NULL) {
        in = tako_reader_of(query_fixed(r->q, op->value));
        if (in.in.len == 0 || !cbor_read(&in, &item) || item.kind != CBOR_INT)
            return query_path_fail(r, op->path, TAKO_INVALID,
                                   "a COUNTER moves by whole numbers");
    }
    if (op->op == APPLY_RESTART)
        err = crdt_restart(d, r->dot, op->path, item.integer, &e);
    else
        err = crdt_increment(d, r->dot, op->path, item.integer, &e);
    if (err == TAKO_OK || err == TAKO_NOMEM)
        return err;
    return query_path_fail(r, op->path, err, e.text);
}
