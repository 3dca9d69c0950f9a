#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What of STYLE.md a short script can see and no compiler says.

usage: check_style.py [ROOT]

  every file   names its licence in the first lines; a line has at most 100 columns;
               an open point names its issue: TODO(#123)
  C            a function has at most 70 lines and five parameters, and no #if inside; no typedef;
               a header's guard is its path; no declaration with a tab before it
"""

import pathlib
import re
import sys

import tree

LINES_MAX = 70
PARAMETERS_MAX = 5
COLUMNS_MAX = 100

# Signatures that a library prescribes: (path, function).
PRESCRIBED = {("net/tls_config_server.c", "select_protocol"),
              ("tests/unit/server/failing_libraries.h", "memory_deflateInit2_"),
              ("net/tls_config_server.c", "use_ticket_key"),
              ("store/engine_rocksdb_options.c", "expiry_filter")}

LICENSED = tree.C_SUFFIXES | {".py", ".sh", ".cmake", ".js", ".mjs", ".css"}
MEASURED = tree.C_SUFFIXES | {".py", ".sh", ".cmake"}
LICENCE = "SPDX-License-Identifier: Apache-2.0"
OPEN_POINT = re.compile(r"\b(?:TODO(?!\(#\d+\))|FIXME|XXX)\b")


def judge_text(path, text):
    lines = text.splitlines()
    if not any(LICENCE in line for line in lines[:3]):
        yield 1, f"no {LICENCE}"
    for number, line in enumerate(lines, 1):
        if path.suffix in MEASURED and len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns"
        if path.parts[:2] != ("tests", "lint") and OPEN_POINT.search(line):
            yield number, "an open point names its issue: TODO(#123)"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"


def functions(lines):
    """(first line of the signature, line of its brace, line of the last brace), from 0.

    The formatter puts the braces of a function, and of nothing else, into column 0.
    """
    start = None
    for index, line in enumerate(lines):
        if line.startswith("{"):
            start = index
        elif line.startswith("}") and start is not None:
            first = start
            while first > 0 and lines[first - 1].strip() and lines[first - 1][0] not in "#}":
                first -= 1
            yield first, start, index
            start = None


def parameter_count(signature):
    """Commas between the last pair of outer parentheses of a signature."""
    end = signature.rfind(")")
    depth, commas = 0, 0
    for index in range(end, -1, -1):
        char = signature[index]
        depth += (char == ")") - (char == "(")
        commas += char == "," and depth == 1
        if depth == 0:
            return 0 if signature[index + 1:end].strip() in ("", "void") else commas + 1
    return 0


def judge_c(path, text):
    code = tree.without_comments(text)
    lines = code.splitlines()
    for number, line in enumerate(lines, 1):
        if re.search(r"\btypedef\b", line):
            yield number, "typedef"
        if line.startswith("\t"):
            yield number, "tab"
    for first, start, end in functions(lines):
        if end - start + 1 > LINES_MAX:
            yield start + 1, f"a function of {end - start + 1} lines"
        signature = " ".join(lines[first:start])
        count = parameter_count(signature)
        prescribed = any(str(path) == file and f" {name}(" in signature
                         for file, name in PRESCRIBED)
        if count > PARAMETERS_MAX and not prescribed:
            yield first + 1, f"a function with {count} parameters"
        for index in range(start, end):
            if re.match(r"\s*#\s*if", lines[index]):
                yield index + 1, "#if inside a function"
    if path.suffix == ".h":
        guard = re.sub(r"[/.]", "_", str(path)).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in code:
            yield 1, f"the guard is not {guard}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    faults = []
    for path in tree.files(root, LICENSED):
        text = tree.read(root, path)
        judged = list(judge_text(path, text))
        if path.suffix in tree.C_SUFFIXES:
            judged += judge_c(path, text)
        faults += [f"{path}:{line}: {fault}" for line, fault in sorted(judged)]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
