// SPDX-License-Identifier: Apache-2.0
/* Random histories, also run by an independent model (model.py). With an
 * argument the histories are printed instead: `test_crdt_model 100`. */
#include "crdt/support_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "codec/json.h"

#define HISTORIES 2000u
#define STEPS     18u

static void put_dump(world *w, FILE *out, unsigned r)
{
    tako_buf dump = tako_buf_on(&w->t.env);
    tako_buf text = tako_buf_on(&w->t.env);

    world_dump(w->doc[r], &dump);
    json_put_string(&text, tako_buf_slice(&dump));
    (void)fprintf(out, ",\"dump\":%s}\n", tako_buf_cstr(&text));
    tako_buf_fini(&dump);
    tako_buf_fini(&text);
}

static void print_history(world *w, FILE *out)
{
    unsigned replicas = 2 + (unsigned)test_below(&w->t, 3);

    world_clear(w);
    (void)fprintf(out, "{\"do\":\"new\"}\n");
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned r = (unsigned)test_below(&w->t, replicas);
        unsigned from = (unsigned)test_below(&w->t, replicas);

        /* The first write is known to all, most of the time. */
        if (i > 0 && i < replicas && test_below(&w->t, 4) != 0) {
            r = i;
            from = 0;
        }
        if (i == 0)
            r = 0;
        if (i > 0 && from != r && (i < replicas || test_below(&w->t, 3) == 0)) {
            if (test_below(&w->t, 2) == 0)
                (void)world_merge(w, r, from);
            else
                (void)world_delta(w, r, from);
            (void)fprintf(out, "{\"do\":\"merge\",\"r\":%u,\"from\":%u", r,
                          from);
        } else {
            world_random_write(w, r);
            (void)fprintf(out, "{\"do\":\"write\",\"r\":%u,%s", r,
                          tako_buf_cstr(&w->text));
        }
        w->doc[r] = world_copy(w, w->doc[r]);
        put_dump(w, out, r);
    }
}

static void print_histories(FILE *out, uint64_t seed, unsigned count)
{
    world w;

    world_init(&w, seed);
    w.rare = 24;
    for (unsigned i = 0; i < count; i++)
        print_history(&w, out);
    world_fini(&w);
}

static void test_model__agrees_on_random_histories(void **state)
{
    FILE *model = popen("python3 " TAKO_SOURCE_DIR "/tests/crdt/model.py", "w");
    uint64_t seed = test_seed(20264);
    int status;

    (void)state;
    assert_non_null(model);
    print_histories(model, seed, HISTORIES);
    status = pclose(model);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__agrees_on_random_histories),
    };

    if (argc > 1) {
        print_histories(stdout, test_seed(20264),
                        (unsigned)strtoul(argv[1], NULL, 10));
        return 0;
    }
    return cmocka_run_group_tests_name("crdt/model", tests, NULL, NULL);
}
