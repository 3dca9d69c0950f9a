/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/tokens.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a token is made of, whatever it means: printable, and nothing that JSON would escape. */
static bool is_token(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] < '!' || line.data[i] > '~' || line.data[i] == '"' ||
            line.data[i] == '\\') {
            return false;
        }
    }
    return line.size <= TOKENS_SIZE_MAX;
}

/* The whole file with a NUL behind it, on the heap. 0 or -errno. */
static int read_text(const char *path, char **text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -errno;
    }
    size_t size = 0;
    errno = 0;
    const ssize_t got = getdelim(text, &size, '\0', file);
    const int result = got < 0 && errno != 0 ? -errno : 0;
    (void)fclose(file);
    return got < 0 && result == 0 ? -ENODATA : result;
}

/* Finds the lines. 0, -ENOMEM, or -EINVAL and the number of the line that is no token. */
static int split(struct tokens *tokens, size_t *bad_line)
{
    size_t capacity = 1;
    for (const char *at = tokens->text; *at != '\0'; at++) {
        capacity += *at == '\n';
    }
    tokens->lines = calloc(capacity, sizeof(*tokens->lines));
    if (tokens->lines == NULL) {
        return -ENOMEM;
    }
    size_t number = 0;
    for (const char *at = tokens->text; *at != '\0';) {
        const size_t size = strcspn(at, "\n");
        const bool has_return = size > 0 && at[size - 1] == '\r';
        const struct bytes line = {(const uint8_t *)at, size - (has_return ? 1 : 0)};
        number++;
        if (!is_token(line)) {
            *bad_line = number;
            return -EINVAL;
        }
        if (line.size > 0) {
            tokens->lines[tokens->count++] = line;
        }
        at += size + (at[size] == '\n' ? 1 : 0);
    }
    return tokens->count > 0 ? 0 : -ENODATA;
}

int tokens_read(const char *path, struct tokens *tokens, char error[TOKENS_ERROR_SIZE])
{
    size_t bad_line = 0;

    *tokens = (struct tokens){0};
    int result = read_text(path, &tokens->text);
    if (result == 0) {
        result = split(tokens, &bad_line);
    }
    if (result == 0) {
        return 0;
    }
    if (bad_line > 0) {
        (void)snprintf(error, TOKENS_ERROR_SIZE,
                       "%.80s, line %zu: expected a token of at most %d printable characters", path,
                       bad_line, TOKENS_SIZE_MAX);
    } else {
        (void)snprintf(error, TOKENS_ERROR_SIZE, "%.80s: %s", path,
                       result == -ENODATA ? "there is no token in it" : strerror(-result));
    }
    tokens_free(tokens);
    return result;
}

void tokens_free(struct tokens *tokens)
{
    free(tokens->text);
    free(tokens->lines);
    *tokens = (struct tokens){0};
}

struct bytes tokens_of(const struct tokens *tokens, uint32_t client)
{
    return tokens->count == 0 ? (struct bytes){NULL, 0} : tokens->lines[client % tokens->count];
}
