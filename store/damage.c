/* SPDX-License-Identifier: Apache-2.0 */
#include "store/damage.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_DIGITS_MAX = 18, NUMBERS_SIZE = 64 };

static const char note_name[] = "DAMAGED";
static const char new_name[] = "DAMAGED.new";

static int open_directory(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool damage_read(const char *reason, struct damage *damage)
{
    const char *const end = strstr(reason, ".sst");
    const char *begin = end;
    while (begin != NULL && begin > reason && isdigit((unsigned char)begin[-1]) != 0) {
        begin--;
    }
    if (begin == end || end - begin > TABLE_DIGITS_MAX) {
        return false;
    }
    *damage = (struct damage){.table = strtoull(begin, NULL, 10)};
    (void)snprintf(damage->reason, sizeof(damage->reason), "%.*s", DAMAGE_REASON_SIZE - 1, reason);
    return true;
}

/* Bytes read; not above 0: there is no note. */
static ssize_t read_note(const char *path, char *text, size_t size)
{
    const int directory = open_directory(path);
    const int fd = openat(directory, note_name, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, text, size);
    (void)close(fd);
    (void)close(directory);
    return got;
}

bool damage_find(const char *path, struct damage *damage)
{
    char text[DAMAGE_REASON_SIZE + NUMBERS_SIZE] = "";
    uint32_t tries = 0;
    uint64_t from = 0;
    uint64_t to = 0;
    int size = 0;
    if (read_note(path, text, sizeof(text) - 1) <= 0 ||
        sscanf(text, "%10" SCNu32 " %20" SCNu64 " %20" SCNu64 " %n", &tries, &from, &to, &size) !=
            3 ||
        !damage_read(text + size, damage)) {
        return false;
    }
    damage->tries = tries;
    damage->from_stream = from;
    damage->to_stream = to;
    return true;
}

void damage_note(const char *path, const struct damage *damage)
{
    const int directory = open_directory(path);
    const int fd = openat(directory, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool written = fd >= 0 &&
                         dprintf(fd, "%" PRIu32 " %" PRIu64 " %" PRIu64 " %s", damage->tries,
                                 damage->from_stream, damage->to_stream, damage->reason) > 0 &&
                         fsync(fd) == 0;
    (void)close(fd);
    if (written && renameat(directory, new_name, directory, note_name) == 0) {
        (void)fsync(directory);
    }
    (void)close(directory);
}

void damage_forget(const char *path)
{
    const int directory = open_directory(path);
    (void)unlinkat(directory, note_name, 0);
    (void)close(directory);
}
