/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64: the vectors of RFC 4648, section 10; what is refused, from a table; and that of all texts
 * of up to two characters behind a group exactly those are taken that an encoder writes.
 */
#include "proto/base64.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* From an exact-size heap copy to one with exactly the room that is promised to be enough. */
static bool decode(enum base64_kind kind, const char *text, uint8_t **target, size_t *size)
{
    const size_t text_size = strlen(text);
    const size_t room = base64_size_max(text_size);
    uint8_t *copy = malloc(text_size + (text_size == 0));
    *target = malloc(room + (room == 0));
    ck_assert_ptr_nonnull(copy);
    ck_assert_ptr_nonnull(*target);
    memcpy(copy, text, text_size);
    const bool good = base64_decode(kind, (struct bytes){copy, text_size}, *target, size);
    if (good) {
        ck_assert_uint_le(*size, room);
        size_t again = 0;
        uint8_t *const place = realloc(copy, text_size + (text_size == 0));
        ck_assert(base64_decode(kind, (struct bytes){place, text_size}, place, &again));
        ck_assert_uint_eq(again, *size);
        ck_assert_int_eq(memcmp(place, *target, again), 0);
        copy = place;
    }
    free(copy);
    return good;
}

static const struct {
    enum base64_kind kind;
    const char *text;
    const char *bytes;
} vectors[] = {
    {BASE64_PADDED, "", ""},
    {BASE64_PADDED, "Zg==", "f"},
    {BASE64_PADDED, "Zm8=", "fo"},
    {BASE64_PADDED, "Zm9v", "foo"},
    {BASE64_PADDED, "Zm9vYg==", "foob"},
    {BASE64_PADDED, "Zm9vYmE=", "fooba"},
    {BASE64_PADDED, "Zm9vYmFy", "foobar"},
    {BASE64_PADDED, "+/+/", "\xfb\xff\xbf"},
    {BASE64_URL, "", ""},
    {BASE64_URL, "Zg", "f"},
    {BASE64_URL, "Zm8", "fo"},
    {BASE64_URL, "Zm9v", "foo"},
    {BASE64_URL, "Zm9vYg", "foob"},
    {BASE64_URL, "Zm9vYmE", "fooba"},
    {BASE64_URL, "-_-_", "\xfb\xff\xbf"},
};

START_TEST(decodes)
{
    uint8_t *target;
    size_t size = 0;

    ck_assert(decode(vectors[_i].kind, vectors[_i].text, &target, &size));
    ck_assert_uint_eq(size, strlen(vectors[_i].bytes));
    ck_assert_int_eq(memcmp(target, vectors[_i].bytes, size), 0);
    free(target);
}
END_TEST

static const struct {
    const char *why;
    enum base64_kind kind;
    const char *text;
} refusals[] = {
    {"one character", BASE64_URL, "Z"},
    {"five characters", BASE64_URL, "Zm9vZ"},
    {"padding", BASE64_URL, "Zg=="},
    {"the other alphabet", BASE64_URL, "+/+/"},
    {"the other alphabet", BASE64_PADDED, "-_-_"},
    {"bits behind the end", BASE64_URL, "Zh"},
    {"bits behind the end of two", BASE64_URL, "Zm9"},
    {"bits behind the end", BASE64_PADDED, "Zh=="},
    {"white space", BASE64_URL, "Zm9v\n"},
    {"white space inside", BASE64_PADDED, "Zm 9v==="},
    {"no padding", BASE64_PADDED, "Zg"},
    {"half of the padding", BASE64_PADDED, "Zg="},
    {"too much padding", BASE64_PADDED, "Zm9v===="},
    {"three of padding", BASE64_PADDED, "Z==="},
    {"only padding", BASE64_PADDED, "===="},
    {"padding inside", BASE64_PADDED, "Zg==Zg=="},
    {"a dot", BASE64_URL, "Zm.v"},
    {"more than ASCII", BASE64_URL, "Zm\xc3\xa9v"},
};

START_TEST(refuses)
{
    uint8_t *target;
    size_t size = 77;

    ck_assert_msg(!decode(refusals[_i].kind, refusals[_i].text, &target, &size), "%s",
                  refusals[_i].why);
    ck_assert_uint_eq(size, 77);
    free(target);
}
END_TEST

/* Two characters stand for a byte in 256 of their 65536 pairs. */
START_TEST(each_byte_in_one_way)
{
    int count = 0;
    for (int first = 1; first < 256; first++) {
        for (int second = 1; second < 256; second++) {
            const char text[] = {(char)first, (char)second, '\0'};
            uint8_t *target;
            size_t size = 0;
            count += decode(BASE64_URL, text, &target, &size) ? 1 : 0;
            free(target);
        }
    }
    ck_assert_int_eq(count, 256);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/base64");
    TCase *group = tcase_create("base64");
    tcase_add_loop_test(group, decodes, 0, (int)COUNT_OF(vectors));
    tcase_add_loop_test(group, refuses, 0, (int)COUNT_OF(refusals));
    tcase_add_test(group, each_byte_in_one_way);
    suite_add_tcase(suite, group);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
