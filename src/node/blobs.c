// SPDX-License-Identifier: Apache-2.0
/* BLOBS -- the node's part in attachments: who writes, what is logged, and
 * how much of them may wait on a link.
 *
 * HOW MUCH  A part of an attachment is handed to a link only when nothing else
 * waits there and the stream has next to nothing left to send. So an order's
 * change that comes a moment later waits for one frame, whatever is fetched;
 * sys keeps the kernel from piling up more below, and who asks wants no more
 * than the way holds (sync/blob_pace.c). */
#include "node/internal.h"

#include <stdio.h>

static store *blobs_write_try(void *ctx)
{
    node *n = ctx;

    return n->stopping ? NULL : n->host->write_try(n->host->ctx);
}

static void blobs_write_end(void *ctx)
{
    node *n = ctx;

    n->host->write_end(n->host->ctx, 0);
}

static bool blobs_automatic(void *ctx)
{
    const node *n = ctx;

    return n->host->fetches != NULL && n->host->fetches(n->host->ctx);
}

static void blobs_event(void *ctx, sync_blob_event event,
                        const uint8_t id[BLOB_ID_BYTES])
{
    static const struct {
        const char *name;
        tako_log_level level;
    } logged[] = {
        [SYNC_BLOB_WHOLE] = { "attachment_fetched", TAKO_LOG_INFO },
        [SYNC_BLOB_UNAVAILABLE] = { "attachment_unavailable", TAKO_LOG_INFO },
        [SYNC_BLOB_BAD_PART] = { "attachment_part_refused", TAKO_LOG_WARN },
        [SYNC_BLOB_NOT_KEPT] = { "attachment_not_kept", TAKO_LOG_ERROR },
    };
    node *n = ctx;
    char hex[2 * BLOB_ID_BYTES + 1];

    for (size_t i = 0; i < BLOB_ID_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", id[i]);
    tako_log(n->env, logged[event].level, logged[event].name, "\"id\":\"%s\"",
             hex);
    n->host->progress(n->host->ctx);
}

tako_err node_blobs_begin(node *n)
{
    n->blobs_host = (sync_blobs_host){ n, blobs_write_try, blobs_write_end,
                                       blobs_event, blobs_automatic };
    return sync_blobs_new(n->env, &n->blobs_host, n->reader, &n->blobs);
}

bool node_blobs_lane_free(const node_link *l)
{
    return mesh_link_queued(l->mesh, MESH_LANES) == 0 &&
           l->node->net->queued(l->stream) < NODE_BLOB_BYTES;
}

tako_err node_blob_fetch(node *n, const uint8_t id[BLOB_ID_BYTES], uint64_t len,
                         tako_errbuf *e)
{
    tako_err err = sync_blobs_fetch(n->blobs, node_now(n), id, len, e);

    node_turn(n);
    return err;
}

tako_err node_blob_cancel(node *n, const uint8_t id[BLOB_ID_BYTES])
{
    tako_err err = sync_blobs_cancel(n->blobs, id);

    node_turn(n);
    return err;
}

tako_err node_blob_state(const node *n, const uint8_t id[BLOB_ID_BYTES],
                         sync_blob_state *out)
{
    return sync_blobs_state(n->blobs, id, out);
}

void node_blobs_status(const node *n, tako_buf *json)
{
    sync_blobs_counts c;

    sync_blobs_counts_read(n->blobs, &c);
    tako_put_fmt(
        json,
        "\"attachments\":{\"fetching\":%u,\"passing\":%u,"
        "\"parts_in\":%llu,\"parts_out\":%llu,\"bytes_in\":%llu,"
        "\"bytes_out\":%llu,\"parts_again\":%llu,\"parts_bad\":%llu,"
        "\"parts_passed\":%llu}",
        c.fetching, c.passing, (unsigned long long)c.parts_in,
        (unsigned long long)c.parts_out, (unsigned long long)c.bytes_in,
        (unsigned long long)c.bytes_out, (unsigned long long)c.parts_again,
        (unsigned long long)c.parts_bad, (unsigned long long)c.parts_passed);
}
