/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_BYTES_H
#define CORE_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Borrowed views: they own nothing and live no longer than what they view. Pass by value. */
struct bytes {
    const uint8_t *data;
    size_t size; /* bytes */
};

/* The same, when the borrower may change the bytes (unmasking happens in place). */
struct span {
    uint8_t *data;
    size_t size; /* bytes */
};

#endif /* CORE_BYTES_H */
