// SPDX-License-Identifier: Apache-2.0
/* CBOR_FLOAT -- doubles in the shortest of three widths (RFC 8949 section
 * 4.2.2), by their bits alone, so that no rounding mode matters. */
#ifndef TAKO_CODEC_CBOR_FLOAT_H
#define TAKO_CODEC_CBOR_FLOAT_H

#include "base/slice.h"

/* The double that a half or single stands for. */
double cbor_float_of_half(uint16_t half);
double cbor_float_of_single(uint32_t single);

/* True, and the narrow bits, when v is exactly a half or a single. v is
 * finite. */
bool cbor_float_to_half(double v, uint16_t *half);
bool cbor_float_to_single(double v, uint32_t *single);

#endif /* TAKO_CODEC_CBOR_FLOAT_H */
