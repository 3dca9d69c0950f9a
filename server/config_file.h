/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_FILE_H
#define SERVER_CONFIG_FILE_H
/*
 * A whole file in memory: the configuration, and the files that it names.
 *
 * Owner     the caller, of the bytes, until config_file_free(), which overwrites them: there may be
 *           secrets in them.
 * Threads   ANY_THREAD that may block. Failures: -errno; -EFBIG when it is longer than `size_max`.
 */
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"

NODISCARD int config_file_read(const char *path, size_t size_max, struct bytes *text);
void config_file_free(struct bytes text);

#endif /* SERVER_CONFIG_FILE_H */
