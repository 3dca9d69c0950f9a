/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "net/address.h"
#include "net/cidr.h"
#include "server/channel_regex.h"
#include "server/config.h"
#include "server/config_list.h"

#define NS_PER_MS 1000000U

/* From long to short: the first that divides a duration is the one it is written in. */
static const struct {
    const char *name;
    uint64_t ms;
} duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

static bool bytes_are(struct bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

void config_value_show(struct bytes text, char shown[CONFIG_SHOWN_SIZE])
{
    const size_t size_max = CONFIG_SHOWN_SIZE - 4;
    const size_t size = text.size < size_max ? text.size : size_max;

    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = text.data[i];
        shown[i] = '?';
        if (byte >= 0x20 && byte < 0x7f) {
            shown[i] = (char)byte;
        }
    }
    memcpy(shown + size, text.size > size_max ? "..." : "", text.size > size_max ? 4 : 1);
}

static void duration_write(uint64_t ns, char *text, size_t size)
{
    const uint64_t ms = ns / NS_PER_MS;
    if (ms == 0) {
        (void)snprintf(text, size, "0s"); /* every unit divides it */
        return;
    }
    size_t i = 0;
    while (ms % duration_units[i].ms != 0) {
        i++;
    }
    (void)snprintf(text, size, "%" PRIu64 "%s", ms / duration_units[i].ms, duration_units[i].name);
}

static void expected_choice(const struct config_option *option, char *what)
{
    size_t used = (size_t)snprintf(what, CONFIG_WHAT_SIZE, "expected one of");
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        CHECK(used < CONFIG_WHAT_SIZE / 2);
        used += (size_t)snprintf(what + used, CONFIG_WHAT_SIZE - used, "%s %s", i == 0 ? "" : ",",
                                 option->choices[i]);
    }
}

void config_value_expected(const struct config_option *option, char *what)
{
    char least[CONFIG_TEXT_SIZE];
    char most[CONFIG_TEXT_SIZE];

    switch (option->kind) {
    case CONFIG_KIND_BOOL:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected true or false");
        return;
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected %" PRIu64 " to %" PRIu64 " %s%s%s",
                       option->min, option->max, option->unit, option->word == NULL ? "" : ", or ",
                       option->word == NULL ? "" : option->word);
        return;
    case CONFIG_KIND_PORT:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected a port from 1 to 65535");
        return;
    case CONFIG_KIND_DURATION:
        duration_write(option->min, least, sizeof(least));
        duration_write(option->max, most, sizeof(most));
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected a duration from %s to %s", least, most);
        return;
    case CONFIG_KIND_CHOICE:
        expected_choice(option, what);
        return;
    case CONFIG_KIND_ADDRESS:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected an IPv4 or IPv6 address");
        return;
    case CONFIG_KIND_NAME:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected a name of 1 to %d of A-Z a-z 0-9 _ . -",
                       CONFIG_NAMESPACE_NAME_SIZE - 1);
        return;
    case CONFIG_KIND_PATH:
        (void)snprintf(what, CONFIG_WHAT_SIZE,
                       "expected a path of at most %d bytes, without quotes and backslashes",
                       CONFIG_PATH_SIZE - 1);
        return;
    case CONFIG_KIND_REGEX:
        (void)snprintf(what, CONFIG_WHAT_SIZE,
                       "expected a regular expression of at most %d bytes, without quotes",
                       POLICY_REGEX_SIZE - 1);
        return;
    case CONFIG_KIND_TEXT:
        (void)snprintf(what, CONFIG_WHAT_SIZE,
                       "expected a text of at most %" PRIu64 " ASCII characters", option->max);
        return;
    case CONFIG_KIND_SECRET:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected a secret of at most %" PRIu64 " bytes",
                       option->max);
        return;
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        (void)snprintf(what, CONFIG_WHAT_SIZE, "expected a list of %s",
                       config_list_kind(option).many);
        return;
    }
    NEVER("a kind that nobody can write");
}

static bool scalar_is_nothing(struct config_scalar scalar)
{
    return scalar.plain &&
           (scalar.text.size == 0 || bytes_are(scalar.text, "~") || bytes_are(scalar.text, "null"));
}

/* Appends ", found ..." and a hint to what is expected. */
static int refuse(struct config_scalar scalar, const char *hint, char *what)
{
    const size_t used = strlen(what);
    char shown[CONFIG_SHOWN_SIZE];

    config_value_show(scalar.text, shown);
    if (scalar_is_nothing(scalar)) {
        (void)snprintf(what + used, CONFIG_WHAT_SIZE - used, ", found nothing");
    } else {
        (void)snprintf(what + used, CONFIG_WHAT_SIZE - used, ", found %s\"%s\"%s",
                       scalar.plain ? "" : "the string ", shown, hint);
    }
    return -EINVAL;
}

static int refuse_for(const struct config_option *option, struct config_scalar scalar,
                      const char *hint, char *what)
{
    config_value_expected(option, what);
    return refuse(scalar, hint, what);
}

/* The decimal digits at the start; how many there are, 0 also when they are too many. */
static size_t take_digits(struct bytes text, uint64_t *number)
{
    enum { DIGITS_MAX = 18 }; /* 64 bits hold each number of so many */
    size_t size = 0;
    uint64_t value = 0;

    while (size < text.size && is_digit(text.data[size])) {
        if (size == DIGITS_MAX) {
            return 0;
        }
        value = value * 10 + (uint64_t)(text.data[size] - '0');
        size++;
    }
    *number = value;
    return size;
}

static int read_number(const struct config_option *option, struct config_scalar scalar, void *base,
                       char *what)
{
    uint64_t number = 0;
    const bool is_word = option->word != NULL && bytes_are(scalar.text, option->word);
    const bool is_number = scalar.plain && scalar.text.size > 0 &&
                           take_digits(scalar.text, &number) == scalar.text.size;

    /* A leading zero is octal to some readers of YAML and decimal to others. */
    if (!is_word && is_number && scalar.text.size > 1 && scalar.text.data[0] == '0') {
        return refuse_for(option, scalar, " (no leading zeros)", what);
    }
    if (!is_word && (!is_number || number < option->min || number > option->max)) {
        const bool is_zero = is_number && number == 0 && option->kind != CONFIG_KIND_PORT;
        char hint[32] = " (nothing is unlimited)";
        if (option->word != NULL) {
            (void)snprintf(hint, sizeof(hint), " (write %s)", option->word);
        }
        return refuse_for(option, scalar, is_zero ? hint : "", what);
    }
    config_options_set_number(option, base, is_word ? 0 : number);
    return 0;
}

static int read_duration(const struct config_option *option, struct config_scalar scalar,
                         void *base, char *what)
{
    uint64_t number = 0;
    const size_t digits = take_digits(scalar.text, &number);

    if (digits > 0 && digits == scalar.text.size) {
        return refuse_for(option, scalar, " (without a unit: write ms, s, m, h or d after it)",
                          what);
    }
    const struct bytes unit = {scalar.text.data + digits, scalar.text.size - digits};
    for (size_t i = 0; digits > 0 && i < sizeof(duration_units) / sizeof(duration_units[0]); i++) {
        /* Compared before it is multiplied: no number is too long for this. */
        const uint64_t unit_ns = duration_units[i].ms * NS_PER_MS;
        if (bytes_are(unit, duration_units[i].name) && number <= option->max / unit_ns &&
            number * unit_ns >= option->min) {
            config_options_set_number(option, base, number * unit_ns);
            return 0;
        }
    }
    return refuse_for(option, scalar, "", what);
}

static int read_choice(const struct config_option *option, struct config_scalar scalar, void *base,
                       char *what)
{
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (bytes_are(scalar.text, option->choices[i])) {
            config_options_set_number(option, base, i);
            return 0;
        }
    }
    return refuse_for(option, scalar, "", what);
}

static int read_bool(const struct config_option *option, struct config_scalar scalar, void *base,
                     char *what)
{
    const bool is_true = bytes_are(scalar.text, "true");

    if (!scalar.plain || !(is_true || bytes_are(scalar.text, "false"))) {
        return refuse_for(option, scalar, "", what);
    }
    config_options_set_number(option, base, is_true ? 1 : 0);
    return 0;
}

static int read_address(const struct config_option *option, struct config_scalar scalar, void *base,
                        char *what)
{
    char text[CONFIG_ADDRESS_SIZE] = {0};
    struct address parsed;

    if (scalar.text.size == 0 || scalar.text.size >= sizeof(text) ||
        memchr(scalar.text.data, '\0', scalar.text.size) != NULL) {
        return refuse_for(option, scalar, "", what);
    }
    memcpy(text, scalar.text.data, scalar.text.size);
    if (config_socket_address(text, 1, &parsed) != 0) {
        const char *hint = bytes_are(scalar.text, "localhost") ? " (write 127.0.0.1)" : "";
        return refuse_for(option, scalar, hint, what);
    }
    memcpy((uint8_t *)base + option->offset, text, sizeof(text));
    return 0;
}

static int read_name(const struct config_option *option, struct config_scalar scalar, void *base,
                     char *what)
{
    bool is_good = scalar.text.size >= option->min && !scalar_is_nothing(scalar) &&
                   scalar.text.size < CONFIG_NAMESPACE_NAME_SIZE;

    for (size_t i = 0; is_good && i < scalar.text.size; i++) {
        const uint8_t byte = scalar.text.data[i];
        is_good = is_letter(byte) || is_digit(byte) || (byte != 0 && strchr("_.-", byte) != NULL);
    }
    if (!is_good) {
        return refuse_for(option, scalar, "", what);
    }
    uint8_t *field = (uint8_t *)base + option->offset;
    memset(field, 0, CONFIG_NAMESPACE_NAME_SIZE);
    if (scalar.text.size > 0) {
        memcpy(field, scalar.text.data, scalar.text.size);
    }
    return 0;
}

/* What config_value_write() can put between quotes as it is. Empty in quotes: no path. */
static int read_path(const struct config_option *option, struct config_scalar scalar, void *base,
                     char *what)
{
    bool is_good = scalar.text.size < CONFIG_PATH_SIZE && !scalar_is_nothing(scalar);

    for (size_t i = 0; is_good && i < scalar.text.size; i++) {
        const uint8_t byte = scalar.text.data[i];
        is_good = byte >= 0x20 && byte != 0x7f && byte != '"' && byte != '\\';
    }
    if (!is_good) {
        return refuse_for(option, scalar, "", what);
    }
    uint8_t *field = (uint8_t *)base + option->offset;
    memset(field, 0, CONFIG_PATH_SIZE);
    if (scalar.text.size > 0) {
        memcpy(field, scalar.text.data, scalar.text.size);
    }
    return 0;
}

/* Compiled, to see that it can be. */
static int read_regex(const struct config_option *option, struct config_scalar scalar, void *base,
                      char *what)
{
    char pattern[POLICY_REGEX_SIZE] = {0};
    char error[CHANNEL_REGEX_ERROR_SIZE];
    char hint[CHANNEL_REGEX_ERROR_SIZE + 8];
    bool is_good = scalar.text.size < POLICY_REGEX_SIZE && !scalar_is_nothing(scalar);

    for (size_t i = 0; is_good && i < scalar.text.size; i++) {
        const uint8_t byte = scalar.text.data[i];
        is_good = byte >= 0x20 && byte != 0x7f && byte != '"' && byte != '\'';
    }
    if (!is_good) {
        return refuse_for(option, scalar, "", what);
    }
    if (scalar.text.size > 0) {
        memcpy(pattern, scalar.text.data, scalar.text.size);
    }
    struct channel_regex *regex = channel_regex_create(pattern, error);
    if (regex == NULL) {
        (void)snprintf(hint, sizeof(hint), " (%s)", error);
        return refuse_for(option, scalar, hint, what);
    }
    channel_regex_destroy(regex);
    memcpy((uint8_t *)base + option->offset, pattern, sizeof(pattern));
    return 0;
}

int config_value_read(const struct config_option *option, struct config_scalar scalar, void *base,
                      char *what)
{
    switch (option->kind) {
    case CONFIG_KIND_BOOL:
        return read_bool(option, scalar, base, what);
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_PORT:
        return read_number(option, scalar, base, what);
    case CONFIG_KIND_DURATION:
        return read_duration(option, scalar, base, what);
    case CONFIG_KIND_CHOICE:
        return read_choice(option, scalar, base, what);
    case CONFIG_KIND_ADDRESS:
        return read_address(option, scalar, base, what);
    case CONFIG_KIND_NAME:
        return read_name(option, scalar, base, what);
    case CONFIG_KIND_PATH:
        return read_path(option, scalar, base, what);
    case CONFIG_KIND_REGEX:
        return read_regex(option, scalar, base, what);
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        return refuse_for(option, scalar, "", what);
    }
    NEVER("a kind that nobody can read");
}

int config_value_check_text(const struct config_option *option, struct config_scalar scalar,
                            char *what)
{
    const bool is_secret = option->kind == CONFIG_KIND_SECRET;
    bool is_good = scalar.text.size <= option->max && !scalar_is_nothing(scalar);

    for (size_t i = 0; is_good && i < scalar.text.size; i++) {
        const uint8_t byte = scalar.text.data[i];
        /* More than one line is for PEM. */
        const bool is_text =
            (byte >= 0x20 && byte < 0x7f) || (byte == '\n' && option->max > CONFIG_LINE_MAX);
        is_good = is_secret ? byte != '\0' : is_text;
    }
    if (is_good) {
        return 0;
    }
    if (!is_secret || scalar_is_nothing(scalar)) {
        return refuse_for(option, scalar, "", what);
    }
    config_value_expected(option, what);
    const size_t used = strlen(what);
    (void)snprintf(what + used, CONFIG_WHAT_SIZE - used, ", found %s",
                   scalar.text.size > option->max ? "a longer one" : "one with a zero byte");
    return -EINVAL;
}

/* What follows scheme:// up to the end: a host, and maybe a port. */
static bool authority_is_good(struct bytes text)
{
    size_t host_size = 0;
    if (text.size > 0 && text.data[0] == '[') {
        const uint8_t *end = memchr(text.data, ']', text.size);
        host_size = end == NULL ? 0 : (size_t)(end - text.data) + 1;
        for (size_t i = 1; i + 1 < host_size; i++) {
            const uint8_t byte = text.data[i];
            if (!is_digit(byte) && byte != ':' && byte != '.' &&
                !(is_letter(byte) && (byte | 0x20) <= 'f')) {
                return false;
            }
        }
    } else {
        while (host_size < text.size &&
               (is_letter(text.data[host_size]) || is_digit(text.data[host_size]) ||
                text.data[host_size] == '.' || text.data[host_size] == '-')) {
            host_size++;
        }
    }
    if (host_size == 0 || host_size == text.size) {
        return host_size > 0;
    }
    const struct bytes port = {text.data + host_size + 1, text.size - host_size - 1};
    uint64_t number = 0;
    return text.data[host_size] == ':' && port.size > 0 && port.size <= 5 &&
           take_digits(port, &number) == port.size && number >= 1 && number <= UINT16_MAX;
}

static bool scheme_is_good(struct bytes scheme)
{
    for (size_t i = 0; i < scheme.size; i++) {
        const uint8_t byte = scheme.data[i];
        const bool is_inner = is_digit(byte) || byte == '+' || byte == '-' || byte == '.';
        if (!is_letter(byte) && (i == 0 || !is_inner)) {
            return false;
        }
    }
    return scheme.size > 0;
}

int config_value_check_origin(struct config_scalar scalar, char *what)
{
    const struct bytes text = scalar.text;
    const uint8_t *mark =
        text.size <= CONFIG_ORIGIN_MAX ? memmem(text.data, text.size, "://", 3) : NULL;

    if (mark != NULL) {
        const size_t scheme_size = (size_t)(mark - text.data);
        const struct bytes scheme = {text.data, scheme_size};
        const struct bytes rest = {mark + 3, text.size - scheme_size - 3};
        if (scheme_is_good(scheme) && authority_is_good(rest)) {
            return 0;
        }
    }
    (void)snprintf(what, CONFIG_WHAT_SIZE, "expected scheme://host or scheme://host:port");
    const bool is_pattern = text.size > 0 && memchr(text.data, '*', text.size) != NULL;
    return refuse(scalar, is_pattern ? " (no patterns: list each origin)" : "", what);
}

int config_value_read_network(struct config_scalar scalar, struct cidr *network, char *what)
{
    char text[CIDR_TEXT_SIZE_MAX] = {0};

    if (scalar.text.size > 0 && scalar.text.size < sizeof(text) &&
        memchr(scalar.text.data, '\0', scalar.text.size) == NULL) {
        memcpy(text, scalar.text.data, scalar.text.size);
        if (cidr_parse(text, network) == 0) {
            return 0;
        }
    }
    (void)snprintf(what, CONFIG_WHAT_SIZE, "expected an address or a network such as 10.0.0.0/8");
    return refuse(scalar, "", what);
}

void config_value_write(const struct config_option *option, const void *base, char *text)
{
    switch (option->kind) {
    case CONFIG_KIND_BOOL:
        (void)snprintf(text, CONFIG_TEXT_SIZE, "%s",
                       config_options_number(option, base) != 0 ? "true" : "false");
        return;
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_PORT:
        if (option->word != NULL && config_options_number(option, base) == 0) {
            (void)snprintf(text, CONFIG_TEXT_SIZE, "%s", option->word);
            return;
        }
        (void)snprintf(text, CONFIG_TEXT_SIZE, "%" PRIu64, config_options_number(option, base));
        return;
    case CONFIG_KIND_DURATION:
        duration_write(config_options_number(option, base), text, CONFIG_TEXT_SIZE);
        return;
    case CONFIG_KIND_CHOICE:
        (void)snprintf(text, CONFIG_TEXT_SIZE, "%s",
                       option->choices[config_options_number(option, base)]);
        return;
    case CONFIG_KIND_ADDRESS:
    case CONFIG_KIND_NAME:
    case CONFIG_KIND_PATH:
        (void)snprintf(text, CONFIG_TEXT_SIZE, "\"%s\"", (const char *)base + option->offset);
        return;
    case CONFIG_KIND_REGEX:
        (void)snprintf(text, CONFIG_TEXT_SIZE, "'%s'", (const char *)base + option->offset);
        return;
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        break;
    }
    NEVER("a list is not written as one value");
}
