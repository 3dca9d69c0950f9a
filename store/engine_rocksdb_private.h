/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ENGINE_ROCKSDB_PRIVATE_H
#define STORE_ENGINE_ROCKSDB_PRIVATE_H
/*
 * The engine on RocksDB from inside, for its files only.
 *
 *   engine_rocksdb.c           open, format, close; the table of functions
 *   engine_rocksdb_options.c   how RocksDB is set up
 *   engine_rocksdb_write.c     a group commit as one write batch
 *   engine_rocksdb_read.c      channels, ranges of records
 *   engine_rocksdb_inspect.c   figures, all there is; what was deleted leaves the disk
 *   engine_rocksdb_tables.c    single files: what is in them, and away with one
 */
#include <rocksdb/c.h>

#include "store/engine.h"

enum family { FAMILY_DEFAULT, FAMILY_STREAMS, FAMILY_META, FAMILY_COUNT };

enum { STREAM_PREFIX_SIZE = 8 }; /* of a key of `streams`: the stream's id */

extern const char *const engine_family_names[FAMILY_COUNT];
extern const char engine_next_id_key[]; /* in the family `default` */

struct engine {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
    rocksdb_options_t *options[FAMILY_COUNT];
    rocksdb_cache_t *cache;
    rocksdb_writebatch_t *batch;
    rocksdb_writeoptions_t *write_plain;
    rocksdb_writeoptions_t *write_sync;
    rocksdb_readoptions_t *read_point;
    uint64_t next_id;
    const struct engine_entry **order; /* records of the commit at hand, by key */
    size_t order_max;
};

static inline const char *engine_chars(const uint8_t *in)
{
    return (const char *)in;
}

static inline struct bytes engine_iterator_key(const rocksdb_iterator_t *iterator)
{
    size_t size = 0;
    const char *const data = rocksdb_iter_key(iterator, &size);
    return (struct bytes){(const uint8_t *)data, size};
}

static inline struct bytes engine_iterator_value(const rocksdb_iterator_t *iterator)
{
    size_t size = 0;
    const char *const data = rocksdb_iter_value(iterator, &size);
    return (struct bytes){(const uint8_t *)data, size};
}

/* engine_rocksdb.c */

/* Takes RocksDB's text. ENGINE_OK when there is none. */
NODISCARD enum engine_result engine_settle(char *text, char error[static ENGINE_ERROR_SIZE]);

/* engine_rocksdb_options.c */

/* What was made is the engine's, also when it fails. */
NODISCARD enum engine_result engine_create_options(struct engine *engine,
                                                   const struct engine_options *wanted,
                                                   char error[static ENGINE_ERROR_SIZE]);
void engine_destroy_options(struct engine *engine);

/* engine_rocksdb_write.c */

void engine_put_number(const struct engine *engine, const char *key, uint64_t number);
/* What was put together in engine->batch. */
NODISCARD enum engine_result engine_write_batch(struct engine *engine, bool sync,
                                                char error[static ENGINE_ERROR_SIZE]);
NODISCARD enum engine_result engine_rocks_commit(struct engine *engine,
                                                 const struct engine_entry *entries, size_t count,
                                                 bool sync, char error[static ENGINE_ERROR_SIZE]);

/* engine_rocksdb_read.c */

/* Why an iterator is not valid; ENGINE_OK: it has come to its end. */
NODISCARD enum engine_result engine_iterator_result(const rocksdb_iterator_t *iterator,
                                                    char error[static ENGINE_ERROR_SIZE]);
NODISCARD enum engine_result engine_rocks_read(struct engine *engine, struct engine_range range,
                                               struct engine_visitor visitor,
                                               char error[static ENGINE_ERROR_SIZE]);
NODISCARD enum engine_result engine_rocks_find_stream(struct engine *engine, struct bytes channel,
                                                      struct record_meta *meta,
                                                      char error[static ENGINE_ERROR_SIZE]);
NODISCARD enum engine_result engine_rocks_read_channel(struct engine *engine, struct bytes channel,
                                                       struct engine_reading reading,
                                                       struct record_meta *meta,
                                                       char error[static ENGINE_ERROR_SIZE]);

/* engine_rocksdb_inspect.c */

void engine_rocks_stats(struct engine *engine, struct wire_stats *stats);
NODISCARD enum engine_result engine_rocks_inspect(struct engine *engine,
                                                  const struct engine_inspector *inspector,
                                                  char error[static ENGINE_ERROR_SIZE]);
void engine_rocks_reclaim(struct engine *engine, uint64_t from, uint64_t to);
void engine_rocks_stop_reclaim(struct engine *engine);

/* engine_rocksdb_tables.c */

NODISCARD enum engine_result engine_rocks_find_table(struct engine *engine, uint64_t number,
                                                     struct engine_table *table);
NODISCARD enum engine_result engine_rocks_drop_table(const struct engine_options *options,
                                                     uint64_t number,
                                                     char error[static ENGINE_ERROR_SIZE]);

#endif /* STORE_ENGINE_ROCKSDB_PRIVATE_H */
