// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a delta to any of a few states: the state stays as it was, or
 * becomes one that can be stored, read and merged. Input: one byte that picks
 * the state, then the delta. Or, where that byte is 128 or more, as a question
 * by fields to another of them, whose answer is such a delta. */
#include <stdlib.h>

#include "base/check.h"
#include "crdt/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t SUM_KEY[16] = "sixteen for sums";

static void *fuzz_realloc(void *ctx, void *ptr, size_t old, size_t size)
{
    (void)ctx;
    (void)old;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

static crdt_dot dot_of(unsigned actor, uint64_t hlc)
{
    crdt_dot dot = { .hlc = CRDT_HLC_OF_MS(1700000000000u) + hlc };

    dot.actor.id[0] = (uint8_t)actor;
    return dot;
}

/* Writes to fields a and b, as the bits of `how` say. */
static crdt_doc *make_state(tako_arena *a, unsigned how)
{
    static const uint8_t map[] = { 0xa2, 0x61, 'a',  0x01, 0x61,
                                   'b',  0xa1, 0x61, 'c',  0x02 };
    tako_slice keys[2] = { tako_slice_str("b"), tako_slice_str("c") };
    tako_slice fields = tako_slice_of(map, sizeof map);
    crdt_doc *d;

    TAKO_ASSERT(crdt_doc_new(a, &d) == TAKO_OK);
    if (how == 0)
        return d;
    TAKO_ASSERT(crdt_insert(d, dot_of(1, 1), fields) == TAKO_OK);
    if ((how & 1) != 0)
        (void)crdt_set(d, dot_of(2, 2), (crdt_path){ keys, 2 }, CRDT_AUTO,
                       tako_slice_of(map + 3, 1), NULL);
    if ((how & 2) != 0)
        (void)crdt_unset(d, dot_of(1, 3), (crdt_path){ keys, 1 });
    if ((how & 4) != 0)
        (void)crdt_increment(d, dot_of(2, 4), (crdt_path){ keys, 2 }, 5, NULL);
    if ((how & 8) != 0)
        (void)crdt_delete(d, dot_of(1, 5));
    return d;
}

static void encode(const crdt_doc *d, tako_buf *meta, tako_buf *body)
{
    TAKO_ASSERT(crdt_doc_encode(d, meta, body) == TAKO_OK);
}

static void check(tako_arena *a, crdt_doc *d, tako_reader *in)
{
    tako_buf b[4];
    crdt_delta_result result = CRDT_DELTA_NEEDS;
    crdt_doc *again;
    tako_err err;

    for (unsigned i = 0; i < 4; i++)
        b[i] = tako_buf_on(a->env);
    encode(d, &b[0], &b[1]);
    err = crdt_delta_apply(d, in, SUM_KEY, &crdt_names_plain_in, &result, NULL,
                           NULL);
    encode(d, &b[2], &b[3]);
    if (err != TAKO_OK || result != CRDT_DELTA_APPLIED) {
        TAKO_ASSERT(
            tako_slice_eq(tako_buf_slice(&b[0]), tako_buf_slice(&b[2])));
        TAKO_ASSERT(
            tako_slice_eq(tako_buf_slice(&b[1]), tako_buf_slice(&b[3])));
    }
    TAKO_ASSERT(crdt_doc_decode(a, tako_buf_slice(&b[2]), tako_buf_slice(&b[3]),
                                &again, NULL) == TAKO_OK);
    for (unsigned i = 0; i < 4; i++)
        tako_buf_fini(&b[i]);
}

/* Whatever was asked, the answer can be read. */
static void ask(tako_arena *a, unsigned how, tako_slice question)
{
    tako_buf out = tako_buf_on(a->env);
    crdt_doc *d = make_state(a, how >> 3 & 15);
    crdt_fields asked;

    if (crdt_fields_read(a, question, &asked, NULL) == TAKO_OK &&
        crdt_fields_fit(d, &asked)) {
        tako_reader in;
        crdt_delta_result result;
        crdt_doc *to = make_state(a, how & 7);

        TAKO_ASSERT(crdt_fields_answer(d, &asked, SUM_KEY,
                                       &crdt_names_plain_out, &out) == TAKO_OK);
        in = tako_reader_of(tako_buf_slice(&out));
        TAKO_ASSERT(crdt_delta_apply(to, &in, SUM_KEY, &crdt_names_plain_in,
                                     &result, NULL, NULL) == TAKO_OK);
        in = tako_reader_of(tako_buf_slice(&out));
        check(a, make_state(a, how & 7), &in);
    }
    tako_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_env env = { .realloc = fuzz_realloc };
    tako_arena a = tako_arena_on(&env);
    tako_reader in = tako_reader_of(tako_slice_of(data, size));
    unsigned how = tako_read_u8(&in);

    if ((how & 128) != 0)
        ask(&a, how, tako_read_bytes(&in, tako_reader_left(&in)));
    else
        check(&a, make_state(&a, how & 15), &in);
    tako_arena_fini(&a);
    return 0;
}
