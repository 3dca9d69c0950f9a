#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/packages.sh
source deploy/packages.sh

usage()
{
    cat <<'EOF'
usage: tests/fuzz.sh [SECONDS [TARGET...]]

Builds the fuzz targets (preset fuzz, clang) and runs each for SECONDS (default 60), two at a time,
from the corpus in tests/fuzz/corpus/NAME. New inputs go to build/fuzz/corpus, not into the tree; an
input that fails is kept in build/fuzz/artifacts, and how to run it again is printed.
The last line is `N passed, N failed, N skipped`, one per target.
EOF
}

case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
esac
seconds=${1:-60}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    usage >&2
    exit 2
fi
shift || true

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(find tests/fuzz -maxdepth 1 -name '*_fuzz.c' -printf '%f\n' |
        sed 's/\.c$//' | sort)
fi
if [ ${#targets[@]} -eq 0 ]; then
    printf 'tests/fuzz.sh: there is no target\n' >&2
    exit 2
fi

parley_build fuzz all

work=build/fuzz
mkdir -p "$work/artifacts" "$work/test-logs"

# One target. The seeds come last, and libFuzzer writes into the first folder only.
fuzz_one()
{
    local target=$1 name=${1%_fuzz} status=0
    local seeds=tests/fuzz/corpus/$name own=$work/corpus/$name log=$work/test-logs/$1.log
    local folders=("$own")
    mkdir -p "$own"
    [ ! -d "$seeds" ] || folders+=("$seeds")
    timeout --kill-after=20 $((seconds + 120)) "$work/$target" -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$work/artifacts/$name-" "${folders[@]}" </dev/null >"$log" 2>&1 ||
        status=$?
    if [ "$status" -eq 0 ]; then
        printf '%-20s ok      %s runs\n' "$target" \
            "$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")"
    else
        printf '%-20s FAILED  status %d\n' "$target" "$status"
        grep -vE '^#[0-9]+\s' "$log" | tail -n 60
        printf 'Again: %s/%s FILE, with the file named above\n' "$work" "$target"
    fi
    return "$status"
}

passed=0
failed=0
pids=()
reap()
{
    if wait "${pids[0]}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    pids=("${pids[@]:1}")
}
for target in "${targets[@]}"; do
    [ ${#pids[@]} -lt 2 ] || reap
    fuzz_one "$target" &
    pids+=($!)
done
while [ ${#pids[@]} -gt 0 ]; do
    reap
done

printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
