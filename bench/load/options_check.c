/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which options are for which scenario and with which others. What would be ignored is refused: who
 * gave it expects something of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/options_private.h"

enum {
    ECHO = 1 << OPTIONS_ECHO,
    FANOUT = 1 << OPTIONS_FANOUT,
    CHAT = 1 << OPTIONS_CHAT,
    CONNECT = 1 << OPTIONS_CONNECT,
    IDLE = 1 << OPTIONS_IDLE,
    FLOOR = 1 << OPTIONS_FLOOR,
    TRAFFIC = ECHO | FANOUT | CHAT,
    SESSIONS = CHAT | CONNECT | IDLE, /* the latter two with --session */
    LOADS = TRAFFIC | CONNECT | IDLE,
};

/* Those that are not here are for all. */
static const struct use {
    int key;
    const char *flag;
    unsigned scenarios;
    int needs; /* key of another; 0: none */
    const char *needed;
} uses[] = {
    {KEY_CONNECTIONS, "--connections", LOADS, 0, NULL},
    {KEY_RATE, "--rate", TRAFFIC, 0, NULL},
    {KEY_WINDOW, "--window", TRAFFIC, 0, NULL},
    {KEY_BURST, "--burst", TRAFFIC, KEY_WINDOW, "--window"},
    {KEY_SIZE, "--size", TRAFFIC, 0, NULL},
    {KEY_SCRIPT, "--script", TRAFFIC, 0, NULL},
    {KEY_BINARY, "--binary", ECHO | FANOUT, 0, NULL},
    {KEY_COMPRESS, "--compress", LOADS, 0, NULL},
    {KEY_PUBLISHERS, "--publishers", FANOUT | CHAT, 0, NULL},
    {KEY_ROOMS, "--rooms", SESSIONS, KEY_SESSION, "--session"},
    {KEY_CHANNEL, "--channel", SESSIONS, KEY_SESSION, "--session"},
    {KEY_TOKENS, "--tokens", SESSIONS, KEY_SESSION, "--session"},
    {KEY_SESSION, "--session", CONNECT | IDLE, 0, NULL},
    {KEY_RECONNECTS, "--reconnects", CHAT, 0, NULL},
    {KEY_RECOVER, "--recover", CHAT, 0, NULL},
    {KEY_STORM, "--storm", CHAT, KEY_RECOVER, "--recover"},
    {KEY_STORM_AWAY, "--storm-away", CHAT, KEY_STORM, "--storm"},
    {KEY_EXCLUDES_SENDER, "--excludes-sender", FANOUT, 0, NULL},
    {KEY_SEED, "--seed", LOADS, 0, NULL},
    {KEY_DURATION, "--duration", LOADS, 0, NULL},
    {KEY_WARMUP, "--warmup", LOADS, 0, NULL},
    {KEY_DRAIN, "--drain", LOADS, 0, NULL},
    {KEY_CONNECT_TIMEOUT, "--connect-timeout", LOADS, 0, NULL},
    {KEY_FIND_MAX, "--find-max", TRAFFIC, 0, NULL},
    {KEY_P99, "--p99", TRAFFIC, KEY_FIND_MAX, "--find-max"},
    {KEY_HEADER, "--header", LOADS, 0, NULL},
    {KEY_SUBPROTOCOL, "--subprotocol", LOADS, 0, NULL},
    {KEY_CA, "--ca", LOADS, 0, NULL},
    {KEY_TLS_INSECURE, "--tls-insecure", LOADS, 0, NULL},
    {KEY_SOURCES, "--sources", LOADS, 0, NULL},
    {KEY_DIALS, "--dials", LOADS, 0, NULL},
    {KEY_THREADS, "--threads", LOADS, 0, NULL},
    {KEY_CPU, "--cpu", LOADS, 0, NULL},
    {KEY_SERVER_PID, "--server-pid", LOADS, 0, NULL},
    {KEY_JSON, "--json", LOADS, 0, NULL},
    {KEY_HTML, "--html", LOADS, 0, NULL},
    {KEY_LISTEN, "--listen", FLOOR, 0, NULL},
    {KEY_FANOUT, "--fanout", FLOOR, 0, NULL},
    {KEY_CONNECT, "--connect", FLOOR, 0, NULL},
};

static bool is_traffic(const struct options *options)
{
    return (1U << options->scenario & TRAFFIC) != 0;
}

/* -- what is left open ------------------------------------------------------------------------- */

static void complete_publishers(struct parse *parse)
{
    struct options *options = &parse->options;

    if (options->scenario == OPTIONS_ECHO) {
        options->publishers = options->connections;
        options->rooms = options->connections;
    } else if (options->scenario == OPTIONS_CHAT && !parse->given[KEY_PUBLISHERS]) {
        options->publishers = options->rooms;
    }
}

void options_complete(struct parse *parse)
{
    struct options *options = &parse->options;

    complete_publishers(parse);
    if (!parse->given[KEY_SOURCES] && options->connections > 1000) {
        options->sources = (options->connections + 999) / 1000;
    }
    if (!parse->given[KEY_SOURCES] && options->scenario == OPTIONS_CONNECT) {
        options->sources = 64; /* ports of cut connections are not free at once */
    }
    if (!parse->given[KEY_RATE] && !parse->given[KEY_WINDOW] && is_traffic(options)) {
        options->rate = 1000;
    }
}

/* -- what cannot be ---------------------------------------------------------------------------- */

/* Always false. */
__attribute__((format(printf, 2, 3))) static bool refuse(const struct parse *parse,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(parse->error, OPTIONS_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* "echo, fanout and chat" */
static void list_scenarios(unsigned scenarios, char text[OPTIONS_ERROR_SIZE])
{
    size_t used = 0;

    for (unsigned i = 0; i <= OPTIONS_FLOOR; i++) {
        const unsigned later = scenarios >> (i + 1);
        if ((scenarios >> i & 1) != 0) {
            const char *separator = later == 0 ? "" : (later & (later - 1)) == 0 ? " and " : ", ";
            used += (size_t)snprintf(text + used, OPTIONS_ERROR_SIZE - used, "%s%s",
                                     options_scenario_name((enum options_scenario)i), separator);
        }
    }
}

static bool check_uses(const struct parse *parse)
{
    const enum options_scenario scenario = parse->options.scenario;

    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        const struct use *use = &uses[i];
        const bool has_session = use->needs == KEY_SESSION && scenario == OPTIONS_CHAT;
        if (!parse->given[use->key]) {
            continue;
        }
        if ((1U << scenario & use->scenarios) == 0) {
            char names[OPTIONS_ERROR_SIZE];
            list_scenarios(use->scenarios, names);
            return refuse(parse, "%s is for %s", use->flag, names);
        }
        if (use->needs != 0 && !parse->given[use->needs] && !has_session) {
            return refuse(parse, "%s needs %s", use->flag, use->needed);
        }
    }
    return true;
}

static bool check_rate(const struct parse *parse)
{
    const struct options *options = &parse->options;

    if (parse->given[KEY_RATE] && parse->given[KEY_WINDOW]) {
        return refuse(parse, "--rate (open loop) and --window (closed loop) exclude each other");
    }
    if (parse->given[KEY_RATE] && options->rate <= 0) {
        return refuse(parse, "--rate: expected a number above 0");
    }
    if (options->find_max && parse->given[KEY_WINDOW]) {
        return refuse(parse, "--find-max raises the rate, and --window has none");
    }
    if (options->window > 0 && options->burst > options->window) {
        return refuse(parse, "--burst: expected at most --window");
    }
    return true;
}

static bool check_target(const struct parse *parse)
{
    const struct options *options = &parse->options;
    const bool is_tcp = options->target.scheme == TARGET_TCP;
    const struct payload_sizes *sizes = &options->sizes;

    if (is_tcp && (options->scenario == OPTIONS_CHAT || options->session)) {
        return refuse(parse, "tcp:// has no messages to carry a chat");
    }
    if (is_tcp && is_traffic(options) &&
        (sizes->count != 1 || sizes->ranges[0].min != sizes->ranges[0].max)) {
        return refuse(parse, "tcp:// wants one --size: nothing else tells where a message ends");
    }
    if (is_tcp && (options->compress || options->subprotocol != NULL ||
                   options->extra_head[0] != '\0' || options->binary)) {
        return refuse(parse, "--compress, --subprotocol, --header and --binary are for ws:// and "
                             "wss://");
    }
    if ((options->ca_file != NULL || options->tls_insecure) &&
        options->target.scheme != TARGET_WSS) {
        return refuse(parse, "--ca and --tls-insecure are for wss://");
    }
    if (options->ca_file != NULL && options->tls_insecure) {
        return refuse(parse, "--ca and --tls-insecure exclude each other");
    }
    return true;
}

/* One would take the place of the other. */
static bool check_files(const struct parse *parse)
{
    const struct options *options = &parse->options;
    const bool is_one = options->json_file != NULL && options->html_file != NULL &&
                        strcmp(options->json_file, options->html_file) == 0;
    return is_one ? refuse(parse, "--json and --html: expected two files") : true;
}

/* Who publishes where, who is cut and comes back. */
static bool check_crowd(const struct parse *parse)
{
    const struct options *options = &parse->options;

    if (options->rooms > options->connections) {
        return refuse(parse, "--rooms: expected at most --connections");
    }
    if (options->publishers > options->connections) {
        return refuse(parse, "--publishers: expected at most --connections");
    }
    if ((options->has_storm || options->reconnect_rate > 0) &&
        options->publishers == options->connections) {
        return refuse(parse, "--storm and --reconnects cut who does not publish, and all do");
    }
    if (!options->has_storm) {
        return true;
    }
    if (parse->given[KEY_WINDOW] || options->find_max || options->reconnect_rate > 0) {
        return refuse(parse, "--storm goes with neither --window, --find-max nor --reconnects");
    }
    if (options->storm_ns + options->away_ns >= options->duration_ns) {
        return refuse(parse, "--storm: expected that all may come back within --duration");
    }
    return true;
}

bool options_check(const struct parse *parse)
{
    if (!parse->has_scenario) {
        return refuse(parse,
                      "no scenario: echo, fanout, chat, connect, idle or floor; --help tells more");
    }
    if (!check_uses(parse)) {
        return false;
    }
    if (parse->options.scenario == OPTIONS_FLOOR) {
        return true;
    }
    if (parse->options.url == NULL) {
        return refuse(parse, "no URL, such as ws://127.0.0.1:8000/echo");
    }
    return check_rate(parse) && check_target(parse) && check_crowd(parse) && check_files(parse);
}
