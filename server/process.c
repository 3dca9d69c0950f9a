/* SPDX-License-Identifier: Apache-2.0 */
#include "server/process.h"

#include "version.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"

#define NS_PER_S 1e9

/* 0: /proc does not say. */
static uint64_t resident_bytes(void)
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

static double cpu_seconds(void)
{
    struct timespec used;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
    return (double)used.tv_sec + (double)used.tv_nsec / NS_PER_S;
}

size_t process_render(const struct process *process, char text[static PROCESS_TEXT_SIZE])
{
    const uint64_t resident = resident_bytes();
    int size =
        snprintf(text, PROCESS_TEXT_SIZE,
                 "# HELP parley_build_info Always 1; the label says which parleyd this is.\n"
                 "# TYPE parley_build_info gauge\n"
                 "parley_build_info{version=\"%s\"} 1\n"
                 "# HELP parley_connection_limit Connections that the whole server may have.\n"
                 "# TYPE parley_connection_limit gauge\n"
                 "parley_connection_limit %" PRIu32 "\n"
                 "# HELP process_start_time_seconds Start of the process, Unix time.\n"
                 "# TYPE process_start_time_seconds gauge\n"
                 "process_start_time_seconds %" PRIu64 "\n"
                 "# HELP process_cpu_seconds_total User and system CPU time.\n"
                 "# TYPE process_cpu_seconds_total counter\n"
                 "process_cpu_seconds_total %.3f\n",
                 PARLEY_VERSION, process->connection_limit, process->started_s, cpu_seconds());
    CHECK(size > 0 && size < PROCESS_TEXT_SIZE);
    if (resident > 0) {
        size += snprintf(text + size, (size_t)(PROCESS_TEXT_SIZE - size),
                         "# HELP process_resident_memory_bytes Resident memory.\n"
                         "# TYPE process_resident_memory_bytes gauge\n"
                         "process_resident_memory_bytes %" PRIu64 "\n",
                         resident);
        CHECK(size < PROCESS_TEXT_SIZE);
    }
    return (size_t)size;
}
