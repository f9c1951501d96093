// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_lookup.c mirrors src/sys/lookup.c; look-ups from a loop, and
 * loops that stop meanwhile, are in test_tcp.c. */
#include "support/test_env.h"

#include <string.h>

#include "sys/loop.h"

static void test_lookup__a_name_becomes_an_address_with_its_port(void **state)
{
    sys_address a;
    char text[TAKO_ADDRESS_BYTES_MAX];

    (void)state;
    assert_int_equal(address_parse("tcp://localhost:4711", &a, NULL), TAKO_OK);
    assert_int_equal(lookup_now(&a, NULL), TAKO_OK);
    address_print(&a.ip, text);
    assert_true(strcmp(text, "tcp://127.0.0.1:4711") == 0 ||
                strcmp(text, "tcp://[::1]:4711") == 0);
}

typedef struct answers {
    sys_lookup *open;
    int count;
} answers;

static void on_done(void *user, const struct sockaddr_storage *ips,
                    size_t count, const char *reason)
{
    (void)ips;
    (void)count;
    (void)reason;
    ((answers *)user)->count++;
}

/* On the loop's thread: as many as may be, one more, and all let go. */
static void start_and_abandon(void *arg)
{
    sys_loop *l = arg;
    sys_address a;
    answers got = { NULL, 0 };

    assert_int_equal(address_parse("tcp://localhost:1", &a, NULL), TAKO_OK);
    for (size_t i = 0; i < SYS_LOOKUPS_MAX; i++) {
        assert_int_equal(lookup_start(l, &a, on_done, &got, &got.open),
                         TAKO_OK);
        lookup_abandon(got.open);
    }
    assert_int_equal(lookup_start(l, &a, on_done, &got, &got.open), TAKO_LIMIT);
    assert_int_equal(got.count, 0);
}

static void test_lookup__abandoned_ones_end_on_their_own(void **state)
{
    tako_env env;
    tako_net net;
    sys_loop *l;

    (void)state;
    sys_env_init(&env);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(sys_loop_start(&env, &l, &net, NULL), TAKO_OK);
        assert_int_equal(sys_loop_call(l, start_and_abandon, l), TAKO_OK);
        sys_loop_stop(l); /* while some of them run */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup__a_name_becomes_an_address_with_its_port),
        cmocka_unit_test(test_lookup__abandoned_ones_end_on_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
