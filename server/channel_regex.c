/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel_regex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/check.h"

enum {
    STEPS_MAX = 10000, /* of one match */
    DEPTH_MAX = 1000,  /* of what it may have to go back to */
    HEAP_KIB_MAX = 256,
    NEST_MAX = 20, /* parentheses in parentheses */
};

struct channel_regex {
    pcre2_code *code;
    pcre2_match_context *budget;
};

static pcre2_code *compile(const char *pattern, char error[CHANNEL_REGEX_ERROR_SIZE])
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_UCHAR text[CHANNEL_REGEX_ERROR_SIZE / 2];
    PCRE2_SIZE at = 0;
    int fault = 0;

    if (context == NULL || pcre2_set_parens_nest_limit(context, NEST_MAX) != 0) {
        pcre2_compile_context_free(context);
        (void)snprintf(error, CHANNEL_REGEX_ERROR_SIZE, "out of memory");
        return NULL;
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, strlen(pattern), PCRE2_NEVER_BACKSLASH_C,
                                     &fault, &at, context);
    pcre2_compile_context_free(context);
    if (code == NULL) {
        (void)pcre2_get_error_message(fault, text, sizeof(text));
        (void)snprintf(error, CHANNEL_REGEX_ERROR_SIZE, "%s, at byte %zu", (const char *)text, at);
    }
    return code;
}

struct channel_regex *channel_regex_create(const char *pattern,
                                           char error[CHANNEL_REGEX_ERROR_SIZE])
{
    pcre2_code *code = compile(pattern, error);
    if (code == NULL) {
        return NULL;
    }
    struct channel_regex *regex = malloc(sizeof(*regex));
    pcre2_match_context *budget = pcre2_match_context_create(NULL);
    if (regex == NULL || budget == NULL) {
        free(regex);
        pcre2_match_context_free(budget);
        pcre2_code_free(code);
        (void)snprintf(error, CHANNEL_REGEX_ERROR_SIZE, "out of memory");
        return NULL;
    }
    (void)pcre2_set_match_limit(budget, STEPS_MAX); /* these cannot fail */
    (void)pcre2_set_depth_limit(budget, DEPTH_MAX);
    (void)pcre2_set_heap_limit(budget, HEAP_KIB_MAX);
    *regex = (struct channel_regex){code, budget};
    return regex;
}

void channel_regex_destroy(struct channel_regex *regex)
{
    if (regex != NULL) {
        pcre2_match_context_free(regex->budget);
        pcre2_code_free(regex->code);
        free(regex);
    }
}

int channel_regex_matches(const void *context, struct bytes rest)
{
    const struct channel_regex *regex = context;
    /* Not kept: threads share the pattern. */
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (match == NULL) {
        return -ENOMEM;
    }
    CHECK(rest.data != NULL);
    const int found = pcre2_match(regex->code, rest.data, rest.size, 0, 0, match, regex->budget);
    pcre2_match_data_free(match);
    return found == PCRE2_ERROR_NOMEMORY ? -ENOMEM : found >= 0;
}
