/* SPDX-License-Identifier: Apache-2.0 */
#include "server/args.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "net/address.h"
#include "server/config_options.h"
#include "server/config_value.h"

/* Above each character, so that none of them is a short option too. */
enum option_key {
    KEY_CONFIG = 'c',
    KEY_HELP = 'h',
    KEY_LISTEN = 'l',
    KEY_REACTORS = 'r',
    KEY_VERSION = 'V',
    KEY_CHECK_CONFIG = 0x100,
    KEY_INTERNAL_LISTEN,
    KEY_BACKEND,
    KEY_SIMD,
    KEY_ECHO,
    KEY_LOG_LEVEL,
};

static const struct argp_option options[] = {
    {"config", KEY_CONFIG, "FILE", 0, "Read the configuration from this YAML (or JSON) file", 1},
    {"check-config", KEY_CHECK_CONFIG, NULL, 0,
     "Check the configuration and the files that it names, print all of it, and exit", 1},
    {"listen", KEY_LISTEN, "ADDR:PORT", 0, "Where clients connect (127.0.0.1:8000)", 2},
    {"internal-listen", KEY_INTERNAL_LISTEN, "ADDR:PORT", 0,
     "Where /health, /ready and /metrics are (127.0.0.1:9000)", 2},
    {"reactors", KEY_REACTORS, "N", 0, "Threads that serve connections (auto: one for each core)",
     3},
    {"backend", KEY_BACKEND, "NAME", 0, "How to talk to the kernel: auto, uring or epoll (auto)",
     3},
    {"simd", KEY_SIMD, "LEVEL", 0, "auto, scalar, sse4, avx2 or avx512 (auto)", 3},
    {"echo", KEY_ECHO, NULL, 0, "Serve /echo, for conformance suites and benchmarks", 4},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "debug, info, warn or error (info)", 4},
    {"version", KEY_VERSION, NULL, 0, "Print versions, back end and SIMD level, and exit", 5},
    {"help", KEY_HELP, NULL, 0, "Print this, and exit", 5},
    {0},
};

/* The text after \v comes below the options. */
static const char doc[] =
    "parleyd, a real-time messaging server that speaks the Centrifuge client protocol.\v"
    "Flags win over the configuration file. Without a file it is development mode: parleyd "
    "listens on loopback only, lets everybody do everything (client.insecure), and channels have "
    "history, recovery, presence, joins and leaves.\n"
    "\n"
    "Examples:\n"
    "  parleyd                                  try it; the chat page is at :8000\n"
    "  parleyd --config parley.yaml             serve\n"
    "  parleyd --config parley.yaml --check-config\n"
    "  parleyd --listen [::1]:8080 --reactors 2 --backend epoll\n"
    "  parleyd store stat -c parley.yaml        what is stored; also verify, export CHANNEL\n"
    "  parleyd gentoken -c parley.yaml --user 42\n"
    "  parleyd explain -c parley.yaml 42 publish chat:lobby   may 42 do that, and why?\n"
    "  parleyd checktoken -c parley.yaml TOKEN\n"
    "\n"
    "Each option of the file is explained in deploy/parley.example.yaml.";

struct parse {
    struct args args;
    bool help;
    char *error;
    size_t error_size;
};

static struct config_scalar scalar_of(const char *text, size_t size)
{
    return (struct config_scalar){.text = {(const uint8_t *)text, size}, .plain = true};
}

/* `text` as the option `key` would take it in the file, into a scratch configuration. */
static int read_as(struct parse *parse, const char *flag, const char *key, const char *text,
                   struct config *scratch)
{
    const struct config_option *option = config_options_find(config_options_all(), key);
    char what[CONFIG_WHAT_SIZE];

    CHECK(option != NULL);
    if (config_value_read(option, scalar_of(text, strlen(text)), scratch, what) != 0) {
        (void)snprintf(parse->error, parse->error_size, "%s: %s", flag, what);
        return EINVAL;
    }
    return 0;
}

/* 127.0.0.1:8000 or [::1]:8000 */
static int read_listen(struct parse *parse, const char *flag, const char *text,
                       struct args_address *address)
{
    const struct config_table table = config_options_all();
    const struct config_option *address_option = config_options_find(table, "http_server.address");
    const struct config_option *port_option = config_options_find(table, "http_server.port");
    const char *colon = strrchr(text, ':');
    char shown[CONFIG_SHOWN_SIZE];
    char what[CONFIG_WHAT_SIZE];
    struct config scratch;

    CHECK(address_option != NULL && port_option != NULL);
    if (colon != NULL) {
        const char *host = text;
        size_t host_size = (size_t)(colon - text);
        const bool in_brackets = host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']';
        if (in_brackets) {
            host++;
            host_size -= 2;
        }
        const bool is_six = memchr(host, ':', host_size) != NULL;
        const struct config_scalar port = scalar_of(colon + 1, strlen(colon + 1));
        if (in_brackets == is_six &&
            config_value_read(address_option, scalar_of(host, host_size), &scratch, what) == 0 &&
            config_value_read(port_option, port, &scratch, what) == 0) {
            memcpy(address->address, scratch.http_server.address, sizeof(address->address));
            address->port = scratch.http_server.port;
            return 0;
        }
    }
    config_value_show((struct bytes){(const uint8_t *)text, strlen(text)}, shown);
    (void)snprintf(parse->error, parse->error_size,
                   "%s: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"%s\"",
                   flag, shown);
    return EINVAL;
}

/* argv[next - 1] is what getopt could not use: say which of its reasons it was. */
static void explain(struct parse *parse, const struct argp_state *state)
{
    const int index = state->next > 1 ? state->next - 1 : 1;
    const char *text = index < state->argc ? state->argv[index] : "";
    const size_t name_size = strcspn(text, "=");
    const char *why = "there is no such option";
    char shown[CONFIG_SHOWN_SIZE];

    for (const struct argp_option *option = options; option->name != NULL; option++) {
        const bool is_long = name_size == strlen(option->name) + 2 && strncmp(text, "--", 2) == 0 &&
                             strncmp(text + 2, option->name, name_size - 2) == 0;
        const bool is_short = name_size == 2 && text[0] == '-' && text[1] == option->key;
        if (is_long || is_short) {
            why = option->arg != NULL ? "expected a value after it" : "it takes no value";
        }
    }
    config_value_show((struct bytes){(const uint8_t *)text, strlen(text)}, shown);
    (void)snprintf(parse->error, parse->error_size, "%s: %s; parleyd --help shows all", shown, why);
}

/* argp calls this for each option, and for what is left over. Errors are positive errno. */
static error_t take(int key, char *value, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct args *args = &parse->args;
    struct config scratch;
    int result = 0;

    switch (key) {
    case KEY_CONFIG:
        args->config_file = value;
        return 0;
    case KEY_CHECK_CONFIG:
        args->check_config = true;
        return 0;
    case KEY_HELP:
        parse->help = true;
        return 0;
    case KEY_VERSION:
        args->version = true;
        return 0;
    case KEY_ECHO:
        args->echo = true;
        return 0;
    case KEY_LISTEN:
        return read_listen(parse, "--listen", value, &args->listen);
    case KEY_INTERNAL_LISTEN:
        return read_listen(parse, "--internal-listen", value, &args->internal_listen);
    case KEY_REACTORS:
        result = read_as(parse, "--reactors", "reactor.count", value, &scratch);
        args->has_reactors = true;
        args->reactors = result == 0 ? scratch.reactor.count : 0;
        return result;
    case KEY_BACKEND:
        result = read_as(parse, "--backend", "reactor.backend", value, &scratch);
        args->has_backend = true;
        args->backend = result == 0 ? scratch.reactor.backend : CONFIG_BACKEND_AUTO;
        return result;
    case KEY_SIMD:
        result = read_as(parse, "--simd", "reactor.simd", value, &scratch);
        args->has_simd = true;
        args->simd = result == 0 ? scratch.reactor.simd : CONFIG_SIMD_AUTO;
        return result;
    case KEY_LOG_LEVEL:
        result = read_as(parse, "--log-level", "log.level", value, &scratch);
        args->has_log_level = true;
        args->log_level = result == 0 ? scratch.log.level : CONFIG_LOG_INFO;
        return result;
    case ARGP_KEY_ARG:
        (void)snprintf(parse->error, parse->error_size,
                       "%s: expected options only; parleyd --help shows all", value);
        return EINVAL;
    case ARGP_KEY_ERROR:
        if (parse->error[0] == '\0') {
            explain(parse, state);
        }
        return 0;
    default: /* argp's own keys, which are not our enum */
        return ARGP_ERR_UNKNOWN;
    }
}

enum args_outcome args_parse(int argc, char **argv, struct args *args, char *error,
                             size_t error_size)
{
    const struct argp argp = {.options = options, .parser = take, .doc = doc};
    struct parse parse = {.error = error, .error_size = error_size};
    char name[] = "parleyd";

    CHECK(argc > 0);
    CHECK(args != NULL);
    CHECK(error != NULL && error_size > 0);
    error[0] = '\0';
    const unsigned flags = ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP;
    if (argp_parse(&argp, argc, argv, flags, NULL, &parse) != 0) {
        if (error[0] == '\0') {
            (void)snprintf(error, error_size, "out of memory");
        }
        return ARGS_BAD;
    }
    if (parse.help) {
        argp_help(&argp, stdout,
                  ARGP_HELP_SHORT_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC,
                  name);
        return ARGS_HELP;
    }
    *args = parse.args;
    return ARGS_RUN;
}

static bool is_loopback(const char *text)
{
    struct address address;
    return config_socket_address(text, 1, &address) == 0 && address_is_loopback(&address);
}

static int apply_listen(const struct args_address *given, const char *flag, bool development,
                        char *error, size_t error_size)
{
    if (given->port == 0 || !development || is_loopback(given->address)) {
        return 0;
    }
    (void)snprintf(error, error_size,
                   "%s: expected a loopback address, found \"%s\": without --config everybody who "
                   "reaches it may do everything",
                   flag, given->address);
    return -EINVAL;
}

static void set_listen(const struct args_address *given, char *address, uint16_t *port)
{
    if (given->port != 0) {
        memcpy(address, given->address, sizeof(given->address));
        *port = given->port;
    }
}

/* Development mode: everybody may do everything, and there is something to be seen. */
static void open_up(struct config *config)
{
    struct policy *channels = &config->channel.without_namespace;

    config->development = true;
    config->client.insecure = true;
    config->http_api.insecure = true;
    config->shutdown.grace_ns = 0; /* no load balancer has to notice anything */
    channels->history_size = 100;
    channels->history_ttl_ns = UINT64_C(600000000000); /* 10 minutes */
    channels->force_recovery = true;
    channels->presence = true;
    channels->join_leave = true;
    channels->force_push_join_leave = true;
}

int args_apply(const struct args *args, struct config *config, char *error, size_t error_size)
{
    CHECK(args != NULL);
    CHECK(config != NULL);
    const bool development = args->config_file == NULL;

    int result = apply_listen(&args->listen, "--listen", development, error, error_size);
    if (result == 0) {
        result = apply_listen(&args->internal_listen, "--internal-listen", development, error,
                              error_size);
    }
    if (result != 0) {
        return result;
    }

    struct config applied = *config;
    struct config_http_server *http = &applied.http_server;
    set_listen(&args->listen, http->address, &http->port);
    set_listen(&args->internal_listen, http->internal_address, &http->internal_port);
    applied.development = false;
    if (development) {
        open_up(&applied);
    }
    applied.echo.enabled = applied.echo.enabled || args->echo;
    applied.reactor.count = args->has_reactors ? args->reactors : applied.reactor.count;
    applied.reactor.backend = args->has_backend ? args->backend : applied.reactor.backend;
    applied.reactor.simd = args->has_simd ? args->simd : applied.reactor.simd;
    applied.log.level = args->has_log_level ? args->log_level : applied.log.level;

    result = config_validate(&applied, error, error_size);
    if (result == 0) {
        *config = applied;
    }
    return result;
}
