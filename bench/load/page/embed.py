#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the page of a report into C: report_page.c and report_page.h.

usage: embed.py PAGE_DIR OUTPUT_DIR

The page is report.html of PAGE_DIR with everything it needs inside: report.css, report.js, and
uPlot in the version that package-lock.json pins, its licence too. It is cut where the data of a run
goes.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "cmake"))
import npm_embed  # noqa: E402, only found by the line above

# A mark in report.html -> the file that takes its place.
FILES = {
    "@UPLOT_LICENSE@": "node_modules/uplot/LICENSE",
    "@UPLOT_CSS@": "node_modules/uplot/dist/uPlot.min.css",
    "@UPLOT_JS@": "node_modules/uplot/dist/uPlot.iife.min.js",
    "@REPORT_CSS@": "report.css",
    "@REPORT_JS@": "report.js",
}
DATA = "@DATA@"

# What would end the element or the comment that a file is put into.
ENDS = re.compile(r"</script|</style|<!--|-->", re.IGNORECASE)

HEADER = """\
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GENERATED_REPORT_PAGE_H
#define GENERATED_REPORT_PAGE_H
/*
 * The page of a report: JSON goes between the two parts, with its '<' escaped. Written by
 * bench/load/page/embed.py. Constant, so any thread may read.
 */
#include <stddef.h>
#include <stdint.h>

extern const uint8_t report_page_before[];
extern const size_t report_page_before_size; /* bytes */
extern const uint8_t report_page_after[];
extern const size_t report_page_after_size; /* bytes */

#endif /* GENERATED_REPORT_PAGE_H */
"""


def assemble(page):
    """The page as text, before and after its data."""
    html = (page / "report.html").read_text(encoding="utf-8")
    for mark in (*FILES, DATA):
        if html.count(mark) != 1:
            sys.exit(f"embed.py: report.html has {html.count(mark)} of {mark}")
    before, after = html.split(DATA)

    def content(match):
        text = (page / FILES[match.group(0)]).read_text(encoding="utf-8").strip()
        if not text or ENDS.search(text):
            sys.exit(f"embed.py: {FILES[match.group(0)]} is empty or cannot be inlined")
        return text

    marks = re.compile("|".join(FILES))
    return marks.sub(content, before), marks.sub(content, after)


def generate(page):
    parts = []
    for name, text in zip(("before", "after"), assemble(page)):
        parts += [npm_embed.array_of(f"const uint8_t report_page_{name}", text.encode()),
                  f"const size_t report_page_{name}_size = sizeof(report_page_{name});", ""]
    return "\n".join([
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Written by bench/load/page/embed.py. */",
        '#include "report_page.h"',
        "", *parts])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    npm_embed.install(page)
    source = generate(page)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report_page.h").write_text(HEADER)
    (output / "report_page.c").write_text(source)


if __name__ == "__main__":
    main()
