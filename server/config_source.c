/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_source.h"

#include "server/args.h"

int config_source_read(const struct config_source *source, struct config *config, char *error,
                       size_t error_size)
{
    struct config read;
    int result = 0;

    if (source->args->config_file != NULL) {
        result = config_load_file(source->args->config_file, &read, error, error_size);
        if (result != 0) {
            return result;
        }
    } else {
        config_init_defaults(&read);
    }
    result = args_apply(source->args, &read, error, error_size);
    if (result == 0) {
        result = config_resolve(&read, &source->facts, error, error_size);
    }
    if (result != 0) {
        config_destroy(&read);
        return result;
    }
    *config = read;
    return 0;
}
