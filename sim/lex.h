// SPDX-License-Identifier: Apache-2.0
/* LEX -- the words of a scenario's line. */
#ifndef TAKO_SIM_LEX_H
#define TAKO_SIM_LEX_H

#include "sim/scenario.h"

#define SIM_WORDS_MAX 128u /* of one line */

typedef struct sim_word {
    char text[512];
    unsigned column; /* from 1 */
    bool quoted;
} sim_word;

typedef struct sim_line {
    unsigned number; /* from 1 */
    sim_word words[SIM_WORDS_MAX];
    size_t count, at; /* words; the next to be read */
    unsigned end_column;
    sim_scenario_error *error;
    bool failed;
} sim_line;

/* Splits one line: words between blanks, texts in double quotes, `#` begins a
 * comment, a comma is a word of its own. False: line->error says why. */
bool sim_line_split(sim_line *line, tako_slice text);

/* Each takes the next word, or fails the line with what was expected. */
const sim_word *sim_line_word(sim_line *line, const char *expected);
bool sim_line_done(const sim_line *line);
/* The next word, if it is this one. */
bool sim_line_takes(sim_line *line, const char *word);
void sim_line_fail(sim_line *line, const sim_word *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

uint64_t sim_line_number(sim_line *line, uint64_t min, uint64_t max);
void sim_line_range(sim_line *line, uint64_t max, uint64_t *from, uint64_t *to);
/* "250us" "20ms" "3s" "5m" "2h" "1d" "1y", signed; in microseconds. */
int64_t sim_line_time(sim_line *line);
uint64_t sim_line_span(sim_line *line); /* likewise, not negative */
/* "512" "64kb" "16mb"; "1mbit" a second is 125000 bytes. */
uint64_t sim_line_bytes(sim_line *line);
/* "0.5%" or "250ppm" in ppm. */
uint32_t sim_line_chance(sim_line *line);
/* The place of the next word in a list that NULL ends. */
size_t sim_line_choice(sim_line *line, const char *const *list, size_t count,
                       const char *expected);

#endif /* TAKO_SIM_LEX_H */
