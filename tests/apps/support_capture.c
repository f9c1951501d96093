// SPDX-License-Identifier: Apache-2.0
#include "support_capture.h"

#include "support/test_env.h"

#include <unistd.h>

void capture_begin(capture *c, FILE *stream)
{
    fflush(stream);
    c->stream = stream;
    c->file = tmpfile();
    assert_non_null(c->file);
    c->saved = dup(fileno(stream));
    assert_true(dup2(fileno(c->file), fileno(stream)) >= 0);
}

const char *capture_end(capture *c)
{
    size_t n;

    fflush(c->stream);
    assert_true(dup2(c->saved, fileno(c->stream)) >= 0);
    close(c->saved);
    rewind(c->file);
    n = fread(c->text, 1, sizeof c->text - 1, c->file);
    c->text[n] = '\0';
    fclose(c->file);
    return c->text;
}
