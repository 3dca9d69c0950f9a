# SPDX-License-Identifier: Apache-2.0
"""What the scripts share that turn a page and its npm packages into C: each */page/embed.py."""

import fcntl
import json
import subprocess


def packages(lock):
    """name -> integrity of each package in a lock file, or nothing when there is no file."""
    try:
        entries = json.loads(lock.read_text())["packages"]
    except (OSError, ValueError, KeyError):
        return {}
    return {name: entry.get("integrity") for name, entry in entries.items() if name}


def install(page):
    """Has in page/node_modules what page/package-lock.json pins.

    `npm ci` runs only when node_modules does not hold those versions; a lock keeps two builds of
    one tree from doing it at once.
    """
    wanted = packages(page / "package-lock.json")
    with open(page / "package-lock.json", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if packages(page / "node_modules" / ".package-lock.json") == wanted:
            return
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=page, check=True, stdin=subprocess.DEVNULL, timeout=300)


def array_of(declaration, content):
    """`declaration[] = {...};` with these bytes."""
    lines = [f"{declaration}[] = {{"]
    for start in range(0, len(content), 24):
        lines.append("    " + "".join(f"{byte}," for byte in content[start:start + 24]))
    lines.append("};")
    return "\n".join(lines)
