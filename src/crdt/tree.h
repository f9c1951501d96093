// SPDX-License-Identifier: Apache-2.0
/* TREE -- a document in memory; private to this folder.
 *
 * Everything lives in the document's arena and is never freed one by one.
 * Lists of entries ascend by dot, so the candidate to show is the last;
 * children ascend in cbor_key_cmp order. NULL for a map or a counter means
 * generation 1 with nothing inside, and the code that changes one puts NULL
 * back (crdt_slot_trim), so that equal states are equal trees.
 *
 * The same tree holds a parsed delta: then a slot says by its flags what it
 * tells about (delta.c). */
#ifndef TAKO_CRDT_TREE_H
#define TAKO_CRDT_TREE_H

#include "crdt/doc.h"

#define CRDT_GENERATION_FIRST 1u
#define CRDT_SEED_HLC_MAX     (UINT64_C(1) << 40) /* of INSERT ... INITIAL */

typedef struct crdt_entry {
    crdt_dot dot;
    tako_slice value; /* of a mark, and of a dot without content: empty */
    uint32_t type;    /* of values: a crdt_type, or one unknown to us */
} crdt_entry;

typedef struct crdt_entries {
    crdt_entry *at;
    uint32_t count;
    uint32_t cap;
} crdt_entries;

/* What an actor has added and taken up to dot.hlc. */
typedef struct crdt_sum {
    crdt_dot dot;
    uint64_t inc;
    uint64_t dec;
} crdt_sum;

typedef struct crdt_sums {
    crdt_sum *at; /* ascending by actor */
    uint32_t count;
    uint32_t cap;
} crdt_sums;

typedef struct crdt_counter {
    uint64_t generation;
    crdt_dot maker;
    crdt_entries starts;
    crdt_sums sums;
    crdt_sums baselines; /* their hlc is always 0 */
} crdt_counter;

typedef struct crdt_slot crdt_slot;

typedef struct crdt_map {
    uint64_t generation;
    crdt_dot maker;
    crdt_entries marks;
    crdt_slot *children;
    uint32_t count;
    uint32_t cap;
} crdt_map;

struct crdt_slot {
    tako_slice key;
    crdt_entries values;
    crdt_map *map;
    crdt_counter *counter;
    bool listed; /* of a delta: values and marks are all there are */
    bool all;    /* of a delta: the map's inside is all there is */
};

typedef struct crdt_birth {
    uint64_t generation;
    crdt_dot dot;
} crdt_birth;

typedef struct crdt_births {
    crdt_birth *at; /* ascending by generation, then dot */
    uint32_t count;
    uint32_t cap;
} crdt_births;

struct crdt_doc {
    tako_arena *arena;
    crdt_context context;
    crdt_births births;
    uint64_t first; /* of a delta: births before this life are forgotten */
    crdt_map root;  /* no maker, no marks */
    bool hollow;    /* of a marker: what is inside is not known here */
};

/* What a reader sees at a slot. */
typedef enum crdt_show {
    CRDT_SHOW_VALUE,
    CRDT_SHOW_MAP,
    CRDT_SHOW_COUNTER,
    CRDT_SHOW_NOTHING,
    CRDT_SHOW_UNKNOWN, /* an entry of an unknown type won: MISSING */
} crdt_show;

static inline bool crdt_dot_eq(const crdt_dot *a, const crdt_dot *b)
{
    return a->hlc == b->hlc &&
           memcmp(&a->actor, &b->actor, sizeof a->actor) == 0;
}

static inline uint64_t crdt_next_even(uint64_t generation)
{
    return generation + (generation & 1);
}

static inline uint64_t crdt_next_odd(uint64_t generation)
{
    return generation + 1 + (generation & 1);
}

/* ---- lists ------------------------------------------------------------- */

/* Room for `count` elements; TAKO_NOMEM. */
tako_err crdt_entries_reserve(tako_arena *a, crdt_entries *l, size_t count);
tako_err crdt_sums_reserve(tako_arena *a, crdt_sums *l, size_t count);

/* Inserts e in order, in the place of one with the same dot. */
tako_err crdt_entries_put(tako_arena *a, crdt_entries *l, crdt_entry e);

/* The element of an actor, added with zeros when there is none. */
tako_err crdt_sums_of(tako_arena *a, crdt_sums *l, crdt_actor actor,
                      crdt_sum **out);
const crdt_sum *crdt_sums_find(const crdt_sums *l, crdt_actor actor);

tako_err crdt_births_put(tako_arena *a, crdt_births *l, crdt_birth b);

/* The least generation among them, 0 without any: nothing before is
 * remembered. */
uint64_t crdt_births_first(const crdt_births *l);

/* Merges theirs, of a document that remembers from `first` on, into ours, and
 * adds what is left behind to info. Memory in a. */
tako_err crdt_births_join(tako_arena *a, crdt_births *ours,
                          const crdt_births *theirs, uint64_t first,
                          crdt_merge_info *info);

/* The dot that entries have unless something else is said: the least birth
 * of the last life. Needs at least one birth. */
crdt_dot crdt_default_dot(const crdt_births *l);

/* ---- slots ------------------------------------------------------------- */

/* The child under key, or NULL; *at is where it is or belongs. */
crdt_slot *crdt_map_find(const crdt_map *m, tako_slice key, size_t *at);

/* Room for `count` children in all. */
tako_err crdt_map_reserve(tako_arena *a, crdt_map *m, size_t count);

/* A new empty child at position `at`. Moves the later ones. */
tako_err crdt_map_add(tako_arena *a, crdt_map *m, size_t at, tako_slice key,
                      crdt_slot **out);

/* The slot's map or counter, made when it is not there yet. */
tako_err crdt_slot_map(tako_arena *a, crdt_slot *s, crdt_map **out);
tako_err crdt_slot_counter(tako_arena *a, crdt_slot *s, crdt_counter **out);

/* Takes away a map and a counter that say nothing; false when then nothing
 * is left, and the slot must go. */
bool crdt_slot_trim(crdt_slot *s);

bool crdt_counter_holds(const crdt_counter *c); /* anything inside */
bool crdt_map_live(const crdt_map *m);          /* a mark or a live entry */

/* The greatest dot of the live entries inside; hlc 0 when there are none. */
crdt_dot crdt_map_greatest(const crdt_map *m);
crdt_dot crdt_counter_greatest(const crdt_counter *c);

crdt_show crdt_slot_shows(const crdt_slot *s);

/* What a counter with a start shows, as CBOR. */
void crdt_counter_put(const crdt_counter *c, tako_buf *out);
int64_t crdt_counter_moved(const crdt_counter *c); /* without the start */

/* True for types whose values this version can show. */
static inline bool crdt_type_known(uint32_t type)
{
    return type == CRDT_REGISTER || type == CRDT_ATTACHMENT;
}

/* Types that no entry may have, because they are not values. */
static inline bool crdt_type_refused(uint32_t type)
{
    return type == CRDT_AUTO || type == CRDT_MAP || type == CRDT_COUNTER;
}

/* ---- between the files of this folder ---------------------------------- */

/* Merges `from`, which tells only what is beyond *base (NULL: it is whole),
 * or, with `all`, every entry that is alive. Assumes that into's context
 * covers base. */
tako_err crdt_merge_beyond(crdt_doc *into, const crdt_doc *from,
                           const crdt_context *base, bool all,
                           crdt_merge_info *info);

/* A copy of the nodes in d's own arena; strings are shared. */
tako_err crdt_doc_copy(const crdt_doc *d, crdt_doc **out);

/* loss.c: what a merge loses, and where it is: the keys from the root. Each
 * lists what `seen`, which knows nothing of it, takes away; `any` is set where
 * there is something, listed or not. TAKO_NOMEM */
typedef struct crdt_losing {
    tako_arena *a;
    crdt_loss *first, *last;
    uint32_t count;
    bool any;
    uint32_t depth;
    tako_slice keys[TAKO_VALUE_DEPTH_MAX + 1u];
} crdt_losing;

void crdt_losing_enter(crdt_losing *l, tako_slice key);
void crdt_losing_leave(crdt_losing *l);
tako_err crdt_lose_doc(crdt_losing *l, const crdt_doc *d,
                       const crdt_context *seen);
tako_err crdt_lose_map(crdt_losing *l, const crdt_map *m,
                       const crdt_context *seen);
tako_err crdt_lose_counter(crdt_losing *l, const crdt_counter *c,
                           const crdt_context *seen);
tako_err crdt_lose_forged(crdt_losing *l, crdt_dot dot, tako_slice lost,
                          tako_slice kept);
tako_err crdt_lose_forged_sum(crdt_losing *l, const crdt_sum *ours,
                              const crdt_sum *theirs);

/* The meta inside a marker. */
tako_slice crdt_marker_meta(tako_slice meta);

/* What shows inside a map, as a CBOR map. */
void crdt_map_put(const crdt_map *m, tako_buf *out);

#endif /* TAKO_CRDT_TREE_H */
