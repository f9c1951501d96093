// SPDX-License-Identifier: Apache-2.0
/* Control goes first. The other lanes take turns of LANES_TURN_BYTES, a lane
 * that has nothing passing its turn on, so a small message waits for at most
 * one turn of each other lane whatever they hold. Within a lane messages go
 * one after the other.
 *
 * A message that needs several frames is begun only when it fits with those
 * of other lanes that are begun and not ended into TAKO_MESSAGE_BYTES_MAX:
 * that is what the receiver is ready to hold. One message alone always fits.
 * A lane that must wait for that is passed over; the lanes that hold it up
 * have been begun, so they go on. */
#include "mesh/lanes.h"

#include "base/check.h"

#define LANES_TURN_BYTES (16u << 10)

struct lane_message {
    lane_message *next;
    size_t len;
    size_t cut; /* so much has gone */
    uint8_t bytes[];
};

void lanes_init(lanes *q, const tako_env *env)
{
    *q = (lanes){ .env = env, .turn = MESH_LIVE, .turn_left = 0 };
}

static void message_free(lanes *q, lane_message *m)
{
    tako_env_free(q->env, m, sizeof *m + m->len);
}

void lanes_fini(lanes *q)
{
    for (int lane = 0; lane < MESH_LANES; lane++) {
        lane_message *m = q->queue[lane].head;

        while (m != NULL) {
            lane_message *next = m->next;
            message_free(q, m);
            m = next;
        }
        q->queue[lane] = (lane_queue){ NULL, NULL, 0, 0 };
    }
    q->open_bytes = 0;
}

size_t lanes_bytes(const lanes *q, mesh_lane lane)
{
    size_t sum = 0;

    if (lane < MESH_LANES)
        return q->queue[lane].bytes;
    for (int i = 0; i < MESH_LANES; i++)
        sum += q->queue[i].bytes;
    return sum;
}

bool lanes_waiting(const lanes *q)
{
    for (int i = 0; i < MESH_LANES; i++)
        if (q->queue[i].head != NULL)
            return true;
    return false;
}

size_t lanes_room(const lanes *q)
{
    size_t heads = 0, bytes = lanes_bytes(q, MESH_LANES);

    for (int i = 0; i < MESH_LANES; i++)
        heads += q->queue[i].count;
    heads += bytes / LANES_TURN_BYTES * 2 + MESH_LANES;
    return bytes + heads * FRAME_HEAD_BYTES_MAX;
}

tako_err lanes_put(lanes *q, mesh_lane lane, tako_slice message)
{
    lane_queue *l = &q->queue[lane];
    lane_message *m;

    if (message.len > TAKO_MESSAGE_BYTES_MAX ||
        message.len > TAKO_LINK_QUEUE_BYTES_MAX - lanes_bytes(q, MESH_LANES))
        return TAKO_LIMIT;
    m = q->env->realloc(q->env->ctx, NULL, 0, sizeof *m + message.len);
    if (m == NULL)
        return TAKO_NOMEM;
    m->next = NULL;
    m->len = message.len;
    m->cut = 0;
    if (message.len > 0)
        memcpy(m->bytes, message.ptr, message.len);
    if (l->tail != NULL)
        l->tail->next = m;
    else
        l->head = m;
    l->tail = m;
    l->bytes += m->len;
    l->count++;
    return TAKO_OK;
}

static bool lane_ready(const lanes *q, mesh_lane lane)
{
    const lane_message *m = q->queue[lane].head;

    if (m == NULL)
        return false;
    if (m->cut > 0 || m->len <= LANES_CUT_BYTES_MIN - FRAME_HEAD_BYTES_MAX)
        return true;
    return q->open_bytes + m->len <= TAKO_MESSAGE_BYTES_MAX;
}

static mesh_lane lane_after(mesh_lane lane)
{
    return lane == MESH_BLOBS ? MESH_LIVE : (mesh_lane)(lane + 1);
}

/* The lane to cut from; MESH_LANES when none is ready. */
static mesh_lane lane_pick(lanes *q)
{
    if (lane_ready(q, MESH_CONTROL))
        return MESH_CONTROL;
    if (q->turn_left > 0 && lane_ready(q, q->turn))
        return q->turn;
    for (int i = 1; i < MESH_LANES; i++) {
        q->turn = lane_after(q->turn);
        q->turn_left = LANES_TURN_BYTES;
        if (lane_ready(q, q->turn))
            return q->turn;
    }
    return MESH_LANES;
}

static void lane_pop(lanes *q, lane_queue *l)
{
    lane_message *m = l->head;

    l->head = m->next;
    if (l->head == NULL)
        l->tail = NULL;
    l->count--;
    message_free(q, m);
}

/* One frame of the lane's first message. */
static size_t lane_cut(lanes *q, mesh_lane lane, uint8_t *out, size_t cap)
{
    lane_queue *l = &q->queue[lane];
    lane_message *m = l->head;
    size_t body = m->len - m->cut, n;
    bool last = body <= cap - FRAME_HEAD_BYTES_MAX;

    if (!last)
        body = cap - FRAME_HEAD_BYTES_MAX;
    TAKO_ASSERT(body <= TAKO_FRAME_BYTES_MAX);
    n = frame_head(out, body, frame_payload_byte(lane, last));
    if (body > 0)
        memcpy(out + n, m->bytes + m->cut, body);
    n += body;
    l->bytes -= body;
    if (!last && m->cut == 0)
        q->open_bytes += m->len;
    if (last && m->cut > 0)
        q->open_bytes -= m->len;
    m->cut += body;
    if (last)
        lane_pop(q, l);
    if (lane != MESH_CONTROL)
        q->turn_left -= n < q->turn_left ? n : q->turn_left;
    return n;
}

size_t lanes_cut(lanes *q, uint8_t *out, size_t cap, uint64_t *frames)
{
    size_t used = 0;

    TAKO_ASSERT(cap >= LANES_CUT_BYTES_MIN);
    if (cap > TAKO_FRAME_BYTES_MAX)
        cap = TAKO_FRAME_BYTES_MAX;
    /* Not into the last few bytes: a fragment must be worth its head. */
    while (cap - used >= LANES_CUT_BYTES_MIN) {
        mesh_lane lane = lane_pick(q);

        if (lane == MESH_LANES)
            break;
        used += lane_cut(q, lane, out + used, cap - used);
        ++*frames;
    }
    return used;
}
