// SPDX-License-Identifier: Apache-2.0
/* ENV -- everything nondeterministic enters the core through this struct.
 *
 * The core never calls malloc, time(), rand() or a socket itself: production
 * fills the struct from sys/, tests from worlds of their own.
 * The struct must outlive everything that was given it. */
#ifndef TAKO_BASE_ENV_H
#define TAKO_BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

typedef enum tako_log_level {
    TAKO_LOG_ERROR,
    TAKO_LOG_WARN,
    TAKO_LOG_INFO,
    TAKO_LOG_DEBUG,
} tako_log_level;

typedef struct tako_env {
    void *ctx;

    /* Grows, shrinks or frees (new_size == 0, returns NULL). ptr may be NULL
     * with old_size 0. NULL for new_size > 0 means out of memory, and the old
     * block is untouched. May be called from any thread. */
    void *(*realloc)(void *ctx, void *ptr, size_t old_size, size_t new_size);

    /* Milliseconds since the Unix epoch. May jump; only hybrid logical
     * clocks and what is shown to people may use it. */
    uint64_t (*wall_ms)(void *ctx);

    /* Milliseconds from an arbitrary start, never going back. All time-outs
     * are computed from it. */
    uint64_t (*mono_ms)(void *ctx);

    /* Fills buf with unpredictable bytes; cannot fail. */
    void (*random)(void *ctx, void *buf, size_t len);

    /* One event. `fields` is the inside of a JSON object without braces
     * ("\"peer\":\"a\",\"n\":3") or "". NULL function: nothing is logged. */
    void (*log)(void *ctx, tako_log_level level, const char *event,
                const char *fields);
} tako_env;

/* Zeroed memory of n > 0 bytes, or NULL. */
void *tako_env_alloc(const tako_env *env, size_t n);

/* Frees a block of n bytes; NULL is a no-op. */
void tako_env_free(const tako_env *env, void *ptr, size_t n);

/* Logs `event` with printf-formatted JSON fields (the inside of an object).
 * Strings from outside must be escaped by the caller with tako_log_str().
 * Of more than 1023 bytes the last fields are left out, for "cut":true. */
void tako_log(const tako_env *env, tako_log_level level, const char *event,
              const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Copies `text` into out (cap bytes) as a quoted JSON string, cut where too
 * long; bytes outside printable ASCII become '?'. Returns out. */
const char *tako_log_str(const char *text, char *out, size_t cap);

#endif /* TAKO_BASE_ENV_H */
