/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/options.h"
#include "bench/load/report_private.h"
#include "bench/load/sheet.h"

static void add_seconds(struct sheet *sheet, const char *name, uint64_t ns)
{
    sheet_add_double(sheet, name, (double)ns / 1e9);
}

static void add_load_options(struct sheet *sheet, const struct options *options)
{
    sheet_add_double(sheet, "rate", options->rate);
    sheet_add_uint64(sheet, "window", options->window);
    sheet_add_uint64(sheet, "burst", options->burst);
    sheet_add_string(sheet, "size", options->size_text);
    sheet_add_string(sheet, "script", payload_script_name(options->script));
    sheet_add_bool(sheet, "binary", options->binary);
    sheet_add_bool(sheet, "compress", options->compress);
    sheet_add_uint64(sheet, "publishers", options->publishers);
    sheet_add_uint64(sheet, "rooms", options->rooms);
    sheet_add_string(sheet, "channel", options->channel);
    sheet_add_bool(sheet, "session", options->session);
    sheet_add_bool(sheet, "tokens", options->tokens_file != NULL);
    sheet_add_bool(sheet, "excludes_sender", options->excludes_sender);
    sheet_add_double(sheet, "reconnects", options->reconnect_rate);
    sheet_add_bool(sheet, "recover", options->recovers);
    sheet_add_uint64(sheet, "seed", options->seed);
}

static void add_time_options(struct sheet *sheet, const struct options *options)
{
    add_seconds(sheet, "warmup_s", options->warmup_ns);
    add_seconds(sheet, "duration_s", options->duration_ns);
    add_seconds(sheet, "drain_s", options->drain_ns);
    add_seconds(sheet, "connect_timeout_s", options->connect_ns);
    if (options->has_storm) {
        add_seconds(sheet, "storm_s", options->storm_ns);
        add_seconds(sheet, "storm_away_s", options->away_ns);
    }
    if (options->find_max) {
        sheet_add_double(sheet, "p99_ms", (double)options->p99_limit_ns / 1e6);
    }
}

void report_add_options(struct sheet *sheet, const struct report *report)
{
    const struct options *options = report->options;

    sheet_open(sheet, "options", "{");
    sheet_add_string(sheet, "scenario", options_scenario_name(options->scenario));
    sheet_add_string(sheet, "url", options->url);
    sheet_add_uint64(sheet, "connections", options->connections);
    add_load_options(sheet, options);
    add_time_options(sheet, options);
    sheet_add_text(sheet, "subprotocol", options->subprotocol);
    sheet_add_string(sheet, "backend", report->backend);
    sheet_add_uint64(sheet, "threads", options->threads);
    sheet_open(sheet, "cpus", "[");
    for (uint32_t i = 0; i < options->cpu_count; i++) {
        sheet_add_uint64(sheet, NULL, (uint64_t)options->cpus[i]);
    }
    sheet_close(sheet, "]");
    sheet_add_uint64(sheet, "sources", options->sources);
    sheet_add_uint64(sheet, "dials", options->dials);
    sheet_close(sheet, "}");
}
