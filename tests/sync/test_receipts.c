// SPDX-License-Identifier: Apache-2.0
/* Receipts on the wire: said once, raised for little, and hostile until
 * checked. Who says what of whom is in tests/node/test_receipts.c. */
#include "sync/support_net.h"

#include "sync/state.h"

/* What the second node of a pair heard. */
typedef struct ear {
    net net;
    sync_receipts_host host;
    sync_receipt last; /* texts and name: only their number and length */
    uint64_t lsn[2 * TAKO_RECEIPTS_TOLD_MAX + 1]; /* by the host's number */
    uint32_t made, raised, gone;
    char asked[TAKO_NAME_BYTES_MAX + 1];
    unsigned hops;
    bool full; /* of memory */
} ear;

static ear the_ear; /* its host's ctx is support_net's */

static tako_err on_made(void *ctx, const sync_receipt *r, uint32_t *id)
{
    ear *h = &the_ear;

    (void)ctx;
    if (h->full)
        return TAKO_NOMEM;
    h->last = *r;
    *id = ++h->made;
    h->lsn[*id] = r->lsn;
    return TAKO_OK;
}

static void on_raised(void *ctx, uint32_t id, uint64_t lsn)
{
    (void)ctx;
    the_ear.raised++;
    assert_true(lsn > the_ear.lsn[id]);
    the_ear.lsn[id] = lsn;
}

static void on_gone(void *ctx, uint32_t id)
{
    (void)ctx;
    the_ear.gone++;
    the_ear.lsn[id] = 0;
}

static void on_asked(void *ctx, tako_slice who, unsigned hops)
{
    (void)ctx;
    memcpy(the_ear.asked, who.ptr, who.len);
    the_ear.asked[who.len] = '\0';
    the_ear.hops = hops;
}

static ear *ear_init(uint64_t seed)
{
    ear *h = &the_ear;

    memset(h, 0, sizeof *h);
    net_init(&h->net, seed, 2);
    h->host = (sync_receipts_host){ on_made, on_raised, on_gone, on_asked };
    h->net.nodes[1].host.receipts = &h->host;
    net_subscribe_all(&h->net, "orders");
    net_connect(&h->net, 0, 1);
    for (uint64_t i = 0; i < 100; i++)
        net_insert(&h->net, 1, "orders", i, "open", "pad");
    net_settle(&h->net);
    return h;
}

static sync_session *speaker(ear *h)
{
    return h->net.links[0].ends[0].session;
}

static sync_receipt receipt(uint64_t lsn)
{
    sync_receipt r = { .name = tako_slice_str("till"),
                       .texts = { tako_slice_str("orders"),
                                  tako_slice_str("orders?open") },
                       .text_count = 2,
                       .lsn = lsn };

    memset(r.device, 7, sizeof r.device);
    return r;
}

static void say(ear *h, uint64_t key, uint64_t lsn)
{
    sync_receipt r = receipt(lsn);

    sync_session_receipt(speaker(h), key, &r);
}

static void hear(ear *h)
{
    sync_session_receipts_send(speaker(h));
    net_settle(&h->net);
}

static void test_receipts__are_said_once_and_raised(void **state)
{
    ear *h = ear_init(1);
    uint64_t bytes;

    (void)state;
    say(h, 900, 10);
    say(h, 901, 20);
    hear(h);
    assert_int_equal(h->made, 2);
    assert_int_equal(h->lsn[1], 10);
    assert_int_equal(h->lsn[2], 20);
    assert_int_equal(h->last.device[31], 7);
    assert_int_equal(h->last.text_count, 2);
    assert_int_equal(h->last.name.len, 4);
    assert_false(h->last.passed);
    bytes = h->net.kinds[SYNC_MSG_RECEIPTS];
    say(h, 900, 60);
    say(h, 901, 20); /* no news */
    say(h, 901, 19);
    hear(h);
    assert_int_equal(h->raised, 1);
    assert_int_equal(h->lsn[1], 60);
    assert_int_equal(h->net.kinds[SYNC_MSG_RECEIPTS] - bytes, 3);
    hear(h); /* nothing to say: no message */
    assert_int_equal(h->net.kinds[SYNC_MSG_RECEIPTS] - bytes, 3);
    sync_session_receipt_gone(speaker(h), 900);
    sync_session_receipt_gone(speaker(h), 777);
    hear(h);
    assert_int_equal(h->gone, 1);
    assert_int_equal(h->lsn[1], 0);
    say(h, 900, 61); /* it means something again */
    hear(h);
    assert_int_equal(h->made, 3);
    assert_int_equal(h->lsn[3], 61);
    sync_session_receipt_ask(speaker(h), tako_slice_str("kitchen"), 5);
    hear(h);
    assert_string_equal(h->asked, "kitchen");
    assert_int_equal(h->hops, 5);
    assert_int_equal(h->net.last_error, TAKO_OK);
    net_fini(&h->net);
}

/* More of them than there are numbers: each is said, with the right commit. */
static void test_receipts__share_the_numbers_there_are(void **state)
{
    ear *h = ear_init(2);
    uint64_t sum = 0;

    (void)state;
    for (uint64_t key = 0; key < 2 * TAKO_RECEIPTS_TOLD_MAX; key++) {
        say(h, key, 1 + key % 50);
        hear(h);
        assert_int_equal(h->lsn[h->made], 1 + key % 50);
    }
    assert_int_equal(h->made, 2 * TAKO_RECEIPTS_TOLD_MAX);
    for (uint64_t key = TAKO_RECEIPTS_TOLD_MAX;
         key < 2 * TAKO_RECEIPTS_TOLD_MAX; key++)
        say(h, key, 60 + key % 40);
    hear(h);
    assert_int_equal(h->raised, TAKO_RECEIPTS_TOLD_MAX);
    for (uint64_t key = TAKO_RECEIPTS_TOLD_MAX;
         key < 2 * TAKO_RECEIPTS_TOLD_MAX; key++)
        sum += h->lsn[key + 1] == 60 + key % 40;
    assert_int_equal(sum, TAKO_RECEIPTS_TOLD_MAX);
    assert_int_equal(h->net.last_error, TAKO_OK);
    net_fini(&h->net);
}

/* A new session knows of nothing, so all is said again. */
static void test_receipts__begin_anew_with_a_session(void **state)
{
    ear *h = ear_init(3);

    (void)state;
    say(h, 1, 10);
    hear(h);
    net_disconnect(&h->net, &h->net.links[0]);
    net_reconnect(&h->net, &h->net.links[0]);
    net_settle(&h->net);
    say(h, 1, 10);
    hear(h);
    assert_int_equal(h->made, 2);
    assert_int_equal(h->net.last_error, TAKO_OK);
    net_fini(&h->net);
}

static void test_receipts__that_are_malformed_end_the_session(void **state)
{
#define DEVICE "dddddddddddddddddddddddddddddddd"
#define ROW(why, bytes, good)                                                  \
    {                                                                          \
        why, bytes, sizeof bytes - 1, good                                     \
    }
    static const struct {
        const char *why, *bytes;
        size_t len;
        bool good;
    } rows[] = {
        ROW("as it should be", "\x01" DEVICE "\x01n\x00\x01\x01t\x05", true),
        ROW("two texts", "\x01" DEVICE "\x00\x02\x02\x01t\x01u\x05", true),
        ROW("nothing at all", "", true),
        ROW("cut off", "\x01" DEVICE, false),
        ROW("no text as a name", "\x01" DEVICE "\x01\xff\x00\x01\x01t\x05",
            false),
        ROW("no texts", "\x01" DEVICE "\x00\x00\x00\x05", false),
        ROW("five texts",
            "\x01" DEVICE "\x00\x00\x05\x01t\x01t\x01t\x01t\x01t\x05", false),
        ROW("an empty text", "\x01" DEVICE "\x00\x00\x01\x00\x05", false),
        ROW("of no commit", "\x01" DEVICE "\x00\x00\x01\x01t\x00", false),
        ROW("of a commit to come",
            "\x01" DEVICE "\x00\x00\x01\x01t\xff\xff\xff\x01", false),
        ROW("the last number", "\xfd\x07" DEVICE "\x00\x00\x01\x01t\x05", true),
        ROW("a number beyond", "\x81\x08" DEVICE "\x00\x00\x01\x01t\x05",
            false),
        ROW("a raise of nothing", "\x00\x01", false),
        ROW("a raise", "\x01" DEVICE "\x00\x00\x01\x01t\x05\x00\x01", true),
        ROW("a raise by nothing", "\x01" DEVICE "\x00\x00\x01\x01t\x05\x00\x00",
            false),
        ROW("a raise too far",
            "\x01" DEVICE "\x00\x00\x01\x01t\x05\x00\xff\xff\xff\x01", false),
        ROW("gone that was not there", "\x02", false),
        ROW("gone", "\x01" DEVICE "\x00\x00\x01\x01t\x05\x02", true),
        ROW("gone twice", "\x01" DEVICE "\x00\x00\x01\x01t\x05\x02\x02", false),
        ROW("asked", "\x23\x01n", true),
        ROW("asked for nobody", "\x23\x00", false),
        ROW("asked too far", "\x27\x01n", false),
        ROW("eleven bytes", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            false),
    };
#undef ROW
#undef DEVICE

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ear *h = ear_init(4 + i);
        tako_buf b = tako_buf_on(&h->net.t.env);
        tako_errbuf e = { "" };
        tako_err err;

        tako_put_u8(&b, SYNC_MSG_RECEIPTS);
        tako_put_bytes(&b, tako_slice_of(rows[i].bytes, rows[i].len));
        err = sync_session_recv(h->net.links[0].ends[1].session, h->net.now,
                                SYNC_CONTROL, tako_buf_slice(&b), &e);
        if (err != (rows[i].good ? TAKO_OK : TAKO_CORRUPT))
            fail_msg("%s: %s", rows[i].why, tako_err_name(err));
        tako_buf_fini(&b);
        net_disconnect(&h->net, &h->net.links[0]);
        net_fini(&h->net);
    }
}

/* Out of memory ends the session, on either side: what was not said, or not
 * remembered, would never be said again. */
static void test_receipts__need_memory(void **state)
{
    (void)state;
    for (long nth = 0, more = true; more; nth++) {
        ear *h = ear_init(40);
        sync_lane lane;
        tako_buf out = tako_buf_on(&h->net.t.env);
        tako_err err;

        h->net.t.failed_once = false;
        h->net.t.fail_after = nth;
        say(h, 1, 10);
        sync_session_receipts_send(speaker(h));
        err = sync_session_send(speaker(h), h->net.now, SYNC_LANES_ALL, &lane,
                                &out, NULL);
        h->net.t.fail_after = -1;
        more = h->net.t.failed_once;
        assert_int_equal(err, more ? TAKO_NOMEM : TAKO_OK);
        tako_buf_fini(&out);
        net_disconnect(&h->net, &h->net.links[0]);
        net_fini(&h->net);
        assert_true(nth < 100);
    }
}

static void test_receipts__are_refused_without_memory(void **state)
{
    ear *h = ear_init(41);

    (void)state;
    h->full = true;
    say(h, 1, 10);
    hear(h);
    assert_int_equal(h->net.last_error, TAKO_NOMEM);
    h->full = false;
    net_reconnect(&h->net, &h->net.links[0]);
    net_settle(&h->net);
    say(h, 1, 10);
    hear(h);
    assert_int_equal(h->lsn[1], 10);
    net_fini(&h->net);
}

/* What may be said rests on what is here: nothing while not in sync. */
static void test_receipts__rest_on_what_is_here(void **state)
{
    ear *h = ear_init(42);
    uint32_t user = 99;
    uint64_t lsn = 99;

    (void)state;
    assert_true(sync_session_held(speaker(h), 0, &user, &lsn));
    assert_int_equal(user, 0);
    assert_int_equal(lsn, store_lsn(h->net.nodes[1].st));
    assert_false(sync_session_held(speaker(h), 1, &user, &lsn));
    net_insert(&h->net, 1, "orders", 1000, "open", "pad");
    assert_true(sync_session_held(speaker(h), 0, &user, &lsn));
    assert_int_equal(lsn, store_lsn(h->net.nodes[1].st) - 1);
    net_settle(&h->net);
    assert_true(sync_session_held(speaker(h), 0, &user, &lsn));
    assert_int_equal(lsn, store_lsn(h->net.nodes[1].st));
    net_disconnect(&h->net, &h->net.links[0]);
    net_reconnect(&h->net, &h->net.links[0]);
    assert_true(sync_session_held(speaker(h), 0, &user, &lsn));
    assert_int_equal(lsn, 0);
    net_settle(&h->net);
    net_fini(&h->net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts__are_said_once_and_raised),
        cmocka_unit_test(test_receipts__share_the_numbers_there_are),
        cmocka_unit_test(test_receipts__begin_anew_with_a_session),
        cmocka_unit_test(test_receipts__that_are_malformed_end_the_session),
        cmocka_unit_test(test_receipts__need_memory),
        cmocka_unit_test(test_receipts__are_refused_without_memory),
        cmocka_unit_test(test_receipts__rest_on_what_is_here),
    };

    return cmocka_run_group_tests_name("sync/receipts", tests, NULL, NULL);
}
