#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every exported symbol starts with the name of its file, and no object has writable globals.
#
# usage: check_symbols.sh BUILD_DIR [ROOT [ALLOWED]]
#
# Looks at the objects of core, proto, net, store, chat, server and bench/load, as gcc or clang
# made them without sanitizers (which add globals of their own). A variant may carry the plain
# module's name: backend_uring.c exports backend_.... So may a file without a header of its own,
# which is a part of the module that has one: hub_posts.c, beside hub.h, exports hub_....
# Constants that hold addresses live in .data.rel.ro, which nobody can write to once the
# program runs, so the section decides and not nm's letter.
# ALLOWED (tests/lint/globals.allowed): one "module: symbol" a line, and why after a #.
set -euo pipefail
export LC_ALL=C

build=${1:?usage: check_symbols.sh BUILD_DIR [ROOT [ALLOWED]]}
root=${2:-$(dirname -- "${BASH_SOURCE[0]}")/../..}
allowed=${3:-$root/tests/lint/globals.allowed}

mapfile -t objects < <(
    find "$build" -path '*.dir/*' -name '*.c.o' |
        grep -E '\.dir/(core|proto|net|store|chat|server|bench/load|generated)/[^/]+\.c\.o$' | sort
)
if [ ${#objects[@]} -eq 0 ]; then
    printf 'check_symbols.sh: no objects in %s\n' "$build" >&2
    exit 2
fi

# prefix_of FOLDER STEM
prefix_of()
{
    local prefix=$2
    case $prefix in
    *_sse4 | *_avx2 | *_avx512 | *_uring | *_epoll | *_rocksdb) prefix=${prefix%_*} ;;
    esac
    while [[ $prefix == *_* && ! -e $root/$1/$prefix.h ]]; do
        prefix=${prefix%_*}
    done
    [ -e "$root/$1/$prefix.h" ] || prefix=$2
    [ "$2" != page_bytes ] || prefix=page # generated: page_files, page_file_count
    printf '%s' "$prefix"
}

for object in "${objects[@]}"; do
    stem=$(basename "$object" .c.o)
    folder=${object##*.dir/}
    prefix=$(prefix_of "${folder%/*}" "$stem")
    nm --defined-only --format=sysv "$object" |
        awk -F '|' -v stem="$stem" -v prefix="$prefix" '
            NF < 7 { next }
            {
                for (i = 1; i <= NF; i++) gsub(/^ +| +$/, "", $i)
                name = $1; class = $3; section = $7
                sub(/\.[0-9]+$/, "", name) # a static inside a function
            }
            class ~ /^[A-Z]$/ && class != "N" && index(name, prefix "_") != 1 && name != prefix &&
                !(stem == "main" && name == "main") {
                print stem ": exported without its prefix: " name
            }
            section ~ /^\.(data|bss|tdata|tbss)/ && section !~ /^\.data\.rel\.ro/ ||
                section == "*COM*" { print stem ": writable global: " name }'
done | awk -v allowed="$allowed" '
    BEGIN {
        while ((getline line < allowed) > 0) {
            sub(/[ \t]*#.*/, "", line)
            if (line != "") permitted[line] = 1
        }
    }
    {
        split($0, part, ": ")
        if (part[2] == "writable global" && (part[1] ": " part[3]) in permitted) next
        print
        found = 1
    }
    END { exit found }'
