/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration from any bytes: it loads or is refused with one printable line that begins with
 * the name. What loads is described, and the description loads to the same description, unless
 * there is a secret in it, which is not described.
 */
#include "server/config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *describe(const struct config *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    CHECK(out != NULL);
    const int result = config_describe(config, out);
    CHECK(result == 0);
    const int closed = fclose(out);
    CHECK(closed == 0);
    return text;
}

static void judge_error(const char *error)
{
    CHECK(strncmp(error, "fuzz:", 5) == 0);
    CHECK(strlen(error) < CONFIG_ERROR_SIZE);
    for (const char *byte = error; *byte != '\0'; byte++) {
        CHECK(*byte >= 0x20 && *byte < 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[CONFIG_ERROR_SIZE] = {0};
    struct config config;
    struct config again;

    if (config_load_memory("fuzz", (struct bytes){data, size}, &config, error, sizeof(error)) !=
        0) {
        judge_error(error);
        return 0;
    }
    size_t size_first = 0;
    char *first = describe(&config, &size_first);
    if (strstr(first, CONFIG_SECRET_SHOWN) != NULL) {
        free(first);
        config_destroy(&config);
        return 0;
    }
    const int result = config_load_memory("fuzz", (struct bytes){(uint8_t *)first, size_first},
                                          &again, error, sizeof(error));
    CHECK(result == 0);
    size_t size_second = 0;
    char *second = describe(&again, &size_second);
    CHECK(size_first == size_second);
    CHECK(memcmp(first, second, size_first) == 0);
    free(first);
    free(second);
    config_destroy(&config);
    config_destroy(&again);
    return 0;
}
