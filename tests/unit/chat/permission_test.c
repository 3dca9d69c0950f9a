/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permission_judge: tables of names and of namespaces, then every combination of rules and
 * subjects against a second statement of the rule.
 */
#include "chat/permission.h"

#include <errno.h>
#include <stdio.h>

#include "chat/policy.h"
#include "tests/unit/chat/testing.h"

static const struct policy open_all = {
    .allow_subscribe_for_client = true,
    .allow_subscribe_for_anonymous = true,
    .allow_publish_for_client = true,
    .allow_publish_for_subscriber = true,
    .allow_publish_for_anonymous = true,
};

static struct policy policy_named(const char *name, struct policy policy)
{
    policy.name = view(name);
    return policy;
}

static struct policy_table table_of(const struct policy *policies, int count)
{
    return (struct policy_table){
        .policies = policies,
        .policy_count = (size_t)count,
        .name_size_max = 20,
    };
}

static enum permission_verdict verdict(const struct policy_table *table,
                                       struct permission_subject subject, struct bytes channel,
                                       enum permission_verb verb)
{
    const struct permission_answer answer = permission_judge(table, subject, channel, verb);
    ck_assert_ptr_nonnull(answer.rule);
    return answer.verdict;
}

/* For somebody without a user id who wants to subscribe; and again where everything is allowed. */
static const struct {
    const char *why;
    const char *name;
    enum permission_verdict verdict;
    enum permission_verdict insecure;
} names[] = {
    {"no namespace", "lobby", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"one byte", "x", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"the first printable", "!", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"the last printable", "~", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"all it may be", "12345678901234567890", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"a byte more", "123456789012345678901", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"nothing", "", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"a space", "a b", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"a space at the end", "a ", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"a newline", "a\nb", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"a carriage return", "\rb", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"an escape", "a\x1b[0m", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"delete", "a\x7f", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"not ASCII", "caf\xc3\xa9", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"the top bit alone", "\x80", PERMISSION_BAD_NAME, PERMISSION_BAD_NAME},
    {"wildcards of others are just text", "*.>", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"a quote", "a\"b", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"a namespace", "chat:lobby", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"a closed namespace", "c:lobby", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"a namespace and nothing behind", "chat:", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"the first colon counts", "chat:c:d", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"and no other", "d:chat:c", PERMISSION_UNKNOWN_NAMESPACE, PERMISSION_UNKNOWN_NAMESPACE},
    {"unknown", "chats:x", PERMISSION_UNKNOWN_NAMESPACE, PERMISSION_UNKNOWN_NAMESPACE},
    {"the start of one", "cha:x", PERMISSION_UNKNOWN_NAMESPACE, PERMISSION_UNKNOWN_NAMESPACE},
    {"another case", "Chat:x", PERMISSION_UNKNOWN_NAMESPACE, PERMISSION_UNKNOWN_NAMESPACE},
    {"an empty one", ":x", PERMISSION_UNKNOWN_NAMESPACE, PERMISSION_UNKNOWN_NAMESPACE},
    {"a colon alone", ":", PERMISSION_UNKNOWN_NAMESPACE, PERMISSION_UNKNOWN_NAMESPACE},
    {"for the holders of a token", "$lobby", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"the same in a namespace", "$chat:lobby", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"in none that is known", "$x:lobby", PERMISSION_UNKNOWN_NAMESPACE,
     PERMISSION_UNKNOWN_NAMESPACE},
    {"a dollar alone", "$", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"a dollar further on", "a$", PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"a colon behind the users' mark is theirs", "chat#x:y", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"a dialog", "dialog#42,43", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"a dialog in a namespace", "chat:d#42", PERMISSION_DENIED, PERMISSION_GRANTED},
    {"a dialog of nobody", "d#", PERMISSION_DENIED, PERMISSION_GRANTED},
};

START_TEST(judges_names)
{
    const struct policy policies[] = {
        open_all,
        policy_named("chat", open_all),
        policy_named("c", (struct policy){.index = 0}),
        policy_named("news", open_all),
    };
    struct policy_table table = table_of(policies, COUNT(policies));
    const struct permission_subject nobody = {.subscribed = false};
    const struct bytes name = view(names[_i].name);
    uint8_t *copy = copy_of(name);

    ck_assert_msg(verdict(&table, nobody, (struct bytes){copy, name.size}, PERMISSION_SUBSCRIBE) ==
                      names[_i].verdict,
                  "%s", names[_i].why);
    table.insecure = true;
    ck_assert_msg(verdict(&table, nobody, (struct bytes){copy, name.size}, PERMISSION_PUBLISH) ==
                      names[_i].insecure,
                  "%s", names[_i].why);
    free(copy);
}
END_TEST

START_TEST(refuses_a_nul_inside)
{
    const struct policy_table table = table_of(&open_all, 1);
    const struct bytes name = {(const uint8_t *)"a\0b", 3};
    const struct permission_subject nobody = {.subscribed = false};
    ck_assert_int_eq(verdict(&table, nobody, name, PERMISSION_SUBSCRIBE), PERMISSION_BAD_NAME);
}
END_TEST

/* Where every option is set: what is left is what the name says. */
static const struct {
    const char *why;
    const char *channel;
    const char *user;
    bool has_token;
    bool subscribed;
    enum permission_verdict subscribe;
    enum permission_verdict others; /* publish, history, presence */
} secrets[] = {
    {"no token", "$a", "42", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"by token", "$a", "42", true, false, PERMISSION_GRANTED, PERMISSION_DENIED},
    {"inside, by a token", "$a", "42", false, true, PERMISSION_DENIED, PERMISSION_GRANTED},
    {"anonymous, by token", "$a", "", true, false, PERMISSION_GRANTED, PERMISSION_DENIED},
    {"the first of two", "d#42,43", "42", false, false, PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"the last of two", "d#42,43", "43", false, false, PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"the end of one", "d#42,43", "2", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"the begin of one", "d#42,43", "4", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"one and more", "d#42,43", "431", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"both in one", "d#42,43", "42,43", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"another case", "d#ann", "Ann", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"nobody among some", "d#42,43", "", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"nobody among nobody", "d#", "", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"nobody between commas", "d#,,", "", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"behind an empty one", "d#,42", "42", false, false, PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"another one, by token", "d#42,43", "44", true, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"another one, inside", "d#42,43", "44", false, true, PERMISSION_DENIED, PERMISSION_DENIED},
    {"the first mark counts", "d#1#42", "42", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"a mark in a user id", "d#1#42", "1#42", false, false, PERMISSION_GRANTED, PERMISSION_GRANTED},
    {"both kinds, no token", "$d#42", "42", false, false, PERMISSION_DENIED, PERMISSION_DENIED},
    {"both kinds, by token", "$d#42", "42", true, false, PERMISSION_GRANTED, PERMISSION_DENIED},
    {"both kinds, another one", "$d#42", "43", true, true, PERMISSION_DENIED, PERMISSION_DENIED},
};

START_TEST(names_say_who_may_come_in)
{
    struct policy policy = open_all;
    policy.allow_history_for_client = true;
    policy.allow_history_for_anonymous = true;
    policy.allow_presence_for_client = true;
    policy.allow_presence_for_anonymous = true;
    policy.allow_user_limited_channels = true;
    policy.presence = true;
    policy.history_size = 1;
    const struct policy_table table = table_of(&policy, 1);
    const struct permission_subject who = {
        .user = view(secrets[_i].user),
        .has_token = secrets[_i].has_token,
        .subscribed = secrets[_i].subscribed,
    };
    const struct bytes channel = view(secrets[_i].channel);

    ck_assert_msg(verdict(&table, who, channel, PERMISSION_SUBSCRIBE) == secrets[_i].subscribe,
                  "%s", secrets[_i].why);
    for (int verb = PERMISSION_PUBLISH; verb <= PERMISSION_PRESENCE; verb++) {
        ck_assert_msg(verdict(&table, who, channel, (enum permission_verb)verb) ==
                          secrets[_i].others,
                      "%s", secrets[_i].why);
    }
}
END_TEST

static int is_long(const void *context, struct bytes rest)
{
    return rest.size >= *(const size_t *)context;
}

static int has_no_memory(const void *context, struct bytes rest)
{
    (void)context;
    (void)rest;
    return -ENOMEM;
}

static const struct {
    const char *why;
    const char *channel;
    const char *user;
    bool has_token;
    bool is_back_end;
    enum permission_verb verb;
    enum permission_verdict verdict;
    const char *rule;
} explained[] = {
    {"a name that is too long", "123456789012345678901", "u", false, true, PERMISSION_SUBSCRIBE,
     PERMISSION_BAD_NAME, "channel.max_length"},
    {"no namespace of that name", "x:1234", "u", false, true, PERMISSION_SUBSCRIBE,
     PERMISSION_UNKNOWN_NAMESPACE, "channel.namespaces"},
    {"not what the namespace likes", "chat:123", "u", false, true, PERMISSION_SUBSCRIBE,
     PERMISSION_BAD_NAME, "channel_regex"},
    {"nor behind a dollar", "$chat:123", "u", true, false, PERMISSION_SUBSCRIBE,
     PERMISSION_BAD_NAME, "channel_regex"},
    {"no history", "chat:1234", "u", false, true, PERMISSION_HISTORY, PERMISSION_NOT_AVAILABLE,
     "history_size"},
    {"no presence", "chat:1234", "u", false, true, PERMISSION_PRESENCE, PERMISSION_NOT_AVAILABLE,
     "presence"},
    {"the back end may", "chat:1234", "", false, true, PERMISSION_SUBSCRIBE, PERMISSION_GRANTED,
     "the back end wants it"},
    {"a token opens", "chat:1234", "u", true, false, PERMISSION_SUBSCRIBE, PERMISSION_GRANTED,
     "subscription token"},
    {"and else nothing does", "chat:1234", "u", false, false, PERMISSION_SUBSCRIBE,
     PERMISSION_DENIED, "allow_subscribe_for_client"},
    {"users who are named", "chat:d#u,v", "v", false, false, PERMISSION_SUBSCRIBE,
     PERMISSION_GRANTED, "allow_user_limited_channels"},
    {"a token for subscribing opens no publishing", "chat:1234", "u", true, false,
     PERMISSION_PUBLISH, PERMISSION_DENIED, "allow_publish_for_subscriber"},
};

START_TEST(says_which_rule_decided)
{
    const size_t least = 4;
    const struct policy_pattern pattern = {is_long, &least};
    const struct policy policies[] = {
        open_all,
        policy_named("chat", (struct policy){.pattern = &pattern,
                                             .allow_publish_for_subscriber = true,
                                             .allow_user_limited_channels = true}),
    };
    const struct policy_table table = table_of(policies, COUNT(policies));
    const struct permission_subject who = {
        .user = view(explained[_i].user),
        .has_token = explained[_i].has_token,
        .is_back_end = explained[_i].is_back_end,
    };
    const struct permission_answer answer =
        permission_judge(&table, who, view(explained[_i].channel), explained[_i].verb);

    ck_assert_msg(answer.verdict == explained[_i].verdict, "%s", explained[_i].why);
    ck_assert_msg(strcmp(answer.rule, explained[_i].rule) == 0, "%s: %s", explained[_i].why,
                  answer.rule);
}
END_TEST

/* Nobody is told that a name is none, where that could not be found out. */
START_TEST(says_when_there_is_no_memory)
{
    const struct policy_pattern pattern = {has_no_memory, NULL};
    const struct policy policies[] = {open_all,
                                      policy_named("chat", (struct policy){.pattern = &pattern})};
    const struct policy_table table = table_of(policies, COUNT(policies));
    const struct permission_subject who = {.user = view("ann")};

    ck_assert_int_eq(permission_judge(&table, who, view("chat:a"), PERMISSION_SUBSCRIBE).verdict,
                     PERMISSION_NO_MEMORY);
}
END_TEST

/* One verb asks for its own three rules and for nobody else's. */
static struct policy policy_for(enum permission_verb verb, bool client, bool member, bool nobody)
{
    switch (verb) {
    case PERMISSION_SUBSCRIBE:
        return (struct policy){.allow_subscribe_for_client = client,
                               .allow_subscribe_for_anonymous = nobody};
    case PERMISSION_PUBLISH:
        return (struct policy){
            .allow_publish_for_client = client,
            .allow_publish_for_subscriber = member,
            .allow_publish_for_anonymous = nobody,
        };
    case PERMISSION_HISTORY:
        return (struct policy){
            .history_size = 1,
            .allow_history_for_client = client,
            .allow_history_for_subscriber = member,
            .allow_history_for_anonymous = nobody,
        };
    case PERMISSION_PRESENCE:
        return (struct policy){
            .presence = true,
            .allow_presence_for_client = client,
            .allow_presence_for_subscriber = member,
            .allow_presence_for_anonymous = nobody,
        };
    }
    abort();
}

/* Bit by bit: three rules of a verb, and two facts about the subject. */
START_TEST(every_rule_for_everybody)
{
    static const enum permission_verb verbs[] = {PERMISSION_SUBSCRIBE, PERMISSION_PUBLISH,
                                                 PERMISSION_HISTORY, PERMISSION_PRESENCE};
    const bool client = (_i & 1) != 0;
    const bool member = (_i & 2) != 0;
    const bool nobody = (_i & 4) != 0;
    const bool anonymous = (_i & 8) != 0;
    const struct permission_subject who = {
        .user = view(anonymous ? "" : "ann"),
        .subscribed = (_i & 16) != 0,
    };
    for (int i = 0; i < COUNT(verbs); i++) {
        const struct policy policy = policy_for(verbs[i], client, member, nobody);
        const struct policy inside_list[] = {{.name = view("")}, policy_named("ns", policy)};
        const struct policy_table inside = table_of(inside_list, COUNT(inside_list));
        const struct policy_table outside = table_of(&policy, 1);

        /* Being anonymous only ever takes something away. */
        bool may = client || (member && who.subscribed && verbs[i] != PERMISSION_SUBSCRIBE);
        may = may && (nobody || !anonymous);
        const enum permission_verdict wanted = may ? PERMISSION_GRANTED : PERMISSION_DENIED;
        ck_assert_int_eq(verdict(&inside, who, view("ns:x"), verbs[i]), wanted);
        ck_assert_int_eq(verdict(&outside, who, view("x"), verbs[i]), wanted);
        for (int other = 0; other < COUNT(verbs); other++) {
            if (other != i) {
                ck_assert_int_ne(verdict(&outside, who, view("x"), verbs[other]),
                                 PERMISSION_GRANTED);
            }
        }
    }
}
END_TEST

int main(void)
{
    TCase *permission = tcase_create("permission");
    tcase_add_loop_test(permission, judges_names, 0, COUNT(names));
    tcase_add_test(permission, refuses_a_nul_inside);
    tcase_add_loop_test(permission, names_say_who_may_come_in, 0, COUNT(secrets));
    tcase_add_loop_test(permission, says_which_rule_decided, 0, COUNT(explained));
    tcase_add_test(permission, says_when_there_is_no_memory);
    tcase_add_loop_test(permission, every_rule_for_everybody, 0, 32);
    Suite *suite = suite_create("chat/permission");
    suite_add_tcase(suite, permission);
    return run_suite(suite);
}
