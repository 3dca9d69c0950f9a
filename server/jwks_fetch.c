/* SPDX-License-Identifier: Apache-2.0 */
#include "server/jwks_fetch.h"

#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/address.h"

enum { HTTP_OK = 200 };

struct jwks_fetch {
    CURL *curl;
    size_t size; /* bytes of the document so far */
    char error[CURL_ERROR_SIZE];
    uint8_t document[JWKS_DOCUMENT_SIZE_MAX];
};

/* -- addresses --------------------------------------------------------------------------------- */

/* NULL: it has no such part. To be freed. */
static char *part_of(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool is_this_machine(const char *host)
{
    struct address address;
    char with_port[64];

    if (strcmp(host, "localhost") == 0) {
        return true;
    }
    (void)snprintf(with_port, sizeof(with_port), "%.48s:1", host);
    return address_parse(with_port, &address) == 0 && address_is_loopback(&address);
}

bool jwks_fetch_may(const char *text)
{
    bool may = false;
    CURLU *url = curl_url();

    if (url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK) {
        char *scheme = part_of(url, CURLUPART_SCHEME);
        char *host = part_of(url, CURLUPART_HOST);
        char *user = part_of(url, CURLUPART_USER);
        may = user == NULL && scheme != NULL && host != NULL &&
              (strcmp(scheme, "https") == 0 ||
               (strcmp(scheme, "http") == 0 && is_this_machine(host)));
        curl_free(scheme);
        curl_free(host);
        curl_free(user);
    }
    curl_url_cleanup(url);
    return may;
}

/* -- fetching ---------------------------------------------------------------------------------- */

/* What does not fit ends the transfer. */
static size_t take(char *data, size_t size, size_t count, void *context)
{
    struct jwks_fetch *fetch = context;
    const size_t bytes = size * count;

    if (bytes > sizeof(fetch->document) - fetch->size) {
        return 0;
    }
    memcpy(fetch->document + fetch->size, data, bytes);
    fetch->size += bytes;
    return bytes;
}

static bool set_options(struct jwks_fetch *fetch, const char *url, const char *ca_file)
{
    CURL *const curl = fetch->curl;
    const bool is_plain = strncmp(url, "http:", 5) == 0;

    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, is_plain ? "http" : "https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)JWKS_FETCH_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)JWKS_DOCUMENT_SIZE_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "parley") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, fetch->error) == CURLE_OK &&
           /* A proxy of the environment does not lead to this machine. */
           (!is_plain || curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK) &&
           (ca_file == NULL || curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file) == CURLE_OK);
}

struct jwks_fetch *jwks_fetch_create(const char *url, const char *ca_file)
{
    CHECK(jwks_fetch_may(url));
    struct jwks_fetch *fetch = calloc(1, sizeof(*fetch));

    if (fetch == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(fetch);
        return NULL;
    }
    fetch->curl = curl_easy_init();
    if (fetch->curl == NULL || !set_options(fetch, url, ca_file)) {
        jwks_fetch_destroy(fetch);
        return NULL;
    }
    return fetch;
}

void jwks_fetch_destroy(struct jwks_fetch *fetch)
{
    if (fetch != NULL) {
        curl_easy_cleanup(fetch->curl);
        free(fetch);
        curl_global_cleanup();
    }
}

bool jwks_fetch_run(struct jwks_fetch *fetch, struct span *document, char error[JWKS_ERROR_SIZE])
{
    long status = 0;

    fetch->size = 0;
    fetch->error[0] = '\0';
    const CURLcode result = curl_easy_perform(fetch->curl);
    if (result != CURLE_OK) {
        (void)snprintf(error, JWKS_ERROR_SIZE, "%.*s", JWKS_ERROR_SIZE - 1,
                       fetch->error[0] != '\0' ? fetch->error : curl_easy_strerror(result));
        return false;
    }
    (void)curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != HTTP_OK) {
        (void)snprintf(error, JWKS_ERROR_SIZE, "the answer was %ld and not 200", status);
        return false;
    }
    *document = (struct span){fetch->document, fetch->size};
    return true;
}
