// SPDX-License-Identifier: Apache-2.0
/* PAIR -- a dialler and an accepter joined in memory. */
#ifndef TAKO_TESTS_PAIR_H
#define TAKO_TESTS_PAIR_H

#include "support/test_env.h"

#include "base/buf.h"
#include "mesh/link.h"

#define PAIR_LOG_MAX 4096

typedef struct pair_end {
    mesh_link *link;
    mesh_context *context;
    sec_identity identity;
    sec_mesh mesh;
    tako_buf grant;
    int ups;
    mesh_peer peer;
    tako_err err; /* first failure */
    tako_errbuf e;
    tako_buf wire; /* bytes this end has put out, not yet taken */
    /* what arrived */
    size_t count, bytes;
    uint64_t sum[MESH_LANES];
    struct {
        mesh_lane lane;
        size_t len;
        uint8_t first;
    } log[PAIR_LOG_MAX];
    bool echo;
    tako_buf last;
} pair_end;

typedef struct pair {
    test_env *t;
    pair_end end[2]; /* 0 the dialler, 1 the accepter */
    size_t chunk;    /* bytes per recv, 0: all */
    size_t budget;   /* per output */
} pair;

extern const char *const pair_secret;

/* Two devices "ann" and "bob" of the mesh of pair_secret, and their links. */
tako_err pair_init(pair *p, test_env *t);
/* In two steps, to change identities or grants between them. */
tako_err pair_init_ends(pair *p, test_env *t);
tako_err pair_init_links(pair *p);
tako_err pair_grant(pair_end *x, const char *subject, uint64_t issued_ms,
                    uint64_t expires_ms);
void pair_fini(pair *p);

/* Moves bytes both ways until nothing moves. The first error of each end is
 * kept in it. Returns whether anything moved. */
bool pair_pump(pair *p);
/* One output of one end, all of it given to the other. */
bool pair_step(pair *p, int from);
/* Both up, or the test fails. */
void pair_connect(pair *p);

/* n bytes that differ by position and seed. */
void pair_fill(uint8_t *out, size_t n, uint64_t seed);

#endif /* TAKO_TESTS_PAIR_H */
