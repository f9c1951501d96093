// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void tako_panic(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "tako: internal error: %s at %s:%d\n", expr, file,
                  line);
    abort();
}
