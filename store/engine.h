/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H
/*
 * What the store's child wants of a storage engine: a struct of functions. Private to store/ and
 * its tests. Implementations: RocksDB (engine_rocksdb*.c), and one in tests/unit/store that fails.
 *
 * Threads   one at a time, but for two that may run beside all others, each on a thread of its own:
 *           read_channel() and reclaim(). An engine may have threads of its own inside.
 * Order     what commit() has returned for is seen by every read that begins later.
 * Failures  an enum and, where one is given, a line of text: what the engine itself says.
 * Not here  what offsets are allowed (gather.h), bytes on the disk (record.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/check.h"
#include "store/record.h"
#include "store/wire.h"

struct engine; /* each implementation defines its own */

enum { ENGINE_ERROR_SIZE = 512 };

enum engine_result {
    ENGINE_OK = 0,
    ENGINE_ABSENT,
    ENGINE_DAMAGED, /* there, but it does not check */
    ENGINE_FAILED,  /* the error says why */
};

enum engine_mode {
    ENGINE_CREATE,    /* read and write; made when it is not there */
    ENGINE_READ_ONLY, /* changes nothing on the disk, takes no lock */
    ENGINE_SURVEY,    /* likewise, and opens though tables are damaged: for find_table() only */
    ENGINE_REPAIR,    /* read and write; touches no table that it is not asked for */
};

struct engine_options {
    const char *path; /* a directory; with ENGINE_CREATE its parent must exist */
    enum engine_mode mode;
    uint64_t write_buffer_bytes; /* of one table in memory; at most four are there */
    uint64_t block_cache_bytes;
    uint32_t open_files_max;
};

enum engine_op {
    ENGINE_PUT_RECORD,  /* stream_id, record */
    ENGINE_PUT_META,    /* name, meta */
    ENGINE_DELETE_META, /* name */
    /* Of stream_id, records in [from, below). */
    ENGINE_DELETE_RECORDS,
    /* The next stream gets this id. */
    ENGINE_PUT_NEXT_ID,
};

struct engine_entry {
    enum engine_op op;
    uint64_t stream_id;
    struct bytes name;
    union {
        struct wire_record record;
        struct record_meta meta;
        struct {
            uint64_t from;
            uint64_t below;
        } range;
    };
};

/* Of a read: returning false ends it. Views live until the return. */
struct engine_visitor {
    bool (*visit)(void *context, const struct wire_record *record);
    void *context;
};

struct engine_range {
    uint64_t stream_id;
    uint64_t from; /* the lowest offset */
    uint64_t to;   /* the highest one */
};

/* From where on records of a channel are wanted, which its stream decides; and who visits them. */
struct engine_reading {
    /* The first offset. `meta->stream.top` is `meta->noted_top` yet. */
    uint64_t (*begin)(void *context, const struct record_meta *meta);
    struct engine_visitor visitor; /* its context is begin()'s, too */
};

/* All channels, by name: the views live until the return. */
struct engine_inspector {
    /* meta is NULL when it does not check. */
    bool (*on_channel)(void *context, struct bytes channel, const struct record_meta *meta);
    void *context;
    struct bytes after; /* channels behind this one only; empty: all */
    bool reverse;       /* channels from the last one on; without `after` */
};

/* What the engine's tables are for. */
enum engine_part {
    ENGINE_PART_NONE = 0,
    ENGINE_PART_RECORDS,
    ENGINE_PART_CHANNELS,
    ENGINE_PART_UNUSED, /* nobody needs what is in it */
    ENGINE_PART_ROOT,
};

struct engine_name {
    size_t size;
    uint8_t data[WIRE_CHANNEL_SIZE_MAX];
};

/* One file of the engine, and what may be in it. */
struct engine_table {
    enum engine_part part;
    /* ENGINE_PART_RECORDS: from this record to that. */
    uint64_t from_stream;
    uint64_t from_offset;
    uint64_t to_stream;
    uint64_t to_offset;
    /* ENGINE_PART_CHANNELS */
    struct engine_name from;
    struct engine_name to;
};

struct engine_ops {
    const char *name;

    enum engine_result (*open)(const struct engine_options *options, struct engine **engine,
                               char error[static ENGINE_ERROR_SIZE]);
    void (*close)(struct engine *engine);

    /* All entries or none, in order. With `sync` they are on the disk at the return. */
    enum engine_result (*commit)(struct engine *engine, const struct engine_entry *entries,
                                 size_t count, bool sync, char error[static ENGINE_ERROR_SIZE]);

    /*
     * Records of the range that check, in order. ENGINE_DAMAGED at the first one that does not;
     * the ones before were visited. What is missing in between is not judged here, and what was
     * deleted may still come: the caller knows the first offset that is kept and asks from there.
     */
    enum engine_result (*read)(struct engine *engine, struct engine_range range,
                               struct engine_visitor visitor, char error[static ENGINE_ERROR_SIZE]);

    /* The stream of a channel, with the top that the records show. */
    enum engine_result (*find_stream)(struct engine *engine, struct bytes channel,
                                      struct record_meta *meta,
                                      char error[static ENGINE_ERROR_SIZE]);

    /*
     * The records of a channel from begin() on, and its stream as find_stream() finds it, of one
     * moment, whatever is committed meanwhile. begin() is not called without a stream.
     */
    enum engine_result (*read_channel)(struct engine *engine, struct bytes channel,
                                       struct engine_reading reading, struct record_meta *meta,
                                       char error[static ENGINE_ERROR_SIZE]);

    /* The id for the next new stream; 1 in an empty store. */
    uint64_t (*next_stream_id)(struct engine *engine);

    /* Fills streams, records, disk_bytes and memory_bytes. */
    void (*stats)(struct engine *engine, struct wire_stats *stats);

    /* Not OK when the engine cannot read on. */
    enum engine_result (*inspect)(struct engine *engine, const struct engine_inspector *inspector,
                                  char error[static ENGINE_ERROR_SIZE]);

    /*
     * Takes from the disk what was deleted of the streams [from, to]: reads and writes what lies
     * beside them, too, and takes its time. stop_reclaim(), from another thread, ends it soon;
     * nothing is reclaimed after that.
     */
    void (*reclaim)(struct engine *engine, uint64_t from, uint64_t to);
    void (*stop_reclaim)(struct engine *engine);

    /* ENGINE_ABSENT: there is no such table. */
    enum engine_result (*find_table)(struct engine *engine, uint64_t number,
                                     struct engine_table *table);
    /* Takes a table off a store that nobody has open. What only it had is gone. */
    enum engine_result (*drop_table)(const struct engine_options *options, uint64_t number,
                                     char error[static ENGINE_ERROR_SIZE]);
};

extern const struct engine_ops engine_rocksdb;

/* How an answer says it. */
NODISCARD static inline enum wire_result engine_wire_result(enum engine_result result)
{
    switch (result) {
    case ENGINE_OK:
        return WIRE_DONE;
    case ENGINE_ABSENT:
        return WIRE_ABSENT;
    case ENGINE_DAMAGED:
        return WIRE_DAMAGED;
    case ENGINE_FAILED:
        return WIRE_FAILED;
    }
    NEVER("no result of an engine");
}

#endif /* STORE_ENGINE_H */
