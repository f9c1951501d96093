// SPDX-License-Identifier: Apache-2.0
#include "base/slice.h"

uint64_t tako_read_u64(tako_reader *r)
{
    tako_slice s = tako_read_bytes(r, 8);
    uint64_t v = 0;

    for (size_t i = 0; i < s.len; i++)
        v = v << 8 | s.ptr[i];
    return v;
}

uint64_t tako_read_varint(tako_reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = tako_read_u8(r);

        if (r->failed)
            return 0;
        if (shift == 63 && b > 1)
            break; /* beyond 64 bits */
        if (b == 0 && shift > 0)
            break; /* not the shortest form: one value, one encoding */
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0)
            return v;
    }
    r->failed = true;
    return 0;
}

tako_slice tako_read_block(tako_reader *r)
{
    uint64_t n = tako_read_varint(r);

    if (r->failed || n > tako_reader_left(r)) {
        r->failed = true;
        return TAKO_SLICE_NONE;
    }
    return tako_read_bytes(r, (size_t)n);
}
