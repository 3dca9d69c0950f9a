/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_NET_TLS_FILES_H
#define TESTS_UNIT_NET_TLS_FILES_H
/*
 * A certificate authority and certificates made for one test by the openssl command, in a folder
 * of their own that tls_files_remove() takes away again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/check.h"

enum { TLS_FILES_PATH_SIZE = 128 }; /* bytes with the NUL */

struct tls_files {
    char folder[TLS_FILES_PATH_SIZE / 2];
    char ca[TLS_FILES_PATH_SIZE];          /* who signed the first one */
    char certificate[TLS_FILES_PATH_SIZE]; /* for localhost and 127.0.0.1, and the chain */
    char key[TLS_FILES_PATH_SIZE];
    char other_ca[TLS_FILES_PATH_SIZE]; /* signed nothing but itself */
    char other_key[TLS_FILES_PATH_SIZE];
};

/* The folder's name is the only part of the commands that is not constant. */
static inline void tls_files_make(struct tls_files *files)
{
    static const char script[] =
        "set -e; cd '%s'; exec >/dev/null 2>&1; "
        "new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'; "
        "$new -subj /CN=test-ca -keyout ca.key -out ca.pem; "
        "$new -subj /CN=other-ca -keyout other.key -out other.pem; "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server "
        "-addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout server.key -out server.csr; "
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-copy_extensions copy -out leaf.pem; "
        "cat leaf.pem ca.pem > server.pem";
    char command[2048];

    (void)snprintf(files->folder, sizeof(files->folder), "/tmp/parley-tls-XXXXXX");
    CHECK(mkdtemp(files->folder) != NULL);
    (void)snprintf(command, sizeof(command), script, files->folder);
    CHECK(system(command) == 0);
    (void)snprintf(files->ca, TLS_FILES_PATH_SIZE, "%s/ca.pem", files->folder);
    (void)snprintf(files->certificate, TLS_FILES_PATH_SIZE, "%s/server.pem", files->folder);
    (void)snprintf(files->key, TLS_FILES_PATH_SIZE, "%s/server.key", files->folder);
    (void)snprintf(files->other_ca, TLS_FILES_PATH_SIZE, "%s/other.pem", files->folder);
    (void)snprintf(files->other_key, TLS_FILES_PATH_SIZE, "%s/other.key", files->folder);
}

static inline void tls_files_remove(const struct tls_files *files)
{
    char command[TLS_FILES_PATH_SIZE];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", files->folder);
    CHECK(system(command) == 0);
}

#endif /* TESTS_UNIT_NET_TLS_FILES_H */
