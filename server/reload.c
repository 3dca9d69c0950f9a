/* SPDX-License-Identifier: Apache-2.0 */
#include "server/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "proto/codes.h"
#include "server/config.h"
#include "server/config_change.h"
#include "server/config_source.h"
#include "server/listening.h"
#include "server/reload_answer.h"
#include "server/settings.h"

enum {
    MS_PER_S = 1000,
    ANSWER_BYTES_MAX = 4 << 20, /* of answers that reactors have not given back */
};

/* -- what is said ------------------------------------------------------------------------------ */

/* A value of the log is short, and what is wrong with a file stands behind its name. */
static void log_long(const struct reload *reload, enum log_level level, const char *event,
                     const char *key, const char *text)
{
    const char *const keys[] = {key, "and", "and", "and", "and", "and", "and", "and"};
    struct log_field fields[LOG_FIELD_COUNT_MAX];
    size_t count = 0;

    for (size_t size = strlen(text); size > 0 && count < LOG_FIELD_COUNT_MAX; count++) {
        const size_t part = size < LOG_STRING_SIZE_MAX ? size : LOG_STRING_SIZE_MAX;
        fields[count] = log_bytes(keys[count], (struct bytes){(const uint8_t *)text, part});
        text += part;
        size -= part;
    }
    log_write(reload->options.log, level, event, fields, count);
}

_Static_assert(LOG_FIELD_COUNT_MAX == 8, "a key for each field of a long text");

/* Names in one text, as many as a line of the log takes. */
static void log_names(const struct reload *reload, enum log_level level, const char *event,
                      const struct config_names *names)
{
    char text[LOG_FIELD_COUNT_MAX * LOG_STRING_SIZE_MAX + 1] = "";
    size_t size = 0;
    uint32_t shown = 0;

    for (const char *name = config_change_next_name(names, NULL);
         name != NULL && size + strlen(name) + 2 < sizeof(text);
         name = config_change_next_name(names, name)) {
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", shown > 0 ? " " : "", name);
        shown++;
    }
    if (shown > 0) {
        log_long(reload, level, event, "options", text);
    }
}

static void report(const struct reload *reload)
{
    const struct config_changes *changes = reload->changes;
    const struct log_field fields[] = {
        log_uint("changed", changes->changed.count + changes->changed.left_out),
        log_uint("needs_restart", changes->needs_restart.count + changes->needs_restart.left_out),
    };
    log_write(reload->options.log, LOG_INFO, "reloaded", fields,
              sizeof(fields) / sizeof(fields[0]));
    log_names(reload, LOG_INFO, "options changed", &changes->changed);
    log_names(reload, LOG_WARN, "needs a restart: not changed", &changes->needs_restart);
}

/* -- who has asked ----------------------------------------------------------------------------- */

static void begin_answers(struct reload *reload)
{
    for (size_t i = 0; i < reload->options.reactor_count; i++) {
        if (reload->askers[i].state == RELOAD_ASKED) {
            reload->askers[i].state = RELOAD_IN_ROUND;
        }
    }
}

/* Takes the blob, which says the same to all; NULL: no memory for it. */
static void answer(struct reload *reload, struct blob *blob, enum codes_error error)
{
    for (size_t i = 0; i < reload->options.reactor_count; i++) {
        struct reload_asker *asker = &reload->askers[i];
        if (asker->state != RELOAD_IN_ROUND) {
            continue;
        }
        if (blob != NULL) {
            blob_share(blob, 1);
        }
        *asker = (struct reload_asker){
            .state = RELOAD_ANSWERED,
            .answer = blob,
            .error = (uint16_t)(blob == NULL ? CODES_ERROR_INTERNAL : error),
        };
    }
    if (blob != NULL) {
        blob_drop(blob, reload->pool);
    }
}

/* False: no room. */
static bool post_answers(struct reload *reload)
{
    const size_t count = reload->options.reactor_count;
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        struct reload_asker *asker = &reload->askers[i];
        if (asker->state != RELOAD_ANSWERED) {
            continue;
        }
        const struct post post = {
            .kind = POST_RELOAD,
            .reload = {.blob = asker->answer, .error = asker->error},
        };
        const struct bus_post packed = post_pack(&post);
        if (bus_tell(reload->options.bus, count, i, &packed) == BUS_POSTED) {
            *asker = (struct reload_asker){.state = RELOAD_NOT_ASKED};
        } else {
            all = false;
        }
    }
    bus_flush(reload->options.bus, count);
    (void)blob_pool_collect(reload->pool);
    return all;
}

/* -- what is read ------------------------------------------------------------------------------ */

static void set_loaded_time(const struct reload *reload)
{
    metrics_set(reload->options.metrics, METRIC_CONFIG_LOADED_S, monotime_realtime_ms() / MS_PER_S);
}

/* The file again, without what needs a restart. */
static bool read_config(struct reload *reload, struct config *config, char *error, size_t size)
{
    static const char prefix[] = "with what needs a restart left as it is: ";

    if (config_source_read(reload->options.source, config, error, size) != 0) {
        return false;
    }
    if (config_change_merge(reload->present->config, config, reload->changes) != 0) {
        (void)snprintf(error, size, "no memory");
    } else if (config_validate(config, error + sizeof(prefix) - 1, size - sizeof(prefix) + 1) !=
               0) {
        memcpy(error, prefix, sizeof(prefix) - 1);
    } else {
        return true;
    }
    config_destroy(config);
    return false;
}

/* All of it, or NULL and nothing has changed. */
static struct settings *read_all(struct reload *reload, char *error, size_t size)
{
    struct config *config = malloc(sizeof(*config));
    if (config == NULL) {
        (void)snprintf(error, size, "no memory");
        return NULL;
    }
    if (!read_config(reload, config, error, size)) {
        free(config);
        return NULL;
    }
    struct settings *settings = settings_create(config, config, reload->present, error, size);
    if (settings == NULL) {
        config_destroy(config);
        free(config);
        return NULL;
    }
    /* The last that can fail, for it changes what it is given. */
    if (listening_reload(reload->options.listening, config, error, size) != 0) {
        settings_destroy(settings);
        return NULL;
    }
    policies_count_as(&settings->policies, reload->options.namespaces);
    listening_list_tls(reload->options.listening, settings->tls);
    return settings;
}

static void begin(struct reload *reload)
{
    char error[CONFIG_ERROR_SIZE] = "";

    CHECK(reload->past == NULL);
    reload->is_wanted = false;
    begin_answers(reload);
    struct settings *settings = read_all(reload, error, sizeof(error));
    if (settings == NULL) {
        metrics_add(reload->options.metrics, METRIC_RELOADS_FAILED, 1);
        log_long(reload, LOG_ERROR, "reload failed: nothing was changed", "because", error);
        answer(reload, reload_answer_error(reload->pool, error), CODES_ERROR_BAD_REQUEST);
        return;
    }
    reload->past = reload->present;
    reload->present = settings;
    reload->is_final = false;
    reload->told = 0;
    reload->taken = 0;
    logger_set_level(reload->options.logger, (enum log_level)settings->config->log.level);
}

/* -- how it gets there ------------------------------------------------------------------------- */

static void end(struct reload *reload)
{
    settings_destroy(reload->past);
    reload->past = NULL;
    metrics_add(reload->options.metrics, METRIC_RELOADS_DONE, 1);
    set_loaded_time(reload);
    report(reload);
    answer(reload, reload_answer_changes(reload->pool, reload->changes), CODES_ERROR_NONE);
}

/* False: no room. */
static bool tell(struct reload *reload)
{
    const struct post post = {
        .kind = POST_SETTINGS,
        .settings = {.settings = reload->present, .is_final = reload->is_final},
    };
    const struct bus_post packed = post_pack(&post);
    const size_t count = reload->options.reactor_count;

    while (reload->told < count &&
           bus_tell(reload->options.bus, count, reload->told, &packed) == BUS_POSTED) {
        reload->told++;
    }
    bus_flush(reload->options.bus, count);
    return reload->told == count;
}

int reload_init(struct reload *reload, const struct reload_options *options,
                struct settings *present)
{
    struct reload created = {
        .options = *options,
        .changes = calloc(1, sizeof(*created.changes)),
        .askers = calloc(options->reactor_count, sizeof(*created.askers)),
        .pool = blob_pool_create(ANSWER_BYTES_MAX),
    };
    if (created.changes == NULL || created.askers == NULL || created.pool == NULL) {
        reload_deinit(&created);
        return -ENOMEM;
    }
    *reload = created;
    reload->present = present;
    set_loaded_time(reload);
    return 0;
}

void reload_deinit(struct reload *reload)
{
    for (size_t i = 0; reload->askers != NULL && i < reload->options.reactor_count; i++) {
        if (reload->askers[i].answer != NULL) {
            blob_drop(reload->askers[i].answer, reload->pool);
        }
    }
    settings_destroy(reload->past);
    settings_destroy(reload->present);
    blob_pool_destroy(reload->pool);
    free(reload->askers);
    free(reload->changes);
    *reload = (struct reload){.present = NULL};
}

void reload_want(struct reload *reload)
{
    reload->is_wanted = true;
}

void reload_ask(struct reload *reload, size_t reactor)
{
    CHECK(reload->askers[reactor].state == RELOAD_NOT_ASKED);
    reload->askers[reactor].state = RELOAD_ASKED;
    reload->is_wanted = true;
}

void reload_take(struct reload *reload)
{
    CHECK(reload->past != NULL && reload->taken < reload->told);
    reload->taken++;
}

bool reload_is_over(const struct reload *reload)
{
    return !reload->is_wanted && reload->past == NULL;
}

bool reload_go_on(struct reload *reload)
{
    if (reload->past != NULL && reload->taken == reload->options.reactor_count) {
        if (reload->is_final) {
            end(reload);
        } else {
            reload->is_final = true;
            reload->told = 0;
            reload->taken = 0;
        }
    }
    if (reload->past == NULL && reload->is_wanted) {
        begin(reload);
    }
    const bool has_told = reload->past == NULL || tell(reload);
    return post_answers(reload) && has_told;
}
