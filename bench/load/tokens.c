/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/tokens.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/check.h"

struct tokens {
    uint8_t *text; /* of the file */
    struct bytes *lines;
    size_t count;
};

static int read_text(const char *path, struct tokens *tokens, size_t *size)
{
    struct stat status;
    int result = 0;
    FILE *const file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        result = -errno;
    } else if (status.st_size > TOKENS_FILE_MAX) {
        result = -EFBIG;
    } else {
        *size = (size_t)status.st_size;
        tokens->text = malloc(*size + 1);
        if (tokens->text == NULL) {
            result = -ENOMEM;
        } else if (fread(tokens->text, 1, *size, file) != *size) {
            result = -EIO;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return result;
}

/* The characters of base64url and the dots between its parts (RFC 7515). */
static bool is_token(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++) {
        const uint8_t c = line.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.')) {
            return false;
        }
    }
    return line.size > 0 && line.size <= TOKENS_SIZE_MAX;
}

static size_t count_lines(const uint8_t *text, size_t size)
{
    size_t count = 1;
    for (size_t i = 0; i < size; i++) {
        count += text[i] == '\n';
    }
    return count;
}

/* 0, or the number of the line that is no token. Empty lines are skipped. */
static size_t split(struct tokens *tokens, size_t size)
{
    const uint8_t *at = tokens->text;
    const uint8_t *const end = at + size;

    for (size_t number = 1; at < end; number++) {
        const uint8_t *const newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *const next = newline == NULL ? end : newline;
        const struct bytes line = {at, (size_t)(next - at)};
        if (line.size > 0) {
            if (!is_token(line)) {
                return number;
            }
            tokens->lines[tokens->count++] = line;
        }
        at = next + (next < end);
    }
    return 0;
}

int tokens_read(const char *path, struct tokens **tokens, char error[TOKENS_ERROR_SIZE])
{
    struct tokens *const read = calloc(1, sizeof(*read));
    size_t size = 0;
    int result = read == NULL ? -ENOMEM : read_text(path, read, &size);

    if (result == 0) {
        read->lines = calloc(count_lines(read->text, size), sizeof(read->lines[0]));
        result = read->lines == NULL ? -ENOMEM : 0;
    }
    if (result != 0) {
        (void)snprintf(error, TOKENS_ERROR_SIZE, "%.200s: %s", path, strerror(-result));
        tokens_destroy(read);
        return result;
    }
    const size_t bad_line = split(read, size);
    if (bad_line > 0 || read->count == 0) {
        (void)snprintf(error, TOKENS_ERROR_SIZE,
                       "%.200s:%zu: expected a token (JWT) of at most %d bytes in each line", path,
                       bad_line > 0 ? bad_line : (size_t)1, TOKENS_SIZE_MAX);
        tokens_destroy(read);
        return -EINVAL;
    }
    *tokens = read;
    return 0;
}

void tokens_destroy(struct tokens *tokens)
{
    if (tokens == NULL) {
        return;
    }
    free(tokens->text);
    free(tokens->lines);
    free(tokens);
}

struct bytes tokens_of(const struct tokens *tokens, uint32_t index)
{
    CHECK(tokens->count > 0);
    return tokens->lines[index % tokens->count];
}
