// SPDX-License-Identifier: Apache-2.0
/* FIELDS -- asking for what differs, and answering it (SYNC.md section 2).
 *
 * R refused a delta of S. Its question names Q, the events that R has and that
 * S had when it made the delta; and for each top-level field the sum over R's
 * live entries that Q has. S answers delta(S, Q) in which each field is *told*
 * whose own sum over what Q has is another: all that is alive in it is listed
 * at every depth, what Q has by its dots alone.
 *
 * WHY R THEN HAS WHAT S'S WHOLE STATE WOULD GIVE IT (and so P2 holds). Take an
 * entry that is alive at R when the answer comes.
 *   S has it too: both merges keep it.
 *   S has not seen it: likewise; no delta touches what its context lacks.
 *   S has seen it and has it no more, and it is beyond Q: a delta removes what
 *     its context has, its base has not, and it does not name.
 *   The same, but Q has it: an entry never comes back to where its dot was
 *     seen, so it was alive at R when R asked, and is in R's sum of its field;
 *     it is not in S's. So the sums differ, the field is told, and the entry
 *     goes because a field that is told names all there is.
 * And an entry that is alive at S and not at R: beyond Q it comes with its
 * content. If Q has it R has seen it, and removed it, so the whole state would
 * not bring it back either; named by its dot it does not come.
 * Generations, births, counters: each that Q lacks is told, by any delta; one
 * that Q has R has, or a later one. A counter that is told is whole, and at a
 * field that is told also one that is not there, so that starts go.
 * Nothing is claimed that is not then here: the answer's context is S's.
 *
 * WITHOUT A SUM over the whole. A delta's sum has to agree with what R has
 * after it; R may have removed, by a write of its own, what S still has, which
 * is why most deltas are refused in the first place. Here R's own removals do
 * not matter, as was said above. What R removes after it asked neither.
 *
 * WHOLE after all, if that cannot be said: S has not all of Q any more (it took
 * another name, or evicted and took it back), it has another life of the
 * document or none, or R is a marker or not alive. Then nothing is saved much
 * either. If R has forgotten Q when the answer comes, the answer is refused as
 * any delta whose base is not covered. */
#include "crdt/fields.h"

#include "crdt/delta_form.h"

/* ---- asking ---------------------------------------------------------------- */

static void put_context(tako_buf *out, const crdt_context *c)
{
    tako_put_varint(out, c->count);
    for (size_t i = 0; i < c->count; i++) {
        tako_put_bytes(
            out, tako_slice_of(c->dots[i].actor.id, sizeof c->dots[i].actor));
        tako_put_varint(out, c->dots[i].hlc);
    }
}

static tako_err put_sums(const crdt_doc *d, const crdt_context *met,
                         const uint8_t sum_key[16], tako_buf *out)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < d->root.count; i++)
        count += crdt_delta_field_sum(&d->root.children[i], met, sum_key) != 0;
    if (count > TAKO_FIELD_SUMS_MAX)
        return TAKO_UNSUPPORTED;
    tako_put_varint(out, count);
    for (uint32_t i = 0; i < d->root.count; i++) {
        const crdt_slot *s = &d->root.children[i];
        uint64_t sum = crdt_delta_field_sum(s, met, sum_key);

        if (sum == 0)
            continue;
        tako_put_block(out, s->key);
        tako_put_u64(out, sum);
    }
    return TAKO_OK;
}

tako_err crdt_fields_ask(const crdt_doc *d, const crdt_context *seen,
                         const uint8_t sum_key[16], tako_buf *out)
{
    tako_arena scratch = tako_arena_on(d->arena->env);
    size_t len = out->len;
    crdt_context met;
    tako_err err = TAKO_UNSUPPORTED;

    if (d->hollow || !crdt_doc_alive(d))
        goto out;
    err = crdt_context_meet(&scratch, seen, &d->context, &met);
    if (err == TAKO_OK && met.count == 0)
        err = TAKO_UNSUPPORTED;
    if (err != TAKO_OK)
        goto out;
    tako_put_varint(out, d->root.generation);
    put_context(out, &met);
    err = put_sums(d, &met, sum_key, out);
    if (err == TAKO_OK && out->failed)
        err = TAKO_NOMEM;
    if (err != TAKO_OK)
        out->len = len;
out:
    tako_arena_fini(&scratch);
    return err;
}

/* ---- reading what is asked --------------------------------------------------- */

static tako_err read_context(tako_arena *a, tako_reader *in, crdt_context *out)
{
    uint64_t count = tako_read_varint(in);

    *out = (crdt_context){ NULL, 0, 0 };
    if (count == 0 || count > TAKO_CONTEXT_ACTORS_MAX)
        return TAKO_CORRUPT;
    for (; count > 0; count--) {
        tako_slice id = tako_read_bytes(in, sizeof(crdt_actor));
        crdt_dot dot = { .hlc = tako_read_varint(in) };

        if (in->failed || dot.hlc == 0)
            return TAKO_CORRUPT;
        memcpy(dot.actor.id, id.ptr, id.len);
        if (out->count > 0 &&
            crdt_actor_cmp(out->dots[out->count - 1].actor, dot.actor) >= 0)
            return TAKO_CORRUPT;
        TAKO_TRY(crdt_context_add(a, out, dot));
    }
    return TAKO_OK;
}

static tako_err read_question(tako_arena *a, tako_reader *in, crdt_fields *out)
{
    uint64_t count;

    out->generation = tako_read_varint(in);
    TAKO_TRY(read_context(a, in, &out->context));
    count = tako_read_varint(in);
    if (in->failed || count > TAKO_FIELD_SUMS_MAX ||
        count > tako_reader_left(in))
        return TAKO_CORRUPT;
    if (count > 0) {
        out->at = tako_arena_array(a, (size_t)count, sizeof *out->at);
        if (out->at == NULL)
            return TAKO_NOMEM;
    }
    for (; out->count < count; out->count++) {
        crdt_field *f = &out->at[out->count];

        f->key = tako_read_block(in);
        f->sum = tako_read_u64(in);
        if (in->failed || f->sum == 0 || !utf8_check(f->key) ||
            (out->count > 0 && cbor_key_cmp(f[-1].key, f->key) >= 0))
            return TAKO_CORRUPT;
    }
    return tako_reader_done(in) ? TAKO_OK : TAKO_CORRUPT;
}

tako_err crdt_fields_read(tako_arena *a, tako_slice question, crdt_fields *out,
                          tako_errbuf *e)
{
    tako_reader in = tako_reader_of(question);
    tako_err err;

    *out = (crdt_fields){ .at = NULL };
    err = read_question(a, &in, out);
    return err == TAKO_CORRUPT ? tako_fail(e, err, "malformed sums of fields")
                               : err;
}

/* ---- answering ----------------------------------------------------------------- */

bool crdt_fields_fit(const crdt_doc *d, const crdt_fields *asked)
{
    return !d->hollow && crdt_doc_alive(d) &&
           d->root.generation == asked->generation &&
           crdt_context_covers(&d->context, &asked->context);
}

/* The fields whose sums differ, as children of a map that has nothing else. */
static tako_err differing(tako_arena *a, const crdt_doc *d,
                          const crdt_fields *asked, const uint8_t sum_key[16],
                          crdt_map *told)
{
    uint32_t i = 0, j = 0;

    *told = (crdt_map){ .generation = CRDT_GENERATION_FIRST };
    TAKO_TRY(crdt_map_reserve(a, told, (size_t)d->root.count + asked->count));
    while (i < d->root.count || j < asked->count) {
        const crdt_slot *s = i < d->root.count ? &d->root.children[i] : NULL;
        const crdt_field *f = j < asked->count ? &asked->at[j] : NULL;
        int order = f == NULL   ? -1
                    : s == NULL ? 1
                                : cbor_key_cmp(s->key, f->key);
        uint64_t ours =
            order <= 0 ? crdt_delta_field_sum(s, &asked->context, sum_key) : 0;
        uint64_t theirs = order >= 0 ? f->sum : 0;

        i += order <= 0;
        j += order >= 0;
        if (ours != theirs)
            told->children[told->count++] =
                (crdt_slot){ .key = order <= 0 ? s->key : f->key };
    }
    return TAKO_OK;
}

tako_err crdt_fields_answer(const crdt_doc *d, const crdt_fields *asked,
                            const uint8_t sum_key[16],
                            const crdt_names_out *names, tako_buf *out)
{
    tako_arena scratch = tako_arena_on(d->arena->env);
    crdt_map told;
    tako_err err = differing(&scratch, d, asked, sum_key, &told);

    if (err == TAKO_OK)
        err = crdt_delta_encode_told(d, &asked->context, &told, names, out);
    tako_arena_fini(&scratch);
    return err;
}
