/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_guess.h"

#include <string.h>

#include "core/bytes.h"
#include "core/check.h"

static size_t least_of_three(size_t a, size_t b, size_t c)
{
    const size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance: insertions, deletions and changes that lead from one to the other. */
static size_t edit_distance(struct bytes from, struct bytes to)
{
    size_t row[CONFIG_KEY_SIZE + 1];
    CHECK(to.size <= CONFIG_KEY_SIZE);

    for (size_t j = 0; j <= to.size; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < from.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < to.size; j++) {
            const size_t above = row[j + 1];
            const size_t changed = diagonal + (from.data[i] == to.data[j] ? 0U : 1U);
            row[j + 1] = least_of_three(above + 1, row[j] + 1, changed);
            diagonal = above;
        }
    }
    return row[to.size];
}

static struct bytes last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    const char *part = dot == NULL ? key : dot + 1;
    return (struct bytes){(const uint8_t *)part, strlen(part)};
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

struct guess {
    struct bytes key;
    size_t distance;
};

/* `end` bytes of `row_key`: an option, or one of the sections that it is in. */
static void consider(struct guess *best, const char *key, const char *row_key, size_t end)
{
    const struct bytes written = {(const uint8_t *)key, strlen(key)};
    const struct bytes offered = {(const uint8_t *)row_key, end};
    const size_t distance = edit_distance(written, offered);
    if (distance < best->distance) {
        *best = (struct guess){offered, distance};
    }
}

bool config_guess(struct config_table table, const char *key, char guessed[CONFIG_KEY_SIZE])
{
    /* A third of the letters may be wrong, and never more than three of them. */
    const size_t third = last_part(key).size / 3;
    struct guess best = {.distance = (third < 3 ? third : 3) + 1};

    for (size_t i = 0; i < table.count; i++) {
        const char *row_key = table.rows[i].key;
        for (const char *dot = strchr(row_key, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
            consider(&best, key, row_key, (size_t)(dot - row_key));
        }
        consider(&best, key, row_key, strlen(row_key));
    }
    /* Otherwise the right name in the wrong section. */
    for (size_t i = 0; i < table.count && best.key.size == 0; i++) {
        const char *row_key = table.rows[i].key;
        if (bytes_equal(last_part(row_key), last_part(key))) {
            best.key = (struct bytes){(const uint8_t *)row_key, strlen(row_key)};
        }
    }
    if (best.key.size == 0) {
        return false;
    }
    CHECK(best.key.size < CONFIG_KEY_SIZE);
    memcpy(guessed, best.key.data, best.key.size);
    guessed[best.key.size] = '\0';
    return true;
}
