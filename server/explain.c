/* SPDX-License-Identifier: Apache-2.0 */
#include "server/explain.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/permission.h"
#include "core/check.h"
#include "proto/codes.h"
#include "server/config.h"
#include "server/policies.h"

enum {
    EXIT_USAGE = 2,
    KEY_TOKEN = 0x100,
    KEY_SUBSCRIBED,
};

enum { USER = 0, VERB, CHANNEL, ARGUMENT_COUNT };

/* In the order of enum permission_verb. */
static const char *const verbs[] = {"subscribe", "publish", "history", "presence"};

struct request {
    const char *config_file;
    const char *arguments[ARGUMENT_COUNT];
    enum permission_verb verb;
    bool has_token;
    bool subscribed;
};

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* -- the command line -------------------------------------------------------------------------- */

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration to be explained", 0},
    {"token", KEY_TOKEN, NULL, 0, "With a subscription token for this user and channel", 0},
    {"subscribed", KEY_SUBSCRIBED, NULL, 0, "Somebody who is subscribed to the channel", 0},
    {0},
};

static const char doc[] =
    "Says whether a client may subscribe to a channel, publish to it, read its history or ask for "
    "its presence, and which rule of the configuration says so. VERB is subscribe, publish, "
    "history or presence. An empty USER (\"\") is anonymous.";

static bool read_verb(const char *text, enum permission_verb *verb)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(text, verbs[i]) == 0) {
            *verb = (enum permission_verb)i;
            return true;
        }
    }
    return false;
}

static error_t take(int key, char *value, struct argp_state *state)
{
    struct request *request = state->input;

    switch (key) {
    case 'c':
        request->config_file = value;
        return 0;
    case KEY_TOKEN:
        request->has_token = true;
        return 0;
    case KEY_SUBSCRIBED:
        request->subscribed = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num >= ARGUMENT_COUNT) {
            argp_error(state, "expected USER, VERB and CHANNEL");
            return EINVAL;
        }
        request->arguments[state->arg_num] = value;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < ARGUMENT_COUNT || request->config_file == NULL) {
            argp_error(state, "--config, USER, VERB and CHANNEL are needed");
        } else if (!read_verb(request->arguments[VERB], &request->verb)) {
            argp_error(state, "expected subscribe, publish, history or presence");
        }
        return 0;
    default: /* argp's own keys, which are not our enum */
        return ARGP_ERR_UNKNOWN;
    }
}

/* -- the answer -------------------------------------------------------------------------------- */

static const char *words_for(enum permission_verdict verdict)
{
    switch (verdict) {
    case PERMISSION_GRANTED:
        return "granted";
    case PERMISSION_DENIED:
        return "refused with 103 (permission denied)";
    case PERMISSION_BAD_NAME:
        return "refused with 107 (bad request)";
    case PERMISSION_UNKNOWN_NAMESPACE:
        return "refused with 102 (unknown channel)";
    case PERMISSION_NOT_AVAILABLE:
        return "refused with 108 (not available)";
    case PERMISSION_NO_MEMORY:
        return "not known: there is no memory";
    }
    NEVER("a verdict that is not one");
}

/* Where a rule of that name stands. */
static void print_place(const struct policy_table *table, struct bytes channel)
{
    const struct policy *policy = policy_find(table, channel);
    if (policy == NULL) {
        (void)printf("options: of no namespace\n");
    } else if (policy->index == 0) {
        (void)printf("options: channel.without_namespace\n");
    } else {
        (void)printf("options: namespace %.*s\n", (int)policy->name.size,
                     (const char *)policy->name.data);
    }
}

static int explain(const struct request *request, const struct policy_table *table)
{
    const struct bytes channel = bytes_of(request->arguments[CHANNEL]);
    struct permission_subject subject = {
        .user = bytes_of(request->arguments[USER]),
        .subscribed = request->subscribed,
        .has_token = request->has_token,
    };
    const struct permission_answer answer =
        permission_judge(table, subject, channel, request->verb);

    (void)printf("%s\nrule:    %s\n", words_for(answer.verdict), answer.rule);
    print_place(table, channel);
    /* What would make a difference. */
    const bool is_subscribe = request->verb == PERMISSION_SUBSCRIBE;
    subject.has_token = subject.has_token || is_subscribe;
    subject.subscribed = subject.subscribed || !is_subscribe;
    const struct permission_answer other = permission_judge(table, subject, channel, request->verb);
    if (answer.verdict != PERMISSION_GRANTED && other.verdict == PERMISSION_GRANTED) {
        (void)printf("%s it would be granted: %s\n",
                     is_subscribe ? "With a subscription token" : "To a subscriber", other.rule);
    }
    return answer.verdict == PERMISSION_GRANTED ? EXIT_SUCCESS : EXIT_FAILURE;
}

int explain_run(int argc, char **argv)
{
    const struct argp argp = {options, take, "USER VERB CHANNEL", doc, NULL, NULL, NULL};
    char name[] = "parleyd explain";
    char error[CONFIG_ERROR_SIZE] = "";
    struct request request = {.config_file = NULL};
    struct policies policies;
    struct config config;

    CHECK(argc > 0);
    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &request) != 0) {
        return EXIT_USAGE;
    }
    if (config_load_file(request.config_file, &config, error, sizeof(error)) != 0) {
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return EXIT_USAGE;
    }
    int status = EXIT_USAGE;
    if (policies_init(&policies, &config) == 0) {
        status = explain(&request, &policies.table);
        policies_deinit(&policies);
    } else {
        (void)fprintf(stderr, "parleyd: out of memory\n");
    }
    config_destroy(&config);
    return status;
}
