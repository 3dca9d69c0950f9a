/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine on RocksDB. Three column families share one log:
 *
 *   streams  read by range only, so the filter is over the stream id (the first eight bytes)
 *   meta     point reads
 *   default  two values: the format, and the id for the next stream
 *
 * Reads of `streams` look past range tombstones. They may: who reads asks from the first offset
 * that is kept, an id is never used twice, and with thousands of trims in the write buffer each
 * read would first sort all of them.
 *
 * Debian's library is built with assertions: many I/O errors abort the process instead of coming
 * back here. That is why this runs in a process of its own.
 */
#include "store/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/check.h"
#include "store/codec.h"
#include "store/directory.h"
#include "store/engine_rocksdb_private.h"

enum { FORMAT = 2 }; /* 1 did not know how long a stream is kept */

const char *const engine_family_names[FAMILY_COUNT] = {"default", "streams", "meta"};
/* Stores of before 0.1 have it, too. Nothing was ever put there. */
static const char former_family_name[] = "keys";
const char engine_next_id_key[] = "next stream id";
static const char format_key[] = "parley format";

enum engine_result engine_settle(char *text, char error[static ENGINE_ERROR_SIZE])
{
    if (text == NULL) {
        return ENGINE_OK;
    }
    (void)snprintf(error, ENGINE_ERROR_SIZE, "%s", text);
    const bool damaged = strncmp(text, "Corruption", 10) == 0;
    rocksdb_free(text);
    return damaged ? ENGINE_DAMAGED : ENGINE_FAILED;
}

static void engine_free(struct engine *engine)
{
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (engine->families[i] != NULL) {
            rocksdb_column_family_handle_destroy(engine->families[i]);
        }
    }
    if (engine->db != NULL) {
        rocksdb_close(engine->db);
    }
    engine_destroy_options(engine);
    free(engine->order);
    free(engine);
}

static enum engine_result refuse_others(char error[static ENGINE_ERROR_SIZE])
{
    (void)snprintf(error, ENGINE_ERROR_SIZE, "is no store: it is a database of others");
    return ENGINE_FAILED;
}

/*
 * Of a database without our families: a first start that was cut off has left it empty. In one of
 * others nothing may be made, not even a family: they could not open it any more.
 */
static enum engine_result judge_unfinished(const struct engine *engine, const char *path,
                                           char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_t *const db =
        rocksdb_open_for_read_only(engine->options[FAMILY_DEFAULT], path, 0, &failure);
    if (failure != NULL) {
        return engine_settle(failure, error);
    }
    rocksdb_iterator_t *const iterator = rocksdb_create_iterator(db, engine->read_point);
    rocksdb_iter_seek_to_first(iterator);
    const bool is_empty = !rocksdb_iter_valid(iterator);
    rocksdb_iter_destroy(iterator);
    rocksdb_close(db);
    return is_empty ? ENGINE_OK : refuse_others(error);
}

static bool is_ours(const char *name)
{
    bool ours = false;
    for (int i = 0; i < FAMILY_COUNT; i++) {
        ours = ours || strcmp(name, engine_family_names[i]) == 0;
    }
    return ours;
}

/* A database that has other column families than ours was made by somebody else. */
static enum engine_result judge_families(const struct engine *engine, const char *path,
                                         bool *has_former, char error[static ENGINE_ERROR_SIZE])
{
    size_t count = 0;
    size_t ours = 0;
    char *failure = NULL;
    char **const names =
        rocksdb_list_column_families(engine->options[FAMILY_DEFAULT], path, &count, &failure);
    enum engine_result result = engine_settle(failure, error);
    for (size_t i = 0; i < count && result == ENGINE_OK; i++) {
        if (is_ours(names[i])) {
            ours++;
        } else if (strcmp(names[i], former_family_name) == 0) {
            *has_former = true;
        } else {
            (void)snprintf(error, ENGINE_ERROR_SIZE,
                           "is no store: it is a database of others, with a table %.100s",
                           names[i]);
            result = ENGINE_FAILED;
        }
    }
    rocksdb_list_column_families_destroy(names, count);
    return result == ENGINE_OK && ours < FAMILY_COUNT ? judge_unfinished(engine, path, error)
                                                      : result;
}

static enum engine_result get_number(struct engine *engine, const char *key, uint64_t *number,
                                     char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    size_t size = 0;
    char *const value =
        rocksdb_get_cf(engine->db, engine->read_point, engine->families[FAMILY_DEFAULT], key,
                       strlen(key), &size, &failure);
    if (failure != NULL) {
        return engine_settle(failure, error);
    }
    if (value == NULL) {
        return ENGINE_ABSENT;
    }
    if (size == 8) {
        *number = codec_get_u64((const uint8_t *)value);
    }
    rocksdb_free(value);
    return size == 8 ? ENGINE_OK : ENGINE_DAMAGED;
}

static bool family_is_empty(const struct engine *engine, enum family family)
{
    rocksdb_iterator_t *const iterator =
        rocksdb_create_iterator_cf(engine->db, engine->read_point, engine->families[family]);
    rocksdb_iter_seek_to_first(iterator);
    const bool empty = !rocksdb_iter_valid(iterator);
    rocksdb_iter_destroy(iterator);
    return empty;
}

/* Reads what format the store has; writes it into a new one. */
static enum engine_result settle_format(struct engine *engine, enum engine_mode mode,
                                        char error[static ENGINE_ERROR_SIZE])
{
    uint64_t format = 0;
    enum engine_result result = get_number(engine, format_key, &format, error);
    if (result == ENGINE_ABSENT) {
        if (mode == ENGINE_READ_ONLY || !family_is_empty(engine, FAMILY_DEFAULT) ||
            !family_is_empty(engine, FAMILY_META)) {
            return refuse_others(error);
        }
        engine->next_id = 1;
        engine_put_number(engine, format_key, FORMAT);
        engine_put_number(engine, engine_next_id_key, engine->next_id);
        return engine_write_batch(engine, true, error);
    }
    if (result == ENGINE_OK && (format < 1 || format > FORMAT)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE,
                       "has format %llu, and this program knows formats 1 to %d only",
                       (unsigned long long)format, FORMAT);
        return ENGINE_FAILED;
    }
    if (result == ENGINE_OK) {
        result = get_number(engine, engine_next_id_key, &engine->next_id, error);
    }
    if (result != ENGINE_OK || engine->next_id == 0) {
        (void)snprintf(error, ENGINE_ERROR_SIZE,
                       "is damaged: its format or its next stream id cannot be read");
        return ENGINE_DAMAGED;
    }
    if (format < FORMAT && mode != ENGINE_READ_ONLY) {
        /* What it has can be read as it is; what is written from now on, by us only. */
        engine_put_number(engine, format_key, FORMAT);
        return engine_write_batch(engine, true, error);
    }
    return ENGINE_OK;
}

static bool is_read_only(enum engine_mode mode)
{
    return mode == ENGINE_READ_ONLY || mode == ENGINE_SURVEY;
}

/* It is not needed. Who may write takes it away. */
static enum engine_result close_former(struct engine *engine,
                                       rocksdb_column_family_handle_t *former, bool drops,
                                       char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    if (drops) {
        rocksdb_drop_column_family(engine->db, former, &failure);
    }
    rocksdb_column_family_handle_destroy(former);
    return engine_settle(failure, error);
}

static enum engine_result open_database(struct engine *engine, const struct engine_options *wanted,
                                        bool has_former, char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    const char *names[FAMILY_COUNT + 1] = {[FAMILY_COUNT] = former_family_name};
    const rocksdb_options_t *options[FAMILY_COUNT + 1] = {[FAMILY_COUNT] =
                                                              engine->options[FAMILY_META]};
    rocksdb_column_family_handle_t *families[FAMILY_COUNT + 1];
    const bool reads_only = is_read_only(wanted->mode);
    const int count = FAMILY_COUNT + has_former;
    for (int i = 0; i < FAMILY_COUNT; i++) {
        names[i] = engine_family_names[i];
        options[i] = engine->options[i];
    }
    engine->db = reads_only
                     ? rocksdb_open_for_read_only_column_families(
                           options[0], wanted->path, count, names, options, families, 0, &failure)
                     : rocksdb_open_column_families(options[0], wanted->path, count, names, options,
                                                    families, &failure);
    if (failure != NULL) {
        return engine_settle(failure, error);
    }
    memcpy(engine->families, families, sizeof(engine->families));
    return has_former ? close_former(engine, families[FAMILY_COUNT], !reads_only, error)
                      : ENGINE_OK;
}

static enum engine_result judge_path(const struct engine_options *options, bool *is_new,
                                     char error[static ENGINE_ERROR_SIZE])
{
    const bool creates = options->mode == ENGINE_CREATE;
    const enum directory_verdict verdict =
        directory_judge(options->path, creates, error, ENGINE_ERROR_SIZE);
    *is_new = verdict == DIRECTORY_EMPTY || verdict == DIRECTORY_MISSING;
    if (verdict == DIRECTORY_MISSING && creates) {
        if (mkdir(options->path, 0700) != 0) {
            (void)snprintf(error, ENGINE_ERROR_SIZE, "cannot be created: %s", strerror(errno));
            return ENGINE_FAILED;
        }
        return ENGINE_OK;
    }
    if (verdict == DIRECTORY_EMPTY && !creates) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "is empty: no store was ever there");
    }
    return verdict == DIRECTORY_STORE || (verdict == DIRECTORY_EMPTY && creates) ? ENGINE_OK
                                                                                 : ENGINE_FAILED;
}

static enum engine_result rocks_open(const struct engine_options *options, struct engine **engine,
                                     char error[static ENGINE_ERROR_SIZE])
{
    CHECK(options->path != NULL);
    CHECK(options->write_buffer_bytes > 0);

    bool is_new = false;
    bool has_former = false;
    enum engine_result result = judge_path(options, &is_new, error);
    if (result != ENGINE_OK) {
        return result;
    }
    struct engine *const opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "cannot be opened: no memory");
        return ENGINE_FAILED;
    }
    result = engine_create_options(opened, options, error);
    if (result == ENGINE_OK && !is_new) {
        result = judge_families(opened, options->path, &has_former, error);
    }
    if (result == ENGINE_OK) {
        result = open_database(opened, options, has_former, error);
    }
    if (result == ENGINE_OK && options->mode != ENGINE_SURVEY) {
        result = settle_format(opened, options->mode, error);
    }
    if (result != ENGINE_OK) {
        engine_free(opened);
        return result;
    }
    *engine = opened;
    return ENGINE_OK;
}

static uint64_t rocks_next_stream_id(struct engine *engine)
{
    return engine->next_id;
}

const struct engine_ops engine_rocksdb = {
    .name = "rocksdb",
    .open = rocks_open,
    .close = engine_free,
    .commit = engine_rocks_commit,
    .read = engine_rocks_read,
    .find_stream = engine_rocks_find_stream,
    .read_channel = engine_rocks_read_channel,
    .next_stream_id = rocks_next_stream_id,
    .stats = engine_rocks_stats,
    .inspect = engine_rocks_inspect,
    .reclaim = engine_rocks_reclaim,
    .stop_reclaim = engine_rocks_stop_reclaim,
    .find_table = engine_rocks_find_table,
    .drop_table = engine_rocks_drop_table,
};
