/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/options.h"

#include "version.h"
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/monotime.h"

enum option_key {
    KEY_CONNECTIONS = 'c',
    KEY_DURATION = 'd',
    KEY_RATE = 'r',
    KEY_SIZE = 's',
    KEY_WINDOW = 'w',
    KEY_HELP = 'h',
    KEY_VERSION = 'V',
    KEY_WARMUP = 0x100,
    KEY_DRAIN,
    KEY_CONNECT_TIMEOUT,
    KEY_BURST,
    KEY_SEED,
    KEY_SCRIPT,
    KEY_BINARY,
    KEY_COMPRESS,
    KEY_PUBLISHERS,
    KEY_ROOMS,
    KEY_EXCLUDES_SENDER,
    KEY_SESSION,
    KEY_TOKENS,
    KEY_CHANNEL,
    KEY_RECONNECTS,
    KEY_RECOVER,
    KEY_STORM,
    KEY_STORM_AWAY,
    KEY_HEADER,
    KEY_SUBPROTOCOL,
    KEY_CA,
    KEY_TLS_INSECURE,
    KEY_THREADS,
    KEY_CPU,
    KEY_BACKEND,
    KEY_SOURCES,
    KEY_DIALS,
    KEY_SERVER_PID,
    KEY_JSON,
    KEY_HTML,
    KEY_FIND_MAX,
    KEY_P99,
    KEY_LISTEN,
    KEY_FANOUT,
    KEY_CONNECT,
};

static const char *const scenario_names[] = {
    [OPTIONS_ECHO] = "echo",       [OPTIONS_FANOUT] = "fanout", [OPTIONS_CHAT] = "chat",
    [OPTIONS_CONNECT] = "connect", [OPTIONS_IDLE] = "idle",     [OPTIONS_FLOOR] = "floor",
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "The load:", 1},
    {"connections", KEY_CONNECTIONS, "N", 0, "Connections; connect: under way at once (100)", 1},
    {"rate", KEY_RATE, "R", 0,
     "Open loop: R messages a second in all, each at its time, whatever the server does (1000)", 1},
    {"window", KEY_WINDOW, "N", 0,
     "Closed loop: each publisher has N messages under way, and no rate", 1},
    {"burst", KEY_BURST, "N", 0, "With --window: send N together when there is room for N (1)", 1},
    {"size", KEY_SIZE, "SIZES", 0,
     "Payload bytes: 64, 20-512, or 64*9,1000-2000*1 with weights (64)", 1},
    {"script", KEY_SCRIPT, "NAME", 0, "Payload text: ascii, latin, cjk or emoji (ascii)", 1},
    {"binary", KEY_BINARY, NULL, 0, "echo, fanout: binary messages instead of text", 1},
    {"compress", KEY_COMPRESS, NULL, 0,
     "Insist on permessage-deflate, and inflate what comes; what is sent is not compressed", 1},
    {"publishers", KEY_PUBLISHERS, "N", 0,
     "fanout, chat: how many connections publish (fanout 1, chat: one in each room)", 1},
    {"rooms", KEY_ROOMS, "N", 0, "chat: channels; connections are shared out among them (1)", 1},
    {"channel", KEY_CHANNEL, "NAME", 0, "chat: the channels are NAME0, NAME1, ... (bench-)", 1},
    {"reconnects", KEY_RECONNECTS, "R", 0,
     "chat: cut and renew R connections a second, none of which publishes (0)", 1},
    {"recover", KEY_RECOVER, NULL, 0,
     "chat: who comes back is given what it missed, and all of it is verified. The channels need a "
     "history and allow_recovery",
     1},
    {"storm", KEY_STORM, "S", 0,
     "With --recover: after S seconds of those measured all are cut at once, but for who publishes "
     "and 5 % of the others, and come back",
     1},
    {"storm-away", KEY_STORM_AWAY, "S", 0, "Seconds before they do (1)", 1},
    {"excludes-sender", KEY_EXCLUDES_SENDER, NULL, 0,
     "fanout: this server does not send back to who sent", 1},
    {"session", KEY_SESSION, NULL, 0,
     "connect, idle: also Centrifuge connect and subscribe, in rooms as for chat", 1},
    {"tokens", KEY_TOKENS, "FILE", 0,
     "chat, --session: sign in with the tokens (JWT) in FILE, one in each line, by turns", 1},
    {"seed", KEY_SEED, "N", 0, "Of times, sizes and texts (1)", 1},

    {NULL, 0, NULL, 0, "The time:", 2},
    {"duration", KEY_DURATION, "S", 0, "Seconds measured (10)", 2},
    {"warmup", KEY_WARMUP, "S", 0, "Seconds of load before that (1)", 2},
    {"drain", KEY_DRAIN, "S", 0, "Seconds after it, at most, for what is under way (5)", 2},
    {"connect-timeout", KEY_CONNECT_TIMEOUT, "S", 0, "Seconds for all to be connected (60)", 2},
    {"find-max", KEY_FIND_MAX, NULL, 0,
     "Raise the rate, from --rate, until p99 is above --p99 or something is lost", 2},
    {"p99", KEY_P99, "MS", 0, "With --find-max: the limit in milliseconds (100)", 2},

    {NULL, 0, NULL, 0, "The connection:", 3},
    {"header", KEY_HEADER, "'NAME: VALUE'", 0, "Another header of the handshake; repeatable", 3},
    {"subprotocol", KEY_SUBPROTOCOL, "NAME", 0, "Offer it, and insist on it", 3},
    {"ca", KEY_CA, "FILE", 0,
     "wss://: trust certificates signed by those in this PEM file (those that the system trusts)",
     3},
    {"tls-insecure", KEY_TLS_INSECURE, NULL, 0, "wss://: trust every certificate", 3},
    {"sources", KEY_SOURCES, "N", 0,
     "Connect from N addresses, 127.0.0.2 and up (one for 1,000 connections)", 3},
    {"dials", KEY_DIALS, "N", 0, "Connections that each thread makes at once (128)", 3},

    {NULL, 0, NULL, 0, "The generator:", 4},
    {"threads", KEY_THREADS, "N", 0, "Threads (1)", 4},
    {"cpu", KEY_CPU, "LIST", 0, "Pin them: 1 or 1,3 (not pinned)", 4},
    {"backend", KEY_BACKEND, "NAME", 0, "auto, uring or epoll (auto)", 4},

    {NULL, 0, NULL, 0, "The report:", 5},
    {"server-pid", KEY_SERVER_PID, "PID", 0,
     "Report its CPU time and memory, with its children; repeatable", 5},
    {"json", KEY_JSON, "FILE", 0, "Write everything there", 5},
    {"html", KEY_HTML, "FILE", 0, "Write a page with plots there", 5},

    {NULL, 0, NULL, 0, "The floor:", 6},
    {"listen", KEY_LISTEN, "ADDR:PORT", 0, "floor: where (127.0.0.1:7000)", 6},
    {"fanout", KEY_FANOUT, NULL, 0, "floor: send to everybody instead of back", 6},
    {"connect", KEY_CONNECT, NULL, 0,
     "floor: answer a connection's first bytes with as many as a handshake's answer has", 6},

    {"help", KEY_HELP, NULL, 0, "Print this, and exit", 7},
    {"version", KEY_VERSION, NULL, 0, "Print the version, and exit", 7},
    {0},
};

static const char args_doc[] = "SCENARIO URL\nfloor";

static const char doc[] =
    "parley-bench, a load generator for WebSocket servers. It verifies every delivery.\v"
    "Scenarios:\n"
    "  echo     each connection sends, and gets back what it sent (ws://, wss://, tcp://)\n"
    "  fanout   what one connection sends, all receive (ws://, wss://, tcp://)\n"
    "  chat     rooms over the Centrifuge client protocol, JSON\n"
    "  connect  handshakes, one after the other (ws://; tcp:// to floor --connect)\n"
    "  idle     connections that do nothing: memory\n"
    "  floor    serves raw TCP echo, fan-out or connects, the least that a server can cost\n"
    "\n"
    "Latency is counted from the time at which a message was due, not from when it could be "
    "sent, so a stall is not hidden. With --window there is no such time, and it is counted from "
    "the sending.\n"
    "\n"
    "Examples:\n"
    "  parley-bench echo ws://127.0.0.1:8000/echo -c 1000 -r 50000\n"
    "  parley-bench echo ws://127.0.0.1:8000/echo -c 100 -w 16 -s 20 --server-pid 4711\n"
    "  parley-bench echo wss://localhost:8443/echo --ca ca.pem\n"
    "  parley-bench fanout ws://127.0.0.1:9001/all -c 1000 -r 100\n"
    "  parley-bench chat ws://127.0.0.1:8000/connection/websocket -c 1000 --rooms 10 -r 500\n"
    "  parley-bench chat ws://127.0.0.1:8000/connection/websocket -c 5000 --recover --storm 4\n"
    "  parley-bench idle ws://127.0.0.1:8000/echo -c 10000 --server-pid 4711\n"
    "  parley-bench floor --backend epoll --listen 127.0.0.1:7000\n"
    "  parley-bench echo tcp://127.0.0.1:7000 -c 100 -w 1 -s 20\n"
    "\n"
    "The exit status is 0 when every message came once, in order and whole, 1 when not, 2 when "
    "the command line is wrong.";

struct parse {
    struct options options;
    bool has_rate;
    bool has_window;
    bool has_publishers;
    bool has_sources;
    bool has_scenario;
    bool help;
    bool version;
    char *error;
};

/* Always EINVAL, for argp: `error` has the line. */
static int refuse(struct parse *parse, const char *flag, const char *expected, const char *found)
{
    (void)snprintf(parse->error, OPTIONS_ERROR_SIZE, "%s: expected %s, found \"%.60s\"", flag,
                   expected, found);
    return EINVAL;
}

static int read_count(struct parse *parse, const char *flag, const char *text, uint32_t max,
                      uint32_t *value)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long read = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || read == 0 || read > max) {
        char expected[48];
        (void)snprintf(expected, sizeof(expected), "a number from 1 to %u", max);
        return refuse(parse, flag, expected, text);
    }
    *value = (uint32_t)read;
    return 0;
}

static int read_real(struct parse *parse, const char *flag, const char *text, double max,
                     double *value)
{
    char *end = NULL;
    const double read = strtod(text, &end);
    if (((text[0] < '0' || text[0] > '9') && text[0] != '.') || *end != '\0' || !isfinite(read) ||
        read > max) {
        char expected[48];
        (void)snprintf(expected, sizeof(expected), "a number from 0 to %.0f", max);
        return refuse(parse, flag, expected, text);
    }
    *value = read;
    return 0;
}

static int read_seconds(struct parse *parse, const char *flag, const char *text, uint64_t *value_ns)
{
    double seconds = 0;
    const int result = read_real(parse, flag, text, 86400, &seconds);
    if (result == 0) {
        *value_ns = (uint64_t)(seconds * (double)MONOTIME_NS_PER_S);
    }
    return result;
}

static int read_cpus(struct parse *parse, const char *text)
{
    struct options *options = &parse->options;
    const char *at = text;

    options->cpu_count = 0;
    for (;;) {
        char *end = NULL;
        const long cpu = strtol(at, &end, 10);
        if (*at < '0' || *at > '9' || cpu > 4095 || options->cpu_count == OPTIONS_CPU_COUNT_MAX ||
            (*end != '\0' && *end != ',')) {
            return refuse(parse, "--cpu", "numbers like 1 or 1,3", text);
        }
        options->cpus[options->cpu_count++] = (int)cpu;
        if (*end == '\0') {
            return 0;
        }
        at = end + 1;
    }
}

static int read_header(struct parse *parse, const char *text)
{
    char *extra = parse->options.extra_head;
    const size_t used = strlen(extra);
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon == text || strpbrk(text, "\r\n") != NULL) {
        return refuse(parse, "--header", "'Name: value'", text);
    }
    if (used + strlen(text) + 3 > OPTIONS_EXTRA_SIZE) {
        return refuse(parse, "--header", "at most 2,045 bytes of headers in all", text);
    }
    (void)snprintf(extra + used, OPTIONS_EXTRA_SIZE - used, "%s\r\n", text);
    return 0;
}

static int read_pid(struct parse *parse, const char *text)
{
    struct procstat_pids *pids = &parse->options.server;
    uint32_t pid = 0;
    const int result = read_count(parse, "--server-pid", text, INT32_MAX, &pid);
    if (result != 0) {
        return result;
    }
    if (pids->count == PROCSTAT_PID_COUNT_MAX) {
        return refuse(parse, "--server-pid", "at most 64 processes", text);
    }
    pids->pids[pids->count++] = (pid_t)pid;
    return 0;
}

static int read_backend(struct parse *parse, const char *text)
{
    if (strcmp(text, "auto") == 0) {
        parse->options.backend = BACKEND_AUTO;
    } else if (strcmp(text, "uring") == 0) {
        parse->options.backend = BACKEND_URING;
    } else if (strcmp(text, "epoll") == 0) {
        parse->options.backend = BACKEND_EPOLL;
    } else {
        return refuse(parse, "--backend", "auto, uring or epoll", text);
    }
    return 0;
}

static bool is_channel(const char *text)
{
    const size_t size = strlen(text);

    for (size_t i = 0; i < size; i++) {
        if (text[i] < '!' || text[i] > '~' || text[i] == '"' || text[i] == '\\') {
            return false;
        }
    }
    return size > 0 && size <= OPTIONS_CHANNEL_SIZE_MAX;
}

static int read_load_option(int key, char *text, struct parse *parse)
{
    struct options *options = &parse->options;

    switch (key) {
    case KEY_CONNECTIONS:
        return read_count(parse, "--connections", text, 1000000, &options->connections);
    case KEY_RATE:
        parse->has_rate = true;
        return read_real(parse, "--rate", text, 1e9, &options->rate);
    case KEY_WINDOW:
        parse->has_window = true;
        return read_count(parse, "--window", text, OPTIONS_WINDOW_MAX, &options->window);
    case KEY_BURST:
        return read_count(parse, "--burst", text, OPTIONS_WINDOW_MAX, &options->burst);
    case KEY_SIZE:
        return payload_sizes_parse(text, &options->sizes)
                   ? 0
                   : refuse(parse, "--size", "sizes from 16 to 16777216", text);
    case KEY_SCRIPT:
        return payload_script_from_name(text, &options->script)
                   ? 0
                   : refuse(parse, "--script", "ascii, latin, cjk or emoji", text);
    case KEY_COMPRESS:
        options->compress = true;
        return 0;
    case KEY_BINARY:
        options->binary = true;
        return 0;
    case KEY_PUBLISHERS:
        parse->has_publishers = true;
        return read_count(parse, "--publishers", text, 1000000, &options->publishers);
    case KEY_ROOMS:
        return read_count(parse, "--rooms", text, 1000000, &options->rooms);
    case KEY_RECONNECTS:
        return read_real(parse, "--reconnects", text, 1e6, &options->reconnect_rate);
    case KEY_CHANNEL:
        options->channel = text;
        return is_channel(text) ? 0
                                : refuse(parse, "--channel",
                                         "1 to 100 printable ASCII characters, no quotes", text);
    case KEY_RECOVER:
        options->recovers = true;
        return 0;
    case KEY_EXCLUDES_SENDER:
        options->excludes_sender = true;
        return 0;
    case KEY_SESSION:
        options->session = true;
        return 0;
    case KEY_TOKENS:
        options->tokens_file = text;
        return 0;
    case KEY_SEED: {
        uint32_t seed = 0;
        const int result = read_count(parse, "--seed", text, UINT32_MAX, &seed);
        options->seed = seed;
        return result;
    }
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int read_time_option(int key, char *text, struct parse *parse)
{
    struct options *options = &parse->options;

    switch (key) {
    case KEY_DURATION:
        return read_seconds(parse, "--duration", text, &options->duration_ns);
    case KEY_WARMUP:
        return read_seconds(parse, "--warmup", text, &options->warmup_ns);
    case KEY_DRAIN:
        return read_seconds(parse, "--drain", text, &options->drain_ns);
    case KEY_CONNECT_TIMEOUT:
        return read_seconds(parse, "--connect-timeout", text, &options->connect_ns);
    case KEY_STORM:
        options->has_storm = true;
        return read_seconds(parse, "--storm", text, &options->storm_ns);
    case KEY_STORM_AWAY:
        return read_seconds(parse, "--storm-away", text, &options->away_ns);
    case KEY_FIND_MAX:
        options->find_max = true;
        return 0;
    case KEY_P99: {
        double ms = 0;
        const int result = read_real(parse, "--p99", text, 1e6, &ms);
        options->p99_limit_ns = (uint64_t)(ms * (double)MONOTIME_NS_PER_MS);
        return result;
    }
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int read_other_option(int key, char *text, struct parse *parse)
{
    struct options *options = &parse->options;

    switch (key) {
    case KEY_HEADER:
        return read_header(parse, text);
    case KEY_SUBPROTOCOL:
        options->subprotocol = text;
        return 0;
    case KEY_CA:
        options->ca_file = text;
        return 0;
    case KEY_TLS_INSECURE:
        options->tls_insecure = true;
        return 0;
    case KEY_SOURCES:
        parse->has_sources = true;
        return read_count(parse, "--sources", text, 65000, &options->sources);
    case KEY_DIALS:
        return read_count(parse, "--dials", text, 100000, &options->dials);
    case KEY_THREADS:
        return read_count(parse, "--threads", text, OPTIONS_CPU_COUNT_MAX, &options->threads);
    case KEY_CPU:
        return read_cpus(parse, text);
    case KEY_BACKEND:
        return read_backend(parse, text);
    case KEY_SERVER_PID:
        return read_pid(parse, text);
    case KEY_JSON:
        options->json_file = text;
        return 0;
    case KEY_HTML:
        options->html_file = text;
        return 0;
    case KEY_LISTEN:
        return address_parse(text, &options->listen) == 0
                   ? 0
                   : refuse(parse, "--listen", "ADDR:PORT", text);
    case KEY_FANOUT:
    case KEY_CONNECT:
        if (options->floor_kind != FLOOR_ECHO) {
            return refuse(parse, "floor", "at most one of --fanout and --connect", "another");
        }
        options->floor_kind = key == KEY_FANOUT ? FLOOR_FANOUT : FLOOR_CONNECT;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int read_argument(struct parse *parse, const char *text, unsigned index)
{
    char error[TARGET_ERROR_SIZE];

    if (index == 0) {
        for (size_t i = 0; i < sizeof(scenario_names) / sizeof(scenario_names[0]); i++) {
            if (strcmp(text, scenario_names[i]) == 0) {
                parse->options.scenario = (enum options_scenario)i;
                parse->has_scenario = true;
                return 0;
            }
        }
        return refuse(parse, "scenario", "echo, fanout, chat, connect, idle or floor", text);
    }
    if (index > 1 || parse->options.scenario == OPTIONS_FLOOR) {
        return refuse(parse, "arguments", "no more", text);
    }
    parse->options.url = text;
    if (!target_parse(text, &parse->options.target, error)) {
        (void)snprintf(parse->error, OPTIONS_ERROR_SIZE, "URL: %s", error);
        return EINVAL;
    }
    return 0;
}

static error_t read_option(int key, char *text, struct argp_state *state)
{
    struct parse *parse = state->input;

    switch (key) {
    case KEY_HELP:
        parse->help = true;
        return 0;
    case KEY_VERSION:
        parse->version = true;
        return 0;
    case ARGP_KEY_ARG:
        return read_argument(parse, text, state->arg_num);
    case ARGP_KEY_ERROR:
        if (parse->error[0] == '\0') {
            (void)refuse(parse, "arguments", "a known flag with its value",
                         state->argv[state->next > 1 ? state->next - 1 : 1]);
        }
        return 0;
    default:
        break;
    }
    int result = read_load_option(key, text, parse);
    if (result == ARGP_ERR_UNKNOWN) {
        result = read_time_option(key, text, parse);
    }
    return result == ARGP_ERR_UNKNOWN ? read_other_option(key, text, parse) : result;
}

static bool is_traffic(enum options_scenario scenario)
{
    return scenario == OPTIONS_ECHO || scenario == OPTIONS_FANOUT || scenario == OPTIONS_CHAT;
}

/* What was left open gets its value. */
static void complete(struct parse *parse)
{
    struct options *options = &parse->options;

    if (options->scenario == OPTIONS_ECHO) {
        options->publishers = options->connections;
        options->rooms = options->connections;
    } else if (options->scenario == OPTIONS_FANOUT) {
        options->rooms = 1;
    }
    if (options->rooms > options->connections) {
        options->rooms = options->connections;
    }
    if (!parse->has_publishers && options->scenario == OPTIONS_CHAT) {
        options->publishers = options->rooms;
    }
    if (options->publishers > options->connections) {
        options->publishers = options->connections;
    }
    if (!parse->has_sources && options->connections > 1000) {
        options->sources = (options->connections + 999) / 1000;
    }
    if (!parse->has_sources && options->scenario == OPTIONS_CONNECT) {
        options->sources = 64; /* ports of cut connections are not free at once */
    }
    if (!parse->has_rate && !parse->has_window && is_traffic(options->scenario)) {
        options->rate = 1000;
    }
}

/* The same of recovery. */
static const char *find_storm_fault(const struct parse *parse)
{
    const struct options *options = &parse->options;

    if (options->recovers && options->scenario != OPTIONS_CHAT) {
        return "--recover is for chat";
    }
    if (!options->has_storm) {
        return NULL;
    }
    if (!options->recovers) {
        return "--storm needs --recover";
    }
    if (parse->has_window || options->find_max || options->reconnect_rate > 0) {
        return "--storm goes with neither --window, --find-max nor --reconnects";
    }
    if (options->storm_ns + options->away_ns >= options->duration_ns) {
        return "--storm: expected that all may come back within --duration";
    }
    return NULL;
}

/* What cannot be together. NULL, or the line. */
static const char *find_fault(const struct parse *parse)
{
    const struct options *options = &parse->options;
    const bool is_tcp = options->url != NULL && options->target.scheme == TARGET_TCP;

    if (!parse->has_scenario) {
        return "no scenario: echo, fanout, chat, connect, idle or floor; --help tells more";
    }
    if (options->scenario == OPTIONS_FLOOR) {
        return NULL;
    }
    if (options->url == NULL) {
        return "no URL, such as ws://127.0.0.1:8000/echo";
    }
    if (parse->has_rate && parse->has_window) {
        return "--rate (open loop) and --window (closed loop) exclude each other";
    }
    if (parse->has_rate && options->rate <= 0) {
        return "--rate: expected a number above 0";
    }
    if (!is_traffic(options->scenario) && (parse->has_rate || parse->has_window)) {
        return "--rate and --window are for echo, fanout and chat";
    }
    if (options->find_max && parse->has_window) {
        return "--find-max raises the rate, and --window has none";
    }
    if (options->find_max && !is_traffic(options->scenario)) {
        return "--find-max is for echo, fanout and chat";
    }
    if (options->window > 0 && options->burst > options->window) {
        return "--burst: expected at most --window";
    }
    if (is_tcp && (options->scenario == OPTIONS_CHAT || options->session)) {
        return "tcp:// has no messages to carry a chat";
    }
    if (is_tcp && is_traffic(options->scenario) &&
        (options->sizes.count != 1 ||
         options->sizes.ranges[0].min != options->sizes.ranges[0].max)) {
        return "tcp:// wants one --size: nothing else tells where a message ends";
    }
    if ((options->ca_file != NULL || options->tls_insecure) &&
        options->target.scheme != TARGET_WSS) {
        return "--ca and --tls-insecure are for wss://";
    }
    if (options->ca_file != NULL && options->tls_insecure) {
        return "--ca and --tls-insecure exclude each other";
    }
    if (options->tokens_file != NULL && options->scenario != OPTIONS_CHAT && !options->session) {
        return "--tokens is for chat and --session";
    }
    if (options->compress && (is_tcp || options->scenario == OPTIONS_FLOOR)) {
        return "--compress is for ws:// and wss://";
    }
    if (options->binary && options->scenario == OPTIONS_CHAT) {
        return "--binary: the JSON protocol is text";
    }
    return find_storm_fault(parse);
}

enum options_outcome options_parse(int argc, char **argv, struct options *options,
                                   char error[OPTIONS_ERROR_SIZE])
{
    const struct argp argp = {
        .options = option_table, .parser = read_option, .args_doc = args_doc, .doc = doc};
    struct parse parse = {.error = error};
    char name[] = "parley-bench";
    parse.options = (struct options){
        .connections = 100,
        .threads = 1,
        .warmup_ns = MONOTIME_NS_PER_S,
        .duration_ns = 10 * MONOTIME_NS_PER_S,
        .drain_ns = 5 * MONOTIME_NS_PER_S,
        .connect_ns = 60 * MONOTIME_NS_PER_S,
        .burst = 1,
        .seed = 1,
        .publishers = 1,
        .rooms = 1,
        .channel = "bench-",
        .dials = 128,
        .p99_limit_ns = 100 * MONOTIME_NS_PER_MS,
        .away_ns = MONOTIME_NS_PER_S,
    };
    CHECK(payload_sizes_parse("64", &parse.options.sizes));
    CHECK(address_parse("127.0.0.1:7000", &parse.options.listen) == 0);

    error[0] = '\0';
    const unsigned flags = ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP;
    if (argp_parse(&argp, argc, argv, flags, NULL, &parse) != 0) {
        return OPTIONS_BAD;
    }
    if (parse.help) {
        argp_help(&argp, stdout,
                  ARGP_HELP_SHORT_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC,
                  name);
        return OPTIONS_DONE;
    }
    if (parse.version) {
        (void)printf("parley-bench %s\n", PARLEY_VERSION PARLEY_COMMIT);
        return OPTIONS_DONE;
    }
    const char *fault = find_fault(&parse);
    if (fault != NULL) {
        (void)snprintf(error, OPTIONS_ERROR_SIZE, "%s", fault);
        return OPTIONS_BAD;
    }
    complete(&parse);
    *options = parse.options;
    return OPTIONS_RUN;
}

const char *options_scenario_name(enum options_scenario scenario)
{
    return scenario_names[scenario];
}
