/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which requests show the key: from a table of header lines, read as the server reads them. Files
 * that a key may be in.
 */
#include "server/api_key.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/http.h"
#include "server/config.h"

static char error[256];
static const struct http_limits limits = {8192, 64, 4096};

static const struct {
    const char *why;
    const char *headers;
    bool is_shown;
} cases[] = {
    {"the key", "X-API-Key: secret\r\n", true},
    {"other case of the name", "x-api-KEY: secret\r\n", true},
    {"white space around it", "X-API-Key:  secret \t\r\n", true},
    {"Authorization", "Authorization: apikey secret\r\n", true},
    {"other case of the scheme", "Authorization: APIKey   secret\r\n", true},
    {"nothing", "", false},
    {"an empty one", "X-API-Key:\r\n", false},
    {"other case of the key", "X-API-Key: Secret\r\n", false},
    {"its beginning", "X-API-Key: secre\r\n", false},
    {"more", "X-API-Key: secrets\r\n", false},
    {"two in one", "X-API-Key: secret, secret\r\n", false},
    {"a wrong one before it", "X-API-Key: wrong\r\nX-API-Key: secret\r\n", false},
    {"a wrong one, and another header", "X-API-Key: wrong\r\nAuthorization: apikey secret\r\n",
     false},
    {"another scheme", "Authorization: Bearer secret\r\n", false},
    {"no scheme", "Authorization: secret\r\n", false},
    {"no space", "Authorization: apikeysecret\r\n", false},
    {"the scheme alone", "Authorization: apikey\r\n", false},
    {"a header like it", "X-API-Keys: secret\r\n", false},
};

static bool is_shown(const struct api_key *key, const char *headers)
{
    char head[512];
    struct http_reader reader = {0};
    struct http_request request;
    const int size =
        snprintf(head, sizeof(head), "POST /api/info HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    ck_assert(size > 0 && (size_t)size < sizeof(head));
    const struct bytes in = {(const uint8_t *)head, (size_t)size};
    ck_assert_int_eq(http_read_head(&reader, in, &limits, &request), HTTP_OK);
    return api_key_is_shown(key, &request);
}

START_TEST(recognises)
{
    struct api_key key;
    const struct config_http_api config = {.key = {"secret"}};
    ck_assert(api_key_load(&key, &config, error, sizeof(error)));
    ck_assert(key.is_set);
    ck_assert_msg(is_shown(&key, cases[_i].headers) == cases[_i].is_shown, "%s", cases[_i].why);
}
END_TEST

START_TEST(no_key_is_no_key)
{
    struct api_key key;
    const struct config_http_api config = {.key_file = NULL};
    ck_assert(api_key_load(&key, &config, error, sizeof(error)));
    ck_assert(!key.is_set);
    ck_assert(!is_shown(&key, ""));
    ck_assert(!is_shown(&key, "X-API-Key:\r\n"));
    ck_assert(!is_shown(&key, "X-API-Key: secret\r\n"));
}
END_TEST

static const struct {
    const char *why;
    const char *content; /* NULL: there is no file */
    const char *error;   /* the end of it; NULL: it is good */
} files[] = {
    {"a key", "secret", NULL},
    {"as an editor writes it", "secret\n", NULL},
    {"nothing", "", "without spaces around it"},
    {"a newline", "\n", "without spaces around it"},
    {"two newlines", "secret\n\n", "without spaces around it"},
    {"a space", "secret ", "without spaces around it"},
    {"not ASCII", "s\xc3\xa4", "without spaces around it"},
    {"no file", NULL, "No such file or directory"},
};

START_TEST(reads_files)
{
    char path[] = "/tmp/parley-api-key-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    if (files[_i].content == NULL) {
        ck_assert_int_eq(unlink(path), 0);
    } else {
        const ssize_t size = (ssize_t)strlen(files[_i].content);
        ck_assert(write(fd, files[_i].content, (size_t)size) == size);
    }
    (void)close(fd);
    struct api_key key;
    const struct config_http_api config = {.key_file = path};
    const bool loaded = api_key_load(&key, &config, error, sizeof(error));
    ck_assert_msg(loaded == (files[_i].error == NULL), "%s", files[_i].why);
    if (loaded) {
        ck_assert(is_shown(&key, "X-API-Key: secret\r\n"));
    } else {
        ck_assert_ptr_nonnull(strstr(error, "http_api.key_file: /tmp/parley-api-key-"));
        ck_assert_msg(strstr(error, files[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(strstr(error, "secret"));
    }
    (void)unlink(path);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("api_key");
    tcase_add_loop_test(tests, recognises, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_loop_test(tests, reads_files, 0, (int)(sizeof(files) / sizeof(files[0])));
    tcase_add_test(tests, no_key_is_no_key);
    Suite *suite = suite_create("server/api_key");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
