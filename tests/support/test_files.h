// SPDX-License-Identifier: Apache-2.0
/* TEST_FILES -- a tako_files for tests above the store: real small files, a
 * boot id that the test sets, no locks, and one inode for all files, so that
 * a copied folder is a copied machine. (tests/store has a stricter one.) */
#ifndef TAKO_TESTS_TEST_FILES_H
#define TAKO_TESTS_TEST_FILES_H

#include "base/files.h"

/* boot: the first byte of the machine's boot id, read at each call; it must
 * outlive *out. */
void test_files_init(tako_files *out, uint8_t *boot);

#endif /* TAKO_TESTS_TEST_FILES_H */
