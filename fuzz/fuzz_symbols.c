// SPDX-License-Identifier: Apache-2.0
/* Coded symbols come from peers. The input is series of symbols: with the
 * lowest bit of the first byte set as they are on the wire, else in a short
 * form (one item of 256 at a place, with its true check), by which a fuzzer finds
 * symbols that are nearly of a set.
 *
 * The decoder ends, finds no more items than it has symbols, and when it is
 * done the found items are what the symbols are made of. */
#include <stdlib.h>

#include "base/check.h"
#include "sync/symbols.h"

#define COUNT 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *fuzz_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

static const uint8_t key[16] = { 1 };
static sync_symbol theirs[COUNT], nothing[COUNT], again[COUNT];

static size_t read_wire(tako_reader *in)
{
    size_t n = 0;

    while (n < COUNT && tako_reader_left(in) > 0) {
        sync_symbol_get(in, &theirs[n]);
        if (in->failed)
            break;
        n++;
    }
    return n;
}

/* Two bytes a symbol: which item, and where else it is put. */
static size_t read_short(tako_reader *in)
{
    size_t n = tako_reader_left(in) / 2u;

    n = n < COUNT ? n : COUNT;
    for (size_t i = 0; i < n; i++) {
        uint8_t which = tako_read_u8(in), how = tako_read_u8(in);
        sync_item item = { which / 2u,
                           (which + 1u) * UINT64_C(0x9e3779b97f4a7c15), which };
        uint64_t hash = sync_key_hash(key, item.key);

        if ((how & 2u) != 0)
            sync_symbols_add(theirs, n, item, hash);
        else
            sync_symbols_add(&theirs[i], 1, item, hash);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_env env = { NULL, fuzz_realloc, NULL, NULL, NULL, NULL };
    tako_reader in = tako_reader_of(tako_slice_of(data, size));
    bool wire = (tako_read_u8(&in) & 1u) != 0;
    sync_decoder d;
    size_t n, at = 0;
    tako_err err = TAKO_OK;

    memset(theirs, 0, sizeof theirs);
    memset(again, 0, sizeof again);
    n = wire ? read_wire(&in) : read_short(&in);
    sync_decoder_init(&d, &env, key);
    while (at < n && err == TAKO_OK) {
        size_t step = 1 + at / 2u < n - at ? 1 + at / 2u : n - at;

        err = sync_decoder_feed(&d, theirs + at, nothing + at, step);
        at += step;
    }
    TAKO_ASSERT(err == TAKO_OK || err == TAKO_LIMIT);
    TAKO_ASSERT(d.found_count <= n);
    if (err == TAKO_OK && n > 0 && sync_decoder_done(&d)) {
        for (uint32_t i = 0; i < d.found_count; i++)
            sync_symbols_add(again, 1, d.found[i].item,
                             sync_key_hash(key, d.found[i].item.key));
        TAKO_ASSERT(again[0].item == theirs[0].item &&
                    again[0].product == theirs[0].product &&
                    again[0].check == theirs[0].check);
    }
    sync_decoder_fini(&d);
    return 0;
}
