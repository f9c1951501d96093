// SPDX-License-Identifier: Apache-2.0
/* TREE -- the plan of EXPLAIN and PROFILE for people. */
#ifndef TAKO_APP_TREE_H
#define TAKO_APP_TREE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the lines of a row of EXPLAIN or PROFILE, JSON with a "plan".
 * TAKO_NOTFOUND: it is another row. */
tako_err tree_put(tako_slice row, tako_buf *out);

#endif /* TAKO_APP_TREE_H */
