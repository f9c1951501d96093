// SPDX-License-Identifier: Apache-2.0
/* Reading. digits * 10^k is computed with a 128-bit power that is cut off, so
 * the true value lies between that product and the product plus its error.
 * Where both ends round to the same double, that is the answer; it is for all
 * but about one number in 2^60. Else the two candidates are neighbours, and
 * exact integers decide on which side of their midpoint the number lies (the
 * comparison of W. D. Clinger, "How to read floating point numbers
 * accurately", 1990).
 *
 * Writing. R. Giulietti, "The Schubfach way to render doubles", 2020: one of
 * at most four candidates on the two finest decimal grids that can hold the
 * answer lies in the rounding interval; three products tell which. */
#include "codec/decimal.h"

#include "base/check.h"
#include "codec/decimal_pow10.h"

#define MANTISSA_BITS 52
#define EXPONENT_MAX  1023
#define EXPONENT_MIN  (-1022)
#define BITS_INFINITE 0x7ff0000000000000u
#define MASK_MANTISSA 0x000fffffffffffffu
#define MASK_63       0x7fffffffffffffffu

/* More digits than this cannot matter beyond being zero or not: the midpoint
 * of two doubles has at most 767 significant ones. */
#define EXACT_DIGITS_MAX 800u
/* Both sides of a comparison stay below 801 digits or 5^1165 * 2^54. */
#define EXACT_LIMBS 96u

static decimal_u128 mul64(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide p = (wide)a * b;

    return (decimal_u128){ (uint64_t)(p >> 64), (uint64_t)p };
#else
    uint64_t al = a & 0xffffffffu, ah = a >> 32;
    uint64_t bl = b & 0xffffffffu, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    uint64_t mid = (ll >> 32) + (lh & 0xffffffffu) + (hl & 0xffffffffu);

    return (decimal_u128){ hh + (lh >> 32) + (hl >> 32) + (mid >> 32),
                           mid << 32 | (ll & 0xffffffffu) };
#endif
}

/* floor(n / 2^s) for negative n too, where >> would be the compiler's own. */
static int floor_shift(int n, unsigned s)
{
    return n >= 0 ? n >> s : -((-n + (1 << s) - 1) >> s);
}

static int floor_log2_pow10(int k)
{
    return floor_shift(k * 217706, 16); /* right for every k of the table */
}

static decimal_u128 power_of(int k)
{
    TAKO_ASSERT(k >= DECIMAL_POW10_MIN && k <= DECIMAL_POW10_MAX);
    return decimal_pow10[k - DECIMAL_POW10_MIN];
}

/* --- reading ---------------------------------------------------------- */

/* top (its highest bit set) and what is below it, the highest bit standing
 * for 2^exp2, as the bits of the nearest double. */
static uint64_t round_bits(uint64_t top, bool below, int exp2)
{
    int keep = MANTISSA_BITS + 1;
    unsigned drop;
    uint64_t m, rest, half;

    if (exp2 > EXPONENT_MAX)
        return BITS_INFINITE;
    if (exp2 < EXPONENT_MIN)
        keep -= EXPONENT_MIN - exp2;
    if (keep < 0)
        return 0;
    drop = 64u - (unsigned)keep;
    m = drop == 64 ? 0 : top >> drop;
    rest = drop == 64 ? top : top & (((uint64_t)1 << drop) - 1);
    half = (uint64_t)1 << (drop - 1);
    if (rest > half || (rest == half && (below || (m & 1) != 0)))
        m++;
    /* A carry out of the mantissa runs into the exponent, as it should. */
    if (exp2 < EXPONENT_MIN)
        return m;
    return ((uint64_t)(exp2 - EXPONENT_MIN) << MANTISSA_BITS) + m;
}

/* The doubles that w * 10^k rounds to, at the lower and at the upper end of
 * what is known about it. */
static void round_product(uint64_t w, int k, uint64_t *low, uint64_t *high)
{
    unsigned lz = (unsigned)__builtin_clzll(w);
    decimal_u128 g = power_of(k);
    decimal_u128 a = mul64(w << lz, g.lo);
    decimal_u128 b = mul64(w << lz, g.hi);
    uint64_t p1 = b.lo + a.hi, p2 = b.hi + (p1 < b.lo), q1, q2;
    int exp2 = floor_log2_pow10(k) + 64 - (int)lz;
    bool exact = k >= 0 && k <= DECIMAL_POW10_EXACT;

    /* The error is below 2^64, one unit of p1. */
    q1 = exact ? p1 : p1 + 1;
    q2 = q1 < p1 ? p2 + 1 : p2;
    TAKO_ASSERT(q2 >= p2);
    for (int end = 0; end < 2; end++) {
        uint64_t hi = end == 0 ? p2 : q2, lo = end == 0 ? p1 : q1;
        int x = exp2;

        if (hi >> 63 == 0) {
            hi = hi << 1 | lo >> 63;
            lo <<= 1;
            x--;
        }
        *(end == 0 ? low : high) = round_bits(hi, (lo | a.lo) != 0, x);
    }
}

/* An exact natural number, least limb first; no leading zero limbs. */
typedef struct natural {
    uint32_t limb[EXACT_LIMBS];
    unsigned n;
} natural;

static void natural_mul_add(natural *x, uint32_t mul, uint32_t add)
{
    uint64_t carry = add;

    for (unsigned i = 0; i < x->n; i++) {
        carry += (uint64_t)x->limb[i] * mul;
        x->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0) {
        TAKO_ASSERT(x->n < EXACT_LIMBS);
        x->limb[x->n++] = (uint32_t)carry;
    }
}

static void natural_mul_pow5(natural *x, unsigned p)
{
    for (; p >= 13; p -= 13)
        natural_mul_add(x, 1220703125u, 0); /* 5^13 */
    for (; p > 0; p--)
        natural_mul_add(x, 5, 0);
}

static void natural_shift_left(natural *x, unsigned s)
{
    unsigned words = s / 32;

    natural_mul_add(x, (uint32_t)1 << (s % 32), 0);
    TAKO_ASSERT(x->n + words <= EXACT_LIMBS);
    for (unsigned i = x->n; i-- > 0;)
        x->limb[i + words] = x->limb[i];
    for (unsigned i = 0; i < words; i++)
        x->limb[i] = 0;
    x->n += words;
}

static int natural_cmp(const natural *a, const natural *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (unsigned i = a->n; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* All digits of d as an integer; returns the power of ten that goes with it.
 * Digits beyond EXACT_DIGITS_MAX become a single 1 when any is not zero. */
static int64_t natural_of_text(natural *x, const decimal_text *d)
{
    int64_t exp10 = d->exponent;
    unsigned n = 0;
    bool point = false, rest = false;

    x->n = 0;
    for (size_t i = 0; i < d->mantissa.len; i++) {
        uint8_t c = d->mantissa.ptr[i];

        if (c == '.') {
            point = true;
        } else if (n < EXACT_DIGITS_MAX) {
            natural_mul_add(x, 10, (uint32_t)(c - '0'));
            n += x->n > 0;
            exp10 -= point;
        } else {
            rest = rest || c != '0';
            exp10 += !point;
        }
    }
    if (rest) {
        natural_mul_add(x, 10, 1);
        exp10--;
    }
    return exp10;
}

/* Compares d with the midpoint of the double `bits` and the next one. */
static int cmp_midpoint(const decimal_text *d, uint64_t bits)
{
    natural x, y;
    int exp10 = (int)natural_of_text(&x, d);
    int biased = (int)(bits >> MANTISSA_BITS);
    uint64_t m = bits & MASK_MANTISSA;
    int exp2 =
        (biased == 0 ? 1 : biased) - 1 + EXPONENT_MIN - MANTISSA_BITS - 1;

    if (biased != 0)
        m |= MASK_MANTISSA + 1;
    m = 2 * m + 1; /* times 2^exp2 is the midpoint */
    y.n = 0;
    y.limb[y.n++] = (uint32_t)m;
    if (m >> 32 != 0)
        y.limb[y.n++] = (uint32_t)(m >> 32);
    /* x * 5^exp10 * 2^exp10 against y * 2^exp2; move the negative powers to
     * the other side. */
    natural_mul_pow5(exp10 >= 0 ? &x : &y,
                     (unsigned)(exp10 >= 0 ? exp10 : -exp10));
    exp2 -= exp10;
    natural_shift_left(exp2 >= 0 ? &y : &x,
                       (unsigned)(exp2 >= 0 ? exp2 : -exp2));
    return natural_cmp(&x, &y);
}

bool decimal_to_double(const decimal_text *d, double *out)
{
    uint64_t low = 0, high = 0, more;
    int k;

    if (d->digits == 0 || d->exp10 < DECIMAL_POW10_MIN) {
        *out = 0.0; /* 10^19 * 10^-343 is below half the smallest double */
        return true;
    }
    if (d->exp10 > DECIMAL_POW10_MAX)
        return false;
    k = (int)d->exp10;
    round_product(d->digits, k, &low, &high);
    if (d->cut)
        round_product(d->digits + 1, k, &more, &high);
    if (low != high) {
        int c = cmp_midpoint(d, low);

        TAKO_ASSERT(high == low + 1);
        if (c > 0 || (c == 0 && (low & 1) != 0))
            low = high;
    }
    if (low >= BITS_INFINITE)
        return false;
    memcpy(out, &low, sizeof *out);
    return true;
}

/* --- writing ---------------------------------------------------------- */

/* 10^k as the paper's g: 126 bits, rounded up, in two 63-bit halves. */
typedef struct shortest_power {
    uint64_t g1, g0;
} shortest_power;

static shortest_power shortest_power_of(int k)
{
    decimal_u128 g = power_of(k);
    uint64_t lo = (g.lo >> 2 | g.hi << 62) + 1;
    uint64_t hi = (g.hi >> 2) + (lo == 0);

    return (shortest_power){ hi << 1 | lo >> 63, lo & MASK_63 };
}

/* The paper's rounding to odd of g * cp / 2^127. */
static uint64_t round_to_odd(shortest_power g, uint64_t cp)
{
    decimal_u128 y = mul64(g.g1, cp);
    uint64_t z = (y.lo >> 1) + mul64(g.g0, cp).hi;

    return (y.hi + (z >> 63)) | ((z & MASK_63) != 0);
}

/* The shortest decimal in the rounding interval of c * 2^q, on the grid
 * 10^*k or a coarser one. */
static uint64_t schubfach(uint64_t c, int q, int *k)
{
    bool even = (c & 1) == 0, narrow = c == MASK_MANTISSA + 1 && q > -1074;
    uint64_t vb, vbl, vbr, s, tens;
    unsigned h;
    bool under, over;

    /* floor(log10(2^q)), or of 3/4 * 2^q where the doubles below c * 2^q are
     * twice as dense as those above */
    *k = floor_shift(q * 315653 - (narrow ? 131072 : 0), 20);
    h = (unsigned)(q + floor_log2_pow10(-*k) + 2);
    {
        shortest_power g = shortest_power_of(-*k);

        vb = round_to_odd(g, (4 * c) << h);
        vbl = round_to_odd(g, (4 * c - (narrow ? 1 : 2)) << h);
        vbr = round_to_odd(g, (4 * c + 2) << h);
    }
    vbl += !even; /* the ends belong to the interval of an even c */
    vbr -= !even;
    s = vb >> 2;
    if (s >= 10) {
        tens = s / 10 * 10;
        under = vbl <= tens << 2;
        over = (tens + 10) << 2 <= vbr;
        if (under != over)
            return under ? tens : tens + 10;
    }
    under = vbl <= s << 2;
    over = (s + 1) << 2 <= vbr;
    if (under != over)
        return under ? s : s + 1;
    /* both or neither: the nearer, the even one of two equally near */
    tens = (2 * s + 1) << 1;
    return vb < tens || (vb == tens && (s & 1) == 0) ? s : s + 1;
}

void decimal_shortest(double v, uint64_t *digits, int *exp10)
{
    uint64_t bits, c;
    int biased, q;

    memcpy(&bits, &v, sizeof bits);
    TAKO_ASSERT(bits > 0 && bits < BITS_INFINITE);
    biased = (int)(bits >> MANTISSA_BITS);
    c = bits & MASK_MANTISSA;
    if (biased != 0)
        c |= MASK_MANTISSA + 1;
    q = (biased == 0 ? 1 : biased) - 1 + EXPONENT_MIN - MANTISSA_BITS;
    if (q <= 0 && q >= -MANTISSA_BITS && (c & (((uint64_t)1 << -q) - 1)) == 0) {
        *digits = c >> -q; /* a whole number below 2^53 */
        *exp10 = 0;
    } else {
        *digits = schubfach(c, q, exp10);
    }
    while (*digits % 100 == 0) {
        *digits /= 100;
        *exp10 += 2;
    }
    if (*digits % 10 == 0) {
        *digits /= 10;
        *exp10 += 1;
    }
}
