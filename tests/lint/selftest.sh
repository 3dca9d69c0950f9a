#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tries each lint on trees that break one rule each, where it must fail and name the fault, and on
# trees that come close without breaking it, where it must pass.
# The last line is `N passed, N failed, N skipped`.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
passed=0
failed=0
tree=
spdx='/* SPDX-License-Identifier: Apache-2.0 */'

# new_tree: an empty tree, and put PATH TEXT fills it.
new_tree()
{
    tree=$work/tree
    rm -rf -- "$tree"
    mkdir -p "$tree"
}

put()
{
    mkdir -p "$tree/$(dirname -- "$1")"
    printf '%b' "$2" >"$tree/$1"
}

# header PATH BODY: a header with the guard that its path asks for.
header()
{
    local guard=${1//[\/.]/_}
    put "$1" "$spdx\n#ifndef ${guard^^}\n#define ${guard^^}\n$2\n#endif\n"
}

# expect WHY pass|TEXT COMMAND...: passes, or fails and says TEXT.
expect()
{
    local why=$1 wanted=$2 status=0 output
    shift 2
    output=$("$@" 2>&1) || status=$?
    if [ "$wanted" = pass ] && [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
    elif [ "$wanted" != pass ] && [ "$status" -eq 1 ] && [[ $output == *"$wanted"* ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s: wanted "%s", got status %d and:\n%s\n' "$why" "$wanted" "$status" \
            "$output"
    fi
}

# layers WHY WANTED PATH TEXT: one file beside a small tree that keeps all rules.
layers()
{
    new_tree
    header core/slab.h '#include <stddef.h>\n#include <pthread.h>'
    header proto/frame.h '#include "core/slab.h"'
    header proto/simd_avx2.h '#include <immintrin.h>'
    header net/conn.h '#include "core/slab.h"'
    header net/backend.h '#include "net/conn.h"\n#include <sys/socket.h>'
    header chat/hub.h '#include "proto/frame.h"'
    header server/shard.h '#include "chat/hub.h"\n#include "net/conn.h"'
    put "$3" "$4"
    expect "$1" "$2" python3 "$here/check_layers.py" "$tree"
}

layers 'server sees all' pass server/a.c \
    '#include "server/shard.h"\n#include "proto/frame.h"\n#include "version.h"\n'
layers 'core sees proto' 'not below' core/a.c '#include "proto/frame.h"\n'
layers 'proto sees net' 'not below' proto/a.c '#include "net/conn.h"\n'
layers 'net sees proto' 'not below' net/a.c '#include "proto/frame.h"\n'
layers 'chat sees net' 'not below' chat/a.c '  #  include "net/conn.h"\n'
layers 'chat sees server' 'not below' chat/a.c '#include "server/shard.h"\n'
layers 'core sees what the build writes' 'not below' core/a.c '#include "version.h"\n'
layers 'store sees chat' 'not below' store/a.c '#include "chat/hub.h"\n'
layers 'rocksdb beside its owner' 'belongs to another' store/store.c '#include <rocksdb/c.h>\n'
layers 'rocksdb' pass store/engine_rocksdb.c '#include <rocksdb/c.h>\n'
layers 'bench/load sees chat' 'not below' bench/load/a.c '#include "chat/hub.h"\n'
layers 'bench/micro sees server' 'not below' bench/micro/a.c '#include "server/shard.h"\n'
layers 'bench/micro sees chat' pass bench/micro/a.c '#include "chat/hub.h"\n'
layers 'a test of core sees proto' 'not below' tests/unit/core/a_test.c '#include "proto/frame.h"\n'
layers 'the simulation sees all' pass tests/sim/a.c \
    '#include "server/shard.h"\n#include "net/backend.h"\n'
layers 'no path from the root' 'no path from the root' core/a.c '#include "slab.h"\n'
layers 'in a comment' pass core/a.c '/*\n#include "net/conn.h"\n*/\n// #include <yaml.h>\n'
layers 'private header' 'is private' server/a.c '#include "net/backend.h"\n'
layers 'private header at home' pass net/a.c '#include "net/backend.h"\n'
layers 'private SIMD header' 'is private' server/a.c '#include "proto/simd_avx2.h"\n'
layers 'liburing elsewhere' 'belongs to another' net/reactor.c '#include <liburing.h>\n'
layers 'liburing at home' pass net/backend_uring.c '#include <liburing.h>\n'
layers 'epoll elsewhere' 'belongs to another' net/reactor.c '#include <sys/epoll.h>\n'
layers 'OpenSSL elsewhere' 'belongs to another' server/token.c '#include <openssl/evp.h>\n'
layers 'OpenSSL at home' pass proto/upgrade.c '#include <openssl/sha.h>\n'
layers 'SIMD in a scalar file' 'belongs to another' proto/utf8.c '#include <immintrin.h>\n'
layers 'SIMD in a variant' pass proto/utf8_avx512.c '#include <immintrin.h>\n'
layers 'libyaml elsewhere' 'belongs to another' server/main.c '#include <yaml.h>\n'
layers 'sockets in chat' 'belongs to another' chat/hub.c '#include <sys/socket.h>\n'
layers 'a thread in net' 'belongs to another' net/a.c '#include <pthread.h>\n'
layers 'nobody owns it' 'has no owner' server/a.c '#include <zmq.h>\n'
layers 'own cycle' 'header cycle: core/b.h -> core/b.h' core/b.h '#include "core/b.h"\n'
new_tree
header core/a.h '#include "core/b.h"'
header core/b.h '#include "core/c.h"'
header core/c.h '#include "core/a.h"'
expect 'cycle of three' 'core/a.h -> core/b.h -> core/c.h -> core/a.h' \
    python3 "$here/check_layers.py" "$tree"
new_tree
header core/a.h '#include "core/b.h"\n#include "core/c.h"'
header core/b.h '#include "core/c.h"'
header core/c.h ''
expect 'a diamond is no cycle' pass python3 "$here/check_layers.py" "$tree"
new_tree
expect 'an empty tree' pass python3 "$here/check_layers.py" "$tree"

# style WHY WANTED PATH TEXT
style()
{
    new_tree
    put "$3" "$4"
    expect "$1" "$2" python3 "$here/check_style.py" "$tree"
}

repeat()
{
    local i
    for ((i = 0; i < $1; i++)); do
        printf '%s' "$2"
    done
}

style 'a good file' pass core/a.c "$spdx\nint a_b(int c)\n{\n    return c;\n}\n"
style 'no licence' 'no SPDX' core/a.c 'int a;\n'
style 'no licence in a script' 'no SPDX' deploy/a.sh '#!/bin/sh\n'
style '100 columns' pass core/a.c "$spdx\n// $(repeat 97 x)\n"
style '101 columns' '101 columns' core/a.c "$spdx\n// $(repeat 98 x)\n"
style '100 columns, not bytes' pass core/a.c "$spdx\n// $(repeat 97 ä)\n"
style 'an open point without an issue' 'TODO(#123)' core/a.c "$spdx\n// TODO: later\n"
style 'an open point with one' pass core/a.c "$spdx\n// TODO(#123): later\n"
style 'another word for it' 'TODO(#123)' core/a.c "$spdx\n// FIXME\n"
style 'typedef' 'typedef' core/a.c "$spdx\ntypedef int number;\n"
style 'typedef in a comment' pass core/a.c "$spdx\n/* no typedef */\n"
style 'no newline at the end' 'no newline' core/a.c "$spdx\nint a;"
style 'a tab' 'tab' core/a.c "$spdx\nint a(void)\n{\n\treturn 1;\n}\n"
style 'a function of 70 lines' pass core/a.c "$spdx\nint a(void)\n{\n$(repeat 68 '    b();\n')}\n"
style 'a function of 71 lines' 'of 71 lines' core/a.c \
    "$spdx\nint a(void)\n{\n$(repeat 69 '    b();\n')}\n"
style 'a long table' pass core/a.c "$spdx\nstatic const int a[] = {\n$(repeat 90 '    1,\n')};\n"
style 'five parameters, one a function' pass core/a.c \
    "$spdx\nint a(int b, int c, void (*d)(int, int), int e,\n      int f)\n{\n    return 1;\n}\n"
style 'six parameters' '6 parameters' core/a.c \
    "$spdx\nint a(int b, int c, int d, int e,\n      int f, int g)\n{\n    return 1;\n}\n"
style '#if in a function' '#if inside' core/a.c "$spdx\nint a(void)\n{\n#ifdef B\n#endif\n}\n"
style '#if around a function' pass core/a.c "$spdx\n#ifdef B\nint a(void)\n{\n}\n#endif\n"
style 'wrong guard' 'the guard is not CORE_A_H' core/a.h "$spdx\n#ifndef A_H\n#define A_H\n#endif\n"
style 'right guard' pass core/a.h "$spdx\n#ifndef CORE_A_H\n#define CORE_A_H\n#endif\n"

# symbols WHY WANTED PATH TEXT: compiled as CMake would put it.
symbols()
{
    new_tree
    put "$3" "$4"
    put chat/hub.h ''
    put chat/hub_reply.h ''
    put net/backend.h ''
    put proto/utf8.h ''
    local object=$tree/build/CMakeFiles/x.dir/$3.o
    mkdir -p "$(dirname -- "$object")"
    gcc -O1 -fPIE -c "$tree/$3" -o "$object"
    printf 'cpu: level # found once\n' >"$tree/allowed"
    expect "$1" "$2" "$here/check_symbols.sh" "$tree/build" "$tree" "$tree/allowed"
}

symbols 'a good object' pass core/slab.c \
    'static int helper(void) { return 1; }\nint slab_take(void) { return helper(); }\n'
symbols 'no prefix' 'without its prefix: take' core/slab.c 'int take(void) { return 1; }\n'
symbols 'a prefix needs its underscore' 'without its prefix: slabs' core/slab.c \
    'int slabs(void) { return 1; }\n'
symbols 'exported constant without prefix' 'without its prefix: limit' core/slab.c \
    'extern const int limit;\nconst int limit = 3;\n'
symbols 'exported global' 'writable global: slab_count' core/slab.c 'int slab_count;\n'
symbols 'static global' 'writable global: count' core/slab.c \
    'static int count;\nint slab_next(void) { return count++; }\n'
symbols 'static with a value' 'writable global: count' core/slab.c \
    'static int count = 4;\nint slab_next(void) { return count++; }\n'
symbols 'static in a function' 'writable global: count' core/slab.c \
    'int slab_next(void) { static int count; return count++; }\n'
symbols 'one per thread' 'writable global: count' core/slab.c \
    'static _Thread_local int count;\nint slab_next(void) { return count++; }\n'
symbols 'constant table of addresses' pass core/slab.c \
    'int slab_a(void) { return 1; }\nint (*const slab_table[])(void) = {slab_a};\n'
symbols 'table that is not constant' 'writable global: slab_table' core/slab.c \
    'int slab_a(void) { return 1; }\nint (*slab_table[])(void) = {slab_a};\n'
symbols 'a variant with the plain name' pass proto/utf8_avx2.c 'int utf8_b(void) { return 1; }\n'
symbols 'a variant with its own name' pass net/backend_uring.c \
    'int backend_uring_b(void) { return 1; }\n'
symbols 'a part of a module' pass chat/hub_posts.c 'int hub_take(void) { return 1; }\n'
symbols 'a module of its own' 'without its prefix: hub_take' chat/hub_reply.c \
    'int hub_take(void) { return 1; }\n'
symbols 'a part of nothing' 'without its prefix: hub_take' core/hub_posts.c \
    'int hub_take(void) { return 1; }\n'
symbols 'main' pass server/main.c 'int main(void) { return 0; }\n'
symbols 'main elsewhere' 'without its prefix: main' core/slab.c 'int main(void) { return 0; }\n'
symbols 'allowed global' pass core/cpu.c 'static int level;\nint cpu_n(void) { return level++; }\n'
symbols 'allowed for another module' 'writable global: level' core/slab.c \
    'static int level;\nint slab_n(void) { return level++; }\n'

# headers WHY WANTED TEXT
headers()
{
    new_tree
    header core/a.h "$3"
    mkdir -p "$tree/build"
    expect "$1" "$2" "$here/check_headers.sh" --root "$tree" --build "$tree/build" gcc
}

headers 'a good header' pass '#include <stddef.h>\nsize_t a_b(void);'
headers 'a type is missing' 'does not compile alone' 'size_t a_b(void);'
new_tree
put core/a.h "$spdx\nstruct a {\n    int b;\n};\n"
mkdir -p "$tree/build"
expect 'no guard' 'does not compile alone' \
    "$here/check_headers.sh" --root "$tree" --build "$tree/build" gcc

# totals WHY WANTED STATUS OUTPUT: what tests/totals.py makes of one program beside a good one, and
# one of another part.
totals()
{
    new_tree
    put junit.xml "<testsuite><testcase name=\"unit/good\" status=\"run\"><system-out>\
100%: Checks: 2, Failures: 0, Errors: 0\n</system-out></testcase>\
<testcase name=\"sim\" status=\"run\"></testcase>\
<testcase name=\"unit/x\" status=\"$3\"><system-out>$4</system-out></testcase></testsuite>"
    local said
    said=$(python3 "$here/../totals.py" "$tree/junit.xml")
    expect "$1" pass test "$said" = "unit $2"$'\n'"sim 1 passed, 0 failed, 0 skipped"
}

totals 'two of Check' \
    '15 passed, 0 failed, 0 skipped' run '100%: Checks: 13, Failures: 0, Errors: 0\n'
totals 'Check with faults' '11 passed, 4 failed, 0 skipped' fail \
    'Running\n69%: Checks: 13, Failures: 3, Errors: 1\nfile.c:1:F:\n'
totals 'a sanitizer after Check' '15 passed, 1 failed, 0 skipped' fail \
    '100%: Checks: 13, Failures: 0, Errors: 0\n==1==ERROR\n'
totals 'a crash' '2 passed, 1 failed, 0 skipped' fail ''
totals 'silence' '3 passed, 0 failed, 0 skipped' run ''
totals 'our own line' '302 passed, 0 failed, 4 skipped' run 'x\n300 passed, 0 failed, 4 skipped\n'
totals 'our own line with faults' '301 passed, 1 failed, 0 skipped' fail \
    '299 passed, 1 failed, 0 skipped\n'

printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
