// SPDX-License-Identifier: Apache-2.0
/* tako_sim.h -- an app's own logic in tako's simulator: libtako_sim.
 *
 * The devices of a simulation run the same code as libtako, on virtual time,
 * with disks, clocks and a network of the simulator's, in one thread of one
 * process. One seed, one course of events: what failed with seed 17 fails with
 * seed 17. A minute of five devices takes some hundredths of a second.
 *
 * An app hands over functions that run on a device at times of its choice and
 * execute statements there, as the app on that device would; between them time
 * passes, the network is cut, devices die. examples/sim_kitchens.c is a whole
 * program; docs/sim.md has the simulator itself, and scenarios as text.
 *
 * RULES. As in tako.h: functions return tako_err; strings are copied; *out is
 * untouched on failure; tako_sim_error() has the detail of the last failure.
 * Everything happens inside tako_sim_run() and tako_sim_settle(), from which
 * the app's functions are called; those may call anything but these two and
 * tako_sim_close(). Not for several threads. This header may change in minor
 * releases. */
#ifndef TAKO_SIM_H
#define TAKO_SIM_H

#include <stddef.h>
#include <stdint.h>

#include "tako/tako_err.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TAKO_SIM_API
#define TAKO_SIM_API __attribute__((visibility("default")))
#endif

typedef struct tako_sim tako_sim;

/* A device; ids count from 0, in the order of adding. */
typedef struct tako_sim_device {
    uint32_t id;
} tako_sim_device;

TAKO_SIM_API tako_err tako_sim_open(uint64_t seed, tako_sim **out);
TAKO_SIM_API void tako_sim_close(tako_sim *sim);
/* Detail of the last failure, "" for none; never NULL. */
TAKO_SIM_API const char *tako_sim_error(const tako_sim *sim);

/* ---- devices and links ------------------------------------------------------ */

/* A device that is on from now. TAKO_EXISTS (the name), TAKO_LIMIT (63) */
TAKO_SIM_API tako_err tako_sim_add(tako_sim *sim, const char *name,
                                   tako_sim_device *out);
/* TAKO_INVALID: not a subscription. TAKO_LIMIT (8) */
TAKO_SIM_API tako_err tako_sim_subscribe(tako_sim *sim, tako_sim_device d,
                                         const char *statement);

typedef struct tako_sim_link {
    size_t size; /* = sizeof(tako_sim_link) */
    uint32_t latency_ms, jitter_ms;
    uint64_t bytes_per_s; /* 0: no limit */
    uint32_t loss_ppm;    /* of segments, in parts per million */
} tako_sim_link;
#define TAKO_SIM_LINK_INIT                                                     \
    {                                                                          \
        sizeof(tako_sim_link), 2, 1, 0, 0                                      \
    }

/* `a` dials `b`. opts NULL: the usual link. TAKO_EXISTS, TAKO_LIMIT */
TAKO_SIM_API tako_err tako_sim_connect(tako_sim *sim, tako_sim_device a,
                                       tako_sim_device b,
                                       const tako_sim_link *opts);

/* ---- what goes wrong ---------------------------------------------------------- */

/* The link says nothing until it is mended. TAKO_NOTFOUND: no such link */
TAKO_SIM_API tako_err tako_sim_cut(tako_sim *sim, tako_sim_device a,
                                   tako_sim_device b);
TAKO_SIM_API tako_err tako_sim_mend(tako_sim *sim, tako_sim_device a,
                                    tako_sim_device b);
/* Kills the process; or takes the power away, and with it what was not
 * synced. The device is back after off_ms (0: never). */
TAKO_SIM_API tako_err tako_sim_kill(tako_sim *sim, tako_sim_device d,
                                    uint32_t off_ms);
TAKO_SIM_API tako_err tako_sim_power(tako_sim *sim, tako_sim_device d,
                                     uint32_t off_ms);
/* Its wall clock is wrong by so much from now on. */
TAKO_SIM_API tako_err tako_sim_clock(tako_sim *sim, tako_sim_device d,
                                     int64_t ms);

/* ---- the app ---------------------------------------------------------------------- */

typedef void tako_sim_fn(tako_sim *sim, tako_sim_device d, void *ctx);

/* Calls fn at virtual time at_ms, once; or every so often, for ever, for the
 * first time after one period. Not while the device is off. */
TAKO_SIM_API tako_err tako_sim_at(tako_sim *sim, tako_sim_device d,
                                  uint64_t at_ms, tako_sim_fn *fn, void *ctx);
TAKO_SIM_API tako_err tako_sim_every(tako_sim *sim, tako_sim_device d,
                                     uint32_t period_ms, tako_sim_fn *fn,
                                     void *ctx);

/* Runs statements (not SELECT) on a device, as one transaction. *touched, when
 * not NULL, is the number of documents. TAKO_CLOSED: the device is off;
 * otherwise as tako_execute() of tako.h. */
TAKO_SIM_API tako_err tako_sim_execute(tako_sim *sim, tako_sim_device d,
                                       const char *const *statements,
                                       size_t count, uint64_t *touched);

/* One row as a JSON object of len bytes, NUL-terminated. */
typedef void tako_sim_row_fn(void *ctx, const char *json, size_t len);
TAKO_SIM_API tako_err tako_sim_select(tako_sim *sim, tako_sim_device d,
                                      const char *statement,
                                      tako_sim_row_fn *row, void *ctx);

/* Virtual milliseconds since the start; a random number below n, the seed's. */
TAKO_SIM_API uint64_t tako_sim_now(const tako_sim *sim);
TAKO_SIM_API uint64_t tako_sim_random(tako_sim *sim, uint64_t n);

/* ---- time ---------------------------------------------------------------------------- */

/* Lets ms pass. TAKO_CORRUPT: what must hold in any world does not (memory
 * that is not given back, a damaged database, ...): a bug of tako's. */
TAKO_SIM_API tako_err tako_sim_run(tako_sim *sim, uint64_t ms);
/* Mends every link, starts every device, and lets time pass until all that
 * subscribe to the same have the same documents. TAKO_TIMEOUT: they have not
 * after ms; the detail says who differs. */
TAKO_SIM_API tako_err tako_sim_settle(tako_sim *sim, uint64_t ms);

/* A hash of everything that happened: the same for the same seed. */
TAKO_SIM_API uint64_t tako_sim_trace(const tako_sim *sim);
/* The log, line by line; NULL: none. */
TAKO_SIM_API void tako_sim_log(tako_sim *sim,
                               void (*line)(void *ctx, const char *line),
                               void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* TAKO_SIM_H */
