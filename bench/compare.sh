#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# parleyd beside other servers, with one command: installs them, builds ours, runs compare.py, which
# takes the flags (--help).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
case " $* " in *" --help "* | *" -h "*) exec python3 bench/compare.py --help ;; esac
# shellcheck source=deploy/packages.sh
source deploy/packages.sh

mapfile -t node < <(packages_node)
packages_install "${packages_build[@]}" "${packages_peers[@]}" "${node[@]}"
# What npm would run after the installation only copies a file that is there already.
(cd bench/peers && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
parley_build release programs
mkdir -p build/peers
cc -O2 -o build/peers/lws_server bench/peers/lws_server.c -lwebsockets
exec python3 bench/compare.py "$@"
