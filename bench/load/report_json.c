/* SPDX-License-Identifier: Apache-2.0 */
#include "version.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/report_private.h"
#include "bench/load/sheet.h"
#include "bench/load/tally.h"
#include "core/check.h"
#include "proto/utf8.h"

enum {
    DATE_SIZE = 32,
    COMMIT_SIZE = 64,
};

static void add_origin(struct sheet *sheet, const struct report *report, const char *date)
{
    char machine[PROCSTAT_TEXT_SIZE];
    char kernel[PROCSTAT_TEXT_SIZE];
    procstat_machine(machine, kernel);
    sheet_add_uint64(sheet, "format", 1);
    sheet_add_string(sheet, "machine", machine);
    sheet_add_string(sheet, "kernel", kernel);
    sheet_add_string(sheet, "version", PARLEY_VERSION);

    /* " (abc)" in the version of a program, "abc" here. */
    const char *const commit = PARLEY_COMMIT;
    const size_t begin = strspn(commit, " (");
    char bare[COMMIT_SIZE];
    (void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(commit + begin, ")"), commit + begin);
    sheet_add_string(sheet, "commit", bare);
    sheet_add_string(sheet, "date", date);
    sheet_add_string(sheet, "command_line", report->command_line);
    if (report->signal == 0) {
        sheet_add_null(sheet, "stopped");
    } else {
        char name[16];
        (void)snprintf(name, sizeof(name), "SIG%s", sigabbrev_np(report->signal));
        sheet_add_string(sheet, "stopped", name);
    }
}

static void add_rate(struct sheet *sheet, const struct report *report, const char *name,
                     enum tally_id id)
{
    sheet_add_double(sheet, name,
                     report_ratio((double)tally_read(report->tally, id), report->seconds));
}

static void add_codes(struct sheet *sheet, const struct tally *tally)
{
    struct tally_cause_row row;

    sheet_open(sheet, "close_codes", "[");
    for (size_t i = 0; tally_read_cause(tally, i, &row); i++) {
        if (row.kind == CAUSE_CLOSED) {
            sheet_open(sheet, NULL, "[");
            sheet_add_uint64(sheet, NULL, row.code);
            sheet_add_uint64(sheet, NULL, row.count);
            sheet_close(sheet, "]");
        }
    }
    sheet_close(sheet, "]");
}

static void add_causes(struct sheet *sheet, const struct report *report)
{
    struct tally_cause_row row;

    sheet_open(sheet, "causes", "[");
    for (size_t i = 0; tally_read_cause(report->tally, i, &row); i++) {
        char text[CAUSE_TEXT_SIZE];
        cause_describe(row.kind, row.code, text);
        sheet_open(sheet, NULL, "{");
        sheet_add_string(sheet, "kind", cause_name(row.kind));
        sheet_add_uint64(sheet, "code", row.code);
        sheet_add_uint64(sheet, "count", row.count);
        sheet_add_string(sheet, "text",
                         row.kind == CAUSE_TLS && report->tls_fault[0] != '\0' ? report->tls_fault
                                                                               : text);
        sheet_close(sheet, "}");
    }
    sheet_close(sheet, "]");
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
    sheet_open(sheet, "results", "{");
    sheet_add_bool(sheet, "clean", report_is_clean(report));
    sheet_add_bool(sheet, "generator_bound", report_is_generator_bound(report));
    sheet_add_double(sheet, "seconds", report->seconds);
    sheet_add_double(sheet, "connect_seconds", report->connect_seconds);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        sheet_add_uint64(sheet, counts[i].name, tally_read(report->tally, counts[i].id));
    }
    add_codes(sheet, report->tally);
    add_causes(sheet, report);
    add_rate(sheet, report, "connects_per_s", TALLY_CONNECTS);
    add_rate(sheet, report, "sent_per_s", TALLY_SENT);
    add_rate(sheet, report, "received_per_s", TALLY_RECEIVED);
    add_rate(sheet, report, "bytes_sent_per_s", TALLY_BYTES_SENT);
    add_rate(sheet, report, "bytes_received_per_s", TALLY_BYTES_RECEIVED);
    sheet_close(sheet, "}");
}

/* Where nothing was sent, nothing is known of its cost. */
static void add_cost(struct sheet *sheet, const char *name, uint64_t used_ns, uint64_t count)
{
    if (count == 0) {
        sheet_add_null(sheet, name);
    } else {
        sheet_add_double(sheet, name, (double)used_ns / 1e3 / (double)count);
    }
}

static void add_server(struct sheet *sheet, const struct report *report)
{
    if (!report->has_server) {
        sheet_add_null(sheet, "server");
        return;
    }
    const struct procstat *server = &report->server;
    const uint64_t sent = tally_read(report->tally, TALLY_SENT);
    const uint64_t received = tally_read(report->tally, TALLY_RECEIVED);
    sheet_open(sheet, "server", "{");
    sheet_add_uint64(sheet, "user_ns", server->user_ns);
    sheet_add_uint64(sheet, "system_ns", server->system_ns);
    sheet_add_double(
        sheet, "cpus",
        report_ratio((double)server->user_ns + (double)server->system_ns, report->seconds * 1e9));
    add_cost(sheet, "user_us_per_message", server->user_ns, sent);
    add_cost(sheet, "system_us_per_message", server->system_ns, sent);
    add_cost(sheet, "user_us_per_delivery", server->user_ns, received);
    add_cost(sheet, "system_us_per_delivery", server->system_ns, received);
    sheet_add_uint64(sheet, "user_bytes_before", report->server_user_bytes_before);
    sheet_add_uint64(sheet, "user_bytes_after", server->user_bytes);
    sheet_add_double(
        sheet, "user_bytes_per_connection",
        report_bytes_per_conn(report, report->server_user_bytes_before, server->user_bytes));
    sheet_close(sheet, "}");
}

static void add_machine_costs(struct sheet *sheet, const struct report *report)
{
    sheet_open(sheet, "generator", "{");
    sheet_add_uint64(sheet, "user_ns", report->generator.user_ns);
    sheet_add_uint64(sheet, "system_ns", report->generator.system_ns);
    sheet_add_double(sheet, "thread_share", report_generator_share(report));
    sheet_add_double(sheet, "busiest_share", report_busiest_share(report));
    sheet_close(sheet, "}");

    if (report->kernel_bytes_before == 0) {
        sheet_add_null(sheet, "kernel_both_ends");
        return;
    }
    sheet_open(sheet, "kernel_both_ends", "{");
    sheet_add_uint64(sheet, "bytes_before", report->kernel_bytes_before);
    sheet_add_uint64(sheet, "bytes_after", report->kernel_bytes_after);
    sheet_add_double(
        sheet, "bytes_per_connection",
        report_bytes_per_conn(report, report->kernel_bytes_before, report->kernel_bytes_after));
    sheet_close(sheet, "}");
}

static void add_latency(struct sheet *sheet, const struct histogram *latency)
{
    sheet_open(sheet, "latency", "{");
    sheet_add_uint64(sheet, "count", histogram_count(latency));
    sheet_add_double(sheet, "mean_ns", histogram_mean(latency));
    sheet_add_uint64(sheet, "max_ns", atomic_load_explicit(&latency->max_ns, memory_order_relaxed));
    sheet_open(sheet, "percentiles_ns", "{");
    for (size_t i = 0; i < REPORT_PERCENTILE_COUNT; i++) {
        sheet_add_uint64(sheet, report_percentiles[i].name,
                         histogram_percentile(latency, report_percentiles[i].share));
    }
    sheet_close(sheet, "}");
    sheet_open(sheet, "buckets", "[");
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        const uint64_t count = atomic_load_explicit(&latency->buckets[i], memory_order_relaxed);
        if (count != 0) {
            sheet_open(sheet, NULL, "[");
            sheet_add_uint64(sheet, NULL, histogram_bucket_end(i));
            sheet_add_uint64(sheet, NULL, count);
            sheet_close(sheet, "]");
        }
    }
    sheet_close(sheet, "]");
    sheet_close(sheet, "}");
}

/* What is worth knowing of one where nobody plots its buckets. */
static void add_summary(struct sheet *sheet, const char *name, const struct histogram *histogram)
{
    sheet_open(sheet, name, "{");
    sheet_add_uint64(sheet, "count", histogram_count(histogram));
    sheet_add_uint64(sheet, "p50_ns", histogram_percentile(histogram, 0.5));
    sheet_add_uint64(sheet, "p95_ns", histogram_percentile(histogram, 0.95));
    sheet_add_uint64(sheet, "p99_ns", histogram_percentile(histogram, 0.99));
    sheet_add_uint64(sheet, "max_ns",
                     atomic_load_explicit(&histogram->max_ns, memory_order_relaxed));
    sheet_close(sheet, "}");
}

static void add_recovery(struct sheet *sheet, const struct report *report)
{
    const struct tally *tally = report->tally;

    if (!report->options->recovers) {
        sheet_add_null(sheet, "recovery");
        return;
    }
    sheet_open(sheet, "recovery", "{");
    sheet_add_uint64(sheet, "recovered", tally_read(tally, TALLY_RECOVERED));
    sheet_add_uint64(sheet, "not_recovered", tally_read(tally, TALLY_NOT_RECOVERED));
    sheet_add_uint64(sheet, "publications", tally_read(tally, TALLY_GIVEN));
    sheet_add_uint64(sheet, "resubscribed", tally_read(tally, TALLY_RESUBSCRIBED));
    add_summary(sheet, "late", &tally->recovered);
    sheet_close(sheet, "}");
}

static void add_storm(struct sheet *sheet, const struct report *report)
{
    const struct report_storm *storm = report->storm;
    const struct tally *tally = report->tally;

    if (storm == NULL) {
        sheet_add_null(sheet, "storm");
        return;
    }
    sheet_open(sheet, "storm", "{");
    sheet_add_uint64(sheet, "struck", storm->struck);
    sheet_add_double(sheet, "away_seconds", storm->away_seconds);
    sheet_add_double(sheet, "seconds", storm->seconds);
    add_summary(sheet, "back", &tally->back);
    add_summary(sheet, "live_before", &tally->live[STORM_BEFORE]);
    add_summary(sheet, "live_cut", &tally->live[STORM_CUT]);
    add_summary(sheet, "live_return", &tally->live[STORM_RETURN]);
    add_summary(sheet, "live_after", &tally->live[STORM_AFTER]);
    if (report->has_server) {
        sheet_add_uint64(sheet, "server_user_ns", storm->server.user_ns);
        sheet_add_uint64(sheet, "server_system_ns", storm->server.system_ns);
    }
    sheet_add_uint64(sheet, "generator_user_ns", storm->generator.user_ns);
    sheet_add_uint64(sheet, "generator_system_ns", storm->generator.system_ns);
    sheet_close(sheet, "}");
}

static void add_spread(struct sheet *sheet, const char *name, const struct report_spread *spread)
{
    sheet_open(sheet, name, "{");
    sheet_add_double(sheet, "min", spread->min);
    sheet_add_double(sheet, "median", spread->median);
    sheet_add_double(sheet, "max", spread->max);
    sheet_close(sheet, "}");
}

static void add_points(struct sheet *sheet, const struct report *report)
{
    sheet_open(sheet, "points", "[");
    for (size_t i = 0; i < report->point_count; i++) {
        const struct report_point *point = &report->points[i];
        sheet_open(sheet, NULL, "{");
        sheet_add_double(sheet, "at_s", point->at_s);
        sheet_add_double(sheet, "seconds", point->seconds);
        sheet_add_uint64(sheet, "sent", point->sent);
        sheet_add_uint64(sheet, "received", point->received);
        sheet_add_uint64(sheet, "connects", point->connects);
        sheet_add_uint64(sheet, "p50_ns", point->p50_ns);
        sheet_add_uint64(sheet, "p99_ns", point->p99_ns);
        sheet_add_uint64(sheet, "max_ns", point->max_ns);
        sheet_add_uint64(sheet, "connected", point->connected);
        sheet_close(sheet, "}");
    }
    sheet_close(sheet, "]");
}

static void add_steps(struct sheet *sheet, const struct report *report)
{
    if (report->steps == NULL) {
        sheet_add_null(sheet, "steps");
        sheet_add_null(sheet, "knee_rate");
        sheet_add_bool(sheet, "knee_is_exact", false);
        return;
    }
    sheet_open(sheet, "steps", "[");
    for (size_t i = 0; i < report->step_count; i++) {
        const struct report_step *step = &report->steps[i];
        sheet_open(sheet, NULL, "{");
        sheet_add_double(sheet, "rate", step->rate);
        sheet_add_double(sheet, "sent_rate", step->sent_rate);
        sheet_add_uint64(sheet, "p99_ns", step->p99_ns);
        sheet_add_uint64(sheet, "lost", step->lost);
        sheet_add_bool(sheet, "passed", step->fault == NULL);
        sheet_add_text(sheet, "fault", step->fault);
        sheet_close(sheet, "}");
    }
    sheet_close(sheet, "]");
    if (report->knee_rate > 0) {
        sheet_add_double(sheet, "knee_rate", report->knee_rate);
    } else {
        sheet_add_null(sheet, "knee_rate");
    }
    sheet_add_bool(sheet, "knee_is_exact", report->is_knee_exact);
}

struct render {
    const struct report *report;
    char date[DATE_SIZE];
    struct report_spreads spreads;
};

/* Writes all of it to the target, and returns the size that it needs. */
static size_t render_to(const struct render *render, struct span target)
{
    struct sheet sheet = {.fresh = true};
    json_writer_init(&sheet.writer, target);
    sheet_open(&sheet, NULL, "{");
    add_origin(&sheet, render->report, render->date);
    report_add_options(&sheet, render->report);
    add_results(&sheet, render->report);
    add_server(&sheet, render->report);
    add_machine_costs(&sheet, render->report);
    add_latency(&sheet, &render->report->tally->latency);
    add_recovery(&sheet, render->report);
    add_storm(&sheet, render->report);
    sheet_open(&sheet, "spread_per_s", "{");
    add_spread(&sheet, "sent", &render->spreads.sent);
    add_spread(&sheet, "received", &render->spreads.received);
    add_spread(&sheet, "connects", &render->spreads.connects);
    sheet_close(&sheet, "}");
    add_points(&sheet, render->report);
    add_steps(&sheet, render->report);
    sheet_close(&sheet, "\n}");
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
    const int result = report_find_spreads(report, &render.spreads);
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
