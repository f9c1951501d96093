// SPDX-License-Identifier: Apache-2.0
/* A test vector, at least, of each kind of message that test_vectors.c has not:
 * those of catching up, of what is complete, of the dead, of attachments. They
 * are answers, so each comes from a small history; what is in them is read by
 * the table of docs/protocol.md (support/describe.h). Those about letting go are
 * in tests/node/test_kinds.c. */
#include "sync/support_net.h"

#include "support/describe.h"
#include "store/deaths.h"
#include "sync/blobs.h"
#include "sync/state.h"

#define BIT(kind) (UINT64_C(1) << (kind))
#define DAY_MS    UINT64_C(86400000)

/* Two nodes, and what to look for. */
typedef struct story {
    net n;
    describer d;
    net_link *l;
} story;

static void begin(story *s, uint64_t seed, size_t nodes, tako_buf *out,
                  uint64_t kinds, unsigned most)
{
    net_init(&s->n, seed, nodes);
    s->d = (describer){ .out = out, .kinds = kinds, .most = most };
    s->n.tap = describe_passing;
    s->n.tap_ctx = &s->d;
    s->n.room = 1u << 20;
}

static void end(story *s)
{
    assert_int_equal(s->n.last_error, TAKO_OK);
    for (unsigned kind = 0; kind < DESCRIBE_KINDS; kind++)
        if ((s->d.kinds >> kind & 1u) != 0 && s->d.taken[kind] == 0)
            fail_msg("there was no message of kind %u", kind);
    net_fini(&s->n);
}

static void insert_many(story *s, size_t node, uint64_t from, uint64_t count)
{
    net_begin(&s->n, node);
    for (uint64_t i = from; i < from + count; i++)
        net_insert(&s->n, node, "orders", i, "open", "");
    net_commit_now(&s->n, node);
}

static void settle_later(net *n)
{
    for (int i = 0; i < 6; i++) {
        net_settle(n);
        n->now += 1500;
    }
    net_settle(n);
}

/* A first download, then few documents on each side that differ. */
static void put_lists(tako_buf *out)
{
    story s;

    begin(&s, 1, 2, out,
          BIT(SYNC_MSG_INTEREST) | BIT(SYNC_MSG_LISTS) | BIT(SYNC_MSG_LIST) |
              BIT(SYNC_MSG_STATES) | BIT(SYNC_MSG_CAUGHT_UP) |
              BIT(SYNC_MSG_SERVED) | BIT(SYNC_MSG_TARGET),
          2);
    s.n.forgetful = true;
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 0, 1, 2);
    s.l = net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    net_disconnect(&s.n, s.l);
    insert_many(&s, 0, 10, 1);
    insert_many(&s, 1, 20, 1);
    net_reconnect(&s.n, s.l);
    net_settle(&s.n);
    end(&s);
}

/* Many that are equal, few that are not. */
static void put_symbols(tako_buf *out)
{
    story s;

    begin(&s, 2, 2, out,
          BIT(SYNC_MSG_INTEREST) | BIT(SYNC_MSG_SYMBOLS) | BIT(SYNC_MSG_SEEN),
          2);
    s.n.forgetful = true;
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 0, 1, 300);
    s.l = net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    net_disconnect(&s.n, s.l);
    insert_many(&s, 0, 1000, 2);
    net_set(&s.n, 1, "orders", 7, "s", "done");
    s.d.taken[SYNC_MSG_INTEREST] = 0;
    net_reconnect(&s.n, s.l);
    net_settle(&s.n);
    end(&s);
}

/* Who was here before names how far it is in the feed; a server that lost track
 * asks to be asked. */
static void put_feed(tako_buf *out)
{
    story s;

    begin(&s, 3, 2, out,
          BIT(SYNC_MSG_INTEREST) | BIT(SYNC_MSG_ASK) | BIT(SYNC_MSG_FED) |
              BIT(SYNC_MSG_RESYNC),
          1);
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 0, 1, 3);
    s.l = net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    net_disconnect(&s.n, s.l);
    insert_many(&s, 0, 10, 1);
    s.d.taken[SYNC_MSG_INTEREST] = 0;
    net_reconnect(&s.n, s.l);
    net_settle(&s.n);
    sync_session_start_over(s.l->ends[0].session);
    net_settle(&s.n);
    end(&s);
}

/* A file that was put back, as after a rollback. */
static void put_renewed(tako_buf *out)
{
    story s;

    begin(&s, 4, 2, out, BIT(SYNC_MSG_RENEWED), 1);
    net_subscribe_all(&s.n, "orders");
    s.l = net_connect(&s.n, 0, 1);
    insert_many(&s, 0, 1, 1);
    net_settle(&s.n);
    net_save(&s.n, 0, "before");
    insert_many(&s, 0, 2, 1);
    net_settle(&s.n);
    net_restore(&s.n, 0, "before");
    net_reconnect(&s.n, s.l);
    net_settle(&s.n);
    end(&s);
}

/* A clock that was set by an hour, while the session goes on. */
static void put_clock(tako_buf *out)
{
    story s;

    begin(&s, 9, 2, out, BIT(SYNC_MSG_CLOCK), 1);
    net_subscribe_all(&s.n, "orders");
    s.l = net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    s.n.t.mono_ms += TAKO_CLOCK_MOVED_MS_MIN;
    s.n.t.wall_ms += 3600000;
    net_settle(&s.n);
    end(&s);
}

/* A triangle prunes itself; what is there is summed up, and kept. */
static void put_complete(tako_buf *out)
{
    story s;

    begin(&s, 5, 3, out,
          BIT(SYNC_MSG_MODE) | BIT(SYNC_MSG_SUMMARY) | BIT(SYNC_MSG_AGREEMENT) |
              BIT(SYNC_MSG_KEPT),
          2);
    net_subscribe_all(&s.n, "orders");
    net_connect(&s.n, 0, 1);
    net_connect(&s.n, 1, 2);
    net_connect(&s.n, 2, 0);
    settle_later(&s.n);
    for (uint64_t i = 0; i < 12; i++) {
        insert_many(&s, 0, i + 1, 1);
        net_settle(&s.n);
    }
    settle_later(&s.n);
    sync_session_kept(s.n.links[0].ends[1].session, true);
    net_settle(&s.n);
    end(&s);
}

static void live_days(story *s, size_t node, unsigned days)
{
    tako_errbuf e = { "" };

    for (unsigned i = 0; i < days; i++) {
        uint64_t reaped;
        bool again;

        s->n.t.wall_ms += DAY_MS;
        s->n.t.mono_ms += DAY_MS;
        assert_int_equal(
            store_reap(s->n.nodes[node].st, 2, 100, &reaped, &again, &e),
            TAKO_OK);
    }
}

/* Who takes a collection in which documents were deleted, and reaped; then one
 * that takes a part offers what is dead. */
static void put_dead(tako_buf *out)
{
    story s;

    begin(&s, 6, 3, out,
          BIT(SYNC_MSG_YARD) | BIT(SYNC_MSG_BURIED) | BIT(SYNC_MSG_GRAVES), 2);
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 0, 1, 3);
    insert_many(&s, 1, 11, 1);
    s.l = net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    net_disconnect(&s.n, s.l);
    net_delete(&s.n, 0, "orders", 1);
    net_delete(&s.n, 0, "orders", 2);
    net_delete(&s.n, 0, "orders", 11);
    live_days(&s, 0, 4);
    net_connect(&s.n, 0, 2);
    net_settle(&s.n);
    assert_int_equal(net_live_count(&s.n, 2), 1);
    end(&s);

    begin(&s, 7, 2, out, BIT(SYNC_MSG_DEAD), 1);
    net_subscribe(&s.n, 0, "orders");
    net_subscribe(&s.n, 1, "orders?open");
    insert_many(&s, 0, 1, 2);
    s.l = net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    net_disconnect(&s.n, s.l);
    net_delete(&s.n, 0, "orders", 1);
    live_days(&s, 0, 4);
    net_reconnect(&s.n, s.l);
    net_settle(&s.n);
    assert_string_equal(net_get(&s.n, 1, "orders", 1, "p"), "x");
    end(&s);
}

/* Who may not write had another name before, and changes a document. */
static void put_denied(tako_buf *out)
{
    story s;
    tako_errbuf e;

    begin(&s, 8, 2, out, BIT(SYNC_MSG_DENIED) | BIT(SYNC_MSG_NAMES), 1);
    s.n.nodes[1].bars.write = true;
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 0, 4, 1);
    assert_int_equal(store_renew_actor(s.n.nodes[1].st, &e), TAKO_OK);
    net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    net_set(&s.n, 1, "orders", 4, "x", "y");
    net_settle(&s.n);
    assert_string_equal(net_get(&s.n, 1, "orders", 4, "x"), "");
    end(&s);
}

/* Who wrote under another name before. */
static void put_former(tako_buf *out)
{
    story s;
    tako_errbuf e;

    begin(&s, 14, 2, out, BIT(SYNC_MSG_FORMER), 1);
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 1, 4, 1);
    assert_int_equal(store_renew_actor(s.n.nodes[1].st, &e), TAKO_OK);
    net_connect(&s.n, 0, 1);
    net_settle(&s.n);
    end(&s);
}

/* A burst that does not do: there is but one symbol in it. */
static void put_more(tako_buf *out)
{
    story s;
    sync_symbol symbol = { .item = 1 };
    tako_buf b;

    begin(&s, 8, 2, out, BIT(SYNC_MSG_MORE), 1);
    b = tako_buf_on(&s.n.t.env);
    s.n.forgetful = true;
    net_subscribe_all(&s.n, "orders");
    insert_many(&s, 0, 1, 300);
    insert_many(&s, 1, 1001, 300);
    s.l = net_connect(&s.n, 0, 1);
    while (!s.l->ends[1].session->subs[0].open) {
        s.n.now++;
        for (int at = 0; at < 2; at++) {
            while (net_tell(&s.n, (size_t)at))
                ;
            (void)net_send(&s.n, s.l, at);
        }
        (void)net_deliver(&s.n, s.l, 0, SYNC_CONTROL);
    }
    tako_put_u8(&b, SYNC_MSG_SYMBOLS);
    tako_put_varint(&b, 0);
    tako_put_u8(&b, SYNC_SYMBOLS_LAST);
    tako_put_varint(&b, 0);
    sync_symbol_put(&b, &symbol);
    assert_int_equal(sync_session_recv(s.l->ends[1].session, s.n.now,
                                       SYNC_CATCHUP, tako_buf_slice(&b), NULL),
                     TAKO_OK);
    while (net_send(&s.n, s.l, 1))
        ;
    tako_buf_fini(&b);
    end(&s);
}

/* ---- packed --------------------------------------------------------------------- */

/* A frame of zstd that no version of it would write, and each reads: one block,
 * as it is. */
static void put_packed(tako_buf *out, uint8_t kind, const char *name,
                       tako_slice content)
{
    test_env t;
    sync_session s = { 0 };
    tako_errbuf e = { "" };
    tako_reader in;
    tako_slice back;
    tako_buf b;

    test_env_init(&t, 1);
    s.env = &t.env;
    s.features = SYNC_FEATURE_PACKED | SYNC_FEATURE_PACKED_CUTS;
    b = tako_buf_on(&t.env);
    tako_put_u8(&b, kind);
    tako_put_varint(&b, content.len);
    tako_put_bytes(&b, tako_slice_of((const uint8_t *)"\x28\xb5\x2f\xfd", 4));
    tako_put_u8(&b, 0x20); /* the length of the content follows, in a byte */
    tako_put_u8(&b, (uint8_t)content.len);
    tako_put_u8(&b, (uint8_t)(content.len << 3 | 1u)); /* the last block, raw */
    tako_put_u8(&b, (uint8_t)(content.len >> 5));
    tako_put_u8(&b, 0);
    tako_put_bytes(&b, content);
    in = tako_reader_of(tako_buf_slice(&b));
    (void)tako_read_u8(&in);
    assert_int_equal(sync_unpack(&s, &in, &back, &e), TAKO_OK);
    assert_true(tako_slice_eq(back, content));
    vectors_open(out, "packed", name);
    vectors_number(out, "lane",
                   kind == SYNC_MSG_PACKED ? SYNC_CATCHUP : SYNC_LIVE);
    vectors_hex(out, "bytes", tako_buf_slice(&b));
    vectors_hex(out, "content", content);
    vectors_close(out);
    sync_bulk_rest(&s);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_kinds__messages_are_as_documented(void **state)
{
    static const uint8_t states[] = { SYNC_MSG_STATES, 0, 0 };
    static const uint8_t cut[] = { SYNC_MSG_CUT, 2 };
    test_env t;
    tako_buf out;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    put_lists(&out);
    put_symbols(&out);
    put_more(&out);
    put_feed(&out);
    put_renewed(&out);
    put_clock(&out);
    put_complete(&out);
    put_dead(&out);
    put_denied(&out);
    put_former(&out);
    put_packed(&out, SYNC_MSG_PACKED, "PACKED",
               tako_slice_of(states, sizeof states));
    put_packed(&out, SYNC_MSG_PACKED_CUT, "PACKED_CUT",
               tako_slice_of(cut, sizeof cut));
    vectors_check(&out, "kinds");
    tako_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds__messages_are_as_documented),
    };

    return cmocka_run_group_tests_name("sync/kinds", tests, NULL, NULL);
}
