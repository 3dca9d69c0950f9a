/* SPDX-License-Identifier: Apache-2.0 */
#include "server/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 1024, LINE_SIZE = 1024 }; /* a longer one is no group of ours */

static const uint64_t least_limit = UINT64_C(64) << 20; /* when nothing can be read at all */

uint64_t memory_resident(void)
{
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    const int found = fscanf(file, "%*u %lu", &resident);
    (void)fclose(file);
    return found == 1 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The number that a file consists of; UINT64_MAX: there is none, or it is "max". */
static uint64_t read_number(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    const bool is_read = fgets(text, sizeof(text), file) != NULL;
    (void)fclose(file);
    char *end = text;
    errno = 0;
    const uint64_t number = strtoumax(text, &end, 10);
    return is_read && end != text && errno == 0 ? number : UINT64_MAX;
}

/* Takes the limit of the group at `path`, or of one above it, if it is less than what there is. */
static void look_at_groups(struct memory_limit *limit, const char *base, bool is_version_1,
                           char *path)
{
    for (;;) {
        char name[MEMORY_PATH_SIZE + LINE_SIZE];
        char group[MEMORY_PATH_SIZE];
        (void)snprintf(group, sizeof(group), "%s%s", base, path);
        (void)snprintf(name, sizeof(name), "%s/%s", group,
                       is_version_1 ? "memory.limit_in_bytes" : "memory.max");
        const uint64_t bytes = read_number(name);
        if (bytes > 0 && bytes < limit->bytes) {
            limit->bytes = bytes;
            limit->is_version_1 = is_version_1;
            memcpy(limit->group, group, sizeof(group));
        }
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0'; /* the root itself is the empty path, and has a slash no more */
    }
}

/* A line of /proc/self/cgroup: "0::/path", or "4:cpu,memory:/path". */
static void look_at_line(struct memory_limit *limit, const char *root, char *line)
{
    char base[PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (path == NULL) {
        return;
    }
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    controllers++;
    if (controllers[0] == '\0') {
        (void)snprintf(base, sizeof(base), "%s/sys/fs/cgroup", root);
        look_at_groups(limit, base, false, path);
        return;
    }
    for (const char *name = strtok(controllers, ","); name != NULL; name = strtok(NULL, ",")) {
        if (strcmp(name, "memory") == 0) {
            (void)snprintf(base, sizeof(base), "%s/sys/fs/cgroup/memory", root);
            look_at_groups(limit, base, true, path);
            return;
        }
    }
}

static uint64_t memory_of_machine(const char *root)
{
    char line[LINE_SIZE];
    uint64_t kib = 0;

    (void)snprintf(line, sizeof(line), "%s/proc/meminfo", root);
    FILE *file = fopen(line, "re");
    while (file != NULL && kib == 0 && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "MemTotal: %" SCNu64, &kib);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib == 0 ? least_limit : kib << 10;
}

void memory_limit_find(struct memory_limit *limit, const char *root)
{
    char line[LINE_SIZE];

    *limit = (struct memory_limit){.bytes = memory_of_machine(root)};
    (void)snprintf(line, sizeof(line), "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        look_at_line(limit, root, line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* Bytes of files in the page cache that count in this group and in those below. */
static uint64_t pages_of_files(const struct memory_limit *limit)
{
    static const char *const keys[][2] = {
        {"inactive_file", "active_file"},
        {"total_inactive_file", "total_active_file"},
    };
    char name[MEMORY_PATH_SIZE + LINE_SIZE];
    char line[LINE_SIZE];
    char key[64];
    uint64_t bytes = 0;
    uint64_t sum = 0;

    (void)snprintf(name, sizeof(name), "%s/memory.stat", limit->group);
    FILE *file = fopen(name, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%63s %" SCNu64, key, &bytes) == 2 &&
            (strcmp(key, keys[limit->is_version_1][0]) == 0 ||
             strcmp(key, keys[limit->is_version_1][1]) == 0)) {
            sum += bytes;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return sum;
}

uint64_t memory_used(const struct memory_limit *limit)
{
    char name[MEMORY_PATH_SIZE + LINE_SIZE];

    if (limit->group[0] == '\0') {
        return memory_resident();
    }
    (void)snprintf(name, sizeof(name), "%s/%s", limit->group,
                   limit->is_version_1 ? "memory.usage_in_bytes" : "memory.current");
    const uint64_t used = read_number(name);
    const uint64_t files = pages_of_files(limit);
    if (used == UINT64_MAX) {
        return memory_resident();
    }
    return used > files ? used - files : 0;
}
