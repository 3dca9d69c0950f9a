/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/options.h"

#include "version.h"
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/load/options_private.h"
#include "core/check.h"
#include "core/monotime.h"

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
    {"channel", KEY_CHANNEL, "NAME", 0, "The channels of the rooms are NAME0, NAME1, ... (bench-)",
     1},
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
    "  parley-bench echo ws://127.0.0.1:8000/echo -c 100 -w 16 --server-pid 4711\n"
    "  parley-bench echo ws://127.0.0.1:8000/echo -r 20000 --find-max --p99 5\n"
    "  parley-bench echo wss://localhost:8443/echo --ca ca.pem\n"
    "  parley-bench idle ws://127.0.0.1:8000/echo -c 10000 --server-pid 4711\n"
    "  parley-bench fanout ws://127.0.0.1:9001/all -c 1000 -r 100\n"
    "\n"
    "  U=ws://127.0.0.1:8000/connection/websocket\n"
    "  parley-bench chat $U -c 1000 --rooms 10 -r 500 --json r.json --html r.html\n"
    "  parley-bench chat $U -c 5000 --recover --storm 4\n"
    "  parley-bench connect $U --session --tokens FILE\n"
    "\n"
    "  parley-bench floor --backend epoll --listen 127.0.0.1:7000\n"
    "  parley-bench echo tcp://127.0.0.1:7000 -c 100 -w 1 -s 20\n"
    "\n"
    "The exit status is 0 when every message came once, in order and whole, 1 when not or when "
    "there was no run, 2 when the command line is wrong, 130 or 143 when SIGINT or SIGTERM ended "
    "it "
    "early: what there was until then is reported.";

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

/* Likewise, but 0 is too little. */
static int read_some_seconds(struct parse *parse, const char *flag, const char *text,
                             uint64_t *value_ns)
{
    const int result = read_seconds(parse, flag, text, value_ns);
    return result == 0 && *value_ns == 0 ? refuse(parse, flag, "more than 0 seconds", text)
                                         : result;
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

/* Bytes at its beginning that may stand in the name of a header or of a sub-protocol. */
static size_t token_size(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                        "!#$%&'*+-.^_`|~");
}

/* What the handshake has already. */
static bool is_own_header(const char *text, size_t name_size)
{
    static const char *const names[] = {
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == name_size && strncasecmp(text, names[i], name_size) == 0) {
            return true;
        }
    }
    return false;
}

static int read_header(struct parse *parse, const char *text)
{
    char *extra = parse->options.extra_head;
    const size_t used = strlen(extra);
    const size_t name_size = token_size(text);

    if (name_size == 0 || text[name_size] != ':' || strpbrk(text, "\r\n") != NULL) {
        return refuse(parse, "--header", "'Name: value'", text);
    }
    if (is_own_header(text, name_size)) {
        return refuse(parse, "--header", "one that the handshake does not have already", text);
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
        return read_real(parse, "--rate", text, 1e9, &options->rate);
    case KEY_WINDOW:
        return read_count(parse, "--window", text, OPTIONS_WINDOW_MAX, &options->window);
    case KEY_BURST:
        return read_count(parse, "--burst", text, OPTIONS_WINDOW_MAX, &options->burst);
    case KEY_SIZE:
        options->size_text = text;
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
        return read_some_seconds(parse, "--duration", text, &options->duration_ns);
    case KEY_WARMUP:
        return read_seconds(parse, "--warmup", text, &options->warmup_ns);
    case KEY_DRAIN:
        return read_seconds(parse, "--drain", text, &options->drain_ns);
    case KEY_CONNECT_TIMEOUT:
        return read_some_seconds(parse, "--connect-timeout", text, &options->connect_ns);
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
        return result == 0 && options->p99_limit_ns == 0
                   ? refuse(parse, "--p99", "more than 0 milliseconds", text)
                   : result;
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
        return token_size(text) == strlen(text) && text[0] != '\0' &&
                       strlen(text) <= OPTIONS_SUBPROTOCOL_SIZE_MAX
                   ? 0
                   : refuse(parse, "--subprotocol", "1 to 100 letters, digits, '.' and the like",
                            text);
    case KEY_CA:
        options->ca_file = text;
        return 0;
    case KEY_TLS_INSECURE:
        options->tls_insecure = true;
        return 0;
    case KEY_SOURCES:
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

    if (key > 0 && key < KEY_END) {
        parse->given[key] = true;
    }
    switch (key) {
    case KEY_HELP:
    case KEY_VERSION:
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
        .size_text = "64",
        .seed = 1,
        .publishers = 1,
        .rooms = 1,
        .channel = "bench-",
        .dials = 128,
        .p99_limit_ns = 100 * MONOTIME_NS_PER_MS,
        .away_ns = MONOTIME_NS_PER_S,
    };
    CHECK(payload_sizes_parse(parse.options.size_text, &parse.options.sizes));
    CHECK(address_parse("127.0.0.1:7000", &parse.options.listen) == 0);

    error[0] = '\0';
    const unsigned flags = ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP;
    if (argp_parse(&argp, argc, argv, flags, NULL, &parse) != 0) {
        return OPTIONS_BAD;
    }
    if (parse.given[KEY_HELP]) {
        argp_help(&argp, stdout,
                  ARGP_HELP_SHORT_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC,
                  name);
        return OPTIONS_DONE;
    }
    if (parse.given[KEY_VERSION]) {
        (void)printf("parley-bench %s\n", PARLEY_VERSION PARLEY_COMMIT);
        return OPTIONS_DONE;
    }
    options_complete(&parse);
    if (!options_check(&parse)) {
        return OPTIONS_BAD;
    }
    *options = parse.options;
    return OPTIONS_RUN;
}

const char *options_scenario_name(enum options_scenario scenario)
{
    return scenario_names[scenario];
}
