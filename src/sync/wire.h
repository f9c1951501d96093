// SPDX-License-Identifier: Apache-2.0
/* WIRE -- messages and the records inside them. docs/protocol.md has the same
 * in words.
 *
 * A message is one byte of kind and a body. Kinds with SYNC_MSG_OPTIONAL may
 * be skipped by who does not know them; all others must be known. */
#ifndef TAKO_SYNC_WIRE_H
#define TAKO_SYNC_WIRE_H

#include "crdt/fields.h"
#include "store/store.h"
#include "sync/dict.h"

#define SYNC_VERSION_MAJOR 1u
#define SYNC_VERSION_MINOR 0u
#define SYNC_MSG_OPTIONAL  0x80u

typedef enum sync_msg {
    SYNC_MSG_HELLO = 1,
    SYNC_MSG_INTEREST,
    SYNC_MSG_DROP,
    SYNC_MSG_REFUSED,
    SYNC_MSG_LISTS, /* the server asks for the list */
    SYNC_MSG_LIST,
    SYNC_MSG_STATES,
    SYNC_MSG_CAUGHT_UP,
    SYNC_MSG_SERVED,
    SYNC_MSG_CUT,
    SYNC_MSG_ACK,
    SYNC_MSG_NEEDS,
    SYNC_MSG_RESYNC,
    SYNC_MSG_BYE,
    SYNC_MSG_KNOWN,
    SYNC_MSG_RENEWED,
    SYNC_MSG_CLOCK,
    SYNC_MSG_ASK = 20, /* the question once more, after the feed */
    SYNC_MSG_FED,
    SYNC_MSG_SYMBOLS,
    SYNC_MSG_MORE,
    SYNC_MSG_SEEN,
    SYNC_MSG_PACKED,
    SYNC_MSG_PACKED_CUT,
    SYNC_MSG_MODE = 28,
    SYNC_MSG_TARGET,
    SYNC_MSG_SUMMARY,
    SYNC_MSG_AGREEMENT,
    SYNC_MSG_PAST,
    SYNC_MSG_DENIED,    /* denied.c */
    SYNC_MSG_YARD = 34, /* deaths.c */
    SYNC_MSG_BURIED,
    SYNC_MSG_GRAVES,
    SYNC_MSG_DEAD,
    SYNC_MSG_KEPT = 38, /* 38 to 41: of keepers */
    SYNC_MSG_MAY_I,
    SYNC_MSG_YOU_MAY,
    SYNC_MSG_RECEIPTS,
    SYNC_MSG_NAMES = 42, /* denied.c */
    SYNC_MSG_FORMER,     /* renew.c */
    /* of attachments, on a lane of their own (blobs.h) */
    SYNC_MSG_BLOB_ASK = 48,
    SYNC_MSG_BLOB_HAVE,
    SYNC_MSG_BLOB_WANT,
    SYNC_MSG_BLOB_PART,
    SYNC_MSG_BLOB_NONE,
    SYNC_MSG_BLOB_STOP,
} sync_msg;

/* Flags of KEPT. PASSED is reserved for who carries without an interest. */
#define SYNC_KEPT_ARCHIVE 1u
#define SYNC_KEPT_PASSED  2u

/* Flags of messages. */
#define SYNC_STATES_PLACED 1u /* how far a first download is follows */
#define SYNC_STATES_PUSHED 2u /* nobody asked: who has more sends it back */

#define SYNC_SYMBOLS_JOINED   1u
#define SYNC_SYMBOLS_SKETCHED 2u
#define SYNC_SYMBOLS_LAST     4u
#define SYNC_SYMBOLS_MANY     8u
#define SYNC_SYMBOLS_FLAGS    15u

#define SYNC_SEEN_LAST    1u
#define SYNC_SEEN_REPLY   2u
#define SYNC_SEEN_OFFERED 4u
#define SYNC_SEEN_FLAGS   7u

/* Bits of HELLO's features. */
#define SYNC_FEATURE_PACKED      0x01u
#define SYNC_FEATURE_PACKED_CUTS 0x02u
#define SYNC_FEATURE_BLOBS       0x10u

/* Low bits of a record's head; the rest is a slot, or a document reference. */
typedef enum sync_tag {
    SYNC_TAG_STATE,
    SYNC_TAG_DELTA,
    SYNC_TAG_ACTOR,
    SYNC_TAG_KEY,
    SYNC_TAG_COLLECTION,
    SYNC_TAG_SEEN,   /* only in SEEN messages */
    SYNC_TAG_CLAIMS, /* no record: of a CUT, what it makes complete follows */
    SYNC_TAG_ANSWER, /* a delta that answers NEEDS, by fields */
} sync_tag;

/* CLAIMS with this number: the next record is of more than one write. */
#define SYNC_CLAIMS_JUMP 1u

#define SYNC_TAG_BITS 3u

/* The tables of one lane in one direction. */
typedef struct sync_names {
    sync_dict actors, keys, colls, docs;
    uint64_t ref;   /* the last delta's reference hlc */
    uint32_t stamp; /* of the running message (sender) */
} sync_names;

void sync_names_init(sync_names *n, const tako_env *env);
void sync_names_fini(sync_names *n);

/* ---- sending ------------------------------------------------------------- */

/* What is being written: definitions go to `out` while a record's content is
 * still in `scratch`, so that they stand before it. */
typedef struct sync_writer {
    sync_names *names;
    tako_buf *out;
    tako_buf *scratch;
    uint64_t ref; /* of the running delta */
    bool unnamed; /* deltas: documents get no number */
} sync_writer;

/* A document as the store has it, to be named on the wire. */
typedef struct sync_doc_name {
    uint32_t coll;
    tako_slice coll_name;
    int64_t row;
    tako_slice id;
} sync_doc_name;

/* Appends a whole state, the stored bytes with session numbers for actors.
 * remember: give the document a number. TAKO_CORRUPT (meta), TAKO_NOMEM */
tako_err sync_put_state(sync_writer *w, const sync_doc_name *name,
                        bool remember, tako_slice meta, tako_slice body);

/* Before a record of more than one write. */
void sync_put_jump(sync_writer *w);
/* Appends delta(d, base); before may be NULL. The document gets a number, but
 * where the writer is `unnamed`: of many, who are not soon spoken of again. */
tako_err sync_put_delta(sync_writer *w, const sync_doc_name *name,
                        const crdt_doc *d, const crdt_context *base,
                        const crdt_doc *before, const uint8_t sum_key[16]);

/* Appends what was asked for by fields, of a document that fits. */
tako_err sync_put_answer(sync_writer *w, const sync_doc_name *name,
                         const crdt_doc *d, const crdt_fields *asked,
                         const uint8_t sum_key[16]);

/* Appends what is known of a document: its key's hash, and the context of its
 * state here (empty: nothing is). w->ref is 0 where a message begins. */
tako_err sync_put_seen(sync_writer *w, uint64_t key,
                       const crdt_context *context);

/* ---- receiving ----------------------------------------------------------- */

typedef struct sync_record {
    bool delta;
    bool answer;     /* a delta that answers a question by fields */
    bool jump;       /* of more than one write, or nobody knows */
    uint32_t coll;   /* slot of the collection's name */
    tako_slice id;   /* CBOR */
    tako_slice meta; /* states: rebuilt */
    tako_slice body; /* states: as sent; deltas: the delta */
    uint64_t ref;    /* deltas */
} sync_record;

/* Reads the next record, taking definitions into the tables. What it points
 * to lives in the message or in `a`. *replaced is set when a slot changed its
 * meaning. TAKO_NOTFOUND at the end, or after the tag of claims; TAKO_CORRUPT,
 * TAKO_LIMIT, TAKO_NOMEM */
tako_err sync_get_record(sync_names *n, tako_arena *a, tako_reader *in,
                         sync_record *out, bool *replaced, tako_errbuf *e);

/* Reads the next entry of a SEEN message; *ref is 0 where it begins. As above. */
tako_err sync_get_seen(sync_names *n, tako_arena *a, tako_reader *in,
                       uint64_t *ref, uint64_t *key, crdt_context *context,
                       tako_errbuf *e);

/* Names for crdt_delta_apply; every dot read joins `seen`, which so becomes
 * the delta's new context. */
typedef struct sync_delta_in {
    sync_names *names;
    tako_arena *arena;
    uint64_t ref;
    crdt_context seen;
    bool nomem;
} sync_delta_in;
void sync_delta_names(sync_delta_in *d, crdt_names_in *out);

/* A dot of a cut's claims, after its records: an actor, and an hlc against the
 * last delta's reference. */
void sync_put_claim(sync_writer *w, tako_buf *out, crdt_dot dot);
bool sync_get_claim(sync_names *n, tako_reader *in, crdt_dot *dot);

/* ---- pieces --------------------------------------------------------------- */

/* An _id: 0 and 16 bytes for a ULID text, else its length and CBOR. get: the
 * CBOR, in the message or in `a`; empty and failed on bad input. */
void sync_put_id(tako_buf *out, tako_slice id);
/* An actor in full and an hlc. */
void sync_put_dot(tako_buf *out, const crdt_dot *dot);
tako_slice sync_get_id(tako_reader *in, tako_arena *a);

#endif /* TAKO_SYNC_WIRE_H */
