// SPDX-License-Identifier: Apache-2.0
/* LOG -- events of the core, handed to the program's own function. */
#ifndef TAKO_OBS_LOG_H
#define TAKO_OBS_LOG_H

#include "base/env.h"
#include "tako/tako.h"

typedef struct obs_log {
    tako_env inner;
    tako_log_fn *fn; /* NULL: silence */
    void *ctx;
} obs_log;

/* Fills `out` with inner's functions and a log that calls fn(ctx, ...).
 * `log` must outlive `out` and what was given it. */
void obs_log_env(obs_log *log, const tako_env *inner, tako_log_fn *fn,
                 void *ctx, tako_env *out);

#endif /* TAKO_OBS_LOG_H */
