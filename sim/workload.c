// SPDX-License-Identifier: Apache-2.0
/* WORKLOAD -- orders that come, change and go.
 *
 * What an operation does depends on what the node has at that moment, as an
 * app's would: an update of a document that is not there inserts it, an
 * insert of one that is updates it. An acknowledgement is TAKO_OK and nothing
 * else; an error that leaves the outcome open (the device came to an end, the
 * disk failed) is "info" in the history, a refusal "fail". */
#include "sim/workload.h"

#include <stdio.h>

#define STATEMENT_BYTES_MAX 400

static const char *const stages[] = { "open", "taken", "done" };

static void write_statement(sim_op_kind kind, const sim_op_step *s, bool alive,
                            size_t token, char *out, size_t cap)
{
    const char *stage = stages[token % 3];

    switch (kind) {
    case SIM_OP_INSERT:
        (void)snprintf(out, cap,
                       "INSERT INTO " SIM_COLLECTION
                       " DOCUMENTS ({'_id': 'k%u', 's': 'open', 'w': "
                       "{'t%zu': 0}})",
                       s->key, token);
        return;
    case SIM_OP_UPDATE:
        (void)snprintf(out, cap,
                       "UPDATE " SIM_COLLECTION
                       " SET w.t%zu = 0, s = '%s', v = %zu WHERE _id = 'k%u'",
                       token, stage, token, s->key);
        return;
    case SIM_OP_INCREMENT:
        (void)snprintf(out, cap,
                       "UPDATE " SIM_COLLECTION
                       " APPLY n INCREMENT BY %d SET w.t%zu = %d"
                       " WHERE _id = 'k%u'",
                       s->amount, token, s->amount, s->key);
        return;
    case SIM_OP_DELETE:
        (void)snprintf(out, cap,
                       "DELETE FROM " SIM_COLLECTION " WHERE _id = 'k%u'",
                       s->key);
        return;
    case SIM_OP_ATTACH:
        (void)snprintf(out, cap,
                       alive ? "UPDATE " SIM_COLLECTION
                               " SET w.t%zu = 0, photo = :t WHERE _id = 'k%u'"
                             : "INSERT INTO " SIM_COLLECTION
                               " DOCUMENTS ({'w': {'t%zu': 0}, 'photo': :t, "
                               "'s': 'open', '_id': 'k%u'})",
                       token, s->key);
        return;
    case SIM_OP_EVICT:
        (void)snprintf(out, cap,
                       "EVICT FROM " SIM_COLLECTION " WHERE _id = 'k%u'",
                       s->key);
        return;
    case SIM_OP_GET:
    case SIM_OP_READ:
    case SIM_OP_KINDS:
        break;
    }
    out[0] = '\0';
}

/* What is possible with what is there. */
static sim_op_kind possible(sim_op_kind kind, bool alive)
{
    if (alive || kind == SIM_OP_ATTACH)
        return kind == SIM_OP_INSERT ? SIM_OP_UPDATE : kind;
    return SIM_OP_INSERT;
}

static void tell(sim_workload *w, const sim_node *n, const char *type,
                 const sim_action *a, size_t token, const char *value)
{
    char json[2048];
    int at;

    if (w->history == NULL)
        return;
    at = snprintf(json, sizeof json,
                  "{\"process\":%zu,\"node\":\"%s\",\"type\":\"%s\","
                  "\"token\":%zu,\"value\":[",
                  n->index, n->name, type, token);
    for (size_t i = 0; i < a->step_count && at > 0 && at < 1000; i++)
        at += snprintf(json + at, sizeof json - (size_t)at,
                       "%s[\"%s\",\"k%u\",%s]", i > 0 ? "," : "",
                       sim_op_names[a->steps[i].kind], a->steps[i].key,
                       value != NULL ? value : "null");
    if (at > 0 && (size_t)at < sizeof json)
        (void)snprintf(json + at, sizeof json - (size_t)at,
                       "],\"op\":\"%s\",\"time\":%llu}",
                       a->step_count > 1 ? "transaction"
                                         : sim_op_names[a->steps[0].kind],
                       (unsigned long long)(w->world->now_us * 1000));
    w->history(w->ctx, json);
}

static void read_one(sim_workload *w, sim_node *n, const sim_action *a)
{
    tako_buf out = tako_buf_on(w->world->env);

    tell(w, n, "invoke", a, 0, NULL);
    sim_node_watch(n, true);
    sim_model_tokens(w->model, n, a->steps[0].key, &out);
    sim_node_watch(n, false);
    sim_trace(w->world, out.len, a->steps[0].key);
    tell(w, n, "ok", a, 0, out.len < 900 ? tako_buf_cstr(&out) : "null");
    tako_buf_fini(&out);
}

/* Whatever goes wrong with a device: the app may try again. */
static bool may_fail_with(tako_err err)
{
    return err == TAKO_IO || err == TAKO_FULL || err == TAKO_NOMEM ||
           err == TAKO_BUSY || err == TAKO_CLOSED;
}

static void write_all(sim_workload *w, sim_node *n, const sim_action *asked,
                      tako_slice params)
{
    char texts[SIM_STEPS_MAX][STATEMENT_BYTES_MAX];
    const char *statements[SIM_STEPS_MAX];
    bool alive[SIM_STEPS_MAX];
    sim_action a = *asked;
    tako_errbuf e = { "" };
    uint64_t lsn;
    size_t token;
    tako_err err;
    bool open;

    for (size_t i = 0; i < a.step_count; i++) {
        alive[i] = sim_model_alive(w->model, n, a.steps[i].key);
        a.steps[i].kind = possible(a.steps[i].kind, alive[i]);
    }
    token = sim_model_begin(w->model, n, &a);
    for (size_t i = 0; i < a.step_count; i++) {
        write_statement(a.steps[i].kind, &a.steps[i], alive[i], token, texts[i],
                        sizeof texts[i]);
        statements[i] = texts[i];
    }
    tell(w, n, "invoke", &a, token, NULL);
    err =
        sim_node_run_with(n, statements, a.step_count, params, &lsn, NULL, &e);
    open = err == TAKO_IO;
    if (err == TAKO_OK && lsn != 0)
        sim_receipts_note(w->receipts, n, lsn);
    sim_model_end(w->model, token, err == TAKO_OK && lsn != 0, !open);
    tell(w, n, err == TAKO_OK ? "ok" : open ? "info" : "fail", &a, token, NULL);
    if (err != TAKO_OK)
        sim_note(w->world, n, "t%zu is not done: %s: %.200s", token,
                 tako_err_name(err), e.text);
    if (err != TAKO_OK && !may_fail_with(err))
        sim_fail(w->world, "the app may write", "%s: %s: %s: %s", n->name,
                 texts[0], tako_err_name(err), e.text);
}

/* No write: nothing of it is for others, nor for a history. */
static void evict_one(sim_workload *w, sim_node *n, const sim_action *a)
{
    char text[STATEMENT_BYTES_MAX];
    const char *statement = text;
    tako_errbuf e = { "" };
    uint64_t lsn;
    tako_err err;

    write_statement(SIM_OP_EVICT, &a->steps[0], true, 0, text, sizeof text);
    err = sim_node_run(n, &statement, 1, &lsn, NULL, &e);
    if (err != TAKO_OK && err != TAKO_DENIED && !may_fail_with(err))
        sim_fail(w->world, "the app may evict", "%s: %s: %s: %s", n->name, text,
                 tako_err_name(err), e.text);
}

void sim_work_attach(void *ctx, sim_node *n, const sim_action *a,
                     tako_slice params)
{
    write_all(ctx, n, a, params);
}

void sim_work(sim_workload *w, const sim_action *a)
{
    sim_node *n = w->world->nodes[a->a];

    w->operations++;
    if (!n->up || n->store == NULL || n->stopping)
        return; /* nobody can touch a device that is off */
    if (a->steps[0].kind == SIM_OP_READ)
        read_one(w, n, a);
    else if (a->steps[0].kind == SIM_OP_ATTACH)
        sim_blobs_put(w->blobs, n, a);
    else if (a->steps[0].kind == SIM_OP_GET)
        sim_blobs_get(w->blobs, n, a->steps[0].key);
    else if (a->steps[0].kind == SIM_OP_EVICT)
        evict_one(w, n, a);
    else
        write_all(w, n, a, TAKO_SLICE_NONE);
}
