#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Each header compiles alone, and twice in a row.
#
# usage: check_headers.sh [--root DIR] [--build DIR] COMPILER...
#
# DIR of --build is where the generated headers are (default: build/release).
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/release
while [ $# -gt 0 ]; do
    case $1 in
    --root) root=$(cd -- "$2" && pwd) ;;
    --build) build=$(cd -- "$2" && pwd) ;;
    *) break ;;
    esac
    shift 2
done
if [ $# -eq 0 ]; then
    printf 'usage: check_headers.sh [--root DIR] [--build DIR] COMPILER...\n' >&2
    exit 2
fi

simd_flags()
{
    [ "$(uname -m)" = x86_64 ] || return 0
    printf -- '-D PARLEY_HAVE_X86_SIMD=1 '
    case $1 in
    *_sse4.h) printf -- '-msse4.2' ;;
    *_avx2.h) printf -- '-mavx2 -mbmi -mbmi2' ;;
    *_avx512.h)
        printf -- '-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vbmi -mbmi -mbmi2'
        ;;
    esac
}

cd -- "$root"
failed=0
while read -r header; do
    read -r -a simd < <(simd_flags "$header") || true
    for compiler in "$@"; do
        if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
            "$compiler" -x c -std=c17 -D_GNU_SOURCE "${simd[@]}" -I . -I "$build/generated" \
                -Wall -Wextra -Wpedantic -Werror -fsyntax-only -; then
            printf '%s: does not compile alone with %s\n' "$header" "$compiler"
            failed=1
        fi
    done
done < <(find core proto net store chat server bench tests -name node_modules -prune -o \
    -name '*.h' -print 2>/dev/null | sort)
exit "$failed"
