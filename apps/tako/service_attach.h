// SPDX-License-Identifier: Apache-2.0
/* SERVICE ATTACH -- the operations of service.h for attachments. Files are read
 * and written by the process that has the database. */
#ifndef TAKO_APP_SERVICE_ATTACH_H
#define TAKO_APP_SERVICE_ATTACH_H

#include "service.h"

/* request: a CBOR map */
tako_err service_attach_put(service *v, tako_slice request, service_emit *emit,
                            void *ctx, tako_errbuf *e);
tako_err service_attach_get(service *v, tako_slice request, service_emit *emit,
                            void *ctx, tako_errbuf *e);

/* Appends a path, as "dish.photo", with each key between back-ticks. Keys that
 * stand between them already stay. TAKO_INVALID */
tako_err service_put_path(tako_buf *out, tako_slice path, tako_errbuf *e);

#endif /* TAKO_APP_SERVICE_ATTACH_H */
