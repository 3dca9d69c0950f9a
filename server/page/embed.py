#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the chat page into C: page_bytes.c and page_bytes.h.

usage: embed.py PAGE_DIR OUTPUT_DIR

The page is index.html, chat.css and chat.js of PAGE_DIR, and the browser bundle of the npm package
`centrifuge` in the version that package-lock.json pins.
"""

import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cmake"))
import npm_embed  # noqa: E402, only found by the line above

FILES = [
    # URL path, file in PAGE_DIR, content type
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/chat.css", "chat.css", "text/css; charset=utf-8"),
    ("/favicon.svg", "favicon.svg", "image/svg+xml"),
    ("/chat.js", "chat.js", "text/javascript; charset=utf-8"),
    ("/centrifuge.js", "node_modules/centrifuge/dist/centrifuge.js",
     "text/javascript; charset=utf-8"),
]

HEADER = """\
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GENERATED_PAGE_BYTES_H
#define GENERATED_PAGE_BYTES_H
/* The chat page, compiled in. Written by server/page/embed.py. Constant, so any thread may read. */
#include <stddef.h>
#include <stdint.h>

struct page_file {
    const char *path;         /* as in the request: "/", "/chat.js" */
    const char *content_type; /* value of Content-Type */
    const char *etag;         /* value of ETag, with its quotes: a hash of the content */
    const uint8_t *data;
    size_t size; /* bytes */
};

extern const struct page_file page_files[];
extern const size_t page_file_count;

#endif /* GENERATED_PAGE_BYTES_H */
"""


def generate(page):
    arrays, rows = [], []
    for index, (path, file, content_type) in enumerate(FILES):
        content = (page / file).read_bytes()
        if not content:
            sys.exit(f"embed.py: {page / file} is empty")
        etag = hashlib.sha256(content).hexdigest()[:24]
        arrays.append(npm_embed.array_of(f"static const uint8_t file_{index}", content))
        rows.append(f'    {{"{path}", "{content_type}", "\\"{etag}\\"", '
                    f"file_{index}, sizeof(file_{index})}},")
    return "\n".join([
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Written by server/page/embed.py. */",
        '#include "page_bytes.h"',
        "", *arrays, "",
        "const struct page_file page_files[] = {", *rows, "};",
        "const size_t page_file_count = sizeof(page_files) / sizeof(page_files[0]);",
        ""])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    npm_embed.install(page)
    source = generate(page)
    output.mkdir(parents=True, exist_ok=True)
    (output / "page_bytes.h").write_text(HEADER)
    (output / "page_bytes.c").write_text(source)


if __name__ == "__main__":
    main()
