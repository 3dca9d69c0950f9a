/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ARGS_H
#define SERVER_ARGS_H
/*
 * The command line of parleyd.
 *
 * Owner     main; plain values, nothing allocated. `config_file` points into argv.
 * Threads   the main thread, before others start.
 * Failures  a flag that cannot be read: one line, never an exit (but for --help, which prints
 *           and says so). The outputs are untouched then.
 * Not here  what --version prints besides the version; applying what args_apply() decided.
 *
 * Flags win over the file. Without --config it is development mode: loopback only, and
 * client.insecure, because nobody could be let in otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "server/config.h"

/* ADDR:PORT as given; a port of 0 means: not given. */
struct args_address {
    char address[CONFIG_ADDRESS_SIZE];
    uint16_t port;
};

struct args {
    const char *config_file; /* NULL: development mode */
    bool check_config;
    bool version;
    bool echo;
    bool has_reactors;
    bool has_backend;
    bool has_simd;
    bool has_log_level;
    struct args_address listen;
    struct args_address internal_listen;
    uint32_t reactors; /* 0: auto */
    enum config_backend backend;
    enum config_simd simd;
    enum config_log_level log_level;
};

enum args_outcome {
    ARGS_RUN = 0,
    ARGS_HELP, /* the help was printed to standard output: exit 0 */
    ARGS_BAD,  /* `error` says what is wrong: print it, exit 2 */
};

NODISCARD enum args_outcome args_parse(int argc, char **argv, struct args *args, char *error,
                                       size_t error_size);

/*
 * The flags over `config`, which holds the file, or the defaults when there is none: then
 * development mode is switched on. Checked as a whole again. 0, or -EINVAL and a text; `config`
 * is untouched then.
 */
NODISCARD int args_apply(const struct args *args, struct config *config, char *error,
                         size_t error_size);

#endif /* SERVER_ARGS_H */
