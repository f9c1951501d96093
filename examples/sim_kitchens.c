// SPDX-License-Identifier: Apache-2.0
/* SIM_KITCHENS -- an app's own logic in the simulator. Two tills take orders,
 * three kitchens claim and cook them, links are cut, devices are killed. The
 * app's own promise is checked: every order that a till took is cooked in the
 * end. How many were cooked twice, by kitchens that did not see each other, is
 * what its makers want to know.   sim_kitchens [SEED] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tako/tako_sim.h"

enum { TILLS = 2, DEVICES = 5, EVENING_MS = 60000 };

static const char *const names[DEVICES] = { "till-1", "till-2", "grill", "wok",
                                            "sushi" };

typedef struct evening {
    unsigned taken, cooked, twice;
} evening;

static void must(tako_sim *sim, tako_err err)
{
    if (err == TAKO_OK)
        return;
    printf("%s: %s\n", tako_err_name(err), tako_sim_error(sim));
    exit(1);
}

static void take_order(tako_sim *sim, tako_sim_device till, void *ctx)
{
    char text[160];
    const char *statement = text;

    if (tako_sim_now(sim) > EVENING_MS)
        return;
    snprintf(text, sizeof text,
             "INSERT INTO orders DOCUMENTS ({'_id': '%s-%llu', 's': 'open'})",
             names[till.id], (unsigned long long)tako_sim_now(sim));
    must(sim, tako_sim_execute(sim, till, &statement, 1, NULL));
    ((evening *)ctx)->taken++;
}

/* Cooks what it claimed a turn ago and still holds (a claim that lost against
 * another kitchen's shows the other's name), then claims what is open. */
static void cook(tako_sim *sim, tako_sim_device kitchen, void *ctx)
{
    char serve[160], claim[160];
    const char *statements[] = { serve, claim };

    (void)ctx;
    snprintf(serve, sizeof serve,
             "UPDATE orders APPLY cooked INCREMENT BY 1 SET s = 'done' "
             "WHERE s = 'claimed' AND who = '%s'",
             names[kitchen.id]);
    snprintf(claim, sizeof claim,
             "UPDATE orders SET s = 'claimed', who = '%s' WHERE s = 'open'",
             names[kitchen.id]);
    must(sim, tako_sim_execute(sim, kitchen, statements, 2, NULL));
}

/* Cuts a link of the device for good, or kills it for three seconds. */
static void storm(tako_sim *sim, tako_sim_device d, void *ctx)
{
    tako_sim_device other = { (uint32_t)tako_sim_random(sim, DEVICES) };

    (void)ctx;
    if (other.id == d.id)
        must(sim, tako_sim_kill(sim, d, 3000));
    else
        must(sim, tako_sim_cut(sim, d, other));
}

static void count(void *ctx, const char *json, size_t len)
{
    evening *e = ctx;

    (void)len;
    e->cooked += strstr(json, "\"s\":\"done\"") != NULL;
    e->twice += strstr(json, "\"cooked\":1") == NULL;
}

static uint64_t run(uint64_t seed)
{
    tako_sim_device d[DEVICES];
    tako_sim *sim = NULL;
    evening e = { 0, 0, 0 };
    uint64_t trace;

    must(NULL, tako_sim_open(seed, &sim));
    for (uint32_t i = 0; i < DEVICES; i++) {
        must(sim, tako_sim_add(sim, names[i], &d[i]));
        must(sim, tako_sim_subscribe(sim, d[i], "SELECT * FROM orders"));
        must(sim, tako_sim_every(sim, d[i], i < TILLS ? 700 : 1500 + 100 * i,
                                 i < TILLS ? take_order : cook, &e));
        must(sim, tako_sim_every(sim, d[i], 20000 + 1000 * i, storm, NULL));
        for (uint32_t j = 0; j < i; j++)
            must(sim, tako_sim_connect(sim, d[i], d[j], NULL));
    }
    must(sim, tako_sim_run(sim, EVENING_MS));
    must(sim, tako_sim_settle(sim, 120000)); /* all links mended */
    must(sim, tako_sim_run(sim, 10000));     /* the last are cooked */
    must(sim, tako_sim_settle(sim, 120000));
    must(sim, tako_sim_select(sim, d[3], "SELECT * FROM orders", count, &e));
    trace = tako_sim_trace(sim);
    printf("seed %llu: %u orders, %u cooked, %u of them more than once\n",
           (unsigned long long)seed, e.taken, e.cooked, e.twice);
    tako_sim_close(sim);
    if (e.cooked != e.taken)
        exit(1);
    return trace;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t last = argc > 1 ? first : 10;

    for (uint64_t seed = first; seed <= last; seed++)
        (void)run(seed);
    return run(first) == run(first) ? 0 : 1; /* one seed, one course */
}
