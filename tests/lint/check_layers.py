#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: ARCHITECTURE.md, "Layers", as a program.

usage: check_layers.py [ROOT]

  1. our headers are included by their path from the root, and the file exists
  2. a folder includes only what is beside or below it
  3. a foreign header is included by its owners alone; one that nobody owns, by no one
  4. a private header stays in its folder (and in tests)
  5. no header includes itself, however many steps away
"""

import fnmatch
import pathlib
import re
import sys

import tree

# Written by the build, so not in the tree.
GENERATED = ("version.h", "page_bytes.h", "report_page.h")

# The longest prefix that fits a file decides. A file may include what starts with one of the right.
ARROWS = {
    "core/": ("core/",),
    "proto/": ("proto/", "core/"),
    "net/": ("net/", "core/"),
    "chat/": ("chat/", "proto/", "core/"),
    "store/": ("store/", "core/", *GENERATED),
    "server/": ("server/", "chat/", "net/", "proto/", "store/", "core/", *GENERATED),
    "bench/load/": ("bench/load/", "net/", "proto/", "core/", *GENERATED),
    "bench/micro/": ("bench/micro/", "chat/", "net/", "proto/", "core/"),
    "bench/store/": ("bench/store/", "store/", "core/", *GENERATED),
    "bench/": ("bench/",),
    "tests/": ("tests/", "server/", "chat/", "net/", "proto/", "store/", "core/", *GENERATED),
    "tests/unit/core/": ("tests/unit/", "core/"),
    "tests/unit/proto/": ("tests/unit/", "proto/", "core/"),
    "tests/unit/net/": ("tests/unit/", "net/", "core/"),
    "tests/unit/chat/": ("tests/unit/", "chat/", "proto/", "core/"),
    "tests/unit/store/": ("tests/unit/", "store/", "core/"),
    "tests/store/": ("tests/store/", "store/", "core/"),
    "tests/unit/load/": ("tests/unit/", "bench/load/", "net/", "proto/", "core/"),
    "tests/net/": ("tests/", "net/", "core/"),
}

SIMD = ("proto/*_sse4.c", "proto/*_avx2.c", "proto/*_avx512.c", "proto/simd_*.h")
SOCKETS = ("net/*", "tests/*", "bench/load/*", "bench/store/bare.c", "store/child.c",
           "store/lane.c", "store/output.c", "store/reader.c", "store/spawn.c", "server/notify.c")
THREADS = ("core/*", "server/*", "tests/*", "bench/*")

# server/libraries.c asks the foreign libraries for their versions, and nothing else.
# Pattern of a foreign header -> the files that may have it. The first pattern that fits decides.
OWNERS = [
    ("liburing.h", ("net/backend_uring*.c", "bench/load/floor_uring.c", "tests/net/cases_error.c")),
    ("linux/io_uring.h", ("net/backend_uring*.c",)),
    ("sys/epoll.h", ("net/backend_epoll.c", "net/backend_uring_submit.c",
                     "bench/load/floor_epoll.c", "store/store_life.c", "tests/*")),
    ("rocksdb/c.h", ("store/engine_rocksdb*", "tests/unit/store/engine_rocksdb_test.c")),
    ("rocksdb/ldb_tool.h", ("store/rocksdb_tool.cc",)),
    ("liburing/io_uring_version.h", ("net/backend_uring*.c", "server/libraries.c")),
    ("openssl/crypto.h", ("proto/upgrade.c", "net/tls*.c", "server/token_key*.c",
                          "server/api_key.c", "server/libraries.c",
                          "tests/unit/net/conn_memory_test.c",
                          "tests/unit/server/*_memory_test.c")),
    ("openssl/sha.h", ("proto/upgrade*.c", "server/api_key.c")),
    ("openssl/*", ("proto/upgrade*.c", "net/tls*.c", "server/token_key*",
                   "tests/unit/server/token_forge.h")),
    ("curl/*", ("server/jwks_fetch.c", "server/libraries.c")),
    ("cjose/*", ("server/token_key_sign.c", "server/libraries.c")),
    ("*intrin.h", SIMD),
    ("cpuid.h", ("core/cpu.c",)),
    ("zlib.h", ("proto/permessage.c", "server/libraries.c", "tests/unit/proto/permessage_test.c",
                "tests/unit/server/failing_libraries.h", "tests/unit/server/shard_world.h",
                "tests/fuzz/inflate_fuzz.c", "tests/sim/sim_wire.c")),
    ("yaml.h", ("server/config*.c", "server/libraries.c")),
    ("pcre2.h", ("server/channel_regex.c", "tests/unit/server/failing_libraries.h")),
    ("argp.h", ("server/*", "bench/*", "tests/*")),
    ("check.h", ("tests/*",)),
    ("benchmark/*", ("bench/micro/register.cc",)),
    ("libwebsockets.h", ("bench/peers/lws_server.c",)),
    ("sys/socket.h", SOCKETS),
    ("sys/un.h", SOCKETS),
    ("netinet/*", SOCKETS),
    ("arpa/*", SOCKETS),
    ("netdb.h", SOCKETS),
    ("pthread.h", THREADS),
    ("threads.h", THREADS),
    ("semaphore.h", THREADS),
    ("sanitizer/*", ("core/*", "tests/*")),
    ("sys/*", ("*",)),
    ("linux/*", ("*",)),
] + [(name, ("*",)) for name in """
    assert.h complex.h ctype.h errno.h fenv.h float.h inttypes.h iso646.h limits.h locale.h math.h
    setjmp.h signal.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
    stdnoreturn.h string.h tgmath.h time.h uchar.h wchar.h wctype.h
    dirent.h dlfcn.h endian.h byteswap.h err.h execinfo.h fcntl.h fnmatch.h ftw.h getopt.h glob.h
    grp.h libgen.h malloc.h poll.h pwd.h regex.h sched.h spawn.h strings.h sysexits.h syslog.h
    ucontext.h unistd.h""".split()]

# Private header -> who may include it.
PRIVATE = [
    ("net/backend.h", ("net/*", "tests/*")),
    ("net/tls_private.h", ("net/tls*.c",)),
    ("net/tls_certificates.h", ("net/tls*.c",)),
    ("net/*_private.h", ("net/*", "tests/*")),
    ("proto/simd_*.h", ("proto/*", "tests/unit/proto/*", "tests/fuzz/*")),
    ("core/*_private.h", ("core/*", "tests/*")),
    ("proto/*_private.h", ("proto/*", "tests/*")),
    ("chat/*_private.h", ("chat/*", "tests/*")),
    ("store/engine.h", ("store/*", "tests/*")),
    ("store/*_private.h", ("store/*", "tests/*")),
    ("server/*_private.h", ("server/*", "tests/*")),
    ("bench/load/*_private.h", ("bench/load/*", "tests/unit/load/*")),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)


def includes(root, path):
    """(line, name, is_ours) of each include of a file."""
    text = tree.without_comments(tree.read(root, path), keep_literals=True)
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield line, match.group(1) or match.group(2), match.group(2) is not None


def allowed(table, name, path):
    """Whether the first row whose pattern fits name allows path; None when no row fits."""
    for pattern, owners in table:
        if fnmatch.fnmatchcase(name, pattern):
            return any(fnmatch.fnmatchcase(path, owner) for owner in owners)
    return None


def may_include(path):
    prefix = max((prefix for prefix in ARROWS if path.startswith(prefix)), key=len, default=None)
    return ARROWS[prefix] if prefix else ()


def judge_ours(root, path, name):
    if name not in GENERATED and not (root / name).is_file():
        return f'"{name}" is no path from the root'
    if not name.startswith(may_include(path)):
        return f'"{name}" is not below {path.rpartition("/")[0]}/'
    if allowed(PRIVATE, name, path) is False:
        return f'"{name}" is private'
    return None


def judge_foreign(path, name):
    verdict = allowed(OWNERS, name, path)
    if verdict is None:
        return f"<{name}> has no owner: give it one in tests/lint/check_layers.py"
    return None if verdict else f"<{name}> belongs to another file"


def cycles(graph):
    """Each header cycle once, as a list of paths; depth first, white, grey, black."""
    done, trail, found = set(), [], []

    def visit(node):
        if node in done:
            return
        if node in trail:
            found.append(trail[trail.index(node):] + [node])
            return
        trail.append(node)
        for following in graph.get(node, ()):
            visit(following)
        trail.pop()
        done.add(node)

    for node in sorted(graph):
        visit(node)
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    faults, graph = [], {}
    for path in map(str, tree.files(root, tree.C_SUFFIXES)):
        ours = []
        for line, name, is_ours in includes(root, path):
            fault = judge_ours(root, path, name) if is_ours else judge_foreign(path, name)
            if fault:
                faults.append(f"{path}:{line}: {fault}")
            if is_ours:
                ours.append(name)
        if path.endswith(".h"):
            graph[path] = ours
    faults += ["header cycle: " + " -> ".join(cycle) for cycle in cycles(graph)]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
