/* SPDX-License-Identifier: Apache-2.0 */
#include "server/listening.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/tls_config.h"
#include "server/config.h"
#include "server/shard.h"

enum { BACKLOG = 4096 };

/* --- TLS ------------------------------------------------------------------------------------- */

/* The keys that tickets are to be made with: of the file, or of this process. */
static int load_tickets(struct listening *listening, struct tls_tickets *tickets, char *error,
                        size_t error_size)
{
    const struct config_tls *config = &listening->config->http_server.tls;
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

static struct tls_config *load_tls(const struct listening *listening,
                                   const struct tls_tickets *tickets, char *error,
                                   size_t error_size)
{
    const struct config_tls *config = &listening->config->http_server.tls;
    const struct tls_config_server_files files = {config->cert_pem_file, config->key_pem_file};
    const struct tls_config_server server = {
        .certificates = &files,
        .certificate_count = 1,
        .tickets = tickets,
        .client_ca_file = config->client_ca_pem_file[0] == '\0' ? NULL : config->client_ca_pem_file,
        .only_1_3 = config->min_version == CONFIG_TLS_1_3,
    };
    char why[TLS_CONFIG_ERROR_SIZE] = "";
    struct tls_config *loaded = tls_config_create_server(&server, why);
    if (loaded == NULL) {
        (void)snprintf(error, error_size, "http_server.tls: %s", why);
    }
    return loaded;
}

int listening_reload(struct listening *listening, char *error, size_t error_size)
{
    struct tls_config *loaded[LISTENING_MAX] = {NULL};
    struct tls_tickets tickets;
    size_t done = 0;

    int result = load_tickets(listening, &tickets, error, error_size);
    for (; result == 0 && done < listening->count; done++) {
        if (listening->items[done].has_tls) {
            loaded[done] = load_tls(listening, &tickets, error, error_size);
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

/* --- The table ------------------------------------------------------------------------------- */

int listening_init(struct listening *listening, const struct config *config, char *error,
                   size_t error_size)
{
    const struct config_http_server *http = &config->http_server;

    *listening = (struct listening){.config = config, .count = 2};
    listening->items[0] = (struct listening_item){
        .address = http->address, .port = http->port, .has_tls = http->tls.enabled};
    listening->items[1] = (struct listening_item){
        .address = http->internal_address, .port = http->internal_port, .is_internal = true};
    return listening_reload(listening, error, error_size);
}

void listening_deinit(struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++) {
        tls_config_unref(listening->items[i].tls);
    }
    explicit_bzero(&listening->tickets, sizeof(listening->tickets));
    listening->count = 0;
}

/* --- Sockets --------------------------------------------------------------------------------- */

static int open_one(const struct listening_item *item, bool shared, int *fd, char *error,
                    size_t error_size)
{
    struct listener_options options = {.backlog = BACKLOG, .share_port = shared};
    int result = config_socket_address(item->address, item->port, &options.address);
    if (result == 0) {
        result = listener_open(&options, fd);
    }
    if (result != 0) {
        char text[ADDRESS_TEXT_SIZE_MAX];
        (void)address_format(&options.address, text);
        (void)snprintf(error, error_size, "%s: %s", text, strerrordesc_np(-result));
    }
    return result;
}

int listening_check_free(const struct listening *listening, char *error, size_t error_size)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < listening->count; i++) {
        int fd;
        result = open_one(&listening->items[i], false, &fd, error, error_size);
        if (result == 0) {
            (void)close(fd);
        }
    }
    return result;
}

int listening_open(const struct listening *listening, struct shard *shard, char *error,
                   size_t error_size)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < listening->count; i++) {
        int fd;
        const struct listening_item *item = &listening->items[i];
        result = open_one(item, true, &fd, error, error_size);
        if (result != 0) {
            return result;
        }
        result = shard_listen(shard, i, fd, item->tls);
        if (result != 0) {
            (void)close(fd);
            (void)snprintf(error, error_size, "%s: %s", item->address, strerrordesc_np(-result));
        }
    }
    return result;
}
