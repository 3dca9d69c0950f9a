/* SPDX-License-Identifier: Apache-2.0 */
#include "server/libraries.h"

#include <cjose/version.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>
#include <zlib.h>

void libraries_describe(char target[static LIBRARIES_SIZE_MAX])
{
    /* liburing 2.3 cannot be asked: CMake knows what we are built with. */
    (void)snprintf(target, LIBRARIES_SIZE_MAX,
                   "OpenSSL  %s\nliburing %s\nlibyaml  %s\ncjose    %s\nlibcurl  %s\nzlib     %s\n",
                   OpenSSL_version(OPENSSL_FULL_VERSION_STRING), LIBURING_VERSION,
                   yaml_get_version_string(), cjose_version(),
                   curl_version_info(CURLVERSION_NOW)->version, zlibVersion());
}
