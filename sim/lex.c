// SPDX-License-Identifier: Apache-2.0
#include "sim/lex.h"

#include <stdarg.h>
#include <stdio.h>

void sim_line_fail(sim_line *line, const sim_word *at, const char *fmt, ...)
{
    va_list args;

    if (line->failed)
        return;
    line->failed = true;
    line->error->line = line->number;
    line->error->column = at != NULL ? at->column : line->end_column;
    va_start(args, fmt);
    (void)vsnprintf(line->error->text, sizeof line->error->text, fmt, args);
    va_end(args);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The length of the word at `at`; a text's content goes without its quotes. */
static size_t word_read(sim_line *line, sim_word *w, tako_slice text, size_t at)
{
    size_t start = at, n = 0;
    uint8_t quote = text.ptr[at] == '"' ? '"' : 0;

    w->quoted = quote != 0;
    at += quote != 0;
    if (quote == 0 && text.ptr[at] == ',') {
        w->text[0] = ',';
        w->text[1] = '\0';
        return 1;
    }
    while (at < text.len &&
           (quote != 0 ? text.ptr[at] != quote
                       : !is_blank(text.ptr[at]) && text.ptr[at] != ',' &&
                             text.ptr[at] != '#')) {
        if (n + 1 >= sizeof w->text) {
            sim_line_fail(line, w, "this word is too long");
            return text.len - start;
        }
        w->text[n++] = (char)text.ptr[at++];
    }
    w->text[n] = '\0';
    if (quote != 0 && at == text.len)
        sim_line_fail(line, w, "the closing quote is missing");
    return at - start + (quote != 0);
}

bool sim_line_split(sim_line *line, tako_slice text)
{
    size_t at = 0;

    line->count = line->at = 0;
    line->failed = false;
    line->end_column = (unsigned)text.len + 1;
    while (at < text.len && !line->failed) {
        sim_word *w = &line->words[line->count];

        if (is_blank(text.ptr[at])) {
            at++;
            continue;
        }
        if (text.ptr[at] == '#')
            break;
        w->column = (unsigned)at + 1;
        if (line->count == SIM_WORDS_MAX - 1) {
            sim_line_fail(line, w, "more than %u words", SIM_WORDS_MAX - 1);
            break;
        }
        at += word_read(line, w, text, at);
        line->count++;
    }
    return !line->failed;
}

bool sim_line_done(const sim_line *line)
{
    return line->failed || line->at >= line->count;
}

const sim_word *sim_line_word(sim_line *line, const char *expected)
{
    if (line->at < line->count)
        return &line->words[line->at++];
    sim_line_fail(line, NULL, "%s expected", expected);
    return NULL;
}

bool sim_line_takes(sim_line *line, const char *word)
{
    if (sim_line_done(line) || line->words[line->at].quoted ||
        strcmp(line->words[line->at].text, word) != 0)
        return false;
    line->at++;
    return true;
}

/* ---- numbers -------------------------------------------------------------- */

/* Digits with at most one point, scaled by 10^6; *rest is what follows. */
static bool decimal(const char *p, uint64_t *micros, const char **rest)
{
    uint64_t value = 0, scale = 1000000;
    bool point = false, any = false;

    for (; (*p >= '0' && *p <= '9') || (*p == '.' && !point && p[1] != '.');
         p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        any = true;
        if (value > UINT64_MAX / 100)
            return false;
        if (!point) {
            value = value * 10 + (uint64_t)(*p - '0');
        } else if (scale > 1) {
            value = value * 10 + (uint64_t)(*p - '0');
            scale /= 10;
        }
    }
    *rest = p;
    if (!any || value > UINT64_MAX / scale)
        return false;
    *micros = value * scale;
    return true;
}

typedef struct unit {
    const char *name;
    double times; /* of a millionth */
} unit;

static bool with_unit(const char *text, const unit *units, double *out)
{
    uint64_t micros;
    const char *rest;

    if (!decimal(text, &micros, &rest))
        return false;
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, rest) == 0) {
            *out = (double)micros * units->times;
            return *out < 9e18;
        }
    }
    return false;
}

uint64_t sim_line_number(sim_line *line, uint64_t min, uint64_t max)
{
    static const unit units[] = { { "", 1e-6 }, { NULL, 0 } };
    const sim_word *w = sim_line_word(line, "a number");
    double value;

    if (w == NULL)
        return min;
    if (!with_unit(w->text, units, &value) || value < (double)min ||
        value > (double)max) {
        sim_line_fail(line, w, "a number from %llu to %llu expected",
                      (unsigned long long)min, (unsigned long long)max);
        return min;
    }
    return (uint64_t)value;
}

void sim_line_range(sim_line *line, uint64_t max, uint64_t *from, uint64_t *to)
{
    const sim_word *w = sim_line_word(line, "a number, or A..B");
    unsigned long long a = 0, b = 0;
    char tail = 0;
    int n;

    *from = *to = 1;
    if (w == NULL)
        return;
    n = sscanf(w->text, "%llu..%llu%c", &a, &b, &tail);
    if (n == 1 && strstr(w->text, "..") == NULL)
        b = a;
    else if (n != 2)
        a = 1, b = 0;
    if (b < a || b > max)
        sim_line_fail(line, w, "a number up to %llu, or A..B, expected",
                      (unsigned long long)max);
    *from = a;
    *to = b;
}

int64_t sim_line_time(sim_line *line)
{
    static const unit units[] = {
        { "us", 1e-6 },
        { "ms", 1e-3 },
        { "s", 1 },
        { "m", 60 },
        { "h", 3600 },
        { "d", 86400 },
        { "y", 365.0 * 86400 },
        { NULL, 0 },
    };
    const sim_word *w = sim_line_word(line, "a time such as 20ms or 5s");
    double value = 0;
    bool minus;

    if (w == NULL)
        return 0;
    minus = w->text[0] == '-';
    if (!with_unit(w->text + (minus || w->text[0] == '+'), units, &value))
        sim_line_fail(line, w, "a time such as 20ms or 5s expected");
    return minus ? -(int64_t)value : (int64_t)value;
}

uint64_t sim_line_span(sim_line *line)
{
    size_t at = line->at;
    int64_t t = sim_line_time(line);

    if (t < 0)
        sim_line_fail(line, &line->words[at], "this time may not be negative");
    return t < 0 ? 0 : (uint64_t)t;
}

uint64_t sim_line_bytes(sim_line *line)
{
    static const unit units[] = {
        { "", 1e-6 },         { "b", 1e-6 },      { "kb", 1024e-6 },
        { "mb", 1048576e-6 }, { "kbit", 125e-6 }, { "mbit", 125000e-6 },
        { "gbit", 125 },      { NULL, 0 },
    };
    const sim_word *w = sim_line_word(line, "a size such as 64kb");
    double value = 0;

    if (w != NULL && !with_unit(w->text, units, &value))
        sim_line_fail(line, w, "a size such as 64kb or 1mbit expected");
    return (uint64_t)value;
}

uint32_t sim_line_chance(sim_line *line)
{
    static const unit units[] = { { "%", 1e-2 }, { "ppm", 1e-6 }, { NULL, 0 } };
    const sim_word *w = sim_line_word(line, "a chance such as 0.5%");
    double value = 0;

    if (w != NULL &&
        (!with_unit(w->text, units, &value) || value > (double)SIM_PPM))
        sim_line_fail(line, w, "a chance such as 0.5%% or 200ppm expected");
    return (uint32_t)value;
}

size_t sim_line_choice(sim_line *line, const char *const *list, size_t count,
                       const char *expected)
{
    const sim_word *w = sim_line_word(line, expected);

    for (size_t i = 0; w != NULL && i < count; i++)
        if (list[i] != NULL && strcmp(list[i], w->text) == 0)
            return i;
    if (w != NULL)
        sim_line_fail(line, w, "'%.40s': %s expected", w->text, expected);
    return 0;
}
