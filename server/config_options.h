/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_OPTIONS_H
#define SERVER_CONFIG_OPTIONS_H
/*
 * The table of options: key, type, range, default, and the field that each one fills.
 * Private to server/config*.c, server/args.c and their tests.
 *
 * Owns      constant tables. Pure, ANY_THREAD.
 * Not here  texts <-> values (config_value.h), YAML (config_yaml.h), rules that look at more than
 *           one option (config_validate).
 *
 * Names: where Centrifugo's configuration (its version 6) has a name for the same thing, that is
 * the key, so that who knows one file can read the other.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum {
    CONFIG_OPTIONS_MAX = 192, /* rows of one table */
    CONFIG_KEY_SIZE = 96,     /* bytes: the longest dotted key, its NUL, and room for a typo */
};

/* How an option is written, and the C type of its field. */
enum config_kind {
    CONFIG_KIND_BOOL,         /* bool */
    CONFIG_KIND_NUMBER,       /* uint32_t */
    CONFIG_KIND_SIZE,         /* uint64_t, bytes */
    CONFIG_KIND_PORT,         /* uint16_t */
    CONFIG_KIND_DURATION,     /* uint64_t, nanoseconds */
    CONFIG_KIND_CHOICE,       /* an enum; the number is the index in `choices` */
    CONFIG_KIND_ADDRESS,      /* char[CONFIG_ADDRESS_SIZE] */
    CONFIG_KIND_NAME,         /* char[CONFIG_NAMESPACE_NAME_SIZE] */
    CONFIG_KIND_PATH,         /* char[CONFIG_PATH_SIZE] */
    CONFIG_KIND_REGEX,        /* char[POLICY_REGEX_SIZE] */
    CONFIG_KIND_TEXT,         /* const char *, of at most `max` bytes; NULL: none */
    CONFIG_KIND_SECRET,       /* struct config_secret, likewise */
    CONFIG_KIND_ORIGINS,      /* struct config_origins */
    CONFIG_KIND_NAMESPACES,   /* struct config_namespaces */
    CONFIG_KIND_NETWORKS,     /* struct config_networks */
    CONFIG_KIND_CERTIFICATES, /* struct config_certificates */
    CONFIG_KIND_LISTENERS,    /* struct config_listeners */
};

/* What a reload does with another value: config_change.h. Of a list's items it is the list's. */
enum config_change {
    CONFIG_CHANGE_UNDECIDED = 0, /* of an item, but for those of namespaces */
    CONFIG_CHANGE_NOW,           /* it is used from then on */
    CONFIG_CHANGE_SIZE,          /* likewise, but not from or to 0 */
    CONFIG_CHANGE_RESTART,       /* it is named, and used after the next start */
    CONFIG_CHANGE_WITH_SECTION,  /* likewise, and what else differs there: config_change.c */
};

struct config_option {
    const char *key; /* dotted */
    enum config_kind kind;
    enum config_change change;
    const char *word; /* a number that may be this word, and is 0 in the field then; NULL: none */
    size_t offset;    /* of the field in the struct that the table belongs to */
    uint64_t min;
    uint64_t max;
    uint64_t standard;          /* the default, where it is a number */
    const char *standard_text;  /* the default of an address or a path */
    const char *const *choices; /* the words, NULL at the end */
    const char *unit;           /* of a number, for people: "bytes" */
};

struct config_table {
    const struct config_option *rows;
    size_t count;
};

/* All options, with offsets into struct config. */
struct config_table config_options_all(void);

/* Those of one item of a list of sections, with offsets into the item's struct. */
struct config_table config_options_of_namespace(void);
struct config_table config_options_of_certificate(void);
struct config_table config_options_of_listener(void);

/* NULL when there is none of that name. */
const struct config_option *config_options_find(struct config_table table, const char *key);

/* The index of the first option below `section`, or SIZE_MAX when it is no section. */
NODISCARD size_t config_options_section(struct config_table table, const char *section);

/* Fills the option's field in `base` with its default; a list becomes empty. */
void config_options_set_default(const struct config_option *option, void *base);

/* The value of a bool, number, port, duration or choice. The caller knows that it is in range. */
NODISCARD uint64_t config_options_number(const struct config_option *option, const void *base);
void config_options_set_number(const struct config_option *option, void *base, uint64_t number);

/* The field of a text or of a secret: a pointer in both. */
NODISCARD const char *config_options_text(const struct config_option *option, const void *base);
void config_options_set_text(const struct config_option *option, void *base, const char *text);

#endif /* SERVER_CONFIG_OPTIONS_H */
