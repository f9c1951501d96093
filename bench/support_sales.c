// SPDX-License-Identifier: Apache-2.0
#include "support_sales.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS         30u
#define DAY_MS       86400000u
#define OPEN_MS      39600000u      /* 11:00 */
#define OPEN_FOR_MS  43200000u      /* until 23:00 */
#define FIRST_DAY_MS 1793491200000u /* 2026-11-01 */

typedef struct dish {
    const char *id, *name, *category, *station;
    unsigned cents;
} dish;

static const dish dishes[] = {
    { "tac01", "tacos al pastor", "taco", "grill", 390 },
    { "tac02", "tacos de carnitas", "taco", "grill", 420 },
    { "tac03", "tacos de pescado", "taco", "grill", 480 },
    { "tac04", "tacos de nopal", "taco", "grill", 350 },
    { "tac05", "tacos de lengua", "taco", "grill", 450 },
    { "tac06", "tacos dorados", "taco", "oven", 380 },
    { "tac07", "gringa", "taco", "grill", 560 },
    { "tac08", "volcan", "taco", "oven", 520 },
    { "sta01", "guacamole", "starter", "cold", 750 },
    { "sta02", "ceviche", "starter", "cold", 1190 },
    { "sta03", "aguachile", "starter", "cold", 1250 },
    { "sta04", "esquites", "starter", "grill", 550 },
    { "sta05", "queso fundido", "starter", "oven", 890 },
    { "sta06", "sopa de tortilla", "starter", "oven", 690 },
    { "sta07", "nachos", "starter", "oven", 820 },
    { "sta08", "ensalada de nopal", "starter", "cold", 640 },
    { "mai01", "mole poblano", "main", "oven", 1490 },
    { "mai02", "cochinita pibil", "main", "oven", 1520 },
    { "mai03", "enchiladas verdes", "main", "oven", 1290 },
    { "mai04", "chile relleno", "main", "oven", 1350 },
    { "mai05", "arrachera", "main", "grill", 1550 },
    { "mai06", "pollo asado", "main", "grill", 1180 },
    { "mai07", "pescado zarandeado", "main", "grill", 1540 },
    { "mai08", "quesadillas", "main", "grill", 980 },
    { "mai09", "burrito", "main", "grill", 1090 },
    { "mai10", "tostadas de atun", "main", "cold", 1230 },
    { "des01", "flan", "dessert", "cold", 520 },
    { "des02", "churros", "dessert", "oven", 580 },
    { "des03", "tres leches", "dessert", "cold", 640 },
    { "des04", "arroz con leche", "dessert", "cold", 480 },
    { "des05", "paletas", "dessert", "cold", 390 },
    { "dri01", "horchata", "drink", "bar", 380 },
    { "dri02", "jamaica", "drink", "bar", 370 },
    { "dri03", "tamarindo", "drink", "bar", 370 },
    { "dri04", "michelada", "drink", "bar", 720 },
    { "dri05", "margarita", "drink", "bar", 980 },
    { "dri06", "paloma", "drink", "bar", 940 },
    { "dri07", "mezcal", "drink", "bar", 1100 },
    { "dri08", "cafe de olla", "drink", "bar", 360 },
    { "dri09", "agua mineral", "drink", "bar", 350 },
};
static const char *const states[] = { "open", "cooking", "ready", "served",
                                      "paid" };
static const char *const kitchens[] = { "grill", "cold", "bar", "oven" };
static const char *const servers[] = { "Ana",   "Bruno", "Carmen", "Diego",
                                       "Elena", "Fidel", "Gloria", "Hugo",
                                       "Ines",  "Jorge", "Karla",  "Luis" };

#define COUNT(list)   (sizeof(list) / sizeof((list)[0]))
#define PICK(list, r) ((list)[(r) % COUNT(list)])

static void work_make(bench_work *w, size_t count)
{
    *w = (bench_work){ .count = count };
    w->orders = calloc(count, sizeof *w->orders);
    bench_need(w->orders != NULL, "memory", NULL);
}

static void keep(bench_work *w, size_t index, const char *json)
{
    w->orders[index].json = strdup(json);
    bench_need(w->orders[index].json != NULL, "memory", NULL);
    w->json_bytes += (double)strlen(json) / (double)w->count;
}

/* Writes the items, all different dishes; *cents: what they cost together. */
static int put_items(char *text, size_t cap, uint64_t *seed, unsigned *cents)
{
    size_t items = 2 + bench_random(seed) % 2;
    size_t at = bench_random(seed);
    int n = 0;

    *cents = 0;
    for (size_t i = 0; i < items; i++) {
        const dish *d = &PICK(dishes, at);
        unsigned qty = 1 + (unsigned)(bench_random(seed) % 4);

        *cents += qty * d->cents;
        n += snprintf(text + n, cap - (size_t)n,
                      "%s\"%s\":{\"name\":\"%s\",\"qty\":%u,\"cents\":%u}",
                      i > 0 ? "," : "", d->id, d->name, qty, d->cents);
        /* Three steps of at most 13 never come round to the same dish. */
        at = at % COUNT(dishes) + 1 + bench_random(seed) % 13;
    }
    return n;
}

static void order_make(bench_work *w, size_t index, uint64_t *seed)
{
    uint64_t since = DAYS * (uint64_t)OPEN_FOR_MS * index / w->count;
    uint64_t day = since / OPEN_FOR_MS;
    uint64_t ms = OPEN_MS + since % OPEN_FOR_MS; /* of the day */
    bench_order *o = &w->orders[index];
    const char *status = PICK(states, bench_random(seed));
    unsigned cents;
    char text[640];
    int n;

    bench_ulid(FIRST_DAY_MS + day * DAY_MS + ms, seed, o->id);
    n = snprintf(text, sizeof text,
                 "{\"_id\":\"%s\",\"table\":%u,\"status\":\"%s\","
                 "\"kitchen\":\"%s\",\"server\":\"%s\",\"items\":{",
                 o->id, (unsigned)(bench_random(seed) % BENCH_TABLES), status,
                 PICK(kitchens, bench_random(seed)),
                 PICK(servers, bench_random(seed)));
    n += put_items(text + n, sizeof text - (size_t)n, seed, &cents);
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "},\"total\":%u.%02u,\"createdAt\":\"2026-11-%02uT%02u:%02u:"
                  "%02u.%03uZ\"",
                  cents / 100, cents % 100, (unsigned)day + 1,
                  (unsigned)(ms / 3600000u), (unsigned)(ms / 60000u % 60),
                  (unsigned)(ms / 1000u % 60), (unsigned)(ms % 1000u));
    if (strcmp(status, "paid") == 0 && bench_random(seed) % 2 == 0)
        n += snprintf(text + n, sizeof text - (size_t)n, ",\"tip\":%u.%02u",
                      cents / 1000, cents / 10 % 100);
    (void)snprintf(text + n, sizeof text - (size_t)n, "}");
    keep(w, index, text);
}

void bench_sales_orders(bench_work *w, size_t count, uint64_t seed)
{
    work_make(w, count);
    for (size_t i = 0; i < count; i++)
        order_make(w, i, &seed);
}

void bench_sales_menu(bench_work *w)
{
    work_make(w, COUNT(dishes));
    for (size_t i = 0; i < COUNT(dishes); i++) {
        const dish *d = &dishes[i];
        char text[256];

        (void)snprintf(w->orders[i].id, sizeof w->orders[i].id, "%s", d->id);
        (void)snprintf(text, sizeof text,
                       "{\"_id\":\"%s\",\"name\":\"%s\",\"category\":\"%s\","
                       "\"station\":\"%s\",\"price\":%u.%02u,"
                       "\"vegetarian\":%s}",
                       d->id, d->name, d->category, d->station, d->cents / 100,
                       d->cents % 100, i % 3 == 0 ? "true" : "false");
        keep(w, i, text);
    }
}
