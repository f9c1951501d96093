// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_address.c mirrors src/sys/address.c. */
#include "support/test_env.h"

#include <string.h>

#include "sys/loop.h"

static void test_address__the_table_of_texts(void **state)
{
    static const struct {
        const char *text;
        tako_err want;
        const char *host;
        unsigned port;
        bool numeric;
    } rows[] = {
        { "tcp://127.0.0.1:80", TAKO_OK, "127.0.0.1", 80, true },
        { "tcp://[::1]:0", TAKO_OK, "::1", 0, true },
        { "tcp://[fe80::1%lo]:9", TAKO_OK, "fe80::1%lo", 9, true },
        { "tcp://hub.example.org:65535", TAKO_OK, "hub.example.org", 65535,
          false },
        { "tcp://localhost:1", TAKO_OK, "localhost", 1, false },
        { "tcp://1.2.3:1", TAKO_OK, "1.2.3", 1, false },
        { "", TAKO_INVALID, "", 0, false },
        { "tcp://", TAKO_INVALID, "", 0, false },
        { "tcp://:80", TAKO_INVALID, "", 0, false },
        { "tcp://a", TAKO_INVALID, "", 0, false },
        { "tcp://a:", TAKO_INVALID, "", 0, false },
        { "tcp://a:65536", TAKO_INVALID, "", 0, false },
        { "tcp://a:99999999999999999999", TAKO_INVALID, "", 0, false },
        { "tcp://a:1x", TAKO_INVALID, "", 0, false },
        { "tcp://a:-1", TAKO_INVALID, "", 0, false },
        { "tcp://a b:1", TAKO_INVALID, "", 0, false },
        { "tcp://a/b:1", TAKO_INVALID, "", 0, false },
        { "tcp://::1:1", TAKO_INVALID, "", 0, false },
        { "tcp://[::1]", TAKO_INVALID, "", 0, false },
        { "tcp://[::1]x:1", TAKO_INVALID, "", 0, false },
        { "tcp://[]:1", TAKO_INVALID, "", 0, false },
        { "tcp://[127.0.0.1]:1", TAKO_INVALID, "", 0, false },
        { "udp://127.0.0.1:1", TAKO_INVALID, "", 0, false },
        { "127.0.0.1:1", TAKO_INVALID, "", 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sys_address a;
        tako_errbuf e = { "" };

        assert_int_equal(address_parse(rows[i].text, &a, &e), rows[i].want);
        if (rows[i].want != TAKO_OK) {
            assert_true(strlen(e.text) > 0);
            continue;
        }
        assert_string_equal(a.host, rows[i].host);
        assert_int_equal(a.port, rows[i].port);
        assert_int_equal(a.numeric, rows[i].numeric);
    }
}

static void test_address__too_long_is_refused(void **state)
{
    char text[400];
    sys_address a;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "tcp://", 6);
    memcpy(text + sizeof text - 4, ":80", 4);
    assert_int_equal(address_parse(text, &a, NULL), TAKO_INVALID);
}

static void test_address__numbers_print_as_they_were_read(void **state)
{
    static const char *const texts[] = { "tcp://127.0.0.1:80",
                                         "tcp://255.255.255.255:65535",
                                         "tcp://[::1]:0",
                                         "tcp://[2001:db8::7]:4443" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        sys_address a;
        char out[TAKO_ADDRESS_BYTES_MAX];

        assert_int_equal(address_parse(texts[i], &a, NULL), TAKO_OK);
        address_print(&a.ip, out);
        assert_string_equal(out, texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address__the_table_of_texts),
        cmocka_unit_test(test_address__too_long_is_refused),
        cmocka_unit_test(test_address__numbers_print_as_they_were_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
