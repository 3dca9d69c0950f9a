#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/packages.sh
source deploy/packages.sh

usage()
{
    cat <<'EOF'
usage: deploy/run.sh [--build-only] [ARGUMENT...]

Builds parley and starts it: from a fresh clone to a chat in the browser.

  1. installs the Debian packages that are missing (sudo only when you are not root)
  2. builds build/release/parleyd, and the load generator parley-bench beside it
  3. starts it with the ARGUMENTs; parleyd prints the address of the chat page

  --build-only   stop after step 2
  --no-install   leave out step 1
  -h, --help     this text

Everything else goes to parleyd, for example:

  deploy/run.sh --listen 127.0.0.1:9000 --reactors 2
  deploy/run.sh --config deploy/parley.example.yaml

`build/release/parleyd --help` tells what it understands. Ctrl-C ends it.
EOF
}

start=yes
install=yes
while [ $# -gt 0 ]; do
    case $1 in
    --build-only) start=no ;;
    --no-install) install=no ;;
    -h | --help)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    *) break ;;
    esac
    shift
done

if [ "$install" = yes ]; then
    mapfile -t node < <(packages_node)
    packages_install "${packages_build[@]}" "${node[@]}"
fi

printf 'Building build/release/parleyd and parley-bench\n'
parley_build release programs

if [ "$start" = yes ]; then
    exec build/release/parleyd "$@"
fi
