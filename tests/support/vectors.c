// SPDX-License-Identifier: Apache-2.0
#include "support/vectors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define VECTORS_FILE_BYTES_MAX (4u << 20)

static void field_name(tako_buf *b, const char *field)
{
    tako_put_fmt(b, ",\"%s\":", field);
}

void vectors_open(tako_buf *b, const char *kind, const char *name)
{
    tako_put_fmt(b, "{\"case\":\"%s\"", kind);
    if (name != NULL)
        vectors_text(b, "name", tako_slice_str(name));
}

void vectors_hex(tako_buf *b, const char *field, tako_slice bytes)
{
    field_name(b, field);
    tako_put_u8(b, '"');
    for (size_t i = 0; i < bytes.len; i++)
        tako_put_fmt(b, "%02x", bytes.ptr[i]);
    tako_put_u8(b, '"');
}

void vectors_number(tako_buf *b, const char *field, uint64_t number)
{
    field_name(b, field);
    tako_put_fmt(b, "%" PRIu64, number);
}

void vectors_bool(tako_buf *b, const char *field, bool value)
{
    field_name(b, field);
    tako_put_str(b, value ? "true" : "false");
}

void vectors_text(tako_buf *b, const char *field, tako_slice text)
{
    field_name(b, field);
    tako_put_u8(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        assert_in_range(text.ptr[i], 0x20, 0x7e);
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            tako_put_u8(b, '\\');
        tako_put_u8(b, text.ptr[i]);
    }
    tako_put_u8(b, '"');
}

void vectors_json(tako_buf *b, const char *field, const char *json)
{
    field_name(b, field);
    tako_put_str(b, json);
}

void vectors_close(tako_buf *b)
{
    tako_put_str(b, "}\n");
}

static void write_file(const tako_buf *b, const char *path)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(b->ptr, 1, b->len, f), b->len);
    assert_int_equal(fclose(f), 0);
    print_message("written: %s\n", path);
}

static size_t line_of(const uint8_t *text, size_t at)
{
    size_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

void vectors_check(tako_buf *b, const char *name)
{
    const char *mode = getenv("TAKO_VECTORS");
    char path[512];
    uint8_t *file;
    FILE *f;
    size_t len, at = 0;

    assert_false(b->failed);
    (void)snprintf(path, sizeof path, "%s/tests/golden/protocol/%s.jsonl",
                   TAKO_SOURCE_DIR, name);
    if (mode != NULL && strcmp(mode, "write") == 0) {
        write_file(b, path);
        return;
    }
    f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("%s cannot be read", path);
    file = malloc(VECTORS_FILE_BYTES_MAX);
    assert_non_null(file);
    len = fread(file, 1, VECTORS_FILE_BYTES_MAX, f);
    (void)fclose(f);
    while (at < len && at < b->len && file[at] == b->ptr[at])
        at++;
    if (at < len || at < b->len)
        fail_msg("%s differs from what the code makes, at line %zu; if that "
                 "is meant: tools/make_vectors, and say so in docs/protocol.md",
                 path, line_of(file, at));
    free(file);
}
