/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/options.h"
#include "bench/load/report_private.h"
#include "bench/load/tally.h"
#include "core/check.h"

static const double busy_share_max = 0.9;  /* of the time of a thread */
static const double late_share_max = 0.01; /* of the messages: then p99 is ours and not theirs */

const struct report_percentile report_percentiles[REPORT_PERCENTILE_COUNT] = {
    {"50", 0.5}, {"90", 0.9}, {"99", 0.99}, {"99.9", 0.999}, {"99.99", 0.9999},
};

double report_ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

double report_generator_share(const struct report *report)
{
    const double used_ns = (double)report->generator.user_ns + (double)report->generator.system_ns;
    return report_ratio(used_ns, report->seconds * 1e9 * (double)report->options->threads);
}

double report_busiest_share(const struct report *report)
{
    return report_ratio((double)report->busiest_ns, report->seconds * 1e9);
}

double report_bytes_per_conn(const struct report *report, uint64_t before, uint64_t after)
{
    return report_ratio((double)after - (double)before, (double)report->options->connections);
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

static struct report_spread spread_of(double *rates, size_t count)
{
    if (count == 0) {
        return (struct report_spread){0};
    }
    qsort(rates, count, sizeof(*rates), compare_doubles);
    return (struct report_spread){
        .min = rates[0],
        .median = (rates[(count - 1) / 2] + rates[count / 2]) / 2,
        .max = rates[count - 1],
    };
}

int report_find_spreads(const struct report *report, struct report_spreads *spreads)
{
    /* One more of each, so that no points are no special case. */
    const size_t room = report->point_count + 1;
    double *const sent = calloc(3 * room, sizeof(*sent));
    if (sent == NULL) {
        return -ENOMEM;
    }
    double longest = 0;
    for (size_t i = 0; i < report->point_count; i++) {
        longest = report->points[i].seconds > longest ? report->points[i].seconds : longest;
    }
    double *const received = sent + room;
    double *const connects = received + room;
    size_t count = 0;
    for (size_t i = 0; i < report->point_count; i++) {
        const struct report_point *point = &report->points[i];
        if (point->seconds > 0 && point->seconds >= longest / 2) {
            sent[count] = (double)point->sent / point->seconds;
            received[count] = (double)point->received / point->seconds;
            connects[count] = (double)point->connects / point->seconds;
            count++;
        }
    }
    *spreads = (struct report_spreads){.sent = spread_of(sent, count),
                                       .received = spread_of(received, count),
                                       .connects = spread_of(connects, count)};
    free(sent);
    return 0;
}

bool report_is_clean(const struct report *report)
{
    static const enum tally_id faults[] = {
        TALLY_LOST,   TALLY_DUPLICATED,     TALLY_REORDERED, TALLY_CORRUPTED,
        TALLY_ERRORS, TALLY_CONNECT_FAILED, TALLY_CLOSED,
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (tally_read(report->tally, faults[i]) != 0) {
            return false;
        }
    }
    return true;
}

static double late_share(const struct report *report)
{
    return report_ratio((double)tally_read(report->tally, TALLY_LATE_SENDS),
                        (double)tally_read(report->tally, TALLY_SENT));
}

bool report_is_generator_bound(const struct report *report)
{
    return report_generator_share(report) > busy_share_max ||
           report_busiest_share(report) > busy_share_max || late_share(report) > late_share_max;
}

/* --- Text ----------------------------------------------------------------------------------------
 * A failed write shows when the stream is closed; there is nothing to do about it line by line.
 * A unit comes last in its line: it may be more than one byte wide.
 */

static void write_head(const struct report *report, FILE *out)
{
    const struct options *options = report->options;

    (void)fprintf(out, "%s, %s\n", options_scenario_name(options->scenario), options->url);
    (void)fprintf(out, "%" PRIu32 " connections, %" PRIu32 " thread%s on %s, ",
                  options->connections, options->threads, options->threads == 1 ? "" : "s",
                  report->backend);
    if (options->rate > 0) {
        (void)fprintf(out, "%.0f messages/s asked for, ", options->rate);
    } else if (options->window > 0) {
        (void)fprintf(out, "%" PRIu32 " in flight, ", options->window);
    }
    (void)fprintf(out, "%.1f s\n", report->seconds);
    if (report->signal != 0) {
        (void)fprintf(out, "STOPPED by SIG%s: this is what there was until then\n",
                      sigabbrev_np(report->signal));
    }
    if (report->connect_seconds > 0) {
        (void)fprintf(out, "connected in %.2f s, %.0f/s\n", report->connect_seconds,
                      options->connections / report->connect_seconds);
    }
}

static void write_rate(const struct report *report, FILE *out, const char *name, enum tally_id id)
{
    const uint64_t count = tally_read(report->tally, id);
    (void)fprintf(out, "  %-12s %14.1f /s  %16" PRIu64 "\n", name,
                  report_ratio((double)count, report->seconds), count);
}

static void write_spread(FILE *out, const char *name, struct report_spread spread)
{
    (void)fprintf(out, "    %-10s %14.1f / %.1f / %.1f /s\n", name, spread.min, spread.median,
                  spread.max);
}

static void write_rates(const struct report *report, FILE *out)
{
    const bool connects = tally_read(report->tally, TALLY_CONNECTS) > 0;
    const bool sends = tally_read(report->tally, TALLY_SENT) > 0 || !connects;
    struct report_spreads spreads;

    (void)fprintf(out, "\nthroughput\n");
    if (connects) {
        write_rate(report, out, "connects", TALLY_CONNECTS);
    }
    if (sends) {
        write_rate(report, out, "messages", TALLY_SENT);
        write_rate(report, out, "deliveries", TALLY_RECEIVED);
    }
    write_rate(report, out, "bytes out", TALLY_BYTES_SENT);
    write_rate(report, out, "bytes in", TALLY_BYTES_RECEIVED);

    /* No memory for a line more is no reason to tell nothing. */
    if (report->point_count > 1 && report_find_spreads(report, &spreads) == 0) {
        (void)fprintf(out, "  by interval, min / median / max\n");
        if (connects) {
            write_spread(out, "connects", spreads.connects);
        }
        if (sends) {
            write_spread(out, "messages", spreads.sent);
            write_spread(out, "deliveries", spreads.received);
        }
    }
}

static void write_duration(FILE *out, const char *name, double ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}};
    const size_t last = sizeof(units) / sizeof(units[0]) - 1;

    size_t unit = 0;
    while (unit < last && ns < units[unit].ns) {
        unit++;
    }
    (void)fprintf(out, "  %-12s %14.2f %s\n", name, ns / units[unit].ns, units[unit].unit);
}

static void write_latency(const struct report *report, FILE *out)
{
    const struct histogram *latency = &report->tally->latency;
    if (histogram_count(latency) == 0) {
        (void)fprintf(out, "\nlatency: nothing was timed\n");
        return;
    }
    (void)fprintf(out, "\nlatency of %" PRIu64 "\n", histogram_count(latency));
    for (size_t i = 0; i < REPORT_PERCENTILE_COUNT; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%s", report_percentiles[i].name);
        write_duration(out, name,
                       (double)histogram_percentile(latency, report_percentiles[i].share));
    }
    write_duration(out, "max",
                   (double)atomic_load_explicit(&latency->max_ns, memory_order_relaxed));
    write_duration(out, "mean", histogram_mean(latency));
}

static const char *const part_names[STORM_PART_COUNT] = {
    [STORM_BEFORE] = "before",
    [STORM_CUT] = "cut",
    [STORM_RETURN] = "return",
    [STORM_AFTER] = "after",
};

static void write_recovery(const struct report *report, FILE *out)
{
    const struct tally *tally = report->tally;

    if (!report->options->recovers) {
        return;
    }
    (void)fprintf(out, "\nrecovery\n");
    (void)fprintf(out, "  %-18s %8" PRIu64 "\n", "recovered", tally_read(tally, TALLY_RECOVERED));
    (void)fprintf(out, "  %-18s %8" PRIu64 "\n", "not recovered",
                  tally_read(tally, TALLY_NOT_RECOVERED));
    (void)fprintf(out, "  %-18s %8" PRIu64 "\n", "publications given",
                  tally_read(tally, TALLY_GIVEN));
    (void)fprintf(out, "  %-18s %8" PRIu64 "\n", "told to come again",
                  tally_read(tally, TALLY_RESUBSCRIBED));
    if (histogram_count(&tally->recovered) > 0) {
        write_duration(out, "late, p50", (double)histogram_percentile(&tally->recovered, 0.5));
        write_duration(out, "late, p99", (double)histogram_percentile(&tally->recovered, 0.99));
    }
}

static void write_storm(const struct report *report, FILE *out)
{
    const struct report_storm *storm = report->storm;
    const struct histogram *back = &report->tally->back;

    if (storm == NULL) {
        return;
    }
    (void)fprintf(out, "\nstorm: %" PRIu32 " cut, away for %.2f s; %" PRIu64 " are back\n",
                  storm->struck, storm->away_seconds, histogram_count(back));
    if (histogram_count(back) > 0) {
        write_duration(out, "back, 50 %", (double)histogram_percentile(back, 0.5));
        write_duration(out, "back, 95 %", (double)histogram_percentile(back, 0.95));
        write_duration(out, "back, last",
                       (double)atomic_load_explicit(&back->max_ns, memory_order_relaxed));
    }
    for (int i = 0; i < STORM_PART_COUNT; i++) {
        const struct histogram *live = &report->tally->live[i];
        (void)fprintf(out, "  live, %s: p50 %.3f ms, p99 %.3f ms, max %.3f ms of %" PRIu64 "\n",
                      part_names[i], (double)histogram_percentile(live, 0.5) / 1e6,
                      (double)histogram_percentile(live, 0.99) / 1e6,
                      (double)atomic_load_explicit(&live->max_ns, memory_order_relaxed) / 1e6,
                      histogram_count(live));
    }
    if (report->has_server) {
        const double used_ns = (double)storm->server.user_ns + (double)storm->server.system_ns;
        (void)fprintf(out, "  %-12s %14.3f s (user %.3f, kernel %.3f), %.1f µs for each\n",
                      "server CPU", used_ns / 1e9, (double)storm->server.user_ns / 1e9,
                      (double)storm->server.system_ns / 1e9, used_ns / 1e3 / storm->struck);
    }
    (void)fprintf(out, "  %-12s %14.3f s\n", "our CPU",
                  ((double)storm->generator.user_ns + (double)storm->generator.system_ns) / 1e9);
}

void report_write_causes(const struct report *report, const char *prefix, FILE *out)
{
    struct tally_cause_row row;

    for (size_t i = 0; tally_read_cause(report->tally, i, &row); i++) {
        char text[CAUSE_TEXT_SIZE];
        const bool has_more = row.kind == CAUSE_TLS && report->tls_fault[0] != '\0';
        cause_describe(row.kind, row.code, text);
        (void)fprintf(out, "%s %8" PRIu64 " x %s%s%s\n", prefix, row.count, text,
                      has_more ? ": " : "", has_more ? report->tls_fault : "");
    }
}

static void write_faults(const struct report *report, FILE *out)
{
    static const struct {
        const char *name;
        enum tally_id id;
    } rows[] = {
        {"lost", TALLY_LOST},           {"duplicated", TALLY_DUPLICATED},
        {"reordered", TALLY_REORDERED}, {"corrupted", TALLY_CORRUPTED},
        {"errors", TALLY_ERRORS},       {"not connected", TALLY_CONNECT_FAILED},
        {"closed", TALLY_CLOSED},
    };
    (void)fprintf(out, "\nfaults%s\n", report_is_clean(report) ? ": none" : "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, "  %-13s %13" PRIu64 "\n", rows[i].name,
                      tally_read(report->tally, rows[i].id));
    }
    report_write_causes(report, "  ", out);
}

static void write_cpu(const struct report *report, FILE *out, const char *name, enum tally_id id)
{
    const double count = (double)tally_read(report->tally, id);
    if (count > 0) {
        (void)fprintf(out, "  %-12s %14.3f µs (user %.3f, kernel %.3f)\n", name,
                      ((double)report->server.user_ns + (double)report->server.system_ns) / 1e3 /
                          count,
                      (double)report->server.user_ns / 1e3 / count,
                      (double)report->server.system_ns / 1e3 / count);
    }
}

static void write_server(const struct report *report, FILE *out)
{
    if (report->has_server) {
        const double used_ns = (double)report->server.user_ns + (double)report->server.system_ns;
        (void)fprintf(out, "\nserver CPU\n");
        write_cpu(report, out, "per message", TALLY_SENT);
        write_cpu(report, out, "per delivery", TALLY_RECEIVED);
        (void)fprintf(out, "  %-12s %14.2f CPUs\n", "in all",
                      report_ratio(used_ns, report->seconds * 1e9));
    }
    if (report->options->connections == 0 ||
        (!report->has_server && report->kernel_bytes_before == 0)) {
        return;
    }
    (void)fprintf(out, "\nmemory per connection\n");
    if (report->has_server) {
        (void)fprintf(out, "  %-18s %8.0f bytes\n", "user, server",
                      report_bytes_per_conn(report, report->server_user_bytes_before,
                                            report->server.user_bytes));
    }
    if (report->kernel_bytes_before != 0) {
        (void)fprintf(
            out, "  %-18s %8.0f bytes\n", "kernel, both ends",
            report_bytes_per_conn(report, report->kernel_bytes_before, report->kernel_bytes_after));
    }
}

/* The lowest rate above the knee that failed. NULL: none did. */
static const struct report_step *find_limit(const struct report *report)
{
    const struct report_step *limit = NULL;

    for (size_t i = 0; i < report->step_count; i++) {
        const struct report_step *step = &report->steps[i];
        if (step->fault != NULL && step->rate > report->knee_rate &&
            (limit == NULL || step->rate < limit->rate)) {
            limit = step;
        }
    }
    return limit;
}

static void write_steps(const struct report *report, FILE *out)
{
    if (report->steps == NULL) {
        return;
    }
    (void)fprintf(out, "\nsteps       asked/s          sent/s          p99 ms            lost\n");
    for (size_t i = 0; i < report->step_count; i++) {
        const struct report_step *step = &report->steps[i];
        (void)fprintf(out, "  %17.0f %15.0f %15.2f %15" PRIu64 "  %s\n", step->rate,
                      step->sent_rate, (double)step->p99_ns / 1e6, step->lost,
                      step->fault == NULL ? "passed" : step->fault);
    }
    if (report->knee_rate > 0) {
        (void)fprintf(out, "knee: %.0f messages/s%s\n", report->knee_rate,
                      report->is_knee_exact ? "" : " or more: the search ended early");
    } else {
        (void)fprintf(out, "knee: none, no rate passed\n");
    }
    const struct report_step *limit = find_limit(report);
    if (limit != NULL && strcmp(limit->fault, REPORT_FAULT_GENERATOR) == 0) {
        (void)fprintf(out, "WARNING: above it the generator was the limit, and not the server\n");
    }
}

static void write_generator(const struct report *report, FILE *out)
{
    (void)fprintf(out,
                  "\ngenerator: %.1f %% of its threads, the busiest %.1f %%, %" PRIu64
                  " sent late (%.2f %%)\n",
                  100 * report_generator_share(report), 100 * report_busiest_share(report),
                  tally_read(report->tally, TALLY_LATE_SENDS), 100 * late_share(report));
    if (report_is_generator_bound(report)) {
        (void)fprintf(out,
                      "WARNING: the generator was the limit. Its latencies and rates say little "
                      "of the server:\n"
                      "WARNING: give it more threads or processors, or ask for less.\n");
    }
}

void report_write_text(const struct report *report, FILE *out)
{
    CHECK(report->tally != NULL);

    write_head(report, out);
    write_rates(report, out);
    write_latency(report, out);
    write_recovery(report, out);
    write_storm(report, out);
    write_faults(report, out);
    write_server(report, out);
    write_steps(report, out);
    write_generator(report, out);
}
