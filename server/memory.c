/* SPDX-License-Identifier: Apache-2.0 */
#include "server/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
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

/* The least limit of the group at `path` and of those above it, below `base`. */
static uint64_t least_of_groups(const char *base, const char *file, char *path)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char name[2 * PATH_SIZE];
        (void)snprintf(name, sizeof(name), "%s%s/%s", base, path, file);
        const uint64_t limit = read_number(name);
        least = limit < least ? limit : least;
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0'; /* the root itself is the empty path, and has a slash no more */
    }
}

/* A line of /proc/self/cgroup: "0::/path", or "4:cpu,memory:/path". */
static uint64_t limit_of_line(const char *root, char *line)
{
    char base[PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (path == NULL) {
        return UINT64_MAX;
    }
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    controllers++;
    if (controllers[0] == '\0') {
        (void)snprintf(base, sizeof(base), "%s/sys/fs/cgroup", root);
        return least_of_groups(base, "memory.max", path);
    }
    for (const char *name = strtok(controllers, ","); name != NULL; name = strtok(NULL, ",")) {
        if (strcmp(name, "memory") == 0) {
            (void)snprintf(base, sizeof(base), "%s/sys/fs/cgroup/memory", root);
            return least_of_groups(base, "memory.limit_in_bytes", path);
        }
    }
    return UINT64_MAX;
}

static uint64_t limit_of_groups(const char *root)
{
    char line[LINE_SIZE];
    uint64_t least = UINT64_MAX;

    (void)snprintf(line, sizeof(line), "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const uint64_t limit = limit_of_line(root, line);
        least = limit < least ? limit : least;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return least;
}

static uint64_t limit_of_machine(const char *root)
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

uint64_t memory_limit_below(const char *root)
{
    const uint64_t machine = limit_of_machine(root);
    const uint64_t groups = limit_of_groups(root);
    return groups < machine ? groups : machine;
}

uint64_t memory_limit(void)
{
    return memory_limit_below("");
}
