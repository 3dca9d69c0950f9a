# SPDX-License-Identifier: Apache-2.0
"""What the lint scripts share: which files are ours, and C text without its comments."""

import os
import pathlib
import re

FOLDERS = ("core", "proto", "net", "store", "chat", "server", "bench", "tests", "deploy", "cmake")
NOT_OURS = {"node_modules", "__pycache__", "artifacts", "corpus", "build"}
C_SUFFIXES = {".c", ".h", ".cc"}

# A comment, a string or a character constant: whichever begins first swallows the others.
COMMENT_OR_LITERAL = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE)


def files(root, suffixes):
    """Our files with one of the suffixes, as paths relative to root, in a stable order."""
    root = pathlib.Path(root)
    found = []
    for folder in FOLDERS:
        for directory, names, file_names in os.walk(root / folder):
            names[:] = sorted(set(names) - NOT_OURS)
            found += [pathlib.Path(directory, name).relative_to(root)
                      for name in sorted(file_names)
                      if pathlib.Path(name).suffix in suffixes]
    return found


def read(root, path):
    return pathlib.Path(root, path).read_text(encoding="utf-8")


def without_comments(text, keep_literals=False):
    """The same lines, with comments (and literals) blanked: line numbers stay true."""
    def blank(match):
        piece = match.group(0)
        if piece[0] != "/":
            return piece if keep_literals else piece[0] + piece[-1]
        return "\n" * piece.count("\n") or " "
    return COMMENT_OR_LITERAL.sub(blank, text)
