/* SPDX-License-Identifier: Apache-2.0 */
#include "server/process.h"

#include "version.h"
#include <inttypes.h>
#include <time.h>

#include "core/check.h"
#include "core/metrics_text.h"
#include "server/memory.h"

#define NS_PER_S 1e9

static double cpu_seconds(void)
{
    struct timespec used;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
    return (double)used.tv_sec + (double)used.tv_nsec / NS_PER_S;
}

void process_render(const struct process *process, struct metrics_text *text)
{
    metrics_text_begin(text, "parley_build_info", "gauge",
                       "Always 1; the label says which parleyd this is.");
    metrics_text_add(text, "parley_build_info{version=\"%s\"} 1\n", PARLEY_VERSION);
    metrics_text_begin(text, "parley_connection_limit", "gauge",
                       "Connections that the whole server may have.");
    metrics_text_add(text, "parley_connection_limit %" PRIu32 "\n", process->connection_limit);
    metrics_text_begin(text, "parley_memory_budget_bytes", "gauge",
                       "Memory from which on clients are refused, or cut.");
    metrics_text_add(text, "parley_memory_budget_bytes %" PRIu64 "\n", process->memory_budget);
    metrics_text_begin(text, "parley_memory_used_bytes", "gauge",
                       "Memory in use, of parley_memory_budget_bytes.");
    metrics_text_add(text, "parley_memory_used_bytes %" PRIu64 "\n", memory_used(process->memory));
    metrics_text_begin(text, "process_start_time_seconds", "gauge",
                       "Start of the process, Unix time.");
    metrics_text_add(text, "process_start_time_seconds %" PRIu64 "\n", process->started_s);
    metrics_text_begin(text, "process_cpu_seconds_total", "counter", "User and system CPU time.");
    metrics_text_add(text, "process_cpu_seconds_total %.3f\n", cpu_seconds());
    const uint64_t resident = memory_resident();
    if (resident > 0) {
        metrics_text_begin(text, "process_resident_memory_bytes", "gauge", "Resident memory.");
        metrics_text_add(text, "process_resident_memory_bytes %" PRIu64 "\n", resident);
    }
}
