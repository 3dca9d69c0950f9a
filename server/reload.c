/* SPDX-License-Identifier: Apache-2.0 */
#include "server/reload.h"

#include <string.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/log.h"
#include "net/tls_config.h"
#include "server/config.h"
#include "server/listening.h"
#include "server/token_keys.h"

static size_t round_size(const struct reload *reload)
{
    return reload->reactor_count * (reload->listening->count + 1);
}

void reload_init(struct reload *reload, const struct reload *options)
{
    *reload = *options;
    reload->next = round_size(reload);
}

/* A value of the log is short, and what is wrong with a file stands behind its name. */
static void log_failure(const struct reload *reload, const char *why)
{
    static const char *const keys[] = {"because", "and", "and", "and"};
    struct log_field fields[sizeof(keys) / sizeof(keys[0])];
    size_t count = 0;

    for (size_t size = strlen(why); size > 0 && count < sizeof(keys) / sizeof(keys[0]); count++) {
        const size_t part = size < LOG_STRING_SIZE_MAX ? size : LOG_STRING_SIZE_MAX;
        fields[count] = log_bytes(keys[count], (struct bytes){(const uint8_t *)why, part});
        why += part;
        size -= part;
    }
    log_write(reload->log, LOG_ERROR, "reload failed: nothing was changed", fields, count);
}

void reload_begin(struct reload *reload)
{
    char error[CONFIG_ERROR_SIZE] = "";

    struct token_keys *keys = token_keys_create(reload->client, error);
    if (keys == NULL || listening_reload(reload->listening, error, sizeof(error)) != 0) {
        token_keys_unref(keys);
        log_failure(reload, error);
        return;
    }
    token_keys_unref(*reload->keys);
    *reload->keys = keys;
    log_write(reload->log, LOG_INFO, "reloaded", NULL, 0);
    reload->next = 0;
}

static bool tell(struct reload *reload, size_t reactor, const struct post *post)
{
    const struct bus_post packed = post_pack(post);
    return bus_tell(reload->bus, reload->reactor_count, reactor, &packed) == BUS_POSTED;
}

/* One reactor hears of one listener's certificates. */
static bool post_certificates(struct reload *reload, size_t reactor, size_t listener)
{
    struct tls_config *tls = reload->listening->items[listener].tls;
    if (tls == NULL) {
        return true;
    }
    const struct post post = {
        .kind = POST_RENEW_TLS,
        .renew_tls = {.tls = tls, .listener = (uint32_t)listener},
    };
    tls_config_ref(tls);
    if (tell(reload, reactor, &post)) {
        return true;
    }
    tls_config_unref(tls);
    return false;
}

static bool post_keys(struct reload *reload, size_t reactor)
{
    struct token_keys *keys = *reload->keys;
    if (token_keys_is_empty(keys)) {
        return true;
    }
    const struct post post = {.kind = POST_RENEW_KEYS, .renew_keys = {.keys = keys}};
    token_keys_ref(keys);
    if (tell(reload, reactor, &post)) {
        return true;
    }
    token_keys_unref(keys);
    return false;
}

/* To each reactor one post for each listener, and one more. */
static bool post_one(struct reload *reload, size_t reactor, size_t index)
{
    return index < reload->listening->count ? post_certificates(reload, reactor, index)
                                            : post_keys(reload, reactor);
}

bool reload_go_on(struct reload *reload)
{
    const size_t count = reload->listening->count + 1;
    const size_t end = round_size(reload);

    if (reload->next == end) {
        return true;
    }
    while (reload->next < end && post_one(reload, reload->next / count, reload->next % count)) {
        reload->next++;
    }
    bus_flush(reload->bus, reload->reactor_count);
    return reload->next == end;
}
