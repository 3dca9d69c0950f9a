/* SPDX-License-Identifier: Apache-2.0 */
#include "version.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/report.h"
#include "bench/load/report_private.h"
#include "bench/load/tally.h"
#include "core/check.h"
#include "proto/json_writer.h"
#include "proto/utf8.h"

enum {
    DATE_SIZE = 32,
    DOUBLE_SIZE = 32,
    COMMIT_SIZE = 64,
    LINE_DEPTH_MAX = 2, /* what is no deeper begins a line */
};

/* Commas and lines are put here, so that the rest only names what there is. */
struct sheet {
    struct json_writer writer;
    int depth;
    bool fresh; /* just opened: no comma */
};

/* The name is NULL in an array. */
static void begin_value(struct sheet *sheet, const char *name)
{
    if (!sheet->fresh) {
        json_writer_text(&sheet->writer, ",");
    }
    sheet->fresh = false;
    if (sheet->depth > 0 && sheet->depth <= LINE_DEPTH_MAX) {
        json_writer_text(&sheet->writer, sheet->depth == 1 ? "\n" : "\n ");
    }
    if (name != NULL) {
        json_writer_text(&sheet->writer, "\"");
        json_writer_text(&sheet->writer, name);
        json_writer_text(&sheet->writer, "\":");
    }
}

static void open_with(struct sheet *sheet, const char *name, const char *bracket)
{
    begin_value(sheet, name);
    json_writer_text(&sheet->writer, bracket);
    sheet->depth++;
    sheet->fresh = true;
}

static void close_with(struct sheet *sheet, const char *bracket)
{
    sheet->depth--;
    sheet->fresh = false;
    json_writer_text(&sheet->writer, bracket);
}

static void add_uint64(struct sheet *sheet, const char *name, uint64_t value)
{
    begin_value(sheet, name);
    json_writer_uint64(&sheet->writer, value);
}

static void add_bool(struct sheet *sheet, const char *name, bool value)
{
    begin_value(sheet, name);
    json_writer_bool(&sheet->writer, value);
}

static void add_null(struct sheet *sheet, const char *name)
{
    begin_value(sheet, name);
    json_writer_text(&sheet->writer, "null");
}

static void add_double(struct sheet *sheet, const char *name, double value)
{
    CHECK(isfinite(value));
    char text[DOUBLE_SIZE];
    (void)snprintf(text, sizeof(text), "%.10g", value);
    begin_value(sheet, name);
    json_writer_text(&sheet->writer, text);
}

static void add_string(struct sheet *sheet, const char *name, const char *text)
{
    begin_value(sheet, name);
    json_writer_string(&sheet->writer, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void add_origin(struct sheet *sheet, const struct report *report, const char *date)
{
    char machine[PROCSTAT_TEXT_SIZE];
    char kernel[PROCSTAT_TEXT_SIZE];
    procstat_machine(machine, kernel);
    add_uint64(sheet, "format", 1);
    add_string(sheet, "machine", machine);
    add_string(sheet, "kernel", kernel);
    add_string(sheet, "version", PARLEY_VERSION);

    /* " (abc)" in the version of a program, "abc" here. */
    const char *const commit = PARLEY_COMMIT;
    const size_t begin = strspn(commit, " (");
    char bare[COMMIT_SIZE];
    (void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(commit + begin, ")"), commit + begin);
    add_string(sheet, "commit", bare);
    add_string(sheet, "date", date);
    add_string(sheet, "command_line", report->command_line);
}

static void add_options(struct sheet *sheet, const struct report *report)
{
    open_with(sheet, "options", "{");
    add_string(sheet, "scenario", report->scenario);
    add_string(sheet, "url", report->url);
    add_string(sheet, "backend", report->backend);
    add_uint64(sheet, "connections", report->connections);
    add_uint64(sheet, "threads", report->threads);
    add_double(sheet, "rate", report->rate);
    add_uint64(sheet, "window", report->window);
    add_uint64(sheet, "seed", report->seed);
    close_with(sheet, "}");
}

static void add_rate(struct sheet *sheet, const struct report *report, const char *name,
                     enum tally_id id)
{
    add_double(sheet, name, report_ratio((double)tally_read(report->tally, id), report->seconds));
}

static void add_codes(struct sheet *sheet, const struct tally *tally)
{
    open_with(sheet, "close_codes", "[");
    for (size_t i = 0; i < TALLY_CODE_COUNT_MAX; i++) {
        const uint32_t code = atomic_load_explicit(&tally->codes[i].code, memory_order_relaxed);
        if (code != 0) {
            open_with(sheet, NULL, "[");
            add_uint64(sheet, NULL, code);
            add_uint64(sheet, NULL,
                       atomic_load_explicit(&tally->codes[i].count, memory_order_relaxed));
            close_with(sheet, "]");
        }
    }
    close_with(sheet, "]");
}

static void add_results(struct sheet *sheet, const struct report *report)
{
    static const struct {
        const char *name;
        enum tally_id id;
    } counts[] = {
        {"connects", TALLY_CONNECTS},
        {"connect_failed", TALLY_CONNECT_FAILED},
        {"sent", TALLY_SENT},
        {"received", TALLY_RECEIVED},
        {"expected", TALLY_EXPECTED},
        {"acknowledged", TALLY_ACKNOWLEDGED},
        {"bytes_sent", TALLY_BYTES_SENT},
        {"bytes_received", TALLY_BYTES_RECEIVED},
        {"lost", TALLY_LOST},
        {"duplicated", TALLY_DUPLICATED},
        {"reordered", TALLY_REORDERED},
        {"corrupted", TALLY_CORRUPTED},
        {"errors", TALLY_ERRORS},
        {"closed", TALLY_CLOSED},
        {"late_sends", TALLY_LATE_SENDS},
    };
    open_with(sheet, "results", "{");
    add_bool(sheet, "clean", report_is_clean(report));
    add_bool(sheet, "generator_bound", report_is_generator_bound(report));
    add_double(sheet, "seconds", report->seconds);
    add_double(sheet, "connect_seconds", report->connect_seconds);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        add_uint64(sheet, counts[i].name, tally_read(report->tally, counts[i].id));
    }
    add_codes(sheet, report->tally);
    add_rate(sheet, report, "sent_per_s", TALLY_SENT);
    add_rate(sheet, report, "received_per_s", TALLY_RECEIVED);
    add_rate(sheet, report, "bytes_sent_per_s", TALLY_BYTES_SENT);
    add_rate(sheet, report, "bytes_received_per_s", TALLY_BYTES_RECEIVED);
    close_with(sheet, "}");
}

/* Where nothing was sent, nothing is known of its cost. */
static void add_cost(struct sheet *sheet, const char *name, uint64_t used_ns, uint64_t count)
{
    if (count == 0) {
        add_null(sheet, name);
    } else {
        add_double(sheet, name, (double)used_ns / 1e3 / (double)count);
    }
}

static void add_server(struct sheet *sheet, const struct report *report)
{
    if (!report->has_server) {
        add_null(sheet, "server");
        return;
    }
    const struct procstat *server = &report->server;
    const uint64_t sent = tally_read(report->tally, TALLY_SENT);
    const uint64_t received = tally_read(report->tally, TALLY_RECEIVED);
    open_with(sheet, "server", "{");
    add_uint64(sheet, "user_ns", server->user_ns);
    add_uint64(sheet, "system_ns", server->system_ns);
    add_double(
        sheet, "cpus",
        report_ratio((double)server->user_ns + (double)server->system_ns, report->seconds * 1e9));
    add_cost(sheet, "user_us_per_message", server->user_ns, sent);
    add_cost(sheet, "system_us_per_message", server->system_ns, sent);
    add_cost(sheet, "user_us_per_delivery", server->user_ns, received);
    add_cost(sheet, "system_us_per_delivery", server->system_ns, received);
    add_uint64(sheet, "user_bytes_before", report->server_user_bytes_before);
    add_uint64(sheet, "user_bytes_after", server->user_bytes);
    add_double(sheet, "user_bytes_per_connection",
               report_bytes_per_conn(report, report->server_user_bytes_before, server->user_bytes));
    close_with(sheet, "}");
}

static void add_machine_costs(struct sheet *sheet, const struct report *report)
{
    open_with(sheet, "generator", "{");
    add_uint64(sheet, "user_ns", report->generator.user_ns);
    add_uint64(sheet, "system_ns", report->generator.system_ns);
    add_double(sheet, "thread_share", report_generator_share(report));
    close_with(sheet, "}");

    if (report->kernel_bytes_before == 0) {
        add_null(sheet, "kernel_both_ends");
        return;
    }
    open_with(sheet, "kernel_both_ends", "{");
    add_uint64(sheet, "bytes_before", report->kernel_bytes_before);
    add_uint64(sheet, "bytes_after", report->kernel_bytes_after);
    add_double(
        sheet, "bytes_per_connection",
        report_bytes_per_conn(report, report->kernel_bytes_before, report->kernel_bytes_after));
    close_with(sheet, "}");
}

static void add_latency(struct sheet *sheet, const struct histogram *latency)
{
    open_with(sheet, "latency", "{");
    add_uint64(sheet, "count", histogram_count(latency));
    add_double(sheet, "mean_ns", histogram_mean(latency));
    add_uint64(sheet, "max_ns", atomic_load_explicit(&latency->max_ns, memory_order_relaxed));
    open_with(sheet, "percentiles_ns", "{");
    for (size_t i = 0; i < REPORT_PERCENTILE_COUNT; i++) {
        add_uint64(sheet, report_percentiles[i].name,
                   histogram_percentile(latency, report_percentiles[i].share));
    }
    close_with(sheet, "}");
    open_with(sheet, "buckets", "[");
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        const uint64_t count = atomic_load_explicit(&latency->buckets[i], memory_order_relaxed);
        if (count != 0) {
            open_with(sheet, NULL, "[");
            add_uint64(sheet, NULL, histogram_bucket_end(i));
            add_uint64(sheet, NULL, count);
            close_with(sheet, "]");
        }
    }
    close_with(sheet, "]");
    close_with(sheet, "}");
}

/* What is worth knowing of one where nobody plots its buckets. */
static void add_summary(struct sheet *sheet, const char *name, const struct histogram *histogram)
{
    open_with(sheet, name, "{");
    add_uint64(sheet, "count", histogram_count(histogram));
    add_uint64(sheet, "p50_ns", histogram_percentile(histogram, 0.5));
    add_uint64(sheet, "p95_ns", histogram_percentile(histogram, 0.95));
    add_uint64(sheet, "p99_ns", histogram_percentile(histogram, 0.99));
    add_uint64(sheet, "max_ns", atomic_load_explicit(&histogram->max_ns, memory_order_relaxed));
    close_with(sheet, "}");
}

static void add_recovery(struct sheet *sheet, const struct report *report)
{
    const struct tally *tally = report->tally;

    if (!report->recovers) {
        add_null(sheet, "recovery");
        return;
    }
    open_with(sheet, "recovery", "{");
    add_uint64(sheet, "recovered", tally_read(tally, TALLY_RECOVERED));
    add_uint64(sheet, "not_recovered", tally_read(tally, TALLY_NOT_RECOVERED));
    add_uint64(sheet, "publications", tally_read(tally, TALLY_GIVEN));
    add_uint64(sheet, "resubscribed", tally_read(tally, TALLY_RESUBSCRIBED));
    add_summary(sheet, "late", &tally->recovered);
    close_with(sheet, "}");
}

static void add_storm(struct sheet *sheet, const struct report *report)
{
    const struct report_storm *storm = report->storm;
    const struct tally *tally = report->tally;

    if (storm == NULL) {
        add_null(sheet, "storm");
        return;
    }
    open_with(sheet, "storm", "{");
    add_uint64(sheet, "struck", storm->struck);
    add_double(sheet, "away_seconds", storm->away_seconds);
    add_double(sheet, "seconds", storm->seconds);
    add_summary(sheet, "back", &tally->back);
    add_summary(sheet, "live_before", &tally->live[STORM_BEFORE]);
    add_summary(sheet, "live_cut", &tally->live[STORM_CUT]);
    add_summary(sheet, "live_return", &tally->live[STORM_RETURN]);
    add_summary(sheet, "live_after", &tally->live[STORM_AFTER]);
    if (report->has_server) {
        add_uint64(sheet, "server_user_ns", storm->server.user_ns);
        add_uint64(sheet, "server_system_ns", storm->server.system_ns);
    }
    add_uint64(sheet, "generator_user_ns", storm->generator.user_ns);
    add_uint64(sheet, "generator_system_ns", storm->generator.system_ns);
    close_with(sheet, "}");
}

static void add_spread(struct sheet *sheet, const char *name, const struct report_spread *spread)
{
    open_with(sheet, name, "{");
    add_double(sheet, "min", spread->min);
    add_double(sheet, "median", spread->median);
    add_double(sheet, "max", spread->max);
    close_with(sheet, "}");
}

static void add_points(struct sheet *sheet, const struct report *report)
{
    open_with(sheet, "points", "[");
    for (size_t i = 0; i < report->point_count; i++) {
        const struct report_point *point = &report->points[i];
        open_with(sheet, NULL, "{");
        add_double(sheet, "at_s", point->at_s);
        add_double(sheet, "seconds", point->seconds);
        add_uint64(sheet, "sent", point->sent);
        add_uint64(sheet, "received", point->received);
        add_uint64(sheet, "p50_ns", point->p50_ns);
        add_uint64(sheet, "p99_ns", point->p99_ns);
        add_uint64(sheet, "max_ns", point->max_ns);
        add_uint64(sheet, "connected", point->connected);
        close_with(sheet, "}");
    }
    close_with(sheet, "]");
}

static void add_steps(struct sheet *sheet, const struct report *report)
{
    if (report->steps == NULL) {
        add_null(sheet, "steps");
        add_null(sheet, "knee_rate");
        return;
    }
    open_with(sheet, "steps", "[");
    for (size_t i = 0; i < report->step_count; i++) {
        const struct report_step *step = &report->steps[i];
        open_with(sheet, NULL, "{");
        add_double(sheet, "rate", step->rate);
        add_double(sheet, "sent_rate", step->sent_rate);
        add_uint64(sheet, "p99_ns", step->p99_ns);
        add_uint64(sheet, "lost", step->lost);
        add_bool(sheet, "passed", step->passed);
        close_with(sheet, "}");
    }
    close_with(sheet, "]");
    if (report->knee_rate > 0) {
        add_double(sheet, "knee_rate", report->knee_rate);
    } else {
        add_null(sheet, "knee_rate");
    }
}

struct render {
    const struct report *report;
    char date[DATE_SIZE];
    struct report_spread sent;
    struct report_spread received;
};

/* Writes all of it to the target, and returns the size that it needs. */
static size_t render_to(const struct render *render, struct span target)
{
    struct sheet sheet = {.fresh = true};
    json_writer_init(&sheet.writer, target);
    open_with(&sheet, NULL, "{");
    add_origin(&sheet, render->report, render->date);
    add_options(&sheet, render->report);
    add_results(&sheet, render->report);
    add_server(&sheet, render->report);
    add_machine_costs(&sheet, render->report);
    add_latency(&sheet, &render->report->tally->latency);
    add_recovery(&sheet, render->report);
    add_storm(&sheet, render->report);
    open_with(&sheet, "spread_per_s", "{");
    add_spread(&sheet, "sent", &render->sent);
    add_spread(&sheet, "received", &render->received);
    close_with(&sheet, "}");
    add_points(&sheet, render->report);
    add_steps(&sheet, render->report);
    close_with(&sheet, "\n}");
    json_writer_text(&sheet.writer, "\n");
    return sheet.writer.size;
}

/* What a shell passes on need not be UTF-8; then what is not ASCII is lost, and not the report. */
static void settle_utf8(struct span json)
{
    struct utf8_state state = {0};
    const struct bytes text = {json.data, json.size};
    if (utf8_check(simd_choose(CPU_SIMD_SCALAR), &state, text) == UTF8_VALID &&
        utf8_is_complete(state)) {
        return;
    }
    for (size_t i = 0; i < json.size; i++) {
        json.data[i] = json.data[i] < 0x80 ? json.data[i] : '?';
    }
}

int report_render_json(const struct report *report, struct span *json)
{
    CHECK(report->tally != NULL);

    struct render render = {.report = report};
    const int result = report_find_spread(report, &render.sent, &render.received);
    if (result != 0) {
        return result;
    }
    const time_t now = time(NULL);
    struct tm date;
    if (gmtime_r(&now, &date) != NULL) {
        (void)strftime(render.date, sizeof(render.date), "%Y-%m-%dT%H:%M:%SZ", &date);
    }

    /* Once to measure, once to write: nothing changes between them. */
    const size_t size = render_to(&render, (struct span){NULL, 0});
    uint8_t *data = malloc(size);
    if (data == NULL) {
        return -ENOMEM;
    }
    const struct span target = {data, size};
    CHECK(render_to(&render, target) == size);
    settle_utf8(target);
    *json = target;
    return 0;
}

int report_write_json(const struct report *report, const char *path)
{
    struct span json;
    int result = report_render_json(report, &json);
    if (result != 0) {
        return result;
    }
    const struct bytes piece = {json.data, json.size};
    result = report_save(path, &piece, 1);
    free(json.data);
    return result;
}
