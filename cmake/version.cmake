# SPDX-License-Identifier: Apache-2.0
#
# Writes version.h. cmake -D SOURCE_DIR=... -D VERSION=... -D OUTPUT=... -P version.cmake
# The commit is empty where git or the repository is missing: a tarball builds too.

cmake_minimum_required(VERSION 3.25)

set(commit "")
find_program(git git)
if(git)
    execute_process(
        COMMAND ${git} -C ${SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
        OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()

if(commit)
    set(commit " (${commit})")
endif()

set(text "/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GENERATED_VERSION_H
#define GENERATED_VERSION_H
/* Written by cmake/version.cmake. */
#define PARLEY_VERSION \"${VERSION}\"
#define PARLEY_COMMIT  \"${commit}\" /* \" (abc)\"; empty: not built from a git tree */
#endif /* GENERATED_VERSION_H */
")

set(before "")
if(EXISTS ${OUTPUT})
    file(READ ${OUTPUT} before)
endif()
if(NOT before STREQUAL text)
    file(WRITE ${OUTPUT} "${text}")
endif()
