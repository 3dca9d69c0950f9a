/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api_key.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "core/bytes.h"
#include "proto/http.h"
#include "server/config.h"
#include "server/config_file.h"

enum {
    FIRST_PRINTABLE = ' ',
    LAST_PRINTABLE = '~',
};

_Static_assert((int)API_KEY_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "a SHA-256");

/* What a header can carry: a value has no white space around it. */
static bool is_sendable(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < FIRST_PRINTABLE || text.data[i] > LAST_PRINTABLE) {
            return false;
        }
    }
    return text.size > 0 && text.data[0] != ' ' && text.data[text.size - 1] != ' ';
}

static bool take(struct api_key *key, struct bytes text)
{
    key->is_set = is_sendable(text) && SHA256(text.data, text.size, key->digest) != NULL;
    return key->is_set;
}

static bool load_file(struct api_key *key, const char *path, char *error, size_t error_size)
{
    struct bytes text;
    const int result = config_file_read(path, CONFIG_LINE_MAX, &text);
    if (result != 0) {
        (void)snprintf(error, error_size, "http_api.key_file: %s: cannot be read: %s", path,
                       strerrordesc_np(-result));
        return false;
    }
    const size_t end = text.size > 0 && text.data[text.size - 1] == '\n' ? 1 : 0;
    const bool taken = take(key, (struct bytes){text.data, text.size - end});
    config_file_free(text);
    if (!taken) {
        (void)snprintf(error, error_size,
                       "http_api.key_file: %s: expected printable ASCII without spaces around it",
                       path);
    }
    return taken;
}

bool api_key_load(struct api_key *key, const struct config_http_api *config, char *error,
                  size_t error_size)
{
    const struct bytes text = config_secret_reveal(config->key);

    *key = (struct api_key){.is_set = false};
    if (config->key_file != NULL) {
        return load_file(key, config->key_file, error, error_size);
    }
    if (text.size > 0 && !take(key, text)) {
        (void)snprintf(error, error_size,
                       "http_api.key: expected printable ASCII without spaces around it");
        return false;
    }
    return true;
}

/* What is behind "apikey " in the header of that name. */
static struct bytes after_scheme(struct bytes value)
{
    static const char scheme[] = "apikey";
    const size_t size = sizeof(scheme) - 1;

    if (value.size <= size || value.data[size] != ' ' ||
        !http_name_is((struct bytes){value.data, size}, scheme)) {
        return (struct bytes){NULL, 0};
    }
    size_t at = size;
    while (at < value.size && value.data[at] == ' ') {
        at++;
    }
    return (struct bytes){value.data + at, value.size - at};
}

static struct bytes shown_by(const struct http_request *request)
{
    const struct http_header *header = http_next_header(request, "x-api-key", NULL);
    if (header != NULL) {
        return header->value;
    }
    header = http_next_header(request, "authorization", NULL);
    return header == NULL ? (struct bytes){NULL, 0} : after_scheme(header->value);
}

bool api_key_is_shown(const struct api_key *key, const struct http_request *request)
{
    const struct bytes shown = shown_by(request);
    uint8_t digest[API_KEY_DIGEST_SIZE];

    return key->is_set && shown.size > 0 && SHA256(shown.data, shown.size, digest) != NULL &&
           CRYPTO_memcmp(digest, key->digest, sizeof(digest)) == 0;
}
