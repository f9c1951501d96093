// SPDX-License-Identifier: Apache-2.0
/* ATTACHMENTS -- the tokens that a document holds. */
#ifndef TAKO_CRDT_ATTACHMENTS_H
#define TAKO_CRDT_ATTACHMENTS_H

#include "crdt/doc.h"

/* Calls fn with the value of every ATTACHMENT anywhere in the document: what
 * shows and what does not (a sibling that lost may show again after a merge).
 * Stops at the first error and returns it. The value lives with the document. */
typedef tako_err crdt_attachment_fn(void *ctx, tako_slice token);
tako_err crdt_attachments(const crdt_doc *d, crdt_attachment_fn *fn, void *ctx);

#endif /* TAKO_CRDT_ATTACHMENTS_H */
