// SPDX-License-Identifier: Apache-2.0
#include "support/describe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Fields of a message: "name:how", in order.
 *
 *   b u8   v varint   q u64   t block of text   i id, as it stands
 *   8 16 32 so many bytes   x the bytes to the end
 *   and the lists below */
static const struct {
    const char *name, *fields;
} kinds[DESCRIBE_KINDS] = {
    [2] = { "INTEREST", "number:v replaces:v text:t question:Q" },
    [5] = { "LISTS", "number:v" },
    [6] = { "LIST", "number:v last:b items:L" },
    [7] = { "STATES", "number:v states:T" },
    [8] = { "CAUGHT_UP", "number:v commit:v" },
    [9] = { "SERVED", "number:v" },
    [13] = { "RESYNC", "number:v" },
    [16] = { "RENEWED", "actor:16 incarnation:16" },
    [17] = { "CLOCK", "wall_ms:v" },
    [20] = { "ASK", "number:v question:Q" },
    [21] = { "FED", "number:v" },
    [22] = { "SYMBOLS", "number:v symbols:S" },
    [23] = { "MORE", "number:v more:v" },
    [24] = { "SEEN", "number:v seen:E" },
    [28] = { "MODE", "number:v mode:b" },
    [29] = { "TARGET", "number:v vector:V" },
    [30] = { "SUMMARY", "number:v whole:b vector:V" },
    [31] = { "AGREEMENT", "number:v events:q check:q commit:v" },
    [33] = { "DENIED", "denied:X" },
    [34] = { "YARD", "collection:t takes:b epoch:v graves:v sum:q floors:q" },
    [35] = { "BURIED", "collection:t epoch:v buried:B" },
    [36] = { "GRAVES", "graves:G" },
    [37] = { "DEAD", "dead:D" },
    [38] = { "KEPT", "number:v commit:v flags:b" },
    [39] = { "MAY_I", "asker:32 serial:q hops:v documents:M" },
    [40] = { "YOU_MAY", "asker:32 serial:q who:32 numbers:N" },
    [42] = { "NAMES", "actors:A" },
    [43] = { "FORMER", "vector:V" },
    [48] = { "BLOB_ASK", "number:v id:32 length:v search:8 hops:b" },
    [49] = { "BLOB_HAVE", "number:v flags:b ranges:R" },
    [50] = { "BLOB_WANT", "number:v ranges:R" },
    [51] = { "BLOB_PART", "number:v part:v data:x" },
    [52] = { "BLOB_NONE", "number:v ranges:R" },
    [53] = { "BLOB_STOP", "number:v" },
};

typedef struct describing {
    tako_buf *out;
    tako_reader *in;
} describing;

static void put_sep(tako_buf *out)
{
    if (out->len > 0 && out->ptr[out->len - 1] != '[')
        tako_put_u8(out, ',');
}

static void put_number(tako_buf *out, uint64_t n)
{
    put_sep(out);
    tako_put_fmt(out, "%" PRIu64, n);
}

static void put_hex(tako_buf *out, tako_slice bytes)
{
    put_sep(out);
    tako_put_u8(out, '"');
    for (size_t i = 0; i < bytes.len; i++)
        tako_put_fmt(out, "%02x", bytes.ptr[i]);
    tako_put_u8(out, '"');
}

static void put_text(tako_buf *out, tako_slice text)
{
    put_sep(out);
    tako_put_u8(out, '"');
    tako_put_bytes(out, text);
    tako_put_u8(out, '"');
}

static void open_list(tako_buf *out)
{
    put_sep(out);
    tako_put_u8(out, '[');
}

static uint64_t varint(const describing *d)
{
    uint64_t n = tako_read_varint(d->in);

    put_number(d->out, n);
    return n;
}

static void u64(const describing *d)
{
    put_number(d->out, tako_read_u64(d->in));
}

static void bytes(const describing *d, size_t n)
{
    put_hex(d->out, tako_read_bytes(d->in, n));
}

static bool more(const describing *d)
{
    return !d->in->failed && tako_reader_left(d->in) > 0;
}

/* An actor and an hlc. */
static void dot(const describing *d, bool fixed)
{
    open_list(d->out);
    bytes(d, 16);
    if (fixed)
        u64(d);
    else
        (void)varint(d);
    tako_put_u8(d->out, ']');
}

static void dots(const describing *d, bool fixed)
{
    uint64_t n = tako_read_varint(d->in);

    open_list(d->out);
    for (; n > 0 && !d->in->failed; n--)
        dot(d, fixed);
    tako_put_u8(d->out, ']');
}

static void id(const describing *d)
{
    size_t from = d->in->pos;
    uint64_t n = tako_read_varint(d->in);

    (void)tako_read_bytes(d->in, n == 0 ? 16u : (size_t)n);
    put_hex(d->out, tako_slice_of(d->in->in.ptr + from, d->in->pos - from));
}

static void sketch(const describing *d)
{
    open_list(d->out);
    for (int i = 0; i < 64; i++)
        (void)varint(d);
    tako_put_u8(d->out, ']');
}

static void question(const describing *d)
{
    uint8_t flags = tako_read_u8(d->in);

    put_number(d->out, flags);
    (void)varint(d);
    u64(d);
    if ((flags & 1u) != 0) {
        bytes(d, 2);
        (void)varint(d);
    }
    if ((flags & 2u) != 0)
        u64(d);
    if ((flags & 4u) != 0)
        sketch(d);
}

static void symbols(const describing *d)
{
    uint8_t flags = tako_read_u8(d->in);

    put_number(d->out, flags);
    if ((flags & 1u) != 0)
        (void)varint(d);
    if ((flags & 2u) != 0)
        sketch(d);
    if ((flags & 8u) != 0)
        (void)varint(d);
    (void)varint(d);
    while (more(d)) {
        open_list(d->out);
        u64(d);
        u64(d);
        bytes(d, 5);
        bytes(d, 4);
        tako_put_u8(d->out, ']');
    }
}

static void documents(const describing *d)
{
    while (more(d)) {
        open_list(d->out);
        (void)varint(d);
        put_text(d->out, tako_read_block(d->in));
        id(d);
        dots(d, true);
        tako_put_u8(d->out, ']');
    }
}

static void dead(const describing *d)
{
    while (more(d)) {
        open_list(d->out);
        put_text(d->out, tako_read_block(d->in));
        put_number(d->out, tako_read_u8(d->in));
        (void)varint(d);
        id(d);
        dots(d, false);
        tako_put_u8(d->out, ']');
    }
}

static void denied(const describing *d)
{
    while (more(d)) {
        open_list(d->out);
        put_text(d->out, tako_read_block(d->in));
        id(d);
        dot(d, false);
        tako_put_u8(d->out, ']');
    }
}

static void buried(const describing *d)
{
    uint8_t bits = tako_read_u8(d->in);

    assert_in_range(bits, 0, 12);
    put_number(d->out, bits);
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        u64(d);
    dots(d, false);
}

/* Each after the one before it: dots in full. */
static void graves(const describing *d)
{
    uint8_t form = tako_read_u8(d->in);
    uint64_t ms = 0;

    put_number(d->out, form);
    put_text(d->out, tako_read_block(d->in));
    if (form == 0) {
        put_number(d->out, tako_read_u8(d->in));
        bytes(d, tako_reader_left(d->in));
    }
    while (more(d)) {
        uint64_t head = tako_read_varint(d->in);

        open_list(d->out);
        ms = (head & 1u) != 0 ? head >> 1 : ms + (head >> 1);
        if ((head & 1u) != 0)
            bytes(d, 16);
        put_number(d->out, ms << 16 | tako_read_varint(d->in));
        u64(d);
        tako_put_u8(d->out, ']');
    }
}

/* Parts, first and last of each. */
static void ranges(const describing *d)
{
    uint64_t n = tako_read_varint(d->in), at = 0;

    for (; n > 0 && !d->in->failed; n--) {
        open_list(d->out);
        at += tako_read_varint(d->in);
        put_number(d->out, at);
        at += tako_read_varint(d->in);
        put_number(d->out, at++);
        tako_put_u8(d->out, ']');
    }
}

static void states(const describing *d)
{
    uint8_t flags = tako_read_u8(d->in);

    put_number(d->out, flags);
    if ((flags & 1u) != 0) {
        (void)varint(d);
        u64(d);
    }
    bytes(d, tako_reader_left(d->in));
}

static void seen(const describing *d)
{
    uint8_t flags = tako_read_u8(d->in);

    put_number(d->out, flags);
    if ((flags & 4u) != 0)
        (void)varint(d);
    bytes(d, tako_reader_left(d->in));
}

static void pairs(const describing *d)
{
    while (more(d)) {
        open_list(d->out);
        u64(d);
        u64(d);
        tako_put_u8(d->out, ']');
    }
}

static void list(const describing *d, char how)
{
    open_list(d->out);
    switch (how) {
    case 'B':
        buried(d);
        break;
    case 'A':
        while (more(d))
            bytes(d, 16);
        break;
    case 'X':
        denied(d);
        break;
    case 'D':
        dead(d);
        break;
    case 'E':
        seen(d);
        break;
    case 'G':
        graves(d);
        break;
    case 'L':
        pairs(d);
        break;
    case 'M':
        documents(d);
        break;
    case 'N':
        while (more(d))
            (void)varint(d);
        break;
    case 'Q':
        question(d);
        break;
    case 'R':
        ranges(d);
        break;
    case 'S':
        symbols(d);
        break;
    case 'T':
        states(d);
        break;
    case 'V':
        while (more(d))
            dot(d, false);
        break;
    default:
        fail_msg("no such field: %c", how);
    }
    tako_put_u8(d->out, ']');
}

/* One field's value; what came before it is not its list. */
static void value(const describing *d, const char *how)
{
    switch (how[0]) {
    case 'b':
        put_number(d->out, tako_read_u8(d->in));
        break;
    case 'v':
        (void)varint(d);
        break;
    case 'q':
        u64(d);
        break;
    case 't':
        put_text(d->out, tako_read_block(d->in));
        break;
    case 'x':
        bytes(d, tako_reader_left(d->in));
        break;
    case '1':
    case '3':
    case '8':
        bytes(d, (size_t)strtoul(how, NULL, 10));
        break;
    default:
        list(d, how[0]);
    }
}

void describe(tako_buf *out, unsigned lane, tako_slice message)
{
    tako_reader in = tako_reader_of(message);
    uint8_t kind = tako_read_u8(&in);
    const char *at = kind < DESCRIBE_KINDS ? kinds[kind].fields : NULL;

    if (at == NULL)
        fail_msg("no fields of kind %u are known", kind);
    vectors_open(out, "kind", kinds[kind].name);
    vectors_number(out, "lane", lane);
    vectors_hex(out, "bytes", message);
    while (*at != '\0') {
        tako_buf one = tako_buf_on(out->env);
        describing d = { &one, &in };
        char name[16];
        size_t len = strcspn(at, ":");

        assert_in_range(len, 1, sizeof name - 1);
        memcpy(name, at, len);
        name[len] = '\0';
        at += len + 1;
        value(&d, at);
        vectors_json(out, name, tako_buf_cstr(&one));
        tako_buf_fini(&one);
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    vectors_close(out);
    if (!tako_reader_done(&in))
        fail_msg("%s is not as documented", kinds[kind].name);
}

void describe_passing(void *ctx, unsigned lane, tako_slice message)
{
    describer *d = ctx;
    uint8_t kind = message.ptr[0];

    if (kind >= DESCRIBE_KINDS || (d->kinds >> kind & 1u) == 0 ||
        d->taken[kind] == d->most)
        return;
    d->taken[kind]++;
    describe(d->out, lane, message);
}
