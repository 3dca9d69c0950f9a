/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/procstat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/check.h"
#include "core/cpu.h"

enum {
    PATH_SIZE = 64,
    FILE_SIZE = 4096, /* what we want is in the first page of each of these files */
    STAT_STATE = 3,   /* fields of /proc/PID/stat, as proc(5) counts them */
    STAT_USER_TICKS = 14,
};

static const double ns_per_second = 1e9;

struct ticks {
    uint64_t user;
    uint64_t system;
};

/* Reads as much as there is room for, always with a NUL behind it. 0 or -errno. */
static int read_file(const char *path, char text[FILE_SIZE])
{
    text[0] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int result = 0;
    size_t size = 0;
    while (size < FILE_SIZE - 1) {
        const ssize_t got = read(fd, text + size, FILE_SIZE - 1 - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            result = -errno;
        }
        if (got <= 0) {
            break;
        }
        size += (size_t)got;
    }
    text[size] = '\0';
    /* Nothing was written, so nothing can be lost. */
    (void)close(fd);
    return result;
}

/* A file of a process. A process that is not there, or is no more, is -ESRCH. */
static int read_process_file(pid_t pid, const char *name, char text[FILE_SIZE])
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    const int result = read_file(path, text);
    return result == -ENOENT ? -ESRCH : result;
}

static int read_task_file(pid_t pid, pid_t task, const char *name, char text[FILE_SIZE])
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)task, name);
    return read_file(path, text);
}

static DIR *open_tasks(pid_t pid)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return opendir(path);
}

/* The next thread of the process, 0 after the last one. */
static pid_t next_task(DIR *tasks)
{
    const struct dirent *entry = readdir(tasks);
    while (entry != NULL && !isdigit((unsigned char)entry->d_name[0])) {
        entry = readdir(tasks);
    }
    return entry == NULL ? 0 : (pid_t)strtol(entry->d_name, NULL, 10);
}

/* What stands behind a label at the beginning of a line, NULL when no line has it. */
static const char *find_label(const char *text, const char *label)
{
    const size_t size = strlen(label);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, label, size) == 0) {
            return line + size;
        }
    }
    return NULL;
}

/* "label:   12 kB", in bytes. False, and `bytes` untouched, when no line has it. */
static bool find_kilobytes(const char *text, const char *label, uint64_t *bytes)
{
    const char *value = find_label(text, label);
    if (value == NULL) {
        return false;
    }
    *bytes = strtoull(value, NULL, 10) * 1024;
    return true;
}

/* The name of a process may hold blanks and parentheses; behind its last ')' there are none. */
static int read_ticks(pid_t pid, struct ticks *ticks)
{
    char text[FILE_SIZE];
    const int result = read_process_file(pid, "stat", text);
    if (result != 0) {
        return result;
    }
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ') {
        return -EBADMSG;
    }
    at += 2;
    if (*at == 'Z' || *at == 'X') {
        return -ESRCH; /* it ended, and nobody has waited for it */
    }
    for (int field = STAT_STATE; field < STAT_USER_TICKS; field++) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return -EBADMSG;
        }
        at++;
    }
    char *end;
    const uint64_t user = strtoull(at, &end, 10);
    *ticks = (struct ticks){.user = user, .system = strtoull(end, NULL, 10)};
    return 0;
}

/* What the threads have run that are there now. 0 where the kernel does not count it. */
static int read_run_ns(pid_t pid, uint64_t *run_ns)
{
    DIR *tasks = open_tasks(pid);
    if (tasks == NULL) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    uint64_t sum = 0;
    for (pid_t task = next_task(tasks); task != 0; task = next_task(tasks)) {
        char text[FILE_SIZE];
        /* A thread that ends just now is found in the ticks of its process. */
        if (read_task_file(pid, task, "schedstat", text) == 0) {
            sum += strtoull(text, NULL, 10);
        }
    }
    (void)closedir(tasks);
    *run_ns = sum;
    return 0;
}

/*
 * Adds to `stat`. The run time does not know threads that ended, and ticks are coarse: the larger
 * of both is nearer.
 */
static int add_cpu(pid_t pid, struct procstat *stat)
{
    struct ticks ticks;
    int result = read_ticks(pid, &ticks);
    if (result != 0) {
        return result;
    }
    uint64_t run_ns = 0;
    result = read_run_ns(pid, &run_ns);
    if (result != 0) {
        return result;
    }
    const double tick_ns = ns_per_second / (double)sysconf(_SC_CLK_TCK);
    const double both = (double)ticks.user + (double)ticks.system;
    const double ticks_ns = both * tick_ns;
    const double total_ns = ticks_ns > (double)run_ns ? ticks_ns : (double)run_ns;
    const double system_ns = both > 0 ? total_ns * ((double)ticks.system / both) : 0;
    stat->system_ns += (uint64_t)system_ns;
    stat->user_ns += (uint64_t)(total_ns - system_ns);
    return 0;
}

static int add_memory(pid_t pid, struct procstat *stat)
{
    char text[FILE_SIZE];
    const int result = read_process_file(pid, "smaps_rollup", text);
    if (result != 0) {
        return result;
    }
    /* A kernel thread has no line of it, and no memory either. */
    uint64_t bytes = 0;
    (void)find_kilobytes(text, "Private_Dirty:", &bytes);
    stat->user_bytes += bytes;
    return 0;
}

static void add_pid(struct procstat_pids *pids, pid_t pid)
{
    for (size_t i = 0; i < pids->count; i++) {
        if (pids->pids[i] == pid) {
            return;
        }
    }
    if (pids->count < PROCSTAT_PID_COUNT_MAX) {
        pids->pids[pids->count++] = pid;
    }
}

/* "12 34 ", or nothing. */
static void add_list(struct procstat_pids *pids, const char *list)
{
    for (;;) {
        char *end;
        const long pid = strtol(list, &end, 10);
        if (end == list) {
            return;
        }
        add_pid(pids, (pid_t)pid);
        list = end;
    }
}

void procstat_add_children(struct procstat_pids *pids)
{
    CHECK(pids->count <= PROCSTAT_PID_COUNT_MAX);

    /* What was added comes later in the same list, so its children are looked for too. */
    for (size_t i = 0; i < pids->count; i++) {
        DIR *tasks = open_tasks(pids->pids[i]);
        if (tasks == NULL) {
            continue; /* it has gone: procstat_read() says so */
        }
        for (pid_t task = next_task(tasks); task != 0; task = next_task(tasks)) {
            char text[FILE_SIZE];
            if (read_task_file(pids->pids[i], task, "children", text) == 0) {
                add_list(pids, text);
            }
        }
        (void)closedir(tasks);
    }
}

int procstat_read(const struct procstat_pids *pids, struct procstat *stat)
{
    CHECK(pids->count <= PROCSTAT_PID_COUNT_MAX);

    struct procstat sum = {0};
    for (size_t i = 0; i < pids->count; i++) {
        int result = add_cpu(pids->pids[i], &sum);
        if (result == 0) {
            result = add_memory(pids->pids[i], &sum);
        }
        if (result != 0) {
            return result;
        }
    }
    *stat = sum;
    return 0;
}

int procstat_read_self(struct procstat *stat)
{
    struct procstat own = {0};
    const int result = add_cpu(getpid(), &own);
    if (result == 0) {
        *stat = own;
    }
    return result;
}

uint64_t procstat_kernel_bytes(void)
{
    static const char *const labels[] = {"Slab:", "KernelStack:", "PageTables:"};
    char text[FILE_SIZE];
    if (read_file("/proc/meminfo", text) != 0) {
        return 0;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        uint64_t bytes;
        if (!find_kilobytes(text, labels[i], &bytes)) {
            return 0;
        }
        sum += bytes;
    }
    return sum;
}

/* Not every architecture names a model; then its own name has to do. */
static void read_model(char model[PROCSTAT_TEXT_SIZE], const char *fallback)
{
    char text[FILE_SIZE];
    const char *found = NULL;
    if (read_file("/proc/cpuinfo", text) == 0) {
        found = find_label(text, "model name");
    }
    if (found != NULL) {
        found += strspn(found, "\t :");
    }
    const char *name = found != NULL ? found : fallback;
    (void)snprintf(model, PROCSTAT_TEXT_SIZE, "%.*s", (int)strcspn(name, "\n"), name);
}

void procstat_machine(char machine[PROCSTAT_TEXT_SIZE], char kernel[PROCSTAT_TEXT_SIZE])
{
    struct utsname system = {0};
    CHECK(uname(&system) == 0);
    char model[PROCSTAT_TEXT_SIZE];
    read_model(model, system.machine);

    const unsigned cpus = (unsigned)cpu_count();
    (void)snprintf(machine, PROCSTAT_TEXT_SIZE, "%.100s (%u CPU%s)", model, cpus,
                   cpus == 1 ? "" : "s");
    (void)snprintf(kernel, PROCSTAT_TEXT_SIZE, "%.40s %.80s", system.sysname, system.release);
}
