// SPDX-License-Identifier: Apache-2.0
/* NET -- links between nodes, and the streams that nodes open over them.
 *
 * The shipping node speaks byte streams, so a link's faults reach it as they
 * would through TCP: a lost segment is sent again later and holds back what
 * comes after it, a duplicate costs bandwidth, one out of order waits for the
 * one before; many losses in a row, a reset, a peer that lost power, end the
 * stream with what was in flight. A cut link says nothing at all until
 * somebody's patience ends. A corrupted segment arrives.
 *
 * A node's address is tcp://NAME:7400; it can be dialled where a link to it
 * exists. */
#ifndef TAKO_SIM_NET_H
#define TAKO_SIM_NET_H

#include "sim/world.h"

#define SIM_LINKS_MAX       2048u
#define SIM_PORT            7400
#define SIM_WINDOW_BYTES    (64u << 10) /* sent and not acknowledged */
#define SIM_RESENDS_MAX     7u          /* then the stream is reset */
#define SIM_RESEND_MS       200u
#define SIM_DIAL_TIMEOUT_MS 10000u
#define SIM_FLUSH_MS        1000u

typedef struct sim_link_kind {
    uint64_t latency_us, jitter_us;
    uint64_t bytes_per_s; /* 0: no limit */
    uint32_t mtu;
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm;
} sim_link_kind;

typedef struct sim_link {
    struct sim_link *next;
    sim_node *end[2]; /* 0 dials 1 */
    sim_link_kind kind;
    /* [0]: what 0 sends to 1. Counted: several faults may cut at once. */
    unsigned cut[2];
    uint64_t free_us[2]; /* the wire is busy until */
    uint64_t bytes[2], segments[2], resent[2], duplicated[2], dials, resets;
} sim_link;

sim_net *sim_net_new(sim_world *w);
void sim_net_free(sim_net *net);

sim_link *sim_link_add(sim_world *w, sim_node *from, sim_node *to,
                       const sim_link_kind *kind);
sim_link *sim_link_find(sim_world *w, const sim_node *a, const sim_node *b);
sim_link *sim_links(sim_world *w);
/* direction 0, 1, or 2: both. Every cut needs its mend. */
void sim_link_cut(sim_link *l, unsigned direction);
void sim_link_mend(sim_link *l, unsigned direction);
bool sim_link_is_cut(const sim_link *l);
/* All streams over it end now, with what is in flight. */
void sim_link_reset(sim_link *l);

/* The tako_net of one node. */
void sim_net_init(sim_node *n, tako_net *out);
/* A node's run ends: its streams tell its code (already without effect) that
 * they are closed, and its peers at once (a kill) or not at all (power). */
void sim_net_end(sim_node *n, bool tell_peers);
/* What waits in the longest queue of a node. */
size_t sim_net_queued_max(const sim_node *n);
/* The address of a node, and where it dials: sim_node_start() dials all. */
void sim_net_address(const sim_node *n, char out[TAKO_ADDRESS_BYTES_MAX]);
tako_err sim_net_dial_all(sim_node *n, tako_errbuf *e);

#endif /* TAKO_SIM_NET_H */
