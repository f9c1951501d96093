// SPDX-License-Identifier: Apache-2.0
/* A main() for a fuzz target under any compiler: runs it once over every file
 * given, and over every file in every folder given (one level), so that seeds
 * and past crashes serve as plain tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 when the file was read and run. The target gets memory of exactly its
 * size, so that a sanitizer sees a read beyond it. */
static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *all, *data;
    size_t n;
    int whole;

    if (f == NULL)
        return 0;
    all = malloc(INPUT_BYTES_MAX);
    if (all == NULL) {
        (void)fclose(f);
        return 0;
    }
    n = fread(all, 1, INPUT_BYTES_MAX, f);
    whole = feof(f) != 0 && ferror(f) == 0;
    (void)fclose(f);
    data = whole ? malloc(n > 0 ? n : 1) : NULL;
    if (data != NULL) {
        memcpy(data, all, n);
        (void)LLVMFuzzerTestOneInput(data, n);
    }
    free(data);
    free(all);
    return data != NULL;
}

static int run_folder(DIR *d, const char *path, int *failed)
{
    char name[4096];
    struct dirent *entry;
    int done = 0;

    while ((entry = readdir(d)) != NULL) {
        int n;

        if (entry->d_name[0] == '.')
            continue;
        n = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (n > 0 && (size_t)n < sizeof name && run_file(name)) {
            done++;
        } else {
            (void)fprintf(stderr, "cannot read %s/%s\n", path, entry->d_name);
            *failed = 1;
        }
    }
    return done;
}

int main(int argc, char **argv)
{
    int done = 0, failed = 0;

    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);

        if (d != NULL) {
            done += run_folder(d, argv[i], &failed);
            (void)closedir(d);
        } else if (run_file(argv[i])) {
            done++;
        } else {
            (void)fprintf(stderr, "cannot read %s\n", argv[i]);
            failed = 1;
        }
    }
    (void)printf("%d inputs\n", done);
    return failed || done == 0;
}
