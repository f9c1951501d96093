// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

#define NAME_MAX_BYTES 32u

unsigned options_distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES + 1];
    size_t n = strnlen(a, NAME_MAX_BYTES);
    size_t m = strnlen(b, NAME_MAX_BYTES);

    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

int options_wrong(const command *c, const char *what, const char *where)
{
    print_problem(what, where);
    fprintf(stderr, "      see: tako %s --help\n", c->name);
    return STATUS_USAGE;
}

static int wrong_option(const command *c, const option_spec *specs,
                        const char *name, size_t len)
{
    char text[NAME_MAX_BYTES + 1];
    char where[160];
    const char *nearest = "help";
    unsigned least;

    snprintf(text, sizeof text, "%.*s", (int)len, name);
    least = options_distance(text, nearest);
    for (; specs->name != NULL; specs++) {
        unsigned d = options_distance(text, specs->name);

        if (d < least) {
            least = d;
            nearest = specs->name;
        }
    }
    if (least <= 3 && least < strlen(nearest))
        snprintf(where, sizeof where, "--%s; did you mean --%s?", text,
                 nearest);
    else
        snprintf(where, sizeof where, "--%s", text);
    return options_wrong(c, "unknown option", where);
}

static void print_help(const command *c, const option_spec *specs)
{
    printf("%s\n\nusage: tako %s%s%s%s\n", c->about, c->name,
           c->operands[0] == '\0' ? "" : " ", c->operands,
           specs->name == NULL ? "" : " [options]");
    if (specs->name != NULL)
        printf("\noptions:\n");
    for (; specs->name != NULL; specs++) {
        char left[80];

        snprintf(left, sizeof left, "--%s%s%s%s", specs->name,
                 specs->value == NULL ? "" : " ",
                 specs->value == NULL ? "" : specs->value,
                 specs->kind == OPTION_LIST ? " ..." : "");
        if (strlen(left) > 26)
            printf("  %s\n  %-27s%s\n", left, "", specs->about);
        else
            printf("  %-27s%s\n", left, specs->about);
    }
    printf("\nexamples:\n%s", c->examples);
}

static bool choice_of(const char *choices, const char *text, unsigned *out)
{
    size_t len = strlen(text);
    unsigned n = 0;

    for (;;) {
        size_t part = strcspn(choices, "|");

        if (part == len && memcmp(choices, text, len) == 0) {
            *out = n;
            return true;
        }
        if (choices[part] == '\0')
            return false;
        choices += part + 1;
        n++;
    }
}

static bool number_of(const char *text, uint64_t *out)
{
    char *end;
    unsigned long long v;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

/* Stores a value; OPTIONS_GO_ON or the status to end with. */
static int take_value(const command *c, const option_spec *o, const char *text)
{
    char where[256];

    snprintf(where, sizeof where, "--%s %s: %s is wanted", o->name, text,
             o->value == NULL ? "no value" : o->value);
    switch (o->kind) {
    case OPTION_FLAG:
        return options_wrong(c, "this option takes no value", where);
    case OPTION_TEXT:
        *(const char **)o->to = text;
        return OPTIONS_GO_ON;
    case OPTION_NUMBER:
        if (number_of(text, (uint64_t *)o->to))
            return OPTIONS_GO_ON;
        return options_wrong(c, "not a number", where);
    case OPTION_CHOICE:
        if (choice_of(o->value, text, (unsigned *)o->to))
            return OPTIONS_GO_ON;
        return options_wrong(c, "not one of the choices", where);
    case OPTION_LIST: {
        option_list *list = (option_list *)o->to;

        if (list->count == OPTION_LIST_MAX)
            return options_wrong(c, "too many of one option", where);
        list->items[list->count++] = text;
        return OPTIONS_GO_ON;
    }
    }
    return STATUS_USAGE;
}

/* Handles argv[*i], a long option, and its value. */
static int take_option(const command *c, const option_spec *specs, int argc,
                       char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals == NULL ? strlen(name) : (size_t)(equals - name);
    const option_spec *o = specs;

    if (len == 4 && memcmp(name, "help", 4) == 0) {
        print_help(c, specs);
        return STATUS_OK;
    }
    while (o->name != NULL &&
           (strlen(o->name) != len || memcmp(o->name, name, len) != 0))
        o++;
    if (o->name == NULL)
        return wrong_option(c, specs, name, len);
    if (o->kind == OPTION_FLAG && equals == NULL) {
        *(bool *)o->to = true;
        return OPTIONS_GO_ON;
    }
    if (equals != NULL)
        return take_value(c, o, equals + 1);
    if (*i + 1 >= argc)
        return options_wrong(c, "an option needs a value", argv[*i]);
    *i += 1;
    return take_value(c, o, argv[*i]);
}

int options_parse(const command *c, const option_spec *specs, int argc,
                  char **argv, size_t min, size_t max, const char **operands)
{
    size_t n = 0;
    bool ended = false;

    for (size_t i = 0; i < max; i++)
        operands[i] = NULL;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && strncmp(argv[i], "--", 2) == 0) {
            int status = take_option(c, specs, argc, argv, &i);

            if (status != OPTIONS_GO_ON)
                return status;
        } else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            return options_wrong(c, "options have two dashes", argv[i]);
        } else if (n == max) {
            return options_wrong(c, "too many arguments", argv[i]);
        } else {
            operands[n++] = argv[i];
        }
    }
    if (n < min) {
        char usage[160];

        snprintf(usage, sizeof usage, "tako %s %s", c->name, c->operands);
        return options_wrong(c, "an argument is missing", usage);
    }
    return OPTIONS_GO_ON;
}
