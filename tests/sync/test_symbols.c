// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "sync/symbols.h"

#define SYMBOLS TAKO_SYNC_SYMBOLS_MAX

static const uint8_t key[16] = { 7, 1 };

typedef struct pair {
    sync_symbol a[SYMBOLS], b[SYMBOLS];
    int32_t sketch_a[SYNC_SKETCH], sketch_b[SYNC_SKETCH];
} pair;

static pair p; /* 256 KiB */

static sync_item random_item(test_env *t)
{
    return (sync_item){ test_random(t), test_random(t),
                        test_random(t) >> (64u - SYNC_WHEN_BITS) };
}

/* Another state of the document. */
static sync_item edited(test_env *t, sync_item item)
{
    item.item = test_random(t);
    item.when = test_random(t) >> (64u - SYNC_WHEN_BITS);
    return item;
}

static void add_to(sync_symbol *symbols, int32_t *sketch, sync_item item,
                   int sign)
{
    uint64_t hash = sync_key_hash(key, item.key);

    sync_symbols_add(symbols, SYMBOLS, item, hash);
    sync_sketch_add(sketch, item, hash, sign);
}

static uint64_t mark_of(sync_item item)
{
    return item.key * 3u + item.item * 5u + item.when;
}

/* Two sets with `common` items, so many that only one has, and so many that
 * each has in another state. */
static void make(test_env *t, size_t common, size_t only, size_t edits,
                 uint64_t *sum)
{
    memset(&p, 0, sizeof p);
    for (size_t i = 0; i < common; i++) {
        sync_item item = random_item(t);

        add_to(p.a, p.sketch_a, item, 1);
        add_to(p.b, p.sketch_b, item, 1);
    }
    *sum = 0;
    for (size_t i = 0; i < only + edits; i++) {
        sync_item item = random_item(t), other = edited(t, item);

        if (i < only) {
            add_to(i % 2 == 0 ? p.a : p.b, i % 2 == 0 ? p.sketch_a : p.sketch_b,
                   item, 1);
            *sum += mark_of(item);
            continue;
        }
        add_to(p.a, p.sketch_a, item, 1);
        add_to(p.b, p.sketch_b, other, 1);
        item.item ^= other.item;
        item.when ^= other.when;
        *sum += mark_of(item);
    }
}

/* How many symbols it takes; what is found is what differs. */
static size_t decode(test_env *t, size_t step, size_t differences, uint64_t sum)
{
    sync_decoder d;
    uint64_t found = 0;
    size_t used = 0;

    sync_decoder_init(&d, &t->env, key);
    while (!sync_decoder_done(&d)) {
        size_t n = 1 + (size_t)test_below(t, step);

        n = n < SYMBOLS - used ? n : SYMBOLS - used;
        assert_true(n > 0);
        assert_int_equal(sync_decoder_feed(&d, p.a + used, p.b + used, n),
                         TAKO_OK);
        used += n;
    }
    assert_int_equal(d.found_count, differences);
    for (uint32_t i = 0; i < d.found_count; i++)
        found += mark_of(d.found[i].item);
    assert_true(found == sum);
    sync_decoder_fini(&d);
    return used;
}

static void test_symbols__any_difference_is_decoded(void **state)
{
    test_env t;
    uint64_t sum;

    (void)state;
    test_env_init(&t, test_seed(1));
    for (size_t i = 0; i < 150; i++) {
        size_t a = (size_t)test_below(&t, i < 140 ? 60 : 1500);
        size_t b = (size_t)test_below(&t, i < 140 ? 60 : 1300);

        make(&t, (size_t)test_below(&t, 400), a, b, &sum);
        (void)decode(&t, 50, a + b, sum);
    }
}

/* Symbols per difference, as the paper has it: it tends to 1.35. */
static void test_symbols__cost_what_the_paper_says(void **state)
{
    static const struct {
        size_t d, times;
        double most;
    } cases[] = { { 1, 200, 2.6 },
                  { 10, 200, 2.0 },
                  { 100, 60, 1.65 },
                  { 1000, 10, 1.5 },
                  { 2800, 5, 1.45 } };
    test_env t;
    uint64_t sum;

    (void)state;
    test_env_init(&t, test_seed(2));
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        size_t used = 0;
        double each;

        for (size_t i = 0; i < cases[k].times; i++) {
            make(&t, 100, cases[k].d / 2, cases[k].d - cases[k].d / 2, &sum);
            used += decode(&t, 1, cases[k].d, sum);
        }
        each = (double)used / (double)(cases[k].d * cases[k].times);
        print_message("%zu differences: %.2f symbols each\n", cases[k].d, each);
        assert_true(each >= 1.0 && each <= cases[k].most);
    }
}

static void test_symbols__equal_sets_show_in_the_first(void **state)
{
    test_env t;
    sync_decoder d;
    uint64_t sum;

    (void)state;
    test_env_init(&t, test_seed(3));
    make(&t, 5000, 0, 0, &sum);
    sync_decoder_init(&d, &t.env, key);
    assert_false(sync_decoder_done(&d));
    assert_int_equal(sync_decoder_feed(&d, p.a, p.b, 1), TAKO_OK);
    assert_true(sync_decoder_done(&d));
    assert_int_equal(d.found_count, 0);
    sync_decoder_fini(&d);
}

static void test_symbols__an_item_taken_away_leaves_nothing(void **state)
{
    static pair before;
    test_env t;
    sync_item items[40];
    uint64_t sum;

    (void)state;
    test_env_init(&t, test_seed(4));
    make(&t, 100, 20, 0, &sum);
    before = p;
    for (size_t i = 0; i < 40; i++) {
        items[i] = random_item(&t);
        add_to(p.a, p.sketch_a, items[i], 1);
    }
    assert_true(memcmp(&before, &p, sizeof p) != 0);
    for (size_t i = 40; i > 0; i--)
        add_to(p.a, p.sketch_a, items[i - 1], -1);
    assert_memory_equal(&before, &p, sizeof p);
}

/* Place i is taken by one item of 1 + i / 2. */
static void test_symbols__places_thin_out(void **state)
{
    test_env t;
    size_t at[64] = { 0 };

    (void)state;
    test_env_init(&t, test_seed(5));
    for (size_t n = 0; n < 20000; n++) {
        sync_places places = sync_places_of(test_random(&t));

        assert_int_equal(places.at, 0);
        for (; places.at < 64; sync_places_next(&places))
            at[places.at]++;
    }
    for (size_t i = 0; i < 64; i++) {
        double expected = 20000.0 / (1.0 + (double)i / 2.0);

        assert_in_range(at[i], (uint64_t)(expected * 0.8),
                        (uint64_t)(expected * 1.2));
    }
}

/* New documents and edits count the same. */
static void test_symbols__the_sketch_estimates(void **state)
{
    static const size_t sizes[] = { 0, 10, 100, 1000, 20000 };
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(6));
    for (size_t k = 0; k < 10; k++) {
        size_t size = sizes[k / 2];
        double sum = 0;

        for (size_t i = 0; i < 20; i++) {
            int32_t a[SYNC_SKETCH] = { 0 }, b[SYNC_SKETCH] = { 0 };

            for (size_t n = 0; n < size; n++) {
                sync_item item = random_item(&t);
                uint64_t hash = sync_key_hash(key, item.key);

                sync_sketch_add(n % 2 == 0 ? a : b, item, hash, 1);
                if (k % 2 == 0)
                    continue;
                sync_sketch_add(n % 2 == 0 ? b : a, edited(&t, item), hash, 1);
            }
            sum += (double)sync_sketch_estimate(a, b);
        }
        assert_in_range((uint64_t)(sum / 20), size * 4 / 5, size * 6 / 5);
    }
}

static void test_symbols__bytes_come_back(void **state)
{
    test_env t;
    tako_buf out;
    tako_reader in;
    uint64_t sum;

    (void)state;
    test_env_init(&t, test_seed(7));
    make(&t, 1000, 300, 500, &sum);
    out = tako_buf_on(&t.env);
    for (size_t i = 0; i < 100; i++)
        sync_symbol_put(&out, &p.a[i]);
    assert_int_equal(out.len, 100 * SYNC_SYMBOL_BYTES);
    sync_sketch_put(&out, p.sketch_b);
    in = tako_reader_of(tako_buf_slice(&out));
    for (size_t i = 0; i < 100; i++) {
        sync_symbol s;

        sync_symbol_get(&in, &s);
        assert_memory_equal(&s, &p.a[i], sizeof s);
    }
    sync_sketch_get(&in, p.sketch_a);
    assert_true(tako_reader_done(&in));
    assert_memory_equal(p.sketch_a, p.sketch_b, sizeof p.sketch_b);
    tako_buf_fini(&out);
}

/* So many symbols as are sent at first nearly always do. */
static void test_symbols__the_first_burst_does(void **state)
{
    static const size_t sizes[] = { 3, 10, 100, 800 };
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(11));
    for (size_t k = 0; k < 8; k++) {
        size_t size = sizes[k / 2], times = size > 500 ? 60 : 200;
        size_t done = 0, symbols = 0;

        for (size_t i = 0; i < times; i++) {
            uint64_t sum, n;

            make(&t, 20, k % 2 == 0 ? size : 0, k % 2 == 0 ? 0 : size, &sum);
            n = sync_symbols_for(sync_sketch_estimate(p.sketch_a, p.sketch_b)) +
                8u;
            symbols += (size_t)n;
            done += decode(&t, 1, size, sum) <= n;
        }
        print_message("%zu %s: %zu of %zu by %.2f symbols each\n", size,
                      k % 2 == 0 ? "new" : "edited", done, times,
                      (double)symbols / (double)(times * size));
        assert_in_range(done, times * 92 / 100, times);
    }
}

/* Symbols that are of no set: an item at a place that is not its own. */
static void test_symbols__hostile_ones_come_to_an_end(void **state)
{
    static sync_symbol nothing[SYMBOLS];
    test_env t;
    size_t limits = 0;

    (void)state;
    test_env_init(&t, test_seed(8));
    for (size_t i = 0; i < 300; i++) {
        size_t n = 1 + (size_t)test_below(&t, 200);
        sync_decoder d;
        tako_err err;

        memset(p.a, 0, sizeof p.a);
        for (size_t k = 0; k < n; k++) {
            sync_item item = random_item(&t);
            sync_symbol one = { 0 };

            sync_symbols_add(&one, 1, item, sync_key_hash(key, item.key));
            p.a[test_below(&t, n)] = one;
        }
        sync_decoder_init(&d, &t.env, key);
        err = sync_decoder_feed(&d, p.a, nothing, n);
        assert_true(err == TAKO_OK || err == TAKO_LIMIT);
        limits += err == TAKO_LIMIT;
        assert_in_range(d.found_count, 0, n);
        sync_decoder_fini(&d);
    }
    assert_in_range(limits, 50, 300);
}

static void test_symbols__no_more_than_the_limit(void **state)
{
    static sync_symbol nothing[SYMBOLS];
    test_env t;
    sync_decoder d;

    (void)state;
    test_env_init(&t, 9);
    for (size_t i = 0; i < SYMBOLS; i++)
        p.a[i] = (sync_symbol){ test_random(&t), 1, 2, 77, 0 };
    sync_decoder_init(&d, &t.env, key);
    for (size_t i = 0; i < TAKO_SYNC_WIDE_MAX; i += SYMBOLS)
        assert_int_equal(sync_decoder_feed(&d, p.a, nothing, SYMBOLS), TAKO_OK);
    assert_int_equal(d.found_count, 0);
    assert_int_equal(sync_decoder_feed(&d, p.a, nothing, 1), TAKO_LIMIT);
    sync_decoder_fini(&d);
}

static void test_symbols__memory_may_run_out(void **state)
{
    test_env t;
    uint64_t sum;
    long n = 0;
    tako_err err;

    (void)state;
    test_env_init(&t, test_seed(10));
    make(&t, 10, 300, 200, &sum);
    do {
        sync_decoder d;

        t.fail_after = n++;
        sync_decoder_init(&d, &t.env, key);
        err = sync_decoder_feed(&d, p.a, p.b, 1500);
        assert_true(err == TAKO_NOMEM || err == TAKO_OK);
        t.fail_after = -1;
        sync_decoder_fini(&d);
    } while (err == TAKO_NOMEM);
    assert_in_range(n, 3, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols__any_difference_is_decoded),
        cmocka_unit_test(test_symbols__cost_what_the_paper_says),
        cmocka_unit_test(test_symbols__equal_sets_show_in_the_first),
        cmocka_unit_test(test_symbols__an_item_taken_away_leaves_nothing),
        cmocka_unit_test(test_symbols__places_thin_out),
        cmocka_unit_test(test_symbols__the_sketch_estimates),
        cmocka_unit_test(test_symbols__the_first_burst_does),
        cmocka_unit_test(test_symbols__bytes_come_back),
        cmocka_unit_test(test_symbols__hostile_ones_come_to_an_end),
        cmocka_unit_test(test_symbols__no_more_than_the_limit),
        cmocka_unit_test(test_symbols__memory_may_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
