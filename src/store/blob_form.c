// SPDX-License-Identifier: Apache-2.0
#include "store/blob_form.h"

#include "base/check.h"
#include "base/hash.h"

enum { LEVEL_CHUNK, LEVEL_NODE, LEVEL_ROOT };

bool blob_form_of(uint64_t len, blob_form *out)
{
    uint64_t chunks = (len + BLOB_PART_BYTES - 1u) / BLOB_PART_BYTES;
    uint64_t nodes = (chunks + BLOB_NODE_MAX - 1u) / BLOB_NODE_MAX;

    if (len > TAKO_BLOB_BYTES_MAX)
        return false;
    *out = (blob_form){ len, (uint32_t)chunks, (uint32_t)nodes,
                        (uint32_t)(1u + nodes + chunks) };
    return true;
}

size_t blob_part_len(const blob_form *f, uint32_t part)
{
    uint32_t i;

    TAKO_ASSERT(part < f->parts);
    if (part == 0)
        return f->nodes * BLOB_HASH_BYTES;
    if (part <= f->nodes) {
        i = part - 1u;
        if (i + 1u < f->nodes)
            return BLOB_PART_BYTES;
        return (f->chunks - i * BLOB_NODE_MAX) * BLOB_HASH_BYTES;
    }
    i = part - 1u - f->nodes;
    if (i + 1u < f->chunks)
        return BLOB_PART_BYTES;
    return (size_t)(f->len - (uint64_t)i * BLOB_PART_BYTES);
}

uint32_t blob_part_parent(const blob_form *f, uint32_t part, size_t *at)
{
    uint32_t i;

    TAKO_ASSERT(part > 0 && part < f->parts);
    if (part <= f->nodes) {
        *at = (part - 1u) * BLOB_HASH_BYTES;
        return 0;
    }
    i = part - 1u - f->nodes;
    *at = (i % BLOB_NODE_MAX) * BLOB_HASH_BYTES;
    return blob_part_of_node(i / BLOB_NODE_MAX);
}

static void hash_level(uint8_t level, tako_slice bytes, uint8_t out[32])
{
    tako_hash32_two(tako_slice_of(&level, 1), bytes, out);
}

void blob_hash_chunk(tako_slice bytes, uint8_t out[BLOB_HASH_BYTES])
{
    hash_level(LEVEL_CHUNK, bytes, out);
}

void blob_hash_node(tako_slice bytes, uint8_t out[BLOB_HASH_BYTES])
{
    hash_level(LEVEL_NODE, bytes, out);
}

void blob_id_of(uint64_t len, tako_slice root, uint8_t out[BLOB_ID_BYTES])
{
    uint8_t head[9] = { LEVEL_ROOT };

    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)(len >> (56 - 8 * i));
    tako_hash32_two(tako_slice_of(head, sizeof head), root, out);
}

bool blob_root_is(const blob_form *f, const uint8_t id[BLOB_ID_BYTES],
                  tako_slice bytes)
{
    uint8_t got[BLOB_ID_BYTES];

    if (bytes.len != blob_part_len(f, 0))
        return false;
    blob_id_of(f->len, bytes, got);
    return memcmp(got, id, sizeof got) == 0;
}

bool blob_part_is(const blob_form *f, uint32_t part,
                  const uint8_t hash[BLOB_HASH_BYTES], tako_slice bytes)
{
    uint8_t got[BLOB_HASH_BYTES];

    if (bytes.len != blob_part_len(f, part))
        return false;
    if (blob_part_is_chunk(f, part))
        blob_hash_chunk(bytes, got);
    else
        blob_hash_node(bytes, got);
    return memcmp(got, hash, sizeof got) == 0;
}
