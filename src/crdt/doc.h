// SPDX-License-Identifier: Apache-2.0
/* DOC -- the replicated state of one document: what is merged and hashed.
 *
 * THE MODEL (docs/merge.md has it for users; tests/crdt/model.py is an
 * independent implementation of this text)
 *
 *   document  root generation (0 never inserted, odd alive, even deleted),
 *             context, births, and, while alive, the root's children.
 *   births    set of (generation, dot): the INSERTs that made each generation,
 *             from the first that is remembered on: an INSERT of a key of which
 *             nothing was stored remembers none before its own. merge = union,
 *             less what is before the greater of both firsts (births.c). The
 *             greatest is of the last odd generation that the root has reached.
 *   slot      what is at one path (a key of a map, under the root):
 *     values    siblings: (dot, type, CBOR). type REGISTER or ATTACHMENT, or
 *               one this version does not know (kept, reads as MISSING).
 *     map       generation (1 by default; even removed; odd alive) with the
 *               least dot that made it (its maker; none for 1), and inside it
 *               marks (dots that say "a map is here, perhaps empty") and
 *               children: key -> slot.
 *     counter   generation and maker likewise, and inside it start values
 *               (dot, number: siblings), sums: actor -> (hlc, inc, dec), and
 *               baselines: actor -> (inc, dec), never (0, 0).
 *   A slot with nothing inside and both generations 1 does not exist; any
 *   other is kept, also when nothing in it is alive. Nothing is inside an even
 *   generation. That equal contexts mean equal bytes (P2) rests on this and on
 *   everything here being a function of the set of merged events.
 *
 * WHO SHOWS at a slot: of the values (their dots), the map if it holds a mark
 * or a live entry (value, start) anywhere inside (the greatest dot inside it,
 * with the sums of counters that have a start), and the counter if it has a
 * start (the greatest dot among starts and sums), the one with the greatest
 * dot. The rest are visible losers. Inside a shown map the same, recursively;
 * a key where nothing, or a value of an unknown type, shows is MISSING.
 * A counter shows start (the greatest start dot) + sum over actors of
 * (inc - baseline inc) - (dec - baseline dec), in int64 modulo 2^64 (float64
 * when the start is a float).
 *
 * WRITES, all under the transaction's dot, which joins the context:
 *   clearing a slot      every observed value, mark and start at and below it
 *                        goes; each counter there that had a start is ended:
 *                        its generation goes to the next even number. Maps keep
 *                        their generations (a concurrent SET below stays as a
 *                        sibling).
 *   SET path = leaf      the slot is cleared; (dot, leaf) comes.
 *   SET path = {...}     type MAP: path becomes a map (below), hidden values and
 *                        a hidden counter beside it go (the counter is ended),
 *                        and each key is SET in it; keys not named stay.
 *                        type REGISTER: like a leaf, the map is one value.
 *   becoming a map       (also every parent of a written path): if a map shows
 *                        already, nothing. Else the slot is cleared; if the
 *                        map's generation is even it becomes the next odd one;
 *                        a mark (dot) comes.
 *   UNSET path           where it cannot be reached through maps that show:
 *                        nothing. Else values and starts go (a counter with a
 *                        start is ended); if the map had anything live inside,
 *                        its generation becomes the next even one.
 *   INCREMENT path n     on a counter, a number or nothing; on anything else:
 *                        TAKO_INVALID. Values at the slot go, its map's inside
 *                        is cleared. If no counter showed: RESTART (below) with
 *                        the number that did, or 0. This actor's sums grow by n
 *                        and take the dot's hlc.
 *   RESTART path n       likewise, and: counter generation becomes odd if even,
 *                        observed starts go, start = (dot, n), baselines rise to
 *                        the sums now known. (So a hidden counter that an
 *                        INCREMENT revives does not count twice.)
 *   INSERT fields        root generation becomes the next odd one; (generation,
 *                        dot) joins births; fields are SET.
 *   DELETE               root generation becomes the next even one; no children.
 *
 * MERGE of two slots (contexts CA, CB): values: keep what both have; keep what
 * one has and the other's context lacks; drop the rest. Map: the greater
 * generation with what is inside, less the entries that the other's context
 * has (honest histories have none); equal: the lesser maker, marks and starts
 * as values, children slot by slot. Counter: likewise; sums per actor: the
 * greater hlc; baselines: the greater of each. Root: likewise by generation.
 * Equal dot and different content (forgery, a bug): the greater bytes, type
 * first; sums: the greater of each; reported.
 *
 * STORED FORM: body = deterministic CBOR map of what shows (empty for a
 * document that is not alive), meta = everything else, canonical, and opaque
 * to all but this folder (meta.h), except that it begins with a varint n and n
 * actor ids of 16 bytes ascending (n <= TAKO_CONTEXT_ACTORS_MAX), to which the
 * rest refers by number. The usual case, one transaction wrote everything, is
 * 1 + 16 + 8 bytes. version = BLAKE2b-128 of (length of meta as 8 bytes, meta,
 * body). A version of tako that knows more types keeps to this form for the
 * types that this one does not show, or versions would differ. */
#ifndef TAKO_CRDT_DOC_H
#define TAKO_CRDT_DOC_H

#include "codec/cbor.h"
#include "crdt/dot.h"

typedef enum crdt_type {
    CRDT_AUTO, /* an object is a MAP, the rest a REGISTER */
    CRDT_REGISTER,
    CRDT_MAP,
    CRDT_COUNTER,
    CRDT_ATTACHMENT,
} crdt_type;

/* A decoded document; all of it lives in the arena that made it. */
typedef struct crdt_doc crdt_doc;

/* A document that was never inserted: generation 0, empty context. */
tako_err crdt_doc_new(tako_arena *a, crdt_doc **out);

/* Decodes a stored or received state. Strings point into meta and body, which
 * must outlive the document. Checks everything (the bytes may be hostile): no
 * state is accepted that would encode to other bytes.
 * TAKO_CORRUPT (e says what), TAKO_LIMIT, TAKO_NOMEM */
tako_err crdt_doc_decode(tako_arena *a, tako_slice meta, tako_slice body,
                         crdt_doc **out, tako_errbuf *e);

/* The same for rows of our own store: what the checks would cost is saved (a
 * third of the time, and the allocations). Bytes that are no state give
 * TAKO_CORRUPT or some tree, never a read beyond them. */
tako_err crdt_doc_decode_trusted(tako_arena *a, tako_slice meta,
                                 tako_slice body, crdt_doc **out,
                                 tako_errbuf *e);

/* Appends the canonical state. body stays empty when not alive. */
tako_err crdt_doc_encode(const crdt_doc *d, tako_buf *meta, tako_buf *body);

void crdt_version(tako_slice meta, tako_slice body, uint8_t out[16]);

/* The meta of a document that one INSERT of plain values (CRDT_AUTO) just
 * made, without building a tree: crdt_doc_encode would give the same bytes
 * and the same body. `body` is a checked CBOR map. */
tako_err crdt_fresh_meta(crdt_dot dot, tako_slice body, tako_buf *meta);
/* The same at an odd generation of the caller's: where the collection has an
 * epoch (SYNC.md 4). */
tako_err crdt_fresh_meta_at(crdt_dot dot, uint64_t generation, tako_slice body,
                            tako_buf *meta);

/* True when meta is exactly of that shape (one life, one actor, alive): the
 * common case that receivers store without decoding. Sets *dot. Together with
 * a checked body map this is a valid state. */
bool crdt_meta_is_fresh(tako_slice meta, crdt_dot *dot);

/* Only what the front of meta says, without decoding the rest; also of a
 * marker. */
tako_err crdt_meta_context(tako_arena *a, tako_slice meta, crdt_context *out);
uint64_t crdt_meta_generation(tako_slice meta); /* 0 when malformed */
uint64_t crdt_meta_top(tako_slice meta);        /* its greatest hlc, likewise */

/* A context that every state covers which has all that d has of events up to
 * an hlc: all that still shows (past.c). In `a`. TAKO_NOMEM */
tako_err crdt_past(tako_arena *a, const crdt_doc *d, uint64_t upto,
                   crdt_context *out);

bool crdt_doc_alive(const crdt_doc *d);
uint64_t crdt_doc_generation(const crdt_doc *d);
const crdt_context *crdt_doc_context(const crdt_doc *d);

/* The dots of all births; writes at most cap, returns how many there are. */
size_t crdt_doc_births(const crdt_doc *d, crdt_dot *out, size_t cap);
/* The i-th of them. *ended: it began a life that is over, by what d knows. */
crdt_dot crdt_doc_birth(const crdt_doc *d, size_t i, bool *ended);

/* The first life whose births d remembers; 0 without any. */
uint64_t crdt_doc_first(const crdt_doc *d);

/* Has an INSERT ... INITIAL a part in what the context knows? Nobody may
 * forget such a document's deletion: any device may seed it again. */
bool crdt_context_seeded(const crdt_context *c);

/* A document of which nothing is known but that lives up to this even
 * generation ended somewhere: its first INSERT is the next one. */
void crdt_doc_after(crdt_doc *d, uint64_t generation);

/* ---- local writes ------------------------------------------------------ */

/* A path of keys from the root, n >= 1. */
typedef struct crdt_path {
    const tako_slice *keys;
    size_t count;
} crdt_path;

/* fields: a checked CBOR map. Inserting an alive document: TAKO_EXISTS. */
tako_err crdt_insert(crdt_doc *d, crdt_dot dot, tako_slice fields);

/* The same at a generation of the caller's choosing, odd and above that of d:
 * for a key below whose epoch something was reaped, and for an evicted key,
 * where d is new and the marker knows the generation (SYNC.md 3, 4). */
tako_err crdt_insert_at(crdt_doc *d, crdt_dot dot, uint64_t generation,
                        tako_slice fields);

/* value: checked CBOR; it and the keys are copied. All of these need an alive
 * document (TAKO_NOTFOUND). TAKO_INVALID: the declared type contradicts what
 * the path is (a COUNTER that is SET with a declared type, INCREMENT of a
 * text); e says it. TAKO_LIMIT: deeper than TAKO_VALUE_DEPTH_MAX, or a counter
 * past int64. */
tako_err crdt_set(crdt_doc *d, crdt_dot dot, crdt_path path, crdt_type type,
                  tako_slice value, tako_errbuf *e);
tako_err crdt_unset(crdt_doc *d, crdt_dot dot, crdt_path path);
tako_err crdt_increment(crdt_doc *d, crdt_dot dot, crdt_path path, int64_t by,
                        tako_errbuf *e);
tako_err crdt_restart(crdt_doc *d, crdt_dot dot, crdt_path path, int64_t with,
                      tako_errbuf *e);
tako_err crdt_delete(crdt_doc *d, crdt_dot dot);
/* An event that changes nothing, like an UNSET of what is not there. */
tako_err crdt_touch(crdt_doc *d, crdt_dot dot);

/* What a reader meets at a path. */
typedef struct crdt_at {
    crdt_type type;   /* CRDT_AUTO: nothing */
    bool unknown;     /* of a type that this version does not know */
    tako_slice value; /* of a register or an attachment */
} crdt_at;
crdt_at crdt_look(const crdt_doc *d, crdt_path path);

/* INSERT ... INITIAL: the constant state that is merged, never written:
 * generation 1, every dot (hash of id, seed_version and fields ; 1 +
 * seed_version), so that the greater VERSION shows among seeds and any real
 * write beats both. seed_version < 2^40. */
tako_err crdt_initial(tako_arena *a, tako_slice id, uint64_t seed_version,
                      tako_slice fields, crdt_doc **out);

/* ---- markers ----------------------------------------------------------- */

/* What is kept, where meta stands, of a living document that was evicted
 * here: generation, births and context, and nothing of what is inside. Not a
 * state: it never travels, and decoding it as one gives TAKO_CORRUPT. */
bool crdt_meta_is_marker(tako_slice meta);
tako_err crdt_marker_put(const crdt_doc *d, tako_buf *meta);
/* The same of one that left by itself, on a day of this store's counting. */
tako_err crdt_marker_put_left(const crdt_doc *d, uint64_t day, tako_buf *meta);
bool crdt_meta_is_left(tako_slice meta, uint64_t *day);
/* A marker, and not of one that left. */
bool crdt_meta_is_evicted(tako_slice meta);

/* A document that only tells what was known; it takes no delta that brings
 * anything new, and is not to be written, merged or encoded.
 * TAKO_CORRUPT (e says what), TAKO_NOMEM */
tako_err crdt_marker_read(tako_arena *a, tako_slice meta, crdt_doc **out,
                          tako_errbuf *e);

/* What a local write by actor `self` to the evicted key begins with: nothing,
 * such that an INSERT makes it the same generation, with a context of its
 * own; or, where the marker knows events of self, a new life, as if self had
 * deleted it. In the same arena. */
tako_err crdt_marker_follow(const crdt_doc *marker, crdt_actor self,
                            crdt_doc **out);

/* ---- notices ----------------------------------------------------------- */

/* What is kept, where meta stands, of a document that was found to be dead by
 * its births (SYNC.md 4): those births, to be told to who may still have it.
 * Not a state: it never travels as one. */
bool crdt_meta_is_notice(tako_slice meta);
/* One that names none: what was here was let go, and nobody died. */
bool crdt_notice_is_bare(tako_slice meta);
void crdt_notice_put(const crdt_dot *births, size_t count, tako_buf *meta);
/* In the arena; NULL of a bare one. TAKO_CORRUPT, TAKO_NOMEM */
tako_err crdt_notice_read(tako_arena *a, tako_slice meta, crdt_dot **out,
                          size_t *count);

/* ---- under another name ------------------------------------------------ */

/* Events of actor `from` above hlc `above` become those of `to`, who must be
 * unknown to the document; of what `from` did before them the document knows
 * all up to `seen` (<= above). For events that no other replica has. */
typedef struct crdt_redot {
    crdt_actor from;
    uint64_t above;
    uint64_t seen;
    crdt_actor to;
} crdt_redot;

/* The document as it were if `to` had made those writes. *done is false, and
 * nothing is changed, when there are none, and where it cannot be told: a
 * counter keeps one sum of all that an actor added. TAKO_NOMEM */
tako_err crdt_doc_redot(crdt_doc *d, const crdt_redot *r, bool *done);

/* ---- merge ------------------------------------------------------------- */

/* What a merge took away though nobody meant to. */
typedef enum crdt_loss_kind {
    CRDT_LOST_UPDATE = 1, /* a value, to a removal that had not seen it */
    CRDT_LOST_INCREMENT,  /* likewise; the value is all that its actor added */
    CRDT_LOST_INSERT,     /* a document, to a removal or a later life */
    CRDT_LOST_FORGED,     /* one of two contents under one dot */
} crdt_loss_kind;

typedef struct crdt_loss {
    struct crdt_loss *next;
    crdt_loss_kind kind;
    crdt_dot dot;     /* of the write that is lost */
    crdt_path path;   /* empty: the document */
    tako_slice value; /* CBOR; of a forged sum {dec, inc} */
    tako_slice kept;  /* FORGED: the other content, which stays */
} crdt_loss;

typedef struct crdt_merge_info {
    bool changed; /* `into` is another state than before */
    bool lost;    /* a concurrent update was lost to a removal */
    bool forged;  /* one dot with two contents was met */
    bool evicted; /* store_merge: something new of what was evicted here */
    crdt_dot forged_dot;
    /* What was lost and forged, in into's arena, as long as both documents
     * are there; the first TAKO_LOST_OF_MERGE_MAX. */
    const crdt_loss *losses;
    /* Births of lives that are over and not remembered any more, in into's
     * arena: they belong into the graveyard. */
    const crdt_dot *left;
    size_t left_count;

    /* store_merge: by these births of its present life, which are borrowed
     * until the next call, the state was not taken: it is dead, or, where
     * `doubtful`, nobody knows any more whether it is. */
    bool dead, doubtful;
    const crdt_dot *births;
    size_t birth_count;
} crdt_merge_info;

/* Merges `from` into `into`. `from` may come from another arena; the strings
 * it refers to must outlive `into`. info may be NULL. TAKO_LIMIT (too many
 * actors, nothing is changed), TAKO_NOMEM (throw `into` away) */
tako_err crdt_merge(crdt_doc *into, const crdt_doc *from,
                    crdt_merge_info *info);

/* Adds to info the births of `was` that `now`, which takes its place without a
 * merge, does not remember. In now's arena. */
tako_err crdt_doc_left(const crdt_doc *was, const crdt_doc *now,
                       crdt_merge_info *info);

/* Every slot with more than one contender, as far as a reader gets; contenders
 * with equal content do not disagree. `shown` and `loser` are CBOR, valid
 * during the call, also where a value of an unknown type is one of them. */
typedef void crdt_conflict_fn(void *ctx, crdt_path path, crdt_dot shown_dot,
                              tako_slice shown, crdt_dot loser_dot,
                              tako_slice loser);
tako_err crdt_conflicts(const crdt_doc *d, crdt_conflict_fn *fn, void *ctx);

#endif /* TAKO_CRDT_DOC_H */
