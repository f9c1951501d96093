// SPDX-License-Identifier: Apache-2.0
/* PEERS -- addresses that are dialled, and dialled again.
 *
 * After a failure the next try waits a random time that grows to
 * MESH_BACKOFF_MAX_MS; a link that was up for NODE_STABLE_MS starts that over.
 * An address whose device is linked already (it dialled us) is left alone
 * until that link goes. */
#include "node/internal.h"

node_link *node_link_to(const node *n, const uint8_t device[32],
                        const node_link *except)
{
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l != except && l->state == NODE_UP && l->failed == TAKO_OK &&
            memcmp(l->who.device, device, SEC_KEY_BYTES) == 0)
            return l;
    return NULL;
}

static node_peer **peer_at(node *n, const char *address)
{
    node_peer **at = &n->peers;

    while (*at != NULL && strcmp((*at)->address, address) != 0)
        at = &(*at)->next;
    return at;
}

/* Only the form is checked here; names are looked up when dialling. */
static bool is_address(const char *address)
{
    static const char scheme[] = "tcp://";
    const char *port;

    if (address == NULL || strlen(address) >= TAKO_ADDRESS_BYTES_MAX ||
        strncmp(address, scheme, sizeof scheme - 1) != 0)
        return false;
    port = strrchr(address + sizeof scheme - 1, ':');
    return port != NULL && port != address + sizeof scheme - 1 &&
           port[1] != '\0' &&
           strspn(port + 1, "0123456789") == strlen(port + 1);
}

tako_err node_peer_add(node *n, const char *address, tako_errbuf *e)
{
    node_peer *p;

    if (!is_address(address))
        return tako_fail(e, TAKO_INVALID,
                         "'%.80s' is not an address: tcp://HOST:PORT expected",
                         address != NULL ? address : "");
    if (*peer_at(n, address) != NULL)
        return tako_fail(e, TAKO_EXISTS, "%s is dialled already", address);
    if (n->peer_count >= NODE_PEERS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u peers", NODE_PEERS_MAX);
    p = tako_env_alloc(n->env, sizeof *p);
    if (p == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    memcpy(p->address, address, strlen(address) + 1);
    p->next = n->peers;
    n->peers = p;
    n->peer_count++;
    node_turn(n);
    return TAKO_OK;
}

tako_err node_peer_remove(node *n, const char *address)
{
    node_peer **at = peer_at(n, address);
    node_peer *p = *at;

    if (p == NULL)
        return TAKO_NOTFOUND;
    *at = p->next;
    n->peer_count--;
    if (p->link != NULL) {
        p->link->peer = NULL;
        node_link_fail(p->link, TAKO_CLOSED, "the address was removed");
    }
    tako_env_free(n->env, p, sizeof *p);
    node_turn(n);
    return TAKO_OK;
}

void node_peers_free(node *n)
{
    while (n->peers != NULL) {
        node_peer *p = n->peers;

        n->peers = p->next;
        tako_env_free(n->env, p, sizeof *p);
    }
}

void node_peer_lost(node_peer *p, const node_link *l, uint64_t now_ms)
{
    p->link = NULL;
    p->error = l->why;
    if (l->who.name[0] != '\0' && now_ms - l->since_ms >= NODE_STABLE_MS)
        mesh_backoff_reset(&p->backoff);
    p->retry_ms = now_ms + mesh_backoff_next_ms(&p->backoff, l->node->env);
}

/* A device's link is gone: its addresses are tried soon, not at once. */
void node_peers_wake(node *n, const uint8_t device[32], uint64_t now_ms)
{
    for (node_peer *p = n->peers; p != NULL; p = p->next)
        if (p->link == NULL && p->known && p->retry_ms == UINT64_MAX &&
            memcmp(p->device, device, SEC_KEY_BYTES) == 0)
            p->retry_ms = now_ms + mesh_backoff_next_ms(&p->backoff, n->env);
}

static void dial(node *n, node_peer *p, uint64_t now_ms)
{
    tako_err err;

    if (p->known && node_link_to(n, p->device, NULL) != NULL) {
        p->retry_ms = UINT64_MAX; /* until that link goes */
        return;
    }
    p->error.text[0] = '\0';
    err = n->link_count >= TAKO_LINKS_MAX
              ? tako_fail(&p->error, TAKO_LIMIT, "too many links")
              : node_link_dial(n, p, &p->error);
    if (err != TAKO_OK)
        p->retry_ms = now_ms + mesh_backoff_next_ms(&p->backoff, n->env);
}

void node_peers_dial(node *n, uint64_t now_ms)
{
    for (node_peer *p = n->peers; p != NULL; p = p->next)
        if (p->link == NULL && p->retry_ms <= now_ms)
            dial(n, p, now_ms);
}

uint64_t node_peers_deadline(const node *n)
{
    uint64_t at = UINT64_MAX;

    for (const node_peer *p = n->peers; p != NULL; p = p->next)
        if (p->link == NULL && p->retry_ms < at)
            at = p->retry_ms;
    return at;
}
