/* SPDX-License-Identifier: Apache-2.0 */
#include "server/process.h"

#include "version.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "core/check.h"
#include "server/memory.h"

#define NS_PER_S 1e9

static double cpu_seconds(void)
{
    struct timespec used;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
    return (double)used.tv_sec + (double)used.tv_nsec / NS_PER_S;
}

size_t process_render(const struct process *process, char text[static PROCESS_TEXT_SIZE])
{
    const uint64_t resident = memory_resident();
    int size = snprintf(
        text, PROCESS_TEXT_SIZE,
        "# HELP parley_build_info Always 1; the label says which parleyd this is.\n"
        "# TYPE parley_build_info gauge\n"
        "parley_build_info{version=\"%s\"} 1\n"
        "# HELP parley_connection_limit Connections that the whole server may have.\n"
        "# TYPE parley_connection_limit gauge\n"
        "parley_connection_limit %" PRIu32 "\n"
        "# HELP parley_memory_budget_bytes Memory from which on clients are refused, or cut.\n"
        "# TYPE parley_memory_budget_bytes gauge\n"
        "parley_memory_budget_bytes %" PRIu64 "\n"
        "# HELP process_start_time_seconds Start of the process, Unix time.\n"
        "# TYPE process_start_time_seconds gauge\n"
        "process_start_time_seconds %" PRIu64 "\n"
        "# HELP process_cpu_seconds_total User and system CPU time.\n"
        "# TYPE process_cpu_seconds_total counter\n"
        "process_cpu_seconds_total %.3f\n",
        PARLEY_VERSION, process->connection_limit, process->memory_budget, process->started_s,
        cpu_seconds());
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
