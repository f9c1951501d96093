// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_SALES -- a month of a restaurant for analytics: orders and the menu.
 *
 * An order is one of W (support_bench.h) with what questions about a business
 * need: items are keyed by the dish's _id on the menu, there is a server, half
 * of the paid orders have a tip (the others lack the field), and createdAt
 * runs over the 30 days of a month, 11:00 to 23:00. About 290 bytes of JSON.
 * The same seed gives the same bytes. */
#ifndef TAKO_BENCH_SUPPORT_SALES_H
#define TAKO_BENCH_SUPPORT_SALES_H

#include "support_bench.h"

/* Freed by bench_work_free. */
void bench_sales_orders(bench_work *w, size_t count, uint64_t seed);
/* 40 dishes: _id, name, category, station, price, vegetarian. */
void bench_sales_menu(bench_work *w);

#endif /* TAKO_BENCH_SUPPORT_SALES_H */
