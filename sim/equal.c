// SPDX-License-Identifier: Apache-2.0
/* EQUAL -- after healing, who wants the same has the same, and each
 * acknowledged write is at all who want everything. Where two differ, the
 * first document is named in which they do. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "query/retention.h"
#include "sim/checkers.h"

typedef struct digest {
    uint64_t sum, count;
} digest;

/* What nobody evicted is compared as it is; the rest in evicted_converged(). */
static bool is_compared(const sim_model *m, query_predicate *p,
                        const store_row *row)
{
    uint32_t key = sim_key_of(row->id);

    return row->body.len > 0 && (key == SIM_KEYS_MAX || !m->was_evicted[key]) &&
           query_predicate_match(p, row->id, row->body);
}

static bool digest_of(const sim_model *m, sim_node *n, query_predicate *p,
                      digest *out)
{
    store_cursor *k = NULL;
    store_row row;
    uint32_t coll;

    *out = (digest){ 0, 0 };
    if (!n->up || n->reader == NULL)
        return false;
    if (store_coll_find(n->reader, query_predicate_collection(p), &coll) !=
        TAKO_OK)
        return true;
    if (store_scan(n->reader, coll, INT64_MIN, &k) != TAKO_OK)
        return false;
    while (store_scan_next(k, &row) == TAKO_OK) {
        uint64_t version;

        if (!is_compared(m, p, &row))
            continue;
        memcpy(&version, row.version, sizeof version);
        out->sum += tako_hash64(row.version, row.id);
        out->count++;
    }
    store_scan_close(k);
    return true;
}

/* What a document is at a node, for people. */
static void print_at(sim_model *m, const sim_node *n, uint32_t key,
                     tako_buf *out)
{
    static const char *const words[] = { " deleted", " alive", " left" };
    const sim_seen *seen = &m->seen[n->index][key];
    char text[64];

    (void)snprintf(text, sizeof text, "; %.20s: generation %llu%s ", n->name,
                   (unsigned long long)seen->generation,
                   words[seen->left ? 2 : seen->alive]);
    tako_put_bytes(out, tako_slice_str(text));
    sim_model_tokens(m, n, key, out);
}

/* Is the document of a row at n another one? */
static bool differs(const sim_node *n, tako_slice coll_name,
                    const store_row *row)
{
    store_row other;
    uint32_t coll;

    return store_coll_find(n->reader, coll_name, &coll) != TAKO_OK ||
           store_get(n->reader, coll, row->id, &other) != TAKO_OK ||
           memcmp(row->version, other.version, sizeof row->version) != 0;
}

/* The first document that is at `a` and not the same at `b`. */
static bool name_difference(sim_model *m, sim_node *a, const sim_node *b,
                            query_predicate *p, tako_buf *out)
{
    tako_slice name = query_predicate_collection(p);
    store_cursor *k = NULL;
    bool found = false;
    store_row row;
    uint32_t coll;

    if (store_coll_find(a->reader, name, &coll) != TAKO_OK ||
        store_scan(a->reader, coll, INT64_MIN, &k) != TAKO_OK)
        return false;
    while (!found && store_scan_next(k, &row) == TAKO_OK) {
        char text[32];
        uint32_t key;

        if (!is_compared(m, p, &row) || !differs(b, name, &row))
            continue;
        found = true;
        key = sim_key_of(row.id);
        (void)snprintf(text, sizeof text, ": k%u", key);
        tako_put_bytes(out, tako_slice_str(text));
        if (key < SIM_KEYS_MAX) {
            print_at(m, a, key, out);
            print_at(m, b, key, out);
        }
    }
    store_scan_close(k);
    return found;
}

static void explain(sim_model *m, sim_node *a, sim_node *b, query_predicate *p,
                    char *why, size_t cap)
{
    tako_buf text = tako_buf_on(m->env);
    size_t len = strlen(why);

    if (!name_difference(m, a, b, p, &text))
        (void)name_difference(m, b, a, p, &text);
    if (!text.failed && len < cap)
        (void)snprintf(why + len, cap - len, "%.*s", (int)text.len,
                       (const char *)text.ptr);
    tako_buf_fini(&text);
}

/* The whole collection: its name is the last word. */
static bool is_whole(const char *text, tako_slice collection)
{
    size_t len = strlen(text), n = collection.len;

    return strstr(text, "WHERE") == NULL && len > n &&
           text[len - n - 1] == ' ' &&
           memcmp(text + len - n, collection.ptr, n) == 0;
}

static bool wants(const sim_node *n, const char *text, tako_slice collection)
{
    for (size_t i = 0; i < n->sub_count; i++)
        if (strcmp(n->subs[i].text, text) == 0 ||
            is_whole(n->subs[i].text, collection))
            return true;
    return false;
}

static bool shows(const sim_node *n, query_predicate *p, uint32_t key,
                  store_row *row)
{
    return sim_row_at(n->reader, key, row) && row->body.len > 0 &&
           query_predicate_match(p, row->id, row->body);
}

/* Whoever shows a document, all who want it show that state, or that one is
 * what they have evicted. */
static bool evicted_converged(sim_model *m, query_predicate *p,
                              const char *text, uint32_t key, char *why,
                              size_t cap)
{
    const sim_node *first = NULL;
    tako_slice name = query_predicate_collection(p);
    uint8_t version[16];
    store_row row;

    for (size_t i = 0; i < m->world->count && first == NULL; i++) {
        const sim_node *n = m->world->nodes[i];

        if (!wants(n, text, name) || !shows(n, p, key, &row))
            continue;
        first = n;
        memcpy(version, row.version, sizeof version);
    }
    for (size_t i = 0; first != NULL && i < m->world->count; i++) {
        const sim_node *n = m->world->nodes[i];

        if (!wants(n, text, name) ||
            (sim_row_at(n->reader, key, &row) &&
             (row.body.len > 0 || m->seen[i][key].evicted) &&
             memcmp(row.version, version, sizeof version) == 0))
            continue;
        (void)snprintf(why, cap,
                       "k%u of %.80s at %s is not what %s has, which was "
                       "evicted somewhere",
                       key, text, n->name, first->name);
        return false;
    }
    return true;
}

static bool text_converged(sim_model *m, const char *text, char *why,
                           size_t cap)
{
    query_predicate *p = NULL;
    sim_node *first = NULL;
    digest d, ref = { 0, 0 };
    tako_errbuf e = { "" };
    bool good = true;

    if (query_predicate_new(m->env, tako_slice_str(text), TAKO_SLICE_NONE, &p,
                            &e) != TAKO_OK) {
        (void)snprintf(why, cap, "%.100s: %.200s", text, e.text);
        sim_fail(m->world, "the scenario", "%s", why);
        return false;
    }
    for (size_t i = 0; i < m->world->count && good; i++) {
        sim_node *n = m->world->nodes[i];

        if (!wants(n, text, query_predicate_collection(p)))
            continue;
        good = digest_of(m, n, p, &d);
        if (!good)
            (void)snprintf(why, cap, "%s is not up", n->name);
        else if (first == NULL)
            ref = d;
        else if (d.sum != ref.sum || d.count != ref.count) {
            good = false;
            (void)snprintf(why, cap,
                           "%s has %llu documents of %.80s, %s %llu%s",
                           first->name, (unsigned long long)ref.count, text,
                           n->name, (unsigned long long)d.count,
                           d.count == ref.count ? ", others" : "");
            explain(m, first, n, p, why, cap);
        }
        first = n;
        ref = d;
    }
    for (uint32_t key = 0; key < SIM_KEYS_MAX && good; key++)
        good = !m->was_evicted[key] ||
               evicted_converged(m, p, text, key, why, cap);
    query_predicate_free(p);
    return good;
}

/* Which document of an acknowledged write is not at some node that wants all:
 * SIM_NONE when none. */
size_t sim_not_everywhere(const sim_model *m, size_t token, size_t *at)
{
    const sim_write *w = &m->writes[token];

    if (!w->acked || w->losable || sim_may_not(m, w))
        return SIM_NONE;
    for (size_t i = 0; i < w->count; i++)
        for (*at = 0; *at < m->world->count; ++*at)
            if ((m->whole >> *at & 1) != 0 &&
                !m->seen[*at][w->docs[i].key].evicted &&
                !sim_has_or_ended(m, &w->docs[i], *at))
                return i;
    return SIM_NONE;
}

/* Where somebody wants all, nothing waits for a keeper in the end. */
static bool nothing_waits(sim_model *m, char *why, size_t cap)
{
    for (size_t i = 0; m->whole != 0 && i < m->world->count; i++) {
        const sim_node *n = m->world->nodes[i];
        store_leaving_facts f = { 0, 0, 0 };

        if (!n->up || n->reader == NULL ||
            store_leaving_count(n->reader, &f, NULL) != TAKO_OK ||
            f.count > 0) {
            (void)snprintf(why, cap, "%s has %llu documents that wait to leave",
                           n->name, (unsigned long long)f.count);
            return false;
        }
    }
    return true;
}

/* An archive of all, or that all want all: then there is somebody who can tell each. */
static bool has_authority(const sim_model *m)
{
    size_t all = 0;
    bool archive = false;

    for (size_t i = 0; i < m->world->count; i++) {
        all += m->whole >> i & 1;
        archive = archive ||
                  ((m->whole >> i & 1) != 0 && m->world->nodes[i]->archive);
    }
    return archive || all == m->world->count;
}

/* There each says in the end of what it takes that it is complete, as it is. */
static bool all_say_so(const sim_model *m, char *why, size_t cap)
{
    if (!has_authority(m))
        return true;
    for (size_t i = 0; i < m->world->count; i++) {
        const sim_node *n = m->world->nodes[i];

        if (n->up && sim_says_whole(m, n))
            continue;
        (void)snprintf(why, cap, "%s does not say that it is complete",
                       n->name);
        return false;
    }
    return true;
}

/* Whether the rule lets it go whatever else is there. */
static bool goes(const query_retention *rule, const store_row *row, int64_t now)
{
    int64_t date;

    if (rule->after_ms == 0)
        return rule->documents == 0 && rule->bytes == 0;
    return query_retention_date(rule, row, &date) &&
           date < now - rule->after_ms;
}

/* When all is kept by somebody, the node has no more than its rule leaves. */
static bool rule_holds(const sim_node *n, uint32_t coll,
                       const query_retention *rule, char *why, size_t cap)
{
    int64_t now = (int64_t)sim_node_wall_ms(n);
    uint64_t count = 0, bytes = 0, beyond = 0;
    store_cursor *k = NULL;
    store_row row;

    TAKO_ASSERT(store_scan(n->reader, coll, INT64_MIN, &k) == TAKO_OK);
    while (store_scan_next(k, &row) == TAKO_OK) {
        if (row.body.len == 0 ||
            (rule->where != NULL &&
             !query_predicate_match(rule->where, row.id, row.body)))
            continue;
        count++;
        bytes += row.body.len;
        beyond += goes(rule, &row, now);
    }
    store_scan_close(k);
    if (rule->documents > 0 && count - beyond > rule->documents)
        beyond = count - rule->documents;
    if (beyond > 0)
        (void)snprintf(why, cap, "%s has %llu documents beyond its rule",
                       n->name, (unsigned long long)beyond);
    else if (rule->bytes > 0 && bytes > rule->bytes)
        (void)snprintf(why, cap, "%s has %llu bytes beyond its rule", n->name,
                       (unsigned long long)(bytes - rule->bytes));
    else
        return true;
    return false;
}

static bool rules_hold(sim_model *m, char *why, size_t cap)
{
    tako_slice name = tako_slice_str(SIM_COLLECTION);
    tako_buf value = tako_buf_on(m->env);
    query_pool *pool = NULL;
    bool good = true;

    for (size_t i = 0; i < m->world->count && good; i++) {
        const sim_node *n = m->world->nodes[i];
        query_retention rule;
        uint32_t coll;

        tako_buf_reset(&value);
        if (n->reader == NULL ||
            store_coll_find(n->reader, name, &coll) != TAKO_OK ||
            query_retention_get(n->reader, name, &value) != TAKO_OK)
            continue;
        if (pool == NULL)
            TAKO_ASSERT(query_pool_new(m->env, &pool, NULL) == TAKO_OK);
        TAKO_ASSERT(query_retention_read(pool, name, tako_buf_slice(&value),
                                         &rule, NULL) == TAKO_OK);
        good = rule_holds(n, coll, &rule, why, cap);
        query_retention_free(&rule);
    }
    query_pool_free(pool);
    tako_buf_fini(&value);
    return good;
}

bool sim_model_converged(sim_model *m, char *why, size_t cap)
{
    if (!nothing_waits(m, why, cap) || !all_say_so(m, why, cap) ||
        !rules_hold(m, why, cap))
        return false;
    for (size_t i = 0; i < m->world->count; i++) {
        const sim_node *n = m->world->nodes[i];

        for (size_t j = 0; j < n->sub_count; j++)
            if (!text_converged(m, n->subs[j].text, why, cap))
                return false;
    }
    for (size_t t = 0; t < m->write_count; t++) {
        size_t at;

        if (sim_not_everywhere(m, t, &at) == SIM_NONE)
            continue;
        (void)snprintf(why, cap, "t%zu is not at %s", t,
                       m->world->nodes[at]->name);
        return false;
    }
    return true;
}
