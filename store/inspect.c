/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/check.h"
#include "store/directory.h"

enum {
    WRITE_BUFFER_BYTES = 64 << 20,
    BLOCK_CACHE_BYTES = 32 << 20,
    OPEN_FILES_MAX = 256,
    LIVE_TRIES = 10,
    LIVE_PAUSE_NS = 50000000,
};

static enum inspect_end complain(const struct inspect_options *options, const char *why)
{
    (void)fprintf(stderr, "parley-store: %s %s\n", options->path, why);
    return INSPECT_NOT_OPENED;
}

static enum inspect_end open_store(const struct inspect_options *options, struct engine **engine)
{
    char error[ENGINE_ERROR_SIZE] = "";
    const enum directory_verdict verdict =
        directory_judge(options->path, !options->live, error, sizeof(error));
    if (verdict == DIRECTORY_LOCKED) {
        const size_t size = strlen(error);
        (void)snprintf(error + size, sizeof(error) - size,
                       "; --live looks at what it has committed");
    }
    if (verdict != DIRECTORY_STORE && verdict != DIRECTORY_EMPTY) {
        return complain(options, error);
    }
    const struct engine_options engine_options = {
        .path = options->path,
        .mode = ENGINE_READ_ONLY,
        .write_buffer_bytes = WRITE_BUFFER_BYTES,
        .block_cache_bytes = BLOCK_CACHE_BYTES,
        .open_files_max = OPEN_FILES_MAX,
    };
    /* Whoever has it open may take a table away between the look at the list and the look at it. */
    const struct timespec pause = {.tv_nsec = LIVE_PAUSE_NS};
    int tries = options->live ? LIVE_TRIES : 1;
    while (options->ops->open(&engine_options, engine, error) != ENGINE_OK) {
        tries--;
        if (tries == 0) {
            return complain(options, error);
        }
        (void)nanosleep(&pause, NULL);
    }
    return INSPECT_FINE;
}

/* --- Text that may hold anything, as JSON --- */

/* The length of the UTF-8 sequence at the start of `in`; 0: there is none. */
static size_t utf8_sequence(struct bytes in)
{
    const uint8_t first = in.data[0];
    if (first < 0x80) {
        return 1;
    }
    const size_t size = first >= 0xc2 && first <= 0xdf   ? 2
                        : first >= 0xe0 && first <= 0xef ? 3
                        : first >= 0xf0 && first <= 0xf4 ? 4
                                                         : 0;
    if (size == 0 || in.size < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((in.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const uint8_t second = in.data[1];
    const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                     (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return bad ? 0 : size;
}

static bool is_utf8(struct bytes in)
{
    while (in.size > 0) {
        const size_t size = utf8_sequence(in);
        if (size == 0) {
            return false;
        }
        in = (struct bytes){in.data + size, in.size - size};
    }
    return true;
}

static void print_hex(struct bytes in)
{
    for (size_t i = 0; i < in.size; i++) {
        (void)printf("%02x", in.data[i]);
    }
}

/* As a JSON string; a terminal is safe from what it holds, too. */
static void print_string(struct bytes in)
{
    (void)putchar('"');
    for (size_t i = 0; i < in.size; i++) {
        const uint8_t byte = in.data[i];
        if (byte == '"' || byte == '\\') {
            (void)printf("\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            (void)printf("\\u%04x", byte);
        } else {
            (void)putchar(byte);
        }
    }
    (void)putchar('"');
}

/* "name":"text", or "name_hex":"00ff" when the bytes are no text. */
static void print_member(const char *name, struct bytes in)
{
    if (is_utf8(in)) {
        (void)printf("\"%s\":", name);
        print_string(in);
    } else {
        (void)printf("\"%s_hex\":\"", name);
        print_hex(in);
        (void)putchar('"');
    }
}

/* --- stat --- */

static void print_stats(const struct wire_stats *stats, bool json)
{
    const struct {
        const char *name;
        uint64_t value;
        bool about; /* an estimate of the engine: what was deleted may still count */
    } lines[] = {
        {"streams", stats->streams, false},
        {"records", stats->records, true},
        {"table_bytes", stats->disk_bytes, false},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (json) {
            (void)printf("%s\"%s%s\":%" PRIu64, i == 0 ? "{" : ",", lines[i].name,
                         lines[i].about ? "_about" : "", lines[i].value);
        } else {
            (void)printf("%-12s %" PRIu64 "%s\n", lines[i].name, lines[i].value,
                         lines[i].about ? " (about)" : "");
        }
    }
    if (json) {
        (void)printf("}\n");
    }
}

static bool count_channel(void *context, struct bytes channel, const struct record_meta *meta)
{
    (void)channel;
    (void)meta; /* one that does not check counts: `verify` names it */
    uint64_t *const count = context;
    (*count)++;
    return true;
}

/* Channels are counted. Records would have to be read. */
enum inspect_end inspect_stat(const struct inspect_options *options)
{
    struct engine *engine = NULL;
    const enum inspect_end end = open_store(options, &engine);
    if (end != INSPECT_FINE) {
        return end;
    }
    struct wire_stats stats = {.streams = 0};
    char error[ENGINE_ERROR_SIZE] = "";
    options->ops->stats(engine, &stats);
    stats.streams = 0;
    const struct engine_inspector inspector = {.on_channel = count_channel,
                                               .context = &stats.streams};
    const enum engine_result result = options->ops->inspect(engine, &inspector, error);
    options->ops->close(engine);
    if (result != ENGINE_OK) {
        (void)fprintf(stderr, "parley-store: %s cannot be read on: %s\n", options->path, error);
        return INSPECT_DAMAGED;
    }
    print_stats(&stats, options->json);
    return INSPECT_FINE;
}

/* --- verify --- */

struct verification {
    const struct inspect_options *options;
    struct engine *engine;
    uint64_t channels;
    uint64_t records;
    uint64_t damages;
    uint64_t expected; /* the next offset of the stream that is read */
};

static void report_damage(struct verification *verification, struct bytes channel, const char *why)
{
    verification->damages++;
    if (verification->options->json) {
        (void)printf("{");
        print_member("channel", channel);
        (void)printf(",");
        print_member("damage", (struct bytes){(const uint8_t *)why, strlen(why)});
        (void)printf("}\n");
    } else {
        (void)printf("damaged: channel ");
        print_string(channel);
        (void)printf(": %s\n", why);
    }
}

static bool verify_record(void *context, const struct wire_record *record)
{
    struct verification *const verification = context;
    if (record->offset != verification->expected) {
        return false;
    }
    verification->records++;
    verification->expected++;
    return true;
}

static bool verify_channel(void *context, struct bytes channel, const struct record_meta *meta)
{
    struct verification *const verification = context;
    const struct engine_ops *const ops = verification->options->ops;
    char error[ENGINE_ERROR_SIZE] = "";
    verification->channels++;
    if (meta == NULL) {
        report_damage(verification, channel, "its metadata do not check");
        return true;
    }
    struct record_meta found = *meta;
    enum engine_result result = ops->find_stream(verification->engine, channel, &found, error);
    const struct engine_range range = {
        .stream_id = found.stream_id, .from = found.stream.first, .to = found.stream.top};
    verification->expected = range.from;
    if (result == ENGINE_OK) {
        result = ops->read(verification->engine, range,
                           (struct engine_visitor){verify_record, verification}, error);
    }
    if (result == ENGINE_OK && verification->expected != range.to + 1) {
        (void)snprintf(error, sizeof(error), "record %" PRIu64 " of %" PRIu64 " is missing",
                       verification->expected, range.to);
        result = ENGINE_DAMAGED;
    }
    if (result != ENGINE_OK) {
        report_damage(verification, channel, error);
    }
    return true;
}

enum inspect_end inspect_verify(const struct inspect_options *options)
{
    struct verification verification = {.options = options};
    const enum inspect_end end = open_store(options, &verification.engine);
    if (end != INSPECT_FINE) {
        return end;
    }
    const struct engine_inspector inspector = {.on_channel = verify_channel,
                                               .context = &verification};
    char error[ENGINE_ERROR_SIZE] = "";
    if (options->ops->inspect(verification.engine, &inspector, error) != ENGINE_OK) {
        verification.damages++;
        (void)fprintf(stderr, "parley-store: %s cannot be read on: %s\n", options->path, error);
    }
    (void)printf(options->json ? "{\"channels\":%" PRIu64 ",\"records\":%" PRIu64
                                 ",\"damages\":%" PRIu64 "}\n"
                               : "%" PRIu64 " channels, %" PRIu64 " records, %" PRIu64 " damages\n",
                 verification.channels, verification.records, verification.damages);
    options->ops->close(verification.engine);
    return verification.damages == 0 ? INSPECT_FINE : INSPECT_DAMAGED;
}

/* --- export --- */

static bool export_record(void *context, const struct wire_record *record)
{
    const struct record_meta *const meta = context;
    (void)printf("{\"offset\":%" PRIu64 ",\"epoch\":\"%016" PRIx64 "\",\"time_ms\":%" PRIu64
                 ",\"flags\":%" PRIu32 ",",
                 record->offset, meta->stream.epoch, record->time_ms, record->flags);
    print_member("value", record->value);
    (void)printf("}\n");
    return true;
}

enum inspect_end inspect_export(const struct inspect_options *options)
{
    CHECK(options->channel != NULL);
    struct engine *engine = NULL;
    const enum inspect_end end = open_store(options, &engine);
    if (end != INSPECT_FINE) {
        return end;
    }
    char error[ENGINE_ERROR_SIZE] = "";
    const struct bytes channel = {(const uint8_t *)options->channel, strlen(options->channel)};
    struct record_meta meta = {.stream_id = 0};
    enum engine_result result = options->ops->find_stream(engine, channel, &meta, error);
    if (result == ENGINE_OK) {
        const struct engine_range range = {
            .stream_id = meta.stream_id, .from = meta.stream.first, .to = meta.stream.top};
        result =
            options->ops->read(engine, range, (struct engine_visitor){export_record, &meta}, error);
    }
    if (result != ENGINE_OK) {
        (void)fprintf(stderr, "parley-store: channel %s %s%s\n", options->channel,
                      result == ENGINE_ABSENT ? "does not exist" : "is damaged: ", error);
    }
    options->ops->close(engine);
    return result == ENGINE_OK ? INSPECT_FINE : INSPECT_DAMAGED;
}
