/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/store/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bench/store/messages.h"
#include "core/check.h"
#include "core/monotime.h"

enum { SECTOR_SIZE = 512 };

void latencies_init(struct latencies *latencies, uint64_t count_max)
{
    latencies->us = malloc(count_max * sizeof(latencies->us[0]));
    CHECK(latencies->us != NULL);
    latencies->count = 0;
    latencies->count_max = count_max;
}

void latencies_deinit(struct latencies *latencies)
{
    free(latencies->us);
    *latencies = (struct latencies){.us = NULL};
}

void latencies_note(struct latencies *latencies, uint64_t ns)
{
    if (latencies->count < latencies->count_max) {
        latencies->us[latencies->count++] = (uint32_t)(ns / MONOTIME_NS_PER_US);
    }
}

static int compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double latencies_percentile(struct latencies *latencies, double part)
{
    if (latencies->count == 0) {
        return 0;
    }
    qsort(latencies->us, latencies->count, sizeof(latencies->us[0]), compare_u32);
    return latencies->us[(uint64_t)((double)(latencies->count - 1) * part)];
}

uint64_t sectors_written(const char *path)
{
    struct stat status;
    char name[128];
    uint64_t sectors = 0;
    if (stat(path, &status) != 0) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/stat", major(status.st_dev),
                   minor(status.st_dev));
    FILE *const file = fopen(name, "r");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%*u %*u %*u %*u %*u %*u %" SCNu64, &sectors) != 1) {
        sectors = 0;
    }
    (void)fclose(file);
    return sectors;
}

double seconds_since(uint64_t began_ns)
{
    return (double)(monotime_read() - began_ns) / (double)MONOTIME_NS_PER_S;
}

void report_messages(const char *what, uint64_t messages, double seconds, uint64_t sectors,
                     struct latencies *latencies)
{
    (void)printf("%-28s %9.0f messages/s", what, (double)messages / seconds);
    if (latencies->count > 0) {
        (void)printf("   durable after p50 %6.2f ms, p99 %6.2f ms",
                     latencies_percentile(latencies, 0.5) / 1000,
                     latencies_percentile(latencies, 0.99) / 1000);
    }
    if (sectors > 0) {
        (void)printf("   %.2f device bytes per byte",
                     (double)sectors * SECTOR_SIZE / ((double)messages * MESSAGE_SIZE));
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

void report_questions(const char *what, struct latencies *latencies)
{
    (void)printf("%-40s p50 %4.0f us, p99 %4.0f us\n", what, latencies_percentile(latencies, 0.5),
                 latencies_percentile(latencies, 0.99));
    (void)fflush(stdout);
}
