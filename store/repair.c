/* SPDX-License-Identifier: Apache-2.0 */
#include "store/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/check.h"
#include "core/monotime.h"
#include "store/codec.h"
#include "store/gather.h"

struct repair {
    const struct engine_ops *ops;
    struct engine_options options;
    struct wire_stats *stats;
    struct engine *engine;
    struct gather *gather;
    struct damage *damage;
    struct engine_table table;
    /* Of a table of channels: what stood between these could not be read. */
    struct engine_name below;
    struct engine_name above;
    enum engine_result result; /* of what a walk does on its way */
    char *error;
};

static void say(const char *what, struct bytes name, const char *why)
{
    (void)fprintf(stderr, "parley-store: repair: %s%s%.*s%s%s\n", what, name.size > 0 ? " " : "",
                  (int)name.size, (const char *)name.data, why[0] == '\0' ? "" : ": ", why);
}

static struct bytes name_of(const struct engine_name *name)
{
    return (struct bytes){name->data, name->size};
}

static int compare(struct bytes a, struct bytes b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static bool open_engine(struct repair *repair, enum engine_mode mode)
{
    repair->options.mode = mode;
    return repair->ops->open(&repair->options, &repair->engine, repair->error) == ENGINE_OK;
}

static void close_engine(struct repair *repair)
{
    gather_destroy(repair->gather);
    repair->gather = NULL;
    repair->ops->close(repair->engine);
    repair->engine = NULL;
}

/* --- New lives --- */

static uint64_t new_epoch(void)
{
    uint64_t epoch = 0;
    while (epoch == 0) {
        CHECK(getrandom(&epoch, sizeof(epoch), 0) == sizeof(epoch));
    }
    return epoch;
}

static bool begin_anew(struct repair *repair, struct bytes channel, const char *why)
{
    const struct wire_entry reset = {.kind = WIRE_RESET,
                                     .epoch = new_epoch(),
                                     .time_ms = monotime_realtime_ms(),
                                     .channel = channel};
    say("this one has lost something and begins anew: channel", channel, why);
    repair->stats->damaged_streams++;
    if (repair->gather == NULL) {
        repair->gather = gather_create(repair->ops, repair->engine, GATHER_STREAMS_MIN);
    }
    repair->result = ENGINE_FAILED;
    if (repair->gather == NULL) {
        (void)snprintf(repair->error, ENGINE_ERROR_SIZE, "no memory");
    } else if (gather_add_entry(repair->gather, &reset, repair->error) == WIRE_DONE) {
        repair->result = gather_commit(repair->gather, true, repair->error);
    }
    return repair->result == ENGINE_OK;
}

/* --- Streams --- */

/* Records of the table's part of a stream. */
static bool lies_in_table(const struct repair *repair, uint64_t stream_id)
{
    const struct engine_table *const table = &repair->table;
    return table->part == ENGINE_PART_RECORDS && stream_id >= table->from_stream &&
           stream_id <= table->to_stream;
}

struct count {
    uint64_t expected;
};

static bool count_record(void *context, const struct wire_record *record)
{
    struct count *const count = context;
    const bool follows = record->offset == count->expected;
    count->expected += follows;
    return follows;
}

/* Is everything there that the stream says it has? */
static bool is_whole(struct repair *repair, struct bytes channel, struct record_meta *meta)
{
    struct count count = {.expected = 0};
    const struct engine_visitor visitor = {count_record, &count};
    if (repair->ops->find_stream(repair->engine, channel, meta, repair->error) != ENGINE_OK) {
        return false;
    }
    count.expected = meta->stream.first;
    const struct engine_range range = {
        .stream_id = meta->stream_id, .from = meta->stream.first, .to = meta->stream.top};
    if (repair->ops->read(repair->engine, range, visitor, repair->error) != ENGINE_OK) {
        return false;
    }
    if (count.expected != meta->stream.top + 1) {
        (void)snprintf(repair->error, ENGINE_ERROR_SIZE, "record %" PRIu64 " is missing",
                       count.expected);
        return false;
    }
    return true;
}

/* A walk goes on as long as nothing has failed. */
static bool commit_one(struct repair *repair, const struct engine_entry *entry)
{
    repair->result = repair->ops->commit(repair->engine, entry, 1, false, repair->error);
    return repair->result == ENGINE_OK;
}

struct copy {
    struct repair *repair;
    uint64_t stream_id;
};

static bool copy_record(void *context, const struct wire_record *record)
{
    struct copy *const copy = context;
    const struct engine_entry entry = {
        .op = ENGINE_PUT_RECORD, .stream_id = copy->stream_id, .record = *record};
    return commit_one(copy->repair, &entry);
}

static bool salvage_stream(void *context, struct bytes channel, const struct record_meta *found)
{
    struct repair *const repair = context;
    if (found == NULL || !lies_in_table(repair, found->stream_id)) {
        return true;
    }
    struct record_meta meta = *found;
    if (!is_whole(repair, channel, &meta)) {
        char why[ENGINE_ERROR_SIZE];
        memcpy(why, repair->error, sizeof(why));
        return begin_anew(repair, channel, why);
    }
    const struct engine_table *const table = &repair->table;
    struct engine_range range = {
        .stream_id = meta.stream_id, .from = meta.stream.first, .to = meta.stream.top};
    if (meta.stream_id == table->from_stream && table->from_offset > range.from) {
        range.from = table->from_offset;
    }
    if (meta.stream_id == table->to_stream && table->to_offset < range.to) {
        range.to = table->to_offset;
    }
    struct copy copy = {repair, meta.stream_id};
    const enum engine_result result = repair->ops->read(
        repair->engine, range, (struct engine_visitor){copy_record, &copy}, repair->error);
    repair->result = repair->result == ENGINE_OK ? result : repair->result;
    return repair->result == ENGINE_OK;
}

/* --- Channels --- */

static bool copy_channel(struct repair *repair, struct bytes channel,
                         const struct record_meta *meta, struct engine_name *last)
{
    memcpy(last->data, channel.data, channel.size);
    last->size = channel.size;
    if (meta == NULL || compare(channel, name_of(&repair->table.from)) < 0 ||
        compare(channel, name_of(&repair->table.to)) > 0) {
        return true;
    }
    const struct engine_entry entry = {
        .op = ENGINE_PUT_META, .stream_id = meta->stream_id, .name = channel, .meta = *meta};
    return commit_one(repair, &entry);
}

static bool copy_upwards(void *context, struct bytes channel, const struct record_meta *meta)
{
    struct repair *const repair = context;
    return copy_channel(repair, channel, meta, &repair->below);
}

static bool copy_downwards(void *context, struct bytes channel, const struct record_meta *meta)
{
    struct repair *const repair = context;
    if (compare(channel, name_of(&repair->below)) <= 0) {
        return false;
    }
    return copy_channel(repair, channel, meta, &repair->above);
}

/* From both ends, each time as far as it can be read. */
static void salvage_channels(struct repair *repair)
{
    struct engine_inspector inspector = {.on_channel = copy_upwards, .context = repair};
    (void)repair->ops->inspect(repair->engine, &inspector, repair->error);
    inspector.on_channel = copy_downwards;
    inspector.reverse = true;
    (void)repair->ops->inspect(repair->engine, &inspector, repair->error);
}

/* Nobody can say whether this is the newest that was known of the channel. */
static bool may_be_stale(const struct repair *repair, struct bytes channel)
{
    const struct engine_table *const table = &repair->table;
    return table->part == ENGINE_PART_CHANNELS && compare(channel, name_of(&table->from)) >= 0 &&
           compare(channel, name_of(&table->to)) <= 0 &&
           compare(channel, name_of(&repair->below)) > 0 &&
           (repair->above.size == 0 || compare(channel, name_of(&repair->above)) < 0);
}

/* --- The steps --- */

/* Where the table is. Nothing is read of it, so that it does not matter how much is left. */
static enum engine_result survey(struct repair *repair)
{
    if (!open_engine(repair, ENGINE_SURVEY)) {
        return ENGINE_FAILED;
    }
    const enum engine_result result =
        repair->ops->find_table(repair->engine, repair->damage->table, &repair->table);
    close_engine(repair);
    return result;
}

/* All streams are in doubt: they begin anew, but only when the store can be opened again. */
static void note_streams(struct repair *repair)
{
    say("nothing can be read of it", (struct bytes){NULL, 0}, repair->error);
    if (repair->table.part == ENGINE_PART_RECORDS) {
        repair->damage->from_stream = repair->table.from_stream;
        repair->damage->to_stream = repair->table.to_stream;
        damage_note(repair->options.path, repair->damage);
    }
}

static bool salvage(struct repair *repair)
{
    if (!open_engine(repair, ENGINE_REPAIR)) {
        note_streams(repair);
        return true;
    }
    const struct engine_inspector inspector = {.on_channel = salvage_stream, .context = repair};
    repair->result = ENGINE_OK;
    if (repair->table.part == ENGINE_PART_RECORDS) {
        const enum engine_result walked =
            repair->ops->inspect(repair->engine, &inspector, repair->error);
        repair->result = repair->result == ENGINE_OK ? walked : repair->result;
    } else if (repair->table.part == ENGINE_PART_CHANNELS) {
        salvage_channels(repair);
    }
    /* The table may go when what was copied is on the disk. */
    const struct engine_entry last = {.op = ENGINE_PUT_NEXT_ID,
                                      .stream_id = repair->ops->next_stream_id(repair->engine)};
    if (repair->result == ENGINE_OK) {
        repair->result = repair->ops->commit(repair->engine, &last, 1, true, repair->error);
    }
    close_engine(repair);
    return repair->result == ENGINE_OK;
}

static bool mend_stream(void *context, struct bytes channel, const struct record_meta *meta)
{
    struct repair *const repair = context;
    const struct damage *const damage = repair->damage;
    if (may_be_stale(repair, channel)) {
        return begin_anew(repair, channel, "its newest metadata are lost");
    }
    if (meta != NULL && damage->to_stream > 0 && meta->stream_id >= damage->from_stream &&
        meta->stream_id <= damage->to_stream) {
        return begin_anew(repair, channel, "nothing can be read of a part of it");
    }
    return true;
}

/* What could not be done before the table was gone. */
static bool mend(struct repair *repair)
{
    if (!open_engine(repair, ENGINE_REPAIR)) {
        return false;
    }
    const struct engine_inspector inspector = {.on_channel = mend_stream, .context = repair};
    repair->result = ENGINE_OK;
    const enum engine_result walked =
        repair->ops->inspect(repair->engine, &inspector, repair->error);
    close_engine(repair);
    return walked == ENGINE_OK && repair->result == ENGINE_OK;
}

static const char *part_text(enum engine_part part)
{
    switch (part) {
    case ENGINE_PART_RECORDS:
        return "it has publications";
    case ENGINE_PART_CHANNELS:
        return "it has the metadata of channels; those that stood there only are gone";
    case ENGINE_PART_UNUSED:
        return "nobody needs what it has";
    case ENGINE_PART_ROOT:
        return "it has what the store itself needs";
    case ENGINE_PART_NONE:
        return "it is gone already";
    }
    NEVER("a table of nothing");
}

bool repair_table(const struct engine_ops *ops, const struct engine_options *options,
                  struct damage *damage, struct wire_stats *stats,
                  char error[static ENGINE_ERROR_SIZE])
{
    struct repair repair = {
        .ops = ops, .options = *options, .stats = stats, .damage = damage, .error = error};
    char file[32];
    const int size = snprintf(file, sizeof(file), "%06" PRIu64 ".sst", damage->table);
    const struct bytes name = {(const uint8_t *)file, (size_t)size};
    const enum engine_result surveyed = survey(&repair);
    if (surveyed != ENGINE_OK && surveyed != ENGINE_ABSENT) {
        return false;
    }
    say("a table is damaged: file", name, part_text(repair.table.part));
    if (repair.table.part == ENGINE_PART_ROOT) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "%s cannot be done without", file);
        return false;
    }
    if (repair.table.part != ENGINE_PART_NONE) {
        if (!salvage(&repair) || ops->drop_table(options, damage->table, error) != ENGINE_OK) {
            return false;
        }
        stats->damaged_tables++;
    }
    if (!mend(&repair)) {
        return false;
    }
    say("done; the others go on as they were", (struct bytes){NULL, 0}, "");
    return true;
}
