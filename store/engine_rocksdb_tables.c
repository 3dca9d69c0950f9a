/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/engine_rocksdb_private.h"

static void keep_name(struct engine_name *name, const char *key, size_t size)
{
    name->size = size < sizeof(name->data) ? size : sizeof(name->data);
    memcpy(name->data, key, name->size);
}

/* What the table at `index` is for, and from where to where it goes. */
static enum engine_result describe_table(const rocksdb_livefiles_t *files, int index,
                                         struct engine_table *table)
{
    static const enum engine_part parts[FAMILY_COUNT] = {
        [FAMILY_DEFAULT] = ENGINE_PART_ROOT,
        [FAMILY_STREAMS] = ENGINE_PART_RECORDS,
        [FAMILY_META] = ENGINE_PART_CHANNELS,
    };
    const char *const family = rocksdb_livefiles_column_family_name(files, index);
    size_t from_size = 0;
    size_t to_size = 0;
    const char *const from = rocksdb_livefiles_smallestkey(files, index, &from_size);
    const char *const to = rocksdb_livefiles_largestkey(files, index, &to_size);
    *table = (struct engine_table){.part = ENGINE_PART_UNUSED};
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (strcmp(family, engine_family_names[i]) == 0) {
            table->part = parts[i];
        }
    }
    if (table->part == ENGINE_PART_CHANNELS) {
        keep_name(&table->from, from, from_size);
        keep_name(&table->to, to, to_size);
    }
    if (table->part == ENGINE_PART_RECORDS &&
        (!record_read_stream_key((struct bytes){(const uint8_t *)from, from_size},
                                 &table->from_stream, &table->from_offset) ||
         !record_read_stream_key((struct bytes){(const uint8_t *)to, to_size}, &table->to_stream,
                                 &table->to_offset))) {
        return ENGINE_DAMAGED;
    }
    return ENGINE_OK;
}

enum engine_result engine_rocks_find_table(struct engine *engine, uint64_t number,
                                           struct engine_table *table)
{
    const rocksdb_livefiles_t *const files = rocksdb_livefiles(engine->db);
    enum engine_result result = ENGINE_ABSENT;
    for (int i = 0; i < rocksdb_livefiles_count(files) && result == ENGINE_ABSENT; i++) {
        const char *const name = rocksdb_livefiles_name(files, i); /* "/000012.sst" */
        if (strtoull(name + (name[0] == '/'), NULL, 10) == number) {
            result = describe_table(files, i, table);
        }
    }
    rocksdb_livefiles_destroy(files);
    return result;
}

/* By ourselves, as another process: see rocksdb_tool.h. */
enum engine_result engine_rocks_drop_table(const struct engine_options *options, uint64_t number,
                                           char error[static ENGINE_ERROR_SIZE])
{
    char digits[24];
    char *arguments[] = {strdup("parley-store"),
                         strdup("drop-table"),
                         strdup("--path"),
                         strdup(options->path),
                         digits,
                         NULL};
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    pid_t pid = 0;
    int status = -1;
    const int result = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
    if (result == 0) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    for (size_t i = 0; i < 4; i++) {
        free(arguments[i]);
    }
    if (result != 0 || status != 0) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "table %s cannot be dropped: %s, status %d",
                       digits, strerror(result), status);
        return ENGINE_FAILED;
    }
    return ENGINE_OK;
}
