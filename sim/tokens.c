// SPDX-License-Identifier: Apache-2.0
/* TOKENS -- what the bytes of a document say: its key is "k12" in CBOR, and the
 * writes in it are the names in its map `w`, t17 with what it added to `n`. */
#include <stdio.h>

#include "sim/checkers.h"

uint32_t sim_key_of(tako_slice id)
{
    uint32_t key = 0;

    if (id.len < 3 || id.len > 8 || id.ptr[1] != 'k')
        return SIM_KEYS_MAX;
    for (size_t i = 2; i < id.len; i++)
        key = key * 10 + (uint32_t)(id.ptr[i] - '0');
    return key < SIM_KEYS_MAX ? key : SIM_KEYS_MAX;
}

bool sim_row_at(store_conn *c, uint32_t key, store_row *row)
{
    uint8_t id[16] = { 0 };
    char text[16];
    uint32_t coll;
    int len = snprintf(text, sizeof text, "k%u", key);

    id[0] = (uint8_t)(0x60 + len);
    memcpy(id + 1, text, (size_t)len);
    return store_coll_find(c, tako_slice_str(SIM_COLLECTION), &coll) ==
               TAKO_OK &&
           store_get(c, coll, tako_slice_of(id, (size_t)len + 1), row) ==
               TAKO_OK;
}

static size_t token_of(const sim_model *m, tako_slice name)
{
    size_t token = 0;

    if (name.len < 2 || name.ptr[0] != 't')
        return SIM_NONE;
    for (size_t i = 1; i < name.len; i++)
        token = token * 10 + (size_t)(name.ptr[i] - '0');
    return token < m->write_count ? token : SIM_NONE;
}

int64_t sim_whole_number(tako_slice value)
{
    tako_reader r = tako_reader_of(value);
    cbor_item item;

    if (value.len == 0 || !cbor_read(&r, &item))
        return 0;
    return item.kind == CBOR_INT ? item.integer : 0;
}

int64_t sim_tokens_each(const sim_model *m, tako_slice body,
                        void (*fn)(void *ctx, size_t token), void *ctx)
{
    tako_slice map = cbor_map_get(body, tako_slice_str("w"));
    tako_reader r = tako_reader_of(map);
    int64_t sum = 0;
    cbor_item item;
    uint64_t n;

    if (map.len == 0 || !cbor_read(&r, &item) || item.kind != CBOR_MAP)
        return 0;
    n = item.count;
    for (uint64_t i = 0; i < n; i++) {
        tako_slice name = TAKO_SLICE_NONE;

        if (cbor_read(&r, &item) && item.kind == CBOR_TEXT)
            name = item.str;
        sum += sim_whole_number(cbor_read_value(&r));
        if (fn != NULL && token_of(m, name) != SIM_NONE)
            fn(ctx, token_of(m, name));
    }
    return sum;
}

typedef struct printing {
    tako_buf *out;
    bool more;
} printing;

static void print_token(void *ctx, size_t token)
{
    printing *p = ctx;

    tako_put_fmt(p->out, "%s%zu", p->more ? "," : "", token);
    p->more = true;
}

void sim_model_tokens(sim_model *m, const sim_node *n, uint32_t key,
                      tako_buf *out)
{
    printing p = { out, false };
    store_row row;

    tako_put_u8(out, '[');
    if (sim_row_at(n->reader, key, &row))
        (void)sim_tokens_each(m, row.body, print_token, &p);
    tako_put_u8(out, ']');
}
