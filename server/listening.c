/* SPDX-License-Identifier: Apache-2.0 */
#include "server/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/tls_config.h"
#include "server/activation.h"
#include "server/config.h"
#include "server/shard.h"

enum { BACKLOG = 4096 };

/* --- TLS ------------------------------------------------------------------------------------- */

/* The keys that tickets are to be made with: of the file, or of this process. */
static int load_tickets(struct listening *listening, const struct config_tls *config,
                        struct tls_tickets *tickets, char *error, size_t error_size)
{
    const uint32_t rotation_s = (uint32_t)(config->ticket_rotation_ns / MONOTIME_NS_PER_S);

    if (config->ticket_key_file[0] != '\0') {
        return tls_tickets_init_file(tickets, config->ticket_key_file, rotation_s, error,
                                     error_size)
                   ? 0
                   : -EINVAL;
    }
    if (listening->tickets.count == 0 &&
        !tls_tickets_init_random(&listening->tickets, rotation_s)) {
        (void)snprintf(error, error_size, "no randomness for the keys of session tickets");
        return -EIO;
    }
    *tickets = listening->tickets;
    return 0;
}

static struct tls_config *load_tls(const struct config_tls *config,
                                   const struct listening_item *item,
                                   const struct tls_tickets *tickets, char *error,
                                   size_t error_size)
{
    struct tls_config_server_files files[TLS_CONFIG_CERTIFICATES_MAX] = {
        {config->cert_pem_file, config->key_pem_file}};
    CHECK(config->certificates.count < TLS_CONFIG_CERTIFICATES_MAX);
    for (uint32_t i = 0; i < config->certificates.count; i++) {
        const struct config_certificate *more = &config->certificates.items[i];
        files[1 + i] = (struct tls_config_server_files){more->cert_pem_file, more->key_pem_file};
    }
    const struct tls_config_server server = {
        .certificates = files,
        .certificate_count = 1 + config->certificates.count,
        .tickets = tickets,
        .client_ca_file = item->client_ca_file,
        .only_1_3 = config->min_version == CONFIG_TLS_1_3,
    };
    char why[TLS_CONFIG_ERROR_SIZE] = "";
    struct tls_config *loaded = tls_config_create_server(&server, why);
    if (loaded == NULL) {
        (void)snprintf(error, error_size, "http_server.tls: %s", why);
    }
    return loaded;
}

int listening_reload(struct listening *listening, const struct config *config, char *error,
                     size_t error_size)
{
    const struct config_tls *tls = &config->http_server.tls;
    struct tls_config *loaded[LISTENING_MAX] = {NULL};
    struct tls_tickets tickets;
    size_t done = 0;

    int result = load_tickets(listening, tls, &tickets, error, error_size);
    for (; result == 0 && done < listening->count; done++) {
        if (listening->items[done].has_tls) {
            loaded[done] = load_tls(tls, &listening->items[done], &tickets, error, error_size);
            result = loaded[done] == NULL ? -EINVAL : 0;
        }
    }
    for (size_t i = 0; i < done; i++) {
        struct tls_config *unused = loaded[i];
        if (result == 0) {
            unused = listening->items[i].tls;
            listening->items[i].tls = loaded[i];
        }
        tls_config_unref(unused);
    }
    explicit_bzero(&tickets, sizeof(tickets));
    return result;
}

void listening_list_tls(const struct listening *listening, struct tls_config *list[LISTENING_MAX])
{
    for (size_t i = 0; i < LISTENING_MAX; i++) {
        list[i] = i < listening->count ? listening->items[i].tls : NULL;
    }
}

/* --- The table ------------------------------------------------------------------------------- */

static const char *or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static void fill_table(struct listening *listening)
{
    const struct config_http_server *http = &listening->config->http_server;
    static const struct config_networks nobody = {NULL, 0};

    listening->items[0] = (struct listening_item){
        .address = http->address,
        .port = http->port,
        .client_ca_file = or_null(http->tls.client_ca_pem_file),
        .trusted = &http->trusted_proxies,
        .wants_proxy = http->proxy_protocol == CONFIG_PROXY_REQUIRED,
        .has_tls = http->tls.enabled,
        .fd = -1,
    };
    listening->items[1] = (struct listening_item){
        .address = http->internal_address,
        .port = http->internal_port,
        .trusted = &nobody,
        .is_internal = true,
        .fd = -1,
    };
    listening->count = 2;
    for (uint32_t i = 0; i < http->listeners.count; i++) {
        const struct config_listener *more = &http->listeners.items[i];
        CHECK(listening->count < LISTENING_MAX);
        listening->items[listening->count++] = (struct listening_item){
            .address = more->address,
            .port = more->port,
            .path = or_null(more->path),
            .client_ca_file = or_null(more->client_ca_pem_file),
            .trusted = &more->trusted_proxies,
            .wants_proxy = more->proxy_protocol == CONFIG_PROXY_REQUIRED,
            .is_internal = more->internal,
            .has_tls = more->tls,
            .fd = -1,
        };
    }
}

int listening_init(struct listening *listening, const struct config *config, char *error,
                   size_t error_size)
{
    *listening = (struct listening){.config = config};
    fill_table(listening);
    return listening_reload(listening, listening->config, error, error_size);
}

void listening_deinit(struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++) {
        struct listening_item *item = &listening->items[i];
        tls_config_unref(item->tls);
        if (item->fd >= 0) {
            (void)close(item->fd);
        }
        if (item->is_claimed) {
            (void)unlink(item->path); /* the next start would replace it, too */
        }
    }
    explicit_bzero(&listening->tickets, sizeof(listening->tickets));
    listening->count = 0;
}

/* --- Sockets of the service manager ---------------------------------------------------------- */

_Static_assert((int)ACTIVATION_MAX == (int)LISTENING_MAX, "each listener may have its socket");

static bool is_at(const struct listening_item *item, const struct listener_place *place)
{
    struct address own;
    uint8_t own_ip[ADDRESS_IP_SIZE];
    uint8_t ip[ADDRESS_IP_SIZE];

    if (item->path != NULL || place->address.size == 0) {
        return item->path != NULL && strcmp(item->path, place->path) == 0;
    }
    if (config_socket_address(item->address, item->port, &own) != 0) {
        return false;
    }
    address_ip(&own, own_ip);
    address_ip(&place->address, ip);
    return memcmp(own_ip, ip, sizeof(ip)) == 0 &&
           address_port(&own) == address_port(&place->address);
}

/* Always -EINVAL. */
static int accuse(const struct activation_socket *activated, const char *what, const char *detail,
                  char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "LISTEN_FDS: descriptor %d (%.*s) %s%s", activated->fd,
                   (int)activated->name.size, (const char *)activated->name.data, what, detail);
    return -EINVAL;
}

static struct listener_buffers buffers_of(const struct listening *listening)
{
    const struct config_http_server *http = &listening->config->http_server;
    return (struct listener_buffers){.send = http->socket_send_buffer,
                                     .receive = http->socket_receive_buffer};
}

static int inherit(struct listening *listening, const struct activation_socket *activated,
                   char *error, size_t error_size)
{
    const struct listener_buffers buffers = buffers_of(listening);
    struct listener_place place;
    char text[ADDRESS_TEXT_SIZE_MAX];
    const char *at = place.path;
    size_t i = 0;

    const int result = listener_adopt(activated->fd, &buffers, &place);
    if (result != 0) {
        return accuse(activated, "is no listening stream socket: ", strerrordesc_np(-result), error,
                      error_size);
    }
    if (place.address.size > 0) {
        (void)address_format(&place.address, text);
        at = text;
    }
    while (i < listening->count && !is_at(&listening->items[i], &place)) {
        i++;
    }
    if (i == listening->count) {
        return accuse(activated, "belongs to no listener of the configuration: ", at, error,
                      error_size);
    }
    if (listening->items[i].fd >= 0) {
        return accuse(activated, "is one more for a listener that has its socket: ", at, error,
                      error_size);
    }
    listening->items[i].fd = activated->fd;
    listening->items[i].is_shared = true;
    listening->inherited++;
    return 0;
}

static int inherit_all(struct listening *listening, char *error, size_t error_size)
{
    struct activation activation;

    int result = activation_read(&activation, error, error_size);
    for (size_t i = 0; result == 0 && i < activation.count; i++) {
        result = inherit(listening, &activation.sockets[i], error, error_size);
    }
    return result;
}

/* --- Sockets --------------------------------------------------------------------------------- */

static int fail(const struct listening_item *item, int result, char *error, size_t error_size)
{
    const bool is_six = item->path == NULL && strchr(item->address, ':') != NULL;

    if (item->path != NULL) {
        (void)snprintf(error, error_size, "%s: %s", item->path, strerrordesc_np(-result));
    } else {
        (void)snprintf(error, error_size, is_six ? "[%s]:%u: %s" : "%s:%u: %s", item->address,
                       (unsigned)item->port, strerrordesc_np(-result));
    }
    return result;
}

static int open_port(const struct listening *listening, const struct listening_item *item,
                     bool shared, int *fd)
{
    struct listener_options options = {
        .backlog = BACKLOG, .share_port = shared, .buffers = buffers_of(listening)};
    const int result = config_socket_address(item->address, item->port, &options.address);

    return result != 0 ? result : listener_open(&options, fd);
}

int listening_claim(struct listening *listening, char *error, size_t error_size)
{
    int result = inherit_all(listening, error, error_size);

    for (size_t i = 0; result == 0 && i < listening->count; i++) {
        struct listening_item *item = &listening->items[i];
        int fd = -1;
        if (item->fd >= 0) {
            continue;
        }
        result = item->path != NULL ? listener_open_unix(item->path, BACKLOG, &item->fd)
                                    : open_port(listening, item, false, &fd);
        if (result != 0) {
            return fail(item, result, error, error_size);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
        item->is_claimed = item->path != NULL;
        item->is_shared = item->is_claimed;
    }
    return result;
}

/* The last shard gets the one that the others have copies of, so that the end is theirs alone. */
static int share(struct listening_item *item, bool is_last, int *fd)
{
    *fd = is_last ? item->fd : fcntl(item->fd, F_DUPFD_CLOEXEC, 0);
    if (*fd < 0) {
        return -errno;
    }
    if (is_last) {
        item->fd = -1;
    }
    return 0;
}

int listening_open(struct listening *listening, struct shard *shard, char *error, size_t error_size)
{
    const bool is_last = ++listening->opened == listening->config->reactor.count;
    int result = 0;

    for (size_t i = 0; result == 0 && i < listening->count; i++) {
        struct listening_item *item = &listening->items[i];
        int fd = -1;
        result =
            item->is_shared ? share(item, is_last, &fd) : open_port(listening, item, true, &fd);
        if (result == 0) {
            result = shard_listen(shard, i, fd);
        }
        if (result != 0) {
            if (fd >= 0) {
                (void)close(fd);
            }
            return fail(item, result, error, error_size);
        }
    }
    return result;
}
