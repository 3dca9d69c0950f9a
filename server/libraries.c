/* SPDX-License-Identifier: Apache-2.0 */
#include "server/libraries.h"

#include <cjose/version.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>
#include <zlib.h>

enum { COUNT = 6 };

/* What is wanted is where known holes that our use of it could meet were closed. */
static void find(struct library found[static COUNT])
{
    const struct library all[COUNT] = {
        {"OpenSSL", OpenSSL_version(OPENSSL_FULL_VERSION_STRING), "3.0.7"}, /* CVE-2022-3602 */
        /* liburing 2.3 cannot be asked: CMake knows what we are built with. */
        {"liburing", LIBURING_VERSION, NULL},
        {"libyaml", yaml_get_version_string(), "0.2.5"},
        {"cjose", cjose_version(), "0.6.2"},
        {"libcurl", curl_version_info(CURLVERSION_NOW)->version, "7.85.0"}, /* as CMake wants it */
        {"zlib", zlibVersion(), "1.2.12"},                                  /* CVE-2018-25032 */
    };
    for (size_t i = 0; i < COUNT; i++) {
        found[i] = all[i];
    }
}

void libraries_describe(char target[static LIBRARIES_SIZE_MAX])
{
    struct library found[COUNT];
    size_t size = 0;

    find(found);
    target[0] = '\0';
    for (size_t i = 0; i < COUNT && size < LIBRARIES_SIZE_MAX; i++) {
        const int added = snprintf(target + size, LIBRARIES_SIZE_MAX - size, "%-8s %s\n",
                                   found[i].name, found[i].version);
        size += added < 0 ? 0 : (size_t)added;
    }
}

/* The number at the text's begin, which goes behind it and a dot. */
static unsigned long next_number(const char **text)
{
    char *end = NULL;
    const unsigned long number = strtoul(*text, &end, 10);

    *text = *end == '.' ? end + 1 : "";
    return number;
}

static bool is_older(const char *version, const char *least)
{
    while (*least != '\0') {
        const unsigned long is = next_number(&version);
        const unsigned long wanted = next_number(&least);
        if (is != wanted) {
            return is < wanted;
        }
    }
    return false;
}

bool libraries_check(const struct library *libraries, size_t count,
                     char error[static LIBRARIES_ERROR_SIZE])
{
    for (size_t i = 0; i < count; i++) {
        const struct library *one = &libraries[i];
        if (one->least != NULL && is_older(one->version, one->least)) {
            (void)snprintf(error, LIBRARIES_ERROR_SIZE, "%s %s is here, expected %s or newer",
                           one->name, one->version, one->least);
            return false;
        }
    }
    return true;
}

bool libraries_are_new(char error[static LIBRARIES_ERROR_SIZE])
{
    struct library found[COUNT];

    find(found);
    return libraries_check(found, COUNT, error);
}
