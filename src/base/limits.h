// SPDX-License-Identifier: Apache-2.0
/* LIMITS -- every bound that outside data can meet, in one place, so that
 * their relations can be checked when compiling. */
#ifndef TAKO_BASE_LIMITS_H
#define TAKO_BASE_LIMITS_H

#include <stdint.h>

/* clang-format off: one table */
/* values and documents */
#define TAKO_VALUE_DEPTH_MAX 64u  /* nesting of a stored value */
#define TAKO_JSON_DEPTH_MAX  512u /* of JSON or CBOR that is only converted */
#define TAKO_VALUE_BYTES_MAX (64u << 20)  /* one JSON or CBOR text */
#define TAKO_ID_BYTES_MAX    1024u        /* an _id, as CBOR */
#define TAKO_NAME_BYTES_MAX  128u         /* of collections, indexes, devices */
#define TAKO_DOC_BYTES_WARN  (256u << 10) /* a local write is logged */
#define TAKO_DOC_BYTES_MAX   (5u << 20)   /* a local write is refused */
#define TAKO_DOC_STATE_BYTES_MAX                                               \
    (64u << 20)                       /* one merged state, body and meta */
#define TAKO_CONTEXT_ACTORS_MAX 4096u /* writers of one document */
#define TAKO_GENERATION_MAX                                                    \
    (UINT64_C(1) << 56) /* lives of a document, map, counter */
#define TAKO_EPOCH_MAX                                                         \
    (UINT64_C(1) << 40) /* a collection's; a greater one is not believed */
#define TAKO_CLOCK_AHEAD_MS_MAX                                                \
    (5u * 60u * 1000u)      /* a peer's clock beyond ours */
#define TAKO_CLOCKS_MAX 32u /* neighbours whose wall clocks are remembered */
#define TAKO_CLOCK_TOLD_MS_MAX                                                 \
    (24u * 3600u * 1000u) /* and how long, since they told */
#define TAKO_CLOCK_MOVED_MS_MIN                                                \
    60000u /* a wall clock that was set by more is told again */
#define TAKO_CLOCK_RESTART_MS_MIN                                              \
    3600000u /* between two actors that a clock made end */
#define TAKO_CLOCK_MS_MIN UINT64_C(1577836800000) /* 2020: before, not set */
#define TAKO_CLOCK_MS_MAX (UINT64_C(1) << 43)     /* 2248: not believed */

/* store */
#define TAKO_COLLECTIONS_MAX 1024u
#define TAKO_INDEXES_MAX     64u /* of one collection */
#define TAKO_FEED_BYTES_MAX                                                    \
    (4u << 20) /* of the list of commits, kept for peers */
#define TAKO_FORGOT_MAX        65536u /* documents of ours that are gone here */
#define TAKO_SEEN_ACTORS_MAX   4096u  /* whose last event is remembered */
#define TAKO_LOST_OF_MERGE_MAX 64u    /* writes that one merge loses, as told */
#define TAKO_LOST_ROWS_MAX     1000u  /* of these that are kept */
#define TAKO_LOST_BYTES_MAX    (4u << 20)
#define TAKO_LOST_VALUE_MAX    (64u << 10) /* a longer value is not kept */
#define TAKO_GRAVEYARD_BYTES_MAX                                               \
    (1u << 20) /* births of the dead, of one collection */
#define TAKO_GRAVE_BLOCK_BYTES_MAX 2048u  /* of these, written as one */
#define TAKO_FORMER_ACTORS_MAX     64u    /* of this file, remembered */
#define TAKO_QUARANTINE_DOCS_MAX   10000u /* dead with changes of our own */
#define TAKO_QUARANTINE_BYTES_MAX  (64u << 20)

/* attachments */
#define TAKO_BLOB_BYTES_MAX       (UINT64_C(3) << 30) /* one attachment */
#define TAKO_BLOB_TOKEN_BYTES_MAX (8u << 10) /* what a document holds of it */
#define TAKO_BLOB_NAME_BYTES_MAX  255u       /* its file's name */
#define TAKO_BLOB_TYPE_BYTES_MAX  127u       /* its media type */
#define TAKO_BLOB_META_BYTES_MAX  (4u << 10) /* what else the app says of it */
#define TAKO_BLOB_FETCHES_MAX     1024u /* of one node, running and waiting */
#define TAKO_BLOB_ACTIVE_MAX      8u    /* that run at once */
#define TAKO_BLOB_ASKS_MAX        64u   /* open questions of one peer */
#define TAKO_BLOB_RELAYS_MAX      16u   /* passed on for others at once */
#define TAKO_BLOB_HOPS_MAX        8u    /* nodes that a question passes */
#define TAKO_BLOB_RANGES_MAX      64u   /* of parts, in one message */
#define TAKO_BLOB_WINDOW_MAX      16u   /* parts under way from one peer */
#define TAKO_BLOB_UNASKED_MAX     256u  /* parts that nobody asked a peer for */

/* query */
#define TAKO_STATEMENT_BYTES_MAX   (1u << 20) /* query text */
#define TAKO_STATEMENT_NODES_MAX   100000u    /* names, values, operators */
#define TAKO_STATEMENT_PARAMS_MAX  1000u /* named parameters of a statement */
#define TAKO_PARSE_DEPTH_MAX       1200u /* open symbols while parsing */
#define TAKO_EXPR_DEPTH_MAX        200u  /* nesting of an expression */
#define TAKO_SQL_BYTES_MAX         (64u << 20) /* what it becomes */
#define TAKO_STATEMENT_SOURCES_MAX 1000u /* collections, SELECTs, lists read */
#define TAKO_JOIN_SOURCES_MAX      32u   /* of one FROM; SQLite: 64 */
#define TAKO_SET_OPERANDS_MAX      100u  /* SELECTs in one UNION */
#define TAKO_SELECT_DEPTH_MAX      16u   /* SELECTs inside SELECTs */
#define TAKO_CALL_ARGS_MAX         100u  /* arguments of one function */
#define TAKO_PROJECTION_MAX        1000u /* fields of a result row */
#define TAKO_ROW_BYTES_MAX         (64u << 20) /* one result value */
#define TAKO_DATE_RANGE_MAX        100000u     /* elements of one date_range */
#define TAKO_REGEXP_PROGRAM_MAX    5000u /* steps, and ranges of its classes */
#define TAKO_REGEXP_DEPTH_MAX      100u  /* groups in groups */
#define TAKO_REGEXPS_CACHED_MAX    8u    /* compiled, of one connection */
#define TAKO_COLLECT_BYTES_MAX                                                 \
    (256u << 20) /* what one UPDATE, DELETE or INSERT ... SELECT holds */
#define TAKO_RETURNING_BYTES_MAX (64u << 20) /* rows of one that writes */
#define TAKO_ADVISED_MAX         64u         /* indexes that one ADVISE tries */

/* predicates */
#define TAKO_PREDICATE_TERMS_MAX     8u    /* of one, told without SQLite */
#define TAKO_PREDICATE_KEYS_MAX      1024u /* values of one equality, likewise */
#define TAKO_PREDICATES_PREPARED_MAX 8192u /* that share a connection */

/* mesh */
#define TAKO_FRAME_BYTES_MAX   (16u << 10) /* one frame on a link */
#define TAKO_MESSAGE_BYTES_MAX (72u << 20) /* one message, of many frames */
#define TAKO_LINK_QUEUE_BYTES_MAX                                              \
    (144u << 20) /* waiting to go out on one link */
#define TAKO_HANDSHAKE_BYTES_MAX                                               \
    (32u << 10) /* from a peer that has not proven itself */
#define TAKO_GOODBYE_BYTES_MAX  200u /* a peer's reason for closing */
#define TAKO_LINKS_MAX          256u
#define TAKO_PEER_ADDRESSES_MAX 64u

/* sync */
#define TAKO_SUBSCRIPTIONS_MAX     256u  /* of one node, and of one peer */
#define TAKO_SYNC_NAMES_ACTORS_MAX 8192u /* numbered names of one lane */
#define TAKO_SYNC_NAMES_KEYS_MAX   4096u
#define TAKO_SYNC_NAMES_DOCS_MAX   16384u
#define TAKO_SYNC_DIRTY_MAX        16384u /* changed documents waiting for one peer */
#define TAKO_SYNC_DIRTY_BYTES_MAX  (4u << 20) /* their delta bases */
#define TAKO_SYNC_CUT_BYTES_MAX    (1u << 20) /* applied in one transaction */
#define TAKO_SYNC_CHUNK_DOCS_MAX   2000u /* of a first download, likewise */
#define TAKO_SYNC_CHUNK_BYTES_MAX  (512u << 10)
#define TAKO_SYNC_HELD_BYTES_MAX                                               \
    (4u << 20) /* of cuts that wait for an answer */
#define TAKO_SYNC_LIST_ITEMS_MAX                                               \
    (4u << 20)                           /* of one peer's differing documents */
#define TAKO_SYNC_RECORDS_MAX    32768u  /* of one message */
#define TAKO_SYNC_SYMBOLS_MAX    4096u   /* that a set keeps */
#define TAKO_SYNC_WIDE_MAX       131072u /* made when needed, and decoded */
#define TAKO_SYNC_SEEN_MAX       131072u /* differing documents of a question */
#define TAKO_SYNC_SEEN_BYTES_MAX (16u << 20) /* what a peer has seen of them */
#define TAKO_SYNC_TABLES_MAX     1024u       /* sets kept for reconciliation */
#define TAKO_SYNC_PENDING_MAX    4096u /* rows ahead of what was told, of one */
#define TAKO_CHECKPOINTS_MAX     4096u /* how far we are in whose feed */
#define TAKO_SYNC_PACKED_BYTES_MAX                                             \
    (2u << 20)                          /* of a packed message, unpacked */
#define TAKO_SYNC_GRAVES_BITS_MAX 12u   /* 2^n parts of a graveyard */
#define TAKO_SYNC_NEEDS_MAX       4096u /* documents asked for in one message */
#define TAKO_SYNC_NEEDS_BYTES_MAX (256u << 10) /* of one question by fields */
#define TAKO_SYNC_WHOLE_BYTES_MAX                                              \
    4096u /* a longer state is asked for by fields first */
#define TAKO_FIELD_SUMS_MAX 256u /* told of one document: else it is whole */
#define TAKO_SYNC_DIFFERING_MAX                                                \
    64u /* answers of a session to equal contexts of other bytes */
#define TAKO_SYNC_REASON_BYTES_MAX  400u       /* texts that peers send */
#define TAKO_SYNC_BIRTHS_MAX        4096u      /* told of one dead document */
#define TAKO_SYNC_GRAVES_PART_MAX   4096u      /* told to who takes a part */
#define TAKO_SYNC_GRAVES_BYTES_MAX  (4u << 20) /* of graveyards, waiting */
#define TAKO_SYNC_PAST_MAX          4096u /* documents that one side is past */
#define TAKO_SYNC_RETIRED_MAX       256u  /* numbers that may still be named */
#define TAKO_SYNC_REGAINS_MAX       8u /* in one session, of one subscription */
#define TAKO_SYNC_VECTOR_ACTORS_MAX 4096u /* of what one node says it has */

/* keepers */
#define TAKO_KEEPERS_MAX 4096u /* devices, times their subscriptions */
#define TAKO_ASK_MAX     256u  /* documents asked about in one message */

/* receipts: who keeps what behind a neighbour */
#define TAKO_RECEIPTS_MAX            1024u /* remembered, of devices and texts */
#define TAKO_RECEIPTS_TOLD_MAX       256u  /* numbers of one link, each way */
#define TAKO_RECEIPTS_KEEPERS_MAX    8u /* devices told of one subscription */
#define TAKO_RECEIPTS_TEXTS_MAX      4u /* that one receipt names */
#define TAKO_RECEIPTS_TEXT_BYTES_MAX 4096u /* a longer one has no receipts */
#define TAKO_RECEIPTS_HOPS_MAX       8u    /* a device is asked about so far */
#define TAKO_RECEIPTS_ASKED_MAX      32u   /* devices that are asked about */
#define TAKO_RECEIPTS_COMMITS_MAX    16u /* of the program, that status shows */

/* observers */
#define TAKO_OBSERVERS_MAX               65536u
#define TAKO_OBSERVER_COLLECTIONS_MAX    64u   /* that one statement reads */
#define TAKO_OBSERVER_CHANGES_MAX        4096u /* waiting for one to be told */
#define TAKO_OBSERVER_CHANGES_BYTES_MAX  (8u << 20)
#define TAKO_OBSERVERS_CHANGES_BYTES_MAX (64u << 20) /* those of all */
#define TAKO_OBSERVER_ROWS_MAX           65536u /* of a result that is kept */
#define TAKO_OBSERVER_ROWS_BYTES_MAX     (4u << 20)

/* api */
#define TAKO_READERS_MAX         32u    /* connections reading at once */
#define TAKO_READERS_IDLE_MAX    2u     /* kept open without use */
#define TAKO_QUERIES_CACHED_MAX  24u    /* prepared, of one connection */
#define TAKO_ERROR_THREADS_MAX   1024u  /* whose last error is kept */
#define TAKO_REQUESTS_RECENT_MAX 10000u /* ended ones that are remembered */
#define TAKO_REQUEST_TEXT_MAX    200u /* bytes of a statement that are shown */
/* clang-format on */

_Static_assert(TAKO_DOC_BYTES_MAX < TAKO_DOC_STATE_BYTES_MAX,
               "what may be written must fit in a state");
_Static_assert(TAKO_LINK_QUEUE_BYTES_MAX >= 2u * TAKO_MESSAGE_BYTES_MAX,
               "one message may wait while another goes out");
_Static_assert(TAKO_DOC_STATE_BYTES_MAX < TAKO_MESSAGE_BYTES_MAX,
               "the largest state must fit in one message");

#endif /* TAKO_BASE_LIMITS_H */
