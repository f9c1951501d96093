// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_CAPTURE -- what code under test prints. */
#ifndef TAKO_TESTS_SUPPORT_CAPTURE_H
#define TAKO_TESTS_SUPPORT_CAPTURE_H

#include <stdio.h>

typedef struct capture {
    FILE *stream; /* stdout or stderr */
    FILE *file;
    int saved;
    char text[65536]; /* what was printed, after capture_end */
} capture;

void capture_begin(capture *c, FILE *stream);
/* Gives the stream back; returns c->text. */
const char *capture_end(capture *c);

#endif /* TAKO_TESTS_SUPPORT_CAPTURE_H */
