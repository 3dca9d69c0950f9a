/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_VALUE_H
#define SERVER_CONFIG_VALUE_H
/*
 * One option's value: from the text of a file or a flag, and back.
 * Private to server/config*.c, server/args.c and their tests.
 *
 * Pure, ANY_THREAD. Not here: what needs memory (config_yaml.c), rules across options
 * (config_rules.h).
 * Failures  -EINVAL and "expected ..., found ..." without key or place; the field is untouched.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "server/config_options.h"

enum {
    CONFIG_WHAT_SIZE = 640,  /* bytes: the longest "expected ..., found ..." */
    CONFIG_TEXT_SIZE = 264,  /* bytes: the longest value that config_value_write() writes */
    CONFIG_SHOWN_SIZE = 64,  /* bytes: foreign text as errors show it, its NUL included */
    CONFIG_ORIGIN_MAX = 255, /* bytes of an origin */
};

struct cidr; /* net/cidr.h */

struct config_scalar {
    struct bytes text;
    bool plain; /* not in quotes: may be a number, a bool or nothing */
};

/* Reads everything but lists, texts and secrets. `what` has room for CONFIG_WHAT_SIZE bytes. */
NODISCARD int config_value_read(const struct config_option *option, struct config_scalar scalar,
                                void *base, char *what);

/* scheme://host or scheme://host:port, as a browser writes it. */
NODISCARD int config_value_check_origin(struct config_scalar scalar, char *what);

/* An address, or a network with a prefix that covers all bits that are set. */
NODISCARD int config_value_read_network(struct config_scalar scalar, struct cidr *network,
                                        char *what);

/* A text or a secret: its size and its characters. */
NODISCARD int config_value_check_text(const struct config_option *option,
                                      struct config_scalar scalar, char *what);

/* "expected ...": what the option takes, for an error about something that is no scalar. */
void config_value_expected(const struct config_option *option, char *what);

/* The value as the file would have it, in CONFIG_TEXT_SIZE bytes. Not for lists, texts and
 * secrets. */
void config_value_write(const struct config_option *option, const void *base, char *text);

/* Foreign text made fit for one line of a terminal: cut, and '?' for what is not plain ASCII. */
void config_value_show(struct bytes text, char shown[CONFIG_SHOWN_SIZE]);

#endif /* SERVER_CONFIG_VALUE_H */
