// SPDX-License-Identifier: Apache-2.0
/* CHECK -- four words for "this should not happen"; never bare assert().
 *
 *   TAKO_ASSERT(x)   our own bug if false. Stays on in release: stopping is
 *                    better than handing a wrong document to peers.
 *   TAKO_DCHECK(x)   the same, too slow to leave on (walks a structure).
 *   TAKO_ARG(x)      the embedding program's bug: returns TAKO_MISUSE.
 *   if (!x) return   the world's fault (disk, peer, user data): never an
 *                    assertion, remote bytes must not kill us. */
#ifndef TAKO_BASE_CHECK_H
#define TAKO_BASE_CHECK_H

_Noreturn void tako_panic(const char *expr, const char *file, int line);

#define TAKO_ASSERT(x) ((x) ? (void)0 : tako_panic(#x, __FILE__, __LINE__))
#ifdef TAKO_DEBUG
#define TAKO_DCHECK(x) TAKO_ASSERT(x)
#else
#define TAKO_DCHECK(x) ((void)sizeof(x))
#endif
#define TAKO_ARG(x)                                                            \
    do {                                                                       \
        if (!(x))                                                              \
            return TAKO_MISUSE;                                                \
    } while (0)

#endif /* TAKO_BASE_CHECK_H */
