// SPDX-License-Identifier: Apache-2.0
/* WIRE -- documents as records, small.
 *
 * Two things keep a change short. Names (actors, field keys, collections,
 * documents) are numbers after their first use. And an hlc is written as its
 * distance below the greatest hlc of the document (the delta's reference), in
 * milliseconds where its counter is 0, so that the dot of the change itself
 * costs one byte wherever it stands.
 *
 * A record can be read without understanding what is inside its delta:
 * definitions stand before it, the reference in front of it. So a delta that
 * is refused, or not even looked at, leaves the tables as the sender thinks
 * they are. */
#include "sync/wire.h"

#include "base/check.h"
#include "codec/ulid.h"

#define ID_ULID_HEAD 0x78u /* CBOR: text, one byte of length */
#define ID_ULID_CBOR (2u + ULID_TEXT_BYTES)
#define REF_LITERAL  0u /* document references */
#define REF_DEFINE   1u
#define REF_SLOTS    2u

_Static_assert(
    (TAKO_SYNC_NAMES_ACTORS_MAX & (TAKO_SYNC_NAMES_ACTORS_MAX - 1)) == 0 &&
        (TAKO_SYNC_NAMES_KEYS_MAX & (TAKO_SYNC_NAMES_KEYS_MAX - 1)) == 0 &&
        (TAKO_SYNC_NAMES_DOCS_MAX & (TAKO_SYNC_NAMES_DOCS_MAX - 1)) == 0 &&
        (TAKO_COLLECTIONS_MAX & (TAKO_COLLECTIONS_MAX - 1)) == 0,
    "tables grow by doubling to exactly their size");

void sync_names_init(sync_names *n, const tako_env *env)
{
    *n = (sync_names){ .stamp = 1 };
    sync_dict_init(&n->actors, env, TAKO_SYNC_NAMES_ACTORS_MAX);
    sync_dict_init(&n->keys, env, TAKO_SYNC_NAMES_KEYS_MAX);
    sync_dict_init(&n->colls, env, TAKO_COLLECTIONS_MAX);
    sync_dict_init(&n->docs, env, TAKO_SYNC_NAMES_DOCS_MAX);
}

void sync_names_fini(sync_names *n)
{
    sync_dict_fini(&n->actors);
    sync_dict_fini(&n->keys);
    sync_dict_fini(&n->colls);
    sync_dict_fini(&n->docs);
}

/* ---- pieces --------------------------------------------------------------- */

void sync_put_dot(tako_buf *out, const crdt_dot *dot)
{
    tako_put_bytes(out, tako_slice_of(dot->actor.id, 16));
    tako_put_varint(out, dot->hlc);
}

void sync_put_id(tako_buf *out, tako_slice id)
{
    uint8_t packed[16];

    if (id.len == ID_ULID_CBOR && id.ptr[0] == ID_ULID_HEAD &&
        id.ptr[1] == ULID_TEXT_BYTES &&
        ulid_from_text(tako_slice_of(id.ptr + 2, ULID_TEXT_BYTES), packed)) {
        tako_put_u8(out, 0);
        tako_put_bytes(out, tako_slice_of(packed, sizeof packed));
        return;
    }
    tako_put_block(out, id);
}

tako_slice sync_get_id(tako_reader *in, tako_arena *a)
{
    uint64_t len = tako_read_varint(in);
    tako_slice packed;
    uint8_t *text;

    if (len > TAKO_ID_BYTES_MAX) {
        in->failed = true;
        return TAKO_SLICE_NONE;
    }
    if (len > 0)
        return tako_read_bytes(in, (size_t)len);
    packed = tako_read_bytes(in, 16);
    text = tako_arena_alloc(a, ID_ULID_CBOR);
    if (in->failed || text == NULL) {
        in->failed = true;
        return TAKO_SLICE_NONE;
    }
    text[0] = ID_ULID_HEAD;
    text[1] = ULID_TEXT_BYTES;
    ulid_to_text(packed.ptr, (char *)text + 2);
    return tako_slice_of(text, ID_ULID_CBOR);
}

static uint64_t zigzag(int64_t v)
{
    return v < 0 ? ((uint64_t)(-(v + 1)) << 1) | 1u : (uint64_t)v << 1;
}

static int64_t unzigzag(uint64_t v)
{
    int64_t half = (int64_t)(v >> 1);

    return (v & 1u) != 0 ? -half - 1 : half;
}

/* The milliseconds of an hlc, from a code whose low bit says that a counter
 * follows. Milliseconds have 48 bits, so codes never overflow. */
static void put_counter(tako_buf *out, uint64_t ms_code, uint64_t hlc)
{
    uint64_t counter = hlc & 0xffffu;

    tako_put_varint(out, ms_code << 1 | (counter != 0));
    if (counter != 0)
        tako_put_varint(out, counter);
}

static uint64_t get_counter(tako_reader *in, uint64_t code)
{
    uint64_t counter = (code & 1u) != 0 ? tako_read_varint(in) : 0;

    if (counter > 0xffffu)
        in->failed = true;
    return counter & 0xffffu;
}

/* The reference of a delta, against that of the delta before it. */
static void put_ref(tako_buf *out, uint64_t last, uint64_t ref)
{
    int64_t ms = (int64_t)CRDT_HLC_MS(ref) - (int64_t)CRDT_HLC_MS(last);

    put_counter(out, zigzag(ms), ref);
}

static uint64_t get_ref(tako_reader *in, uint64_t last)
{
    uint64_t code = tako_read_varint(in);
    uint64_t counter = get_counter(in, code);
    int64_t ms = (int64_t)CRDT_HLC_MS(last);
    int64_t step = unzigzag(code >> 1);
    int64_t limit = (int64_t)1 << 48;

    if (step < -ms || step >= limit - ms) {
        in->failed = true;
        return last;
    }
    return (uint64_t)(ms + step) << 16 | counter;
}

/* An hlc at or below the reference: 0 is the reference itself, else one more
 * than the code of the milliseconds between, and the counter. */
static void put_hlc(tako_buf *out, uint64_t ref, uint64_t hlc)
{
    uint64_t counter = hlc & 0xffffu;

    if (hlc == ref) {
        tako_put_u8(out, 0);
        return;
    }
    tako_put_varint(
        out,
        ((CRDT_HLC_MS(ref) - CRDT_HLC_MS(hlc)) << 1 | (counter != 0)) + 1u);
    if (counter != 0)
        tako_put_varint(out, counter);
}

static uint64_t get_hlc(tako_reader *in, uint64_t ref)
{
    uint64_t code = tako_read_varint(in);
    uint64_t ms = CRDT_HLC_MS(ref);

    if (code == 0)
        return ref;
    code--;
    if (code >> 1 > ms) {
        in->failed = true;
        return 0;
    }
    return (ms - (code >> 1)) << 16 | get_counter(in, code);
}

/* ---- sending ---------------------------------------------------------------- */

/* The slot of a name, defined in front of the record when it is new; or
 * UINT32_MAX: it has none. */
static uint32_t slot_for(sync_writer *w, sync_dict *d, sync_tag tag,
                         tako_slice name)
{
    uint32_t slot = sync_dict_find(d, name, w->names->stamp);

    if (slot != UINT32_MAX)
        return slot;
    slot = sync_dict_add(d, name, w->names->stamp);
    if (slot == UINT32_MAX)
        return slot;
    tako_put_varint(w->out, (uint64_t)slot << SYNC_TAG_BITS | tag);
    if (tag == SYNC_TAG_ACTOR)
        tako_put_bytes(w->out, name);
    else
        tako_put_block(w->out, name);
    return slot;
}

/* One name as its slot + 1, or 0 and in full. */
static void put_actor(sync_writer *w, tako_buf *out, const uint8_t id[16])
{
    tako_slice name = tako_slice_of(id, 16);
    uint32_t slot = slot_for(w, &w->names->actors, SYNC_TAG_ACTOR, name);

    if (slot != UINT32_MAX) {
        tako_put_varint(out, (uint64_t)slot + 1u);
        return;
    }
    tako_put_u8(out, 0);
    tako_put_bytes(out, name);
}

static void out_dot(void *ctx, tako_buf *out, crdt_dot dot)
{
    sync_writer *w = ctx;

    put_actor(w, out, dot.actor.id);
    put_hlc(out, w->ref, dot.hlc);
}

static void out_key(void *ctx, tako_buf *out, tako_slice key)
{
    sync_writer *w = ctx;
    uint32_t slot = slot_for(w, &w->names->keys, SYNC_TAG_KEY, key);

    if (slot != UINT32_MAX) {
        tako_put_varint(out, (uint64_t)slot + 1u);
        return;
    }
    tako_put_u8(out, 0);
    tako_put_block(out, key);
}

/* A store has no more collections than the table, so that they always fit. */
static void put_coll(sync_writer *w, tako_slice name)
{
    uint32_t slot = slot_for(w, &w->names->colls, SYNC_TAG_COLLECTION, name);

    if (slot == UINT32_MAX)
        w->out->failed = true;
    tako_put_varint(w->scratch, slot);
}

/* The record's head: tag, and which document it is. */
static void put_head(sync_writer *w, sync_tag tag, const sync_doc_name *name,
                     bool remember)
{
    sync_dict *docs = &w->names->docs;
    uint8_t key[12];
    uint32_t slot = UINT32_MAX;
    bool known = false;

    memcpy(key, &name->coll, 4);
    memcpy(key + 4, &name->row, 8);
    if (remember && name->id.len <= SYNC_DICT_NAME_BYTES_MAX) {
        slot = sync_dict_find(docs, tako_slice_of(key, sizeof key),
                              w->names->stamp);
        known = slot != UINT32_MAX;
        if (!known)
            slot = sync_dict_add(docs, tako_slice_of(key, sizeof key),
                                 w->names->stamp);
    }
    if (known) {
        tako_put_varint(w->scratch,
                        ((uint64_t)slot + REF_SLOTS) << SYNC_TAG_BITS | tag);
        return;
    }
    tako_put_varint(w->scratch,
                    (uint64_t)(slot == UINT32_MAX ? REF_LITERAL : REF_DEFINE)
                            << SYNC_TAG_BITS |
                        tag);
    if (slot != UINT32_MAX)
        tako_put_varint(w->scratch, slot);
    put_coll(w, name->coll_name);
    sync_put_id(w->scratch, name->id);
}

static tako_err writer_done(sync_writer *w)
{
    if (w->scratch->failed)
        w->out->failed = true;
    tako_put_bytes(w->out, tako_buf_slice(w->scratch));
    return w->out->failed ? TAKO_NOMEM : TAKO_OK;
}

tako_err sync_put_state(sync_writer *w, const sync_doc_name *name,
                        bool remember, tako_slice meta, tako_slice body)
{
    tako_reader in = tako_reader_of(meta);
    uint64_t actors = tako_read_varint(&in);

    if (in.failed || actors > TAKO_CONTEXT_ACTORS_MAX)
        return TAKO_CORRUPT;
    tako_buf_reset(w->scratch);
    put_head(w, SYNC_TAG_STATE, name, remember);
    tako_put_varint(w->scratch, actors);
    for (uint64_t i = 0; i < actors; i++) {
        tako_slice id = tako_read_bytes(&in, 16);

        if (in.failed)
            return TAKO_CORRUPT;
        put_actor(w, w->scratch, id.ptr);
    }
    tako_put_block(w->scratch, tako_read_bytes(&in, tako_reader_left(&in)));
    tako_put_block(w->scratch, body);
    return writer_done(w);
}

static uint64_t context_top(const crdt_context *c)
{
    uint64_t top = 0;

    for (size_t i = 0; i < c->count; i++)
        if (c->dots[i].hlc > top)
            top = c->dots[i].hlc;
    return top;
}

/* All of the record but the delta; its length is put in front of it then. */
static size_t begin_delta(sync_writer *w, sync_tag tag,
                          const sync_doc_name *name, const crdt_doc *d)
{
    w->ref = context_top(crdt_doc_context(d));
    tako_buf_reset(w->scratch);
    put_head(w, tag, name, !w->unnamed);
    put_ref(w->scratch, w->names->ref, w->ref);
    return w->scratch->len;
}

static tako_err end_delta(sync_writer *w, size_t at)
{
    size_t left = w->scratch->len - at;
    uint8_t len[10];
    size_t n = 0;

    do {
        len[n] = (uint8_t)((left & 0x7fu) | (left > 0x7fu ? 0x80u : 0));
        left >>= 7;
        n++;
    } while (left > 0);
    tako_buf_insert(w->scratch, at, tako_slice_of(len, n));
    w->names->ref = w->ref;
    return writer_done(w);
}

void sync_put_jump(sync_writer *w)
{
    tako_put_varint(w->out,
                    SYNC_CLAIMS_JUMP << SYNC_TAG_BITS | SYNC_TAG_CLAIMS);
}

tako_err sync_put_delta(sync_writer *w, const sync_doc_name *name,
                        const crdt_doc *d, const crdt_context *base,
                        const crdt_doc *before, const uint8_t sum_key[16])
{
    crdt_names_out names = { w, out_dot, out_key };
    size_t at = begin_delta(w, SYNC_TAG_DELTA, name, d);

    TAKO_TRY(crdt_delta_encode(d, base, before, sum_key, &names, w->scratch));
    return end_delta(w, at);
}

tako_err sync_put_answer(sync_writer *w, const sync_doc_name *name,
                         const crdt_doc *d, const crdt_fields *asked,
                         const uint8_t sum_key[16])
{
    crdt_names_out names = { w, out_dot, out_key };
    size_t at = begin_delta(w, SYNC_TAG_ANSWER, name, d);

    TAKO_TRY(crdt_fields_answer(d, asked, sum_key, &names, w->scratch));
    return end_delta(w, at);
}

tako_err sync_put_seen(sync_writer *w, uint64_t key,
                       const crdt_context *context)
{
    tako_buf_reset(w->scratch);
    tako_put_varint(w->scratch,
                    (uint64_t)context->count << SYNC_TAG_BITS | SYNC_TAG_SEEN);
    tako_put_u64(w->scratch, key);
    for (size_t i = 0; i < context->count; i++) {
        put_actor(w, w->scratch, context->dots[i].actor.id);
        put_ref(w->scratch, w->ref, context->dots[i].hlc);
        w->ref = context->dots[i].hlc;
    }
    return writer_done(w);
}

/* 0: the reference itself; else 1 and its distance, either way. */
void sync_put_claim(sync_writer *w, tako_buf *out, crdt_dot dot)
{
    put_actor(w, out, dot.actor.id);
    if (dot.hlc == w->names->ref) {
        tako_put_u8(out, 0);
        return;
    }
    tako_put_u8(out, 1);
    put_ref(out, w->names->ref, dot.hlc);
}

/* ---- receiving ----------------------------------------------------------------- */

static tako_err bad(tako_errbuf *e, const char *what)
{
    return tako_fail(e, TAKO_CORRUPT, "malformed record: %s", what);
}

static tako_err get_definition(sync_names *n, sync_tag tag, uint64_t slot,
                               tako_reader *in, bool *replaced, tako_errbuf *e)
{
    tako_slice name =
        tag == SYNC_TAG_ACTOR ? tako_read_bytes(in, 16) : tako_read_block(in);
    sync_dict *d = tag == SYNC_TAG_ACTOR ? &n->actors
                   : tag == SYNC_TAG_KEY ? &n->keys
                                         : &n->colls;
    bool again = false;
    tako_err err;

    if (in->failed)
        return bad(e, "short definition");
    err = sync_dict_define(d, slot, name, &again);
    if (err != TAKO_OK)
        return err == TAKO_CORRUPT ? bad(e, "definition") : err;
    if (again && tag == SYNC_TAG_COLLECTION)
        return bad(e, "collection defined twice");
    *replaced = *replaced || again;
    return TAKO_OK;
}

/* The document that a head refers to. */
static tako_err get_doc(sync_names *n, tako_arena *a, uint64_t ref,
                        tako_reader *in, sync_record *out, tako_errbuf *e)
{
    uint64_t slot, coll;
    sync_dict_entry *entry;
    bool again;
    tako_err err;

    if (ref >= REF_SLOTS) {
        entry = sync_dict_at(&n->docs, ref - REF_SLOTS);
        if (entry == NULL)
            return bad(e, "unknown document number");
        out->coll = entry->extra;
        out->id = tako_arena_copy(a, tako_slice_of(entry->bytes, entry->len));
        return out->id.ptr == NULL ? TAKO_NOMEM : TAKO_OK;
    }
    slot = ref == REF_DEFINE ? tako_read_varint(in) : 0;
    coll = tako_read_varint(in);
    out->id = sync_get_id(in, a);
    if (in->failed || sync_dict_at(&n->colls, coll) == NULL)
        return bad(e, "document name");
    if (cbor_check(out->id, TAKO_VALUE_DEPTH_MAX, NULL) != TAKO_OK)
        return bad(e, "_id");
    out->coll = (uint32_t)coll;
    if (ref != REF_DEFINE)
        return TAKO_OK;
    err = sync_dict_define(&n->docs, slot, out->id, &again);
    if (err != TAKO_OK)
        return err == TAKO_CORRUPT ? bad(e, "document number") : err;
    sync_dict_at(&n->docs, slot)->extra = (uint32_t)coll;
    return TAKO_OK;
}

static bool get_actor(sync_names *n, tako_reader *in, uint8_t id[16])
{
    uint64_t code = tako_read_varint(in);
    sync_dict_entry *entry;
    tako_slice name;

    if (code == 0) {
        name = tako_read_bytes(in, 16);
    } else {
        entry = sync_dict_at(&n->actors, code - 1u);
        name = entry == NULL ? TAKO_SLICE_NONE
                             : tako_slice_of(entry->bytes, entry->len);
    }
    if (in->failed || name.len != 16) {
        in->failed = true;
        return false;
    }
    memcpy(id, name.ptr, 16);
    return true;
}

/* Rebuilds the meta: count, actor ids, the rest. */
static tako_err get_state(sync_names *n, tako_arena *a, tako_reader *in,
                          sync_record *out, tako_errbuf *e)
{
    uint64_t actors = tako_read_varint(in);
    tako_reader ahead;
    tako_slice rest;
    uint8_t *meta;
    size_t at = 0;

    if (in->failed || actors > TAKO_CONTEXT_ACTORS_MAX ||
        actors > tako_reader_left(in))
        return bad(e, "actors of a state");
    ahead = *in;
    for (uint64_t i = 0; i < actors; i++)
        if (tako_read_varint(&ahead) == 0)
            (void)tako_read_bytes(&ahead, 16);
    rest = tako_read_block(&ahead);
    if (ahead.failed)
        return bad(e, "short state");
    meta = tako_arena_alloc(a, 2u + (size_t)actors * 16u + rest.len);
    if (meta == NULL)
        return TAKO_NOMEM;
    if (actors > 0x7fu)
        meta[at++] = (uint8_t)((actors & 0x7fu) | 0x80u);
    meta[at++] = (uint8_t)(actors > 0x7fu ? actors >> 7 : actors);
    for (uint64_t i = 0; i < actors; i++, at += 16)
        if (!get_actor(n, in, meta + at))
            return bad(e, "unknown actor number");
    if (rest.len > 0)
        memcpy(meta + at, rest.ptr, rest.len);
    *in = ahead;
    out->meta = tako_slice_of(meta, at + rest.len);
    out->body = tako_read_block(in);
    return in->failed ? bad(e, "short state") : TAKO_OK;
}

tako_err sync_get_record(sync_names *n, tako_arena *a, tako_reader *in,
                         sync_record *out, bool *replaced, tako_errbuf *e)
{
    bool jump = false;

    while (tako_reader_left(in) > 0) {
        uint64_t head = tako_read_varint(in);
        uint64_t rest = head >> SYNC_TAG_BITS;
        uint64_t tag = head & ((1u << SYNC_TAG_BITS) - 1u);

        if (!in->failed && head == SYNC_TAG_CLAIMS && !jump)
            return TAKO_NOTFOUND;
        if (!in->failed && tag == SYNC_TAG_CLAIMS && rest == SYNC_CLAIMS_JUMP) {
            jump = true;
            continue;
        }
        if (in->failed || (tag > SYNC_TAG_COLLECTION && tag != SYNC_TAG_ANSWER))
            return bad(e, "unknown tag");
        if (tag != SYNC_TAG_STATE && tag != SYNC_TAG_DELTA &&
            tag != SYNC_TAG_ANSWER) {
            TAKO_TRY(get_definition(n, (sync_tag)tag, rest, in, replaced, e));
            continue;
        }
        *out = (sync_record){ .delta = tag != SYNC_TAG_STATE,
                              .answer = tag == SYNC_TAG_ANSWER,
                              .jump = jump };
        TAKO_TRY(get_doc(n, a, rest, in, out, e));
        if (!out->delta)
            return get_state(n, a, in, out, e);
        out->ref = n->ref = get_ref(in, n->ref);
        out->body = tako_read_block(in);
        return in->failed ? bad(e, "short delta") : TAKO_OK;
    }
    return in->failed || jump ? bad(e, "short") : TAKO_NOTFOUND;
}

tako_err sync_get_seen(sync_names *n, tako_arena *a, tako_reader *in,
                       uint64_t *ref, uint64_t *key, crdt_context *context,
                       tako_errbuf *e)
{
    bool replaced = false;
    uint64_t head, tag;

    *context = (crdt_context){ NULL, 0, 0 };
    do {
        if (tako_reader_left(in) == 0)
            return in->failed ? bad(e, "short") : TAKO_NOTFOUND;
        head = tako_read_varint(in);
        tag = head & ((1u << SYNC_TAG_BITS) - 1u);
        if (in->failed || (tag != SYNC_TAG_SEEN && tag != SYNC_TAG_ACTOR))
            return bad(e, "unknown tag");
        if (tag == SYNC_TAG_ACTOR)
            TAKO_TRY(get_definition(n, SYNC_TAG_ACTOR, head >> SYNC_TAG_BITS,
                                    in, &replaced, e));
    } while (tag != SYNC_TAG_SEEN);
    head >>= SYNC_TAG_BITS;
    *key = tako_read_u64(in);
    if (in->failed || head > TAKO_CONTEXT_ACTORS_MAX)
        return bad(e, "short context");
    for (; head > 0; head--) {
        crdt_dot dot;

        if (!get_actor(n, in, dot.actor.id))
            return bad(e, "unknown actor number");
        dot.hlc = *ref = get_ref(in, *ref);
        if (in->failed || dot.hlc == 0 ||
            (context->count > 0 &&
             crdt_actor_cmp(context->dots[context->count - 1].actor,
                            dot.actor) >= 0))
            return bad(e, "context");
        TAKO_TRY(crdt_context_add(a, context, dot));
    }
    return TAKO_OK;
}

bool sync_get_claim(sync_names *n, tako_reader *in, crdt_dot *dot)
{
    uint8_t far;

    if (!get_actor(n, in, dot->actor.id))
        return false;
    far = tako_read_u8(in);
    dot->hlc = far == 0 ? n->ref : get_ref(in, n->ref);
    return !in->failed && far <= 1u;
}

static bool in_dot(void *ctx, tako_reader *in, crdt_dot *dot)
{
    sync_delta_in *d = ctx;

    if (!get_actor(d->names, in, dot->actor.id))
        return false;
    dot->hlc = get_hlc(in, d->ref);
    if (in->failed || dot->hlc == 0) {
        in->failed = true;
        return false;
    }
    if (dot->hlc > crdt_context_get(&d->seen, dot->actor) &&
        crdt_context_add(d->arena, &d->seen, *dot) != TAKO_OK) {
        d->nomem = true;
        in->failed = true;
        return false;
    }
    return true;
}

/* Copied: a table's memory moves when a later message redefines the slot. */
static bool in_key(void *ctx, tako_reader *in, tako_slice *key)
{
    sync_delta_in *d = ctx;
    uint64_t code = tako_read_varint(in);
    sync_dict_entry *entry;

    if (code == 0) {
        *key = tako_read_block(in);
        return !in->failed;
    }
    entry = sync_dict_at(&d->names->keys, code - 1u);
    if (in->failed || entry == NULL) {
        in->failed = true;
        return false;
    }
    *key = tako_arena_copy(d->arena, tako_slice_of(entry->bytes, entry->len));
    d->nomem = d->nomem || key->ptr == NULL;
    in->failed = in->failed || key->ptr == NULL;
    return !in->failed;
}

void sync_delta_names(sync_delta_in *d, crdt_names_in *out)
{
    *out = (crdt_names_in){ d, in_dot, in_key };
}
