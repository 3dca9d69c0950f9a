#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds parley-micro, runs it, and writes bench/results/<machine>/<commit>.json.
# usage: bench/micro/run.sh [--name MACHINE] [--repetitions N] [options of Google Benchmark...]
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/packages.sh
. deploy/packages.sh

repetitions=12
machine=$(hostname)
while [ $# -gt 0 ]; do
    case $1 in
    --name) machine=$2 && shift 2 ;;
    --repetitions) repetitions=$2 && shift 2 ;;
    *) break ;;
    esac
done
packages_install "${packages_build[@]}" "${packages_bench[@]}"
parley_build release parley-micro

commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || commit+=-dirty
target=bench/results/$machine/$commit.json
raw=$(mktemp)
trap 'rm -f -- "$raw"' EXIT
# Interleaved: a disturbance of a second then hits one repetition of many cases.
build/release/parley-micro --benchmark_repetitions="$repetitions" --benchmark_min_time=0.02 \
    --benchmark_enable_random_interleaving=true --benchmark_out="$raw" \
    --benchmark_out_format=json "$@" >/dev/null
mkdir -p "$(dirname -- "$target")"
bench/micro/compare.py --trim "$raw" "$commit" >"$target"
printf '%s\n' "$target"
