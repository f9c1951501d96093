// SPDX-License-Identifier: Apache-2.0
/* tako_err.h -- every error code of tako, in one list: number, name, message
 * and whether the same call may succeed later unchanged. Included by tako.h;
 * programs need not include it themselves. */
#ifndef TAKO_ERR_H
#define TAKO_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TAKO_API
#define TAKO_API __attribute__((visibility("default")))
#endif

/* X(name, number, retryable, message) */
#define TAKO_ERR_MAP(X)                                                        \
    X(OK, 0, 0, "success")                                                     \
    X(NOMEM, -1, 1, "out of memory")                                           \
    X(NOTFOUND, -2, 0, "not found")                                            \
    X(EXISTS, -3, 0, "already exists")                                         \
    X(CORRUPT, -4, 0, "stored or received data is malformed")                  \
    X(INVALID, -5, 0, "the input is not valid")                                \
    X(LIMIT, -6, 0, "a documented limit was reached")                          \
    X(DENIED, -7, 0, "permission refused")                                     \
    X(UNREACH, -8, 1, "no link to the peer right now")                         \
    X(BUSY, -9, 1, "the database is in use")                                   \
    X(IO, -10, 1, "reading or writing failed")                                 \
    X(FULL, -11, 1, "the disk is full")                                        \
    X(MISUSE, -12, 0, "the interface was used wrongly")                        \
    X(UNSUPPORTED, -13, 0, "made by a newer version, or not supported here")   \
    X(CANCELED, -14, 1, "cancelled")                                           \
    X(TIMEOUT, -15, 1, "the time allowed ran out")                             \
    X(CLOSED, -16, 0, "closed")

typedef enum tako_err {
#define TAKO_ERR_ENUM(name, num, retry, msg) TAKO_##name = (num),
    TAKO_ERR_MAP(TAKO_ERR_ENUM)
#undef TAKO_ERR_ENUM
} tako_err;

/* The general meaning of a code; never NULL. */
TAKO_API const char *tako_err_message(tako_err code);

/* The name of a code, as "TAKO_BUSY"; never NULL. */
TAKO_API const char *tako_err_name(tako_err code);

/* 1 when the same call may succeed later without any change. */
TAKO_API int tako_err_is_transient(tako_err code);

#ifdef __cplusplus
}
#endif

#endif /* TAKO_ERR_H */
