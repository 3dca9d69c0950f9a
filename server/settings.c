/* SPDX-License-Identifier: Apache-2.0 */
#include "server/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/token_keys.h"

struct settings *settings_create(const struct config *config, struct config *owned,
                                 const struct settings *past, char *error, size_t error_size)
{
    char why[CONFIG_ERROR_SIZE] = "no memory";
    struct settings *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        goto fail;
    }
    created->config = config;
    created->keys = token_keys_create(&config->client, why);
    if (created->keys == NULL) {
        goto fail;
    }
    if (!api_key_load(&created->api_key, &config->http_api, why, sizeof(why)) ||
        policies_init_after(&created->policies, config, past == NULL ? NULL : &past->policies, why,
                            sizeof(why)) != 0) {
        goto fail;
    }
    created->owned = owned;
    return created;

fail:
    (void)snprintf(error, error_size, "%s", why);
    settings_destroy(created);
    return NULL;
}

void settings_destroy(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    policies_deinit(&settings->policies);
    token_keys_unref(settings->keys);
    if (settings->owned != NULL) {
        config_destroy(settings->owned);
        free(settings->owned);
    }
    explicit_bzero(&settings->api_key, sizeof(settings->api_key));
    free(settings);
}
