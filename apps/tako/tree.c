// SPDX-License-Identifier: Apache-2.0
/* See tree.h. A line for each operator: what it is, what it reads and how, and
 * then whatever else the row says of it, so that nothing is left out that a
 * later version adds. */
#include "tree.h"

#include <string.h>

#include "base/limits.h"
#include "codec/json.h"

#define TREE_DEPTH_MAX 64u

static void put_after(tako_buf *out, const char *before, tako_slice text)
{
    if (text.len == 0)
        return;
    tako_put_str(out, before);
    tako_put_bytes(out, text);
}

/* "key value" of all pairs but those named in `shown`. */
static void put_rest(tako_slice map, const char *const *shown,
                     const char *before, tako_buf *out)
{
    tako_reader in = tako_reader_of(map);
    cbor_item head, key;

    if (!cbor_read(&in, &head) || head.kind != CBOR_MAP)
        return;
    for (uint64_t i = 0; i < head.count && cbor_read(&in, &key); i++) {
        tako_slice value = cbor_read_value(&in);
        bool known = false;

        for (size_t k = 0; shown[k] != NULL && !known; k++)
            known = tako_slice_eq(key.str, tako_slice_str(shown[k]));
        if (known)
            continue;
        tako_put_str(out, before);
        for (size_t k = 0; k < key.str.len; k++)
            tako_put_u8(out, key.str.ptr[k] == '_' ? ' ' : key.str.ptr[k]);
        tako_put_u8(out, ' ');
        (void)json_from_cbor(value, out);
        before = ", ";
    }
}

static void put_operator(tako_slice map, tako_buf *out)
{
    static const char *const shown[] = { "op",    "collection", "with",
                                         "list",  "alias",      "index",
                                         "on",    "by",         "what",
                                         "gives", "inputs",     NULL };

    tako_put_bytes(out, cbor_map_text(map, "op"));
    put_after(out, " ", cbor_map_text(map, "collection"));
    put_after(out, " ", cbor_map_text(map, "with"));
    put_after(out, " ", cbor_map_text(map, "list"));
    put_after(out, " ", cbor_map_text(map, "what"));
    put_after(out, " for a ", cbor_map_text(map, "gives"));
    put_after(out, " AS ", cbor_map_text(map, "alias"));
    put_after(out, " by ", cbor_map_text(map, "index"));
    put_after(out, " for ", cbor_map_text(map, "by"));
    put_after(out, ": ", cbor_map_text(map, "on"));
    put_rest(map, shown, "  -- ", out);
    tako_put_u8(out, '\n');
}

/* The operators of an array, each line after `indent`. */
static void put_list(tako_slice array, tako_buf *indent, unsigned depth,
                     tako_buf *out)
{
    tako_reader in = tako_reader_of(array);
    size_t before = indent->len;
    cbor_item head;

    if (array.len == 0 || !cbor_read(&in, &head) || head.kind != CBOR_ARRAY ||
        depth > TREE_DEPTH_MAX)
        return;
    for (uint64_t i = 0; i < head.count; i++) {
        tako_slice map = cbor_read_value(&in);
        bool last = i + 1 == head.count;

        tako_put_bytes(out, tako_buf_slice(indent));
        tako_put_str(out, last ? "\xE2\x94\x94\xE2\x94\x80 "
                               : "\xE2\x94\x9C\xE2\x94\x80 ");
        put_operator(map, out);
        tako_put_str(indent, last ? "   " : "\xE2\x94\x82  ");
        put_list(cbor_map_get(map, tako_slice_str("inputs")), indent, depth + 1,
                 out);
        indent->len = before;
    }
}

tako_err tree_put(tako_slice row, tako_buf *out)
{
    static const char *const shown[] = { "plan", "sql", NULL };
    tako_buf cbor = tako_buf_on(out->env), indent = tako_buf_on(out->env);
    tako_err err = json_to_cbor(row, TAKO_JSON_DEPTH_MAX, &cbor, NULL);
    tako_slice map = tako_buf_slice(&cbor), plan;
    size_t at;

    plan = err == TAKO_OK && cbor_kind_of(map) == CBOR_MAP
               ? cbor_map_get(map, tako_slice_str("plan"))
               : TAKO_SLICE_NONE;
    if (err == TAKO_OK && (plan.len == 0 || cbor_kind_of(plan) != CBOR_ARRAY ||
                           cbor_map_text(map, "sql").len == 0))
        err = TAKO_NOTFOUND;
    if (err == TAKO_OK) {
        put_list(plan, &indent, 0, out);
        at = out->len;
        put_rest(map, shown, "", out);
        if (out->len > at)
            tako_put_u8(out, '\n');
        put_after(out, "SQL: ", cbor_map_text(map, "sql"));
        tako_put_u8(out, '\n');
        if (out->failed || indent.failed)
            err = TAKO_NOMEM;
    }
    tako_buf_fini(&cbor);
    tako_buf_fini(&indent);
    return err;
}
