/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permission_judge: tables of names and of namespaces, then every combination of rules and
 * subjects against a second statement of the rule.
 */
#include "chat/permission.h"

#include <stdio.h>

#include "tests/unit/chat/testing.h"

static struct permission_table table_of(const struct permission_rules *namespaces, size_t count)
{
    return (struct permission_table){
        .without_namespace = {.subscribe_for_client = true, .subscribe_for_anonymous = true},
        .namespaces = namespaces,
        .namespace_count = count,
        .name_size_max = 20,
    };
}

static const struct permission_rules all_open[] = {
    {{(const uint8_t *)"chat", 4}, true, true, true, true, true},
    {{(const uint8_t *)"c", 1}, false, false, false, false, false},
    {{(const uint8_t *)"news", 4}, true, true, false, false, false},
};

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
    struct permission_table table = table_of(all_open, COUNT(all_open));
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
    const struct permission_table table = table_of(NULL, 0);
    const struct bytes name = {(const uint8_t *)"a\0b", 3};
    const struct permission_subject nobody = {.anonymous = true};
    ck_assert_int_eq(permission_judge(&table, nobody, name, PERMISSION_SUBSCRIBE),
                     PERMISSION_BAD_NAME);
}
END_TEST

/* Who holds a user id is not let in either, as long as nobody can compare it with the name's. */
START_TEST(names_of_people_stay_closed)
{
    const struct permission_rules open = {{NULL, 0}, true, true, true, true, true};
    const struct permission_table table = {.without_namespace = open, .name_size_max = 255};
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

/* Bit by bit: five rules, and two facts about the subject. */
START_TEST(every_rule_for_everybody)
{
    const bool subscribe = (_i & 1) != 0;
    const bool subscribe_nobody = (_i & 2) != 0;
    const bool publish = (_i & 4) != 0;
    const bool publish_member = (_i & 8) != 0;
    const bool publish_nobody = (_i & 16) != 0;
    const struct permission_subject who = {
        .anonymous = (_i & 32) != 0,
        .subscribed = (_i & 64) != 0,
    };
    const struct permission_rules rules = {view("ns"), subscribe,      subscribe_nobody,
                                           publish,    publish_member, publish_nobody};
    const struct permission_table inside = table_of(&rules, 1);
    const struct permission_table outside = {.without_namespace = rules, .name_size_max = 255};

    /* Being anonymous only ever takes something away. */
    bool may_subscribe = subscribe;
    bool may_publish = publish || (publish_member && who.subscribed);
    if (who.anonymous) {
        may_subscribe = may_subscribe && subscribe_nobody;
        may_publish = may_publish && publish_nobody;
    }
    const enum permission_verdict to_subscribe =
        may_subscribe ? PERMISSION_GRANTED : PERMISSION_DENIED;
    const enum permission_verdict to_publish = may_publish ? PERMISSION_GRANTED : PERMISSION_DENIED;

    ck_assert_int_eq(permission_judge(&inside, who, view("ns:x"), PERMISSION_SUBSCRIBE),
                     to_subscribe);
    ck_assert_int_eq(permission_judge(&inside, who, view("ns:x"), PERMISSION_PUBLISH), to_publish);
    ck_assert_int_eq(permission_judge(&outside, who, view("x"), PERMISSION_SUBSCRIBE),
                     to_subscribe);
    ck_assert_int_eq(permission_judge(&outside, who, view("x"), PERMISSION_PUBLISH), to_publish);
}
END_TEST

/* The right one of many, and no namespace takes the rules of another. */
START_TEST(finds_its_namespace)
{
    enum { NAMESPACE_COUNT = 50 };
    static char texts[NAMESPACE_COUNT][16];
    static struct permission_rules rules[NAMESPACE_COUNT];
    for (int i = 0; i < NAMESPACE_COUNT; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "ns%d", i);
        rules[i] =
            (struct permission_rules){.name = view(texts[i]), .publish_for_client = i % 7 == 3};
    }
    const struct permission_table table = table_of(rules, NAMESPACE_COUNT);

    for (int i = 0; i < NAMESPACE_COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "ns%d:room", i);
        ck_assert_int_eq(permission_judge(&table, (struct permission_subject){0}, view(name),
                                          PERMISSION_PUBLISH),
                         i % 7 == 3 ? PERMISSION_GRANTED : PERMISSION_DENIED);
    }
}
END_TEST

int main(void)
{
    TCase *permission = tcase_create("permission");
    tcase_add_loop_test(permission, judges_names, 0, COUNT(names));
    tcase_add_test(permission, refuses_a_nul_inside);
    tcase_add_test(permission, names_of_people_stay_closed);
    tcase_add_loop_test(permission, every_rule_for_everybody, 0, 128);
    tcase_add_test(permission, finds_its_namespace);
    Suite *suite = suite_create("chat/permission");
    suite_add_tcase(suite, permission);
    return run_suite(suite);
}
