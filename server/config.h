/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H
/*
 * The configuration: one YAML file and a table of options, read once into one struct.
 *
 * Owner     main. config_load_*() fills the struct, config_destroy() frees its lists. In between,
 *           after the flags of the command line went in, nobody writes: pass it on as const.
 * Threads   filled before threads start; frozen, so ANY_THREAD may read it then.
 * Units     bytes, counts, nanoseconds (`_ns`). In the file a duration has a unit: 500ms, 10s, 30d.
 * Failures  -errno and one line: "FILE:LINE:COLUMN: KEY: expected ..., found ...". The struct is
 *           untouched unless the result is 0. No value means "unlimited".
 * Not here  the table of options (config_options.h), YAML (config_yaml.h), flags (args.h).
 *
 * A field has the name of its key. What every option means, its unit and its range:
 * deploy/parley.example.yaml.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "chat/policy.h"
#include "core/annot.h"
#include "core/bytes.h"

struct address; /* net/address.h */
struct cidr;    /* net/cidr.h */

enum {
    CONFIG_ADDRESS_SIZE = 46,        /* bytes: the longest IPv6 text and its NUL */
    CONFIG_NAMESPACE_NAME_SIZE = 65, /* bytes, with the NUL */
    CONFIG_PATH_SIZE = 256,          /* bytes, with the NUL */
    CONFIG_LINE_MAX = 255,           /* bytes of a text of one line */
    CONFIG_TEXT_MAX = 4096,          /* bytes of a text of several, or of a secret */
    CONFIG_ERROR_SIZE = 1024,        /* bytes: enough for each error text */
    CONFIG_FILE_SIZE_MAX = 1 << 20,  /* bytes: a longer file is refused */
    CONFIG_LISTENERS_MAX = 6,        /* of http_server.listeners */
    CONFIG_SPARE_FILES = 64,         /* descriptors kept back from client.connection_limit */
};

#define CONFIG_SECRET_SHOWN "***"

enum config_backend {
    CONFIG_BACKEND_AUTO = 0,
    CONFIG_BACKEND_URING,
    CONFIG_BACKEND_EPOLL,
};

enum config_simd {
    CONFIG_SIMD_AUTO = 0,
    CONFIG_SIMD_SCALAR,
    CONFIG_SIMD_SSE4,
    CONFIG_SIMD_AVX2,
    CONFIG_SIMD_AVX512,
};

enum config_log_level {
    CONFIG_LOG_DEBUG = 0,
    CONFIG_LOG_INFO,
    CONFIG_LOG_WARN,
    CONFIG_LOG_ERROR,
};

enum config_log_format {
    CONFIG_LOG_LOGFMT = 0,
    CONFIG_LOG_JSON,
};

enum config_store_engine {
    CONFIG_STORE_MEMORY = 0,
    CONFIG_STORE_ROCKSDB,
};

enum config_tls_version {
    CONFIG_TLS_1_2 = 0,
    CONFIG_TLS_1_3,
};

struct config_certificate {
    char cert_pem_file[CONFIG_PATH_SIZE];
    char key_pem_file[CONFIG_PATH_SIZE];
};

struct config_certificates {
    const struct config_certificate *items;
    uint32_t count;
};

enum config_proxy_protocol {
    CONFIG_PROXY_REFUSED = 0,
    CONFIG_PROXY_REQUIRED,
};

struct config_networks {
    const struct cidr *items; /* net/cidr.h */
    uint32_t count;
};

/* One more place to listen at. */
struct config_listener {
    char address[CONFIG_ADDRESS_SIZE];
    uint16_t port;               /* 0: at `path` */
    char path[CONFIG_PATH_SIZE]; /* of a unix socket; empty: at `port` */
    bool internal;               /* what http_server.internal_port serves, and no clients */
    bool tls;                    /* with the certificates of http_server.tls */
    char client_ca_pem_file[CONFIG_PATH_SIZE];
    enum config_proxy_protocol proxy_protocol;
    struct config_networks trusted_proxies;
};

struct config_listeners {
    const struct config_listener *items;
    uint32_t count;
};

/* Paths of PEM files; empty: none. */
struct config_tls {
    bool enabled; /* of the public listener */
    char cert_pem_file[CONFIG_PATH_SIZE];
    char key_pem_file[CONFIG_PATH_SIZE];
    struct config_certificates certificates;   /* further ones */
    char client_ca_pem_file[CONFIG_PATH_SIZE]; /* clients need a certificate of one of these */
    enum config_tls_version min_version;
    uint64_t handshake_timeout_ns;
    char ticket_key_file[CONFIG_PATH_SIZE]; /* empty: a secret of this process */
    uint64_t ticket_rotation_ns;            /* whole seconds */
};

struct config_http_server {
    char address[CONFIG_ADDRESS_SIZE]; /* IPv4 or IPv6, no brackets */
    uint16_t port;                     /* 1-65535 */
    struct config_tls tls;
    enum config_proxy_protocol proxy_protocol; /* of the public listener */
    struct config_networks trusted_proxies;    /* of it */
    uint64_t proxy_timeout_ns;                 /* for the PROXY header */
    struct config_listeners listeners;         /* beside the public and the internal one */
    char internal_address[CONFIG_ADDRESS_SIZE];
    uint16_t internal_port;         /* 1-65535 */
    uint32_t socket_send_buffer;    /* bytes, SO_SNDBUF of each connection */
    uint32_t socket_receive_buffer; /* bytes, SO_RCVBUF */
    uint32_t max_header_bytes;      /* bytes of the whole request head */
    uint32_t max_headers;           /* headers of a request */
    uint32_t max_uri;               /* bytes of the request target, below max_header_bytes */
    uint64_t handshake_timeout_ns;  /* for the whole request head */
};

/* Borrowed from the configuration; each one ends in a NUL that `size` does not count. */
struct config_origins {
    const struct bytes *items;
    uint32_t count; /* 0: the host that the request went to, and no other */
};

/* What must not be seen: described as ***, never logged, overwritten when it is freed. */
struct config_secret {
    const char *hidden; /* NULL: none. Only for config_secret_reveal() */
};

struct config_http_api {
    struct config_secret key;
    const char *key_file; /* instead; NULL: not given */
    bool insecure;
    uint32_t max_body_bytes;   /* bytes of a body, or of a line of a stream */
    uint32_t max_answer_bytes; /* bytes of the answer to one request */
    uint32_t max_in_flight;    /* commands of one connection that are not answered */
    uint32_t max_requests;     /* of each reactor at a time */
    uint32_t max_revocations;  /* users and tokens that are forbidden at a time */
    uint64_t body_timeout_ns;
    uint64_t idle_timeout_ns; /* between two requests, or two lines of a stream */
};

/*
 * Which tokens are accepted. Of each key the option itself or its file is given, or neither. Texts
 * are the configuration's, NULL when they are not given.
 */
struct config_token {
    bool enabled; /* of client.subscription_token: else client.token serves both */
    struct config_secret hmac_secret_key;
    const char *hmac_secret_key_file;
    const char *rsa_public_key; /* PEM */
    const char *rsa_public_key_file;
    const char *ecdsa_public_key; /* PEM */
    const char *ecdsa_public_key_file;
    const char *jwks_public_endpoint; /* https; in place of the RSA and ECDSA keys, like the file */
    const char *jwks_file;
    const char *jwks_ca_file; /* who signed the endpoint's certificate */
    const char *audience;     /* one that `aud` must have */
    const char *issuer;       /* what `iss` must be */
    uint64_t leeway_ns;       /* by which clocks may differ */
    bool require_exp;         /* a token that never expires is refused */
};

struct config_client {
    bool insecure;
    bool allow_anonymous_connect_without_token;
    struct config_origins allowed_origins;
    uint64_t stale_close_delay_ns;       /* from the upgrade to an accepted connect */
    uint64_t expired_close_delay_ns;     /* from the end of a token to the end of its connection */
    uint64_t expired_sub_close_delay_ns; /* likewise, of its subscription */
    struct {
        bool enabled;
        char personal_channel_namespace[CONFIG_NAMESPACE_NAME_SIZE]; /* empty: none */
    } subscribe_to_user_personal_channel;
    uint64_t ping_interval_ns;
    uint64_t pong_timeout_ns; /* below ping_interval_ns */
    uint32_t channel_limit;   /* channels of one connection */
    uint32_t queue_max_size;  /* bytes queued for one connection */
    uint64_t write_stall_timeout_ns;
    uint32_t command_rate; /* commands a second, of one connection */
    uint32_t command_burst;
    uint32_t control_rate; /* WebSocket control frames a second, of one connection */
    uint32_t control_burst;
    uint32_t connection_limit;      /* of the whole server; 0 until config_resolve(): auto */
    uint32_t user_connection_limit; /* of one user */
    uint32_t user_connect_rate;     /* new ones of it a second */
    uint32_t user_connect_burst;
    uint32_t user_command_rate; /* commands a second of all connections of one; 0: off */
    uint32_t user_command_burst;
    bool user_limits_dry_run;          /* limits of users only count */
    uint32_t address_connection_limit; /* of one address, or an IPv6 /64 */
    uint32_t address_handshake_rate;   /* new ones of it a second */
    uint32_t address_handshake_burst;
    uint32_t address_command_rate; /* commands a second of all connections of one; 0: off */
    uint32_t address_command_burst;
    bool address_limits_dry_run;                /* limits of addresses only count */
    struct config_networks unlimited_addresses; /* none of these holds there; empty: loopback */
    uint32_t max_messages_per_frame;         /* replies and pushes that share an outgoing frame */
    uint32_t history_max_publication_limit;  /* publications that one history call returns */
    uint32_t recovery_max_publication_limit; /* publications that one recovery returns */
    uint32_t presence_max_list;              /* members that one presence call lists */
    struct config_token token;
    struct config_token subscription_token;
};

struct config_websocket {
    uint32_t message_size_limit;      /* bytes of one incoming message */
    uint32_t max_fragments;           /* of one incoming message */
    uint64_t message_timeout_ns;      /* from its first to its last byte */
    uint64_t close_timeout_ns;        /* for the peer's end of the close handshake */
    bool compression;                 /* permessage-deflate, for who offers it; on /echo too */
    uint32_t compression_min_size;    /* bytes; shorter messages are sent as they are */
    uint32_t compression_level;       /* zlib's, 1-9 */
    uint32_t compression_window_bits; /* of what is sent: 2 to that power are bytes */
};

struct config_echo {
    bool enabled;
    uint32_t message_size_limit; /* bytes of one message, in any number of fragments */
    uint64_t message_timeout_ns; /* from its first to its last byte */
    uint32_t queue_max_size;     /* bytes queued for one connection: holds a whole message */
};

/* A policy's name and its place in a table are not the configuration's: policies.h gives them. */
struct config_namespace {
    char name[CONFIG_NAMESPACE_NAME_SIZE]; /* unique; [A-Za-z0-9_.-]+ */
    struct policy options;
};

struct config_namespaces {
    const struct config_namespace *items;
    uint32_t count;
};

struct config_channel {
    uint32_t max_length;         /* bytes of a channel's name */
    uint64_t history_memory_max; /* bytes that all histories together may hold; 0: as above, auto */
    struct policy without_namespace;
    struct config_namespaces namespaces;
};

struct config_store {
    enum config_store_engine engine;
    char path[CONFIG_PATH_SIZE]; /* of a directory; empty: none */
    uint64_t timeout_ns;         /* for a publication to be stored; then error 100 */
    uint32_t queue_max_size;     /* bytes of publications that wait for it, of each reactor */
    uint32_t write_buffer_size;  /* bytes */
    uint32_t block_cache_size;   /* bytes */
    uint32_t min_free_space;     /* bytes of the disk */
};

struct config_reactor {
    uint32_t count; /* threads; 0 until config_resolve(): auto */
    enum config_backend backend;
    enum config_simd simd;
    bool pin;
    uint32_t receive_buffers;     /* of each reactor, a power of two */
    uint32_t receive_buffer_size; /* bytes */
};

struct config_bus {
    uint32_t slots;   /* of each ring, a power of two */
    uint32_t reserve; /* open questions per ring, with slots kept for them and for answers */
};

struct config_log {
    enum config_log_level level;
    enum config_log_format format;
    uint64_t slow_turn_ns; /* a turn of a reactor that takes longer is told of */
};

struct config_overload {
    uint64_t memory_budget; /* bytes; 0 until config_resolve(): auto */
    bool is_auto;           /* not a key: the budget is a part of `memory_max` */
};

struct config_shutdown {
    uint64_t grace_ns;   /* from SIGTERM until nobody new is let in; below timeout_ns */
    uint64_t timeout_ns; /* from SIGTERM to the exit */
    uint32_t close_rate; /* connections a second that are closed at least, of the whole server */
};

struct config {
    bool development; /* no configuration file: not a key, set by args_apply() */
    struct config_http_server http_server;
    struct config_http_api http_api;
    struct config_client client;
    struct config_websocket websocket;
    struct config_echo echo;
    struct config_channel channel;
    struct config_store store;
    struct config_reactor reactor;
    struct config_bus bus;
    struct config_log log;
    struct config_overload overload;
    struct config_shutdown shutdown;
};

/* The built-in default of every option, nothing allocated. */
void config_init_defaults(struct config *config);

/*
 * Defaults, overridden by the file, checked as config_validate() does. `error` gets one line
 * without its end when the result is not 0: -EINVAL for the text, else why it cannot be read.
 */
NODISCARD int config_load_file(const char *path, struct config *config, char *error,
                               size_t error_size);

/* The same for text in memory; `name` stands where the file's name would in an error. */
NODISCARD int config_load_memory(const char *name, struct bytes text, struct config *config,
                                 char *error, size_t error_size);

/* What one option alone cannot say. 0, or -EINVAL and "KEY: expected ..., found ...". */
NODISCARD int config_validate(const struct config *config, char *error, size_t error_size);

/* What `auto` depends on. */
struct config_facts {
    uint32_t cpu_count;
    uint64_t open_files_max; /* RLIMIT_NOFILE */
    uint64_t memory_max;     /* bytes that there are for this process */
};

/*
 * Puts facts in the place of `auto`: reactor.count becomes `cpu_count`, client.connection_limit
 * what `open_files_max` leaves, overload.memory_budget 80 % of `memory_max`,
 * channel.history_memory_max half of that budget, but 1 GiB at most. 0, or -EINVAL and a text when
 * a limit that was given needs more files than that.
 */
NODISCARD int config_resolve(struct config *config, const struct config_facts *facts, char *error,
                             size_t error_size);

/*
 * Writes all of it as a YAML file that loads to the same, but for secrets: in the place of each one
 * stands CONFIG_SECRET_SHOWN, which does not load. Returns 0, or -EIO.
 */
NODISCARD int config_describe(const struct config *config, FILE *out);

/* The only way to a secret; it is the configuration's. Empty: none was given. */
NODISCARD struct bytes config_secret_reveal(struct config_secret secret);

/* An address of the configuration and its port as a socket address. 0, or -EINVAL. */
NODISCARD int config_socket_address(const char *text, uint16_t port, struct address *address);

/* Frees the lists and leaves the defaults. */
void config_destroy(struct config *config);

/* The word of the file for a value: "uring", "avx2", "info", "json", ... */
const char *config_backend_name(enum config_backend backend);
const char *config_simd_name(enum config_simd simd);
const char *config_log_level_name(enum config_log_level level);

#endif /* SERVER_CONFIG_H */
