/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config_list.h"

/* All of it into `data`, which has room for one byte more than there may be. */
static int read_all(int fd, uint8_t *data, size_t size_max, size_t *size)
{
    size_t have = 0;
    while (have <= size_max) {
        const ssize_t got = read(fd, data + have, size_max + 1 - have);
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            *size = have;
            return 0;
        }
        have += got < 0 ? 0 : (size_t)got;
    }
    return -EFBIG;
}

int config_file_read(const char *path, size_t size_max, struct bytes *text)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int result = -ENOMEM;
    size_t size = 0;
    uint8_t *data = malloc(size_max + 1);
    if (data != NULL) {
        result = read_all(fd, data, size_max, &size);
    }
    if (result == 0) {
        *text = (struct bytes){data, size};
    } else {
        free(data);
    }
    (void)close(fd); /* only read from */
    return result;
}

void config_file_free(struct bytes text)
{
    uint8_t *const data = config_list_owned(text.data);
    if (data != NULL) {
        explicit_bzero(data, text.size);
        free(data);
    }
}
