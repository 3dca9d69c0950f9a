#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs are made of, as a CycloneDX 1.5 document on standard output: the Debian packages of
the shared libraries that they load, and the npm packages that their pages depend on.

usage: deploy/sbom.py VERSION PROGRAM... [--npm package-lock.json...]

The same programs on the same machine give the same bytes: there is no date in it.
"""

import argparse
import json
import pathlib
import re
import subprocess
import urllib.parse


def purl(kind, name, version, qualifiers=""):
    parts = (urllib.parse.quote(name, safe="/"), urllib.parse.quote(version, safe=":"))
    return f"pkg:{kind}/{'@'.join(parts)}{qualifiers}"


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def libraries_of(program):
    """Files that the loader takes for it, and those take."""
    lines = output_of("ldd", program).splitlines()
    if any("not found" in line for line in lines):
        raise SystemExit(f"sbom.py: {program} needs a library that is not here")
    return {found.group(1) for line in lines if (found := re.search(r"(/\S+) \(0x", line))}


def package_of(library):
    """The Debian package that a file belongs to. Its database may say /lib for what is /usr/lib."""
    real = str(pathlib.Path(library).resolve())
    for path in (library, real, real.removeprefix("/usr")):
        found = subprocess.run(["dpkg-query", "--search", path], capture_output=True, text=True,
                               timeout=60, check=False)
        if found.returncode == 0:
            return found.stdout.split(": ")[0]
    raise SystemExit(f"sbom.py: {library} is of no Debian package")


def debian_component(package):
    form = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}"
    name, version, architecture, source, source_version = output_of(
        "dpkg-query", "--show", f"--showformat={form}", package).split("\t")
    return {"type": "library", "name": name, "version": version,
            "purl": purl("deb/debian", name, version, f"?arch={architecture}"),
            "properties": [{"name": "debian:source", "value": f"{source} {source_version}"}]}


def npm_components(lock):
    entries = json.loads(pathlib.Path(lock).read_text())["packages"]
    for path, entry in entries.items():
        if path and not entry.get("dev"):
            name = path.rpartition("node_modules/")[2]
            yield {"type": "library", "name": name, "version": entry["version"],
                   "purl": purl("npm", name, entry["version"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("version")
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--npm", nargs="*", default=[])
    args = parser.parse_args()
    libraries = set().union(*(libraries_of(program) for program in args.programs))
    components = [debian_component(one) for one in sorted({package_of(one) for one in libraries})]
    for lock in args.npm:
        components += npm_components(lock)
    print(json.dumps({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": {"type": "application", "name": "parley",
                                   "version": args.version}},
        "components": components}, indent=1))


if __name__ == "__main__":
    main()
