/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permission_judge: tables of names and of namespaces, then every combination of rules and
 * subjects against a second statement of the rule.
 */
#include "chat/permission.h"

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
    const struct permission_subject nobody = {.anonymous = true};
    const struct bytes name = view(names[_i].name);
    uint8_t *copy = copy_of(name);

    ck_assert_msg(permission_judge(&table, nobody, (struct bytes){copy, name.size},
                                   PERMISSION_SUBSCRIBE) == names[_i].verdict,
                  "%s", names[_i].why);
    table.insecure = true;
    ck_assert_msg(permission_judge(&table, nobody, (struct bytes){copy, name.size},
                                   PERMISSION_PUBLISH) == names[_i].insecure,
                  "%s", names[_i].why);
    free(copy);
}
END_TEST

START_TEST(refuses_a_nul_inside)
{
    const struct policy_table table = table_of(&open_all, 1);
    const struct bytes name = {(const uint8_t *)"a\0b", 3};
    const struct permission_subject nobody = {.anonymous = true};
    ck_assert_int_eq(permission_judge(&table, nobody, name, PERMISSION_SUBSCRIBE),
                     PERMISSION_BAD_NAME);
}
END_TEST

/* Who holds a user id is not let in either, as long as nobody can compare it with the name's. */
START_TEST(names_of_people_stay_closed)
{
    const struct policy_table table = table_of(&open_all, 1);
    static const char *const closed[] = {"$secret", "dialog#42,43", "#", "$a#1"};

    for (int i = 0; i < COUNT(closed); i++) {
        for (int subject = 0; subject < 4; subject++) {
            const struct permission_subject who = {
                .anonymous = (subject & 1) != 0,
                .subscribed = (subject & 2) != 0,
            };
            ck_assert_int_eq(permission_judge(&table, who, view(closed[i]), PERMISSION_SUBSCRIBE),
                             PERMISSION_DENIED);
            ck_assert_int_eq(permission_judge(&table, who, view(closed[i]), PERMISSION_PUBLISH),
                             PERMISSION_DENIED);
        }
    }
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
            .allow_history_for_client = client,
            .allow_history_for_subscriber = member,
            .allow_history_for_anonymous = nobody,
        };
    case PERMISSION_PRESENCE:
        return (struct policy){
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
    const struct permission_subject who = {
        .anonymous = (_i & 8) != 0,
        .subscribed = (_i & 16) != 0,
    };
    for (int i = 0; i < COUNT(verbs); i++) {
        const struct policy policy = policy_for(verbs[i], client, member, nobody);
        const struct policy inside_list[] = {{.name = view("")}, policy_named("ns", policy)};
        const struct policy_table inside = table_of(inside_list, COUNT(inside_list));
        const struct policy_table outside = table_of(&policy, 1);

        /* Being anonymous only ever takes something away. */
        bool may = client || (member && who.subscribed && verbs[i] != PERMISSION_SUBSCRIBE);
        may = may && (nobody || !who.anonymous);
        const enum permission_verdict verdict = may ? PERMISSION_GRANTED : PERMISSION_DENIED;
        ck_assert_int_eq(permission_judge(&inside, who, view("ns:x"), verbs[i]), verdict);
        ck_assert_int_eq(permission_judge(&outside, who, view("x"), verbs[i]), verdict);
        for (int other = 0; other < COUNT(verbs); other++) {
            if (other != i) {
                ck_assert_int_eq(permission_judge(&outside, who, view("x"), verbs[other]),
                                 PERMISSION_DENIED);
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
    tcase_add_test(permission, names_of_people_stay_closed);
    tcase_add_loop_test(permission, every_rule_for_everybody, 0, 32);
    Suite *suite = suite_create("chat/permission");
    suite_add_tcase(suite, permission);
    return run_suite(suite);
}
