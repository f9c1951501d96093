// SPDX-License-Identifier: Apache-2.0
/* LIMITS -- every bound that outside data can meet, in one place, so that
 * their relations can be checked when compiling. */
#ifndef TAKO_BASE_LIMITS_H
#define TAKO_BASE_LIMITS_H

#define TAKO_VALUE_DEPTH_MAX      64u          /* nesting of a stored value */
#define TAKO_JSON_DEPTH_MAX       512u         /* nesting of JSON or CBOR text that is only converted */
#define TAKO_DOC_BYTES_WARN       (256u << 10) /* a local write is logged */
#define TAKO_DOC_BYTES_MAX        (5u << 20)   /* a local write is refused */
#define TAKO_DOC_STATE_BYTES_MAX  (64u << 20)  /* one merged state, body and meta */
#define TAKO_VALUE_BYTES_MAX      (64u << 20)  /* one JSON or CBOR text */
#define TAKO_ID_BYTES_MAX         1024u        /* an _id, as CBOR */
#define TAKO_NAME_BYTES_MAX       128u         /* names of collections, indexes, devices */
#define TAKO_CONTEXT_ACTORS_MAX   4096u        /* writers of one document */
#define TAKO_STATEMENT_BYTES_MAX  (1u << 20)   /* query text */
#define TAKO_FRAME_BYTES_MAX      (16u << 10)  /* one frame on a link */
#define TAKO_MESSAGE_BYTES_MAX    (72u << 20)  /* one message, of many frames */
#define TAKO_CLOCK_AHEAD_MS_MAX   (5u * 60u * 1000u) /* a peer's clock beyond ours */
#define TAKO_COLLECTIONS_MAX      1024u
#define TAKO_INDEXES_MAX          64u          /* of one collection */
#define TAKO_SUBSCRIPTIONS_MAX    256u         /* of one node, and of one peer */
#define TAKO_OBSERVERS_MAX        65536u
#define TAKO_LINKS_MAX            256u
#define TAKO_PEER_ADDRESSES_MAX   64u

_Static_assert(TAKO_DOC_BYTES_MAX < TAKO_DOC_STATE_BYTES_MAX,
               "what may be written must fit in a state");
_Static_assert(TAKO_DOC_STATE_BYTES_MAX < TAKO_MESSAGE_BYTES_MAX,
               "the largest state must fit in one message");

#endif /* TAKO_BASE_LIMITS_H */
