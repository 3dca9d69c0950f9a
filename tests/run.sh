#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/packages.sh
source deploy/packages.sh

usage()
{
    cat <<'EOF'
usage: tests/run.sh [--preset NAME] [--only PART[,PART...]] [--no-install]

Builds parley with its tests and runs them. The last line is the sum of everything:
`N passed, N failed, N skipped`; the exit status is 0 only when nothing failed.

  --preset NAME   release (default), clang, debug, asan, tsan: see CMakePresets.json
  --only PARTS    some of lint, unit, net, sim, e2e (default: all; lint only with release)
  --no-install    do not install what is missing
  -h, --help      this text

  lint   layers, style, exported symbols, headers alone, and the linters themselves
  unit   tests/unit: each module through its header
  net    tests/net: one suite of behaviours against io_uring, epoll and the simulated back end
  sim    tests/sim: whole servers in one thread, from seeds
  e2e    tests/e2e: clients that nobody here wrote, against a running parleyd; with asan and tsan on
         two reactors only
EOF
}

preset=release
only=
install=yes
while [ $# -gt 0 ]; do
    case $1 in
    --preset)
        preset=${2:?--preset needs a name}
        shift
        ;;
    --only)
        only=${2:?--only needs a part}
        shift
        ;;
    --no-install) install=no ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift
done
case $preset in
release | clang | debug | asan | tsan) ;;
*)
    printf 'tests/run.sh: no tests in the preset "%s"\n' "$preset" >&2
    exit 2
    ;;
esac
if [ -z "$only" ]; then
    only=unit,net,sim,e2e
    [ "$preset" != release ] || only=lint,$only
fi
for part in ${only//,/ }; do
    case $part in
    lint | unit | net | sim | e2e) ;;
    *)
        printf 'tests/run.sh: no part "%s"\n' "$part" >&2
        exit 2
        ;;
    esac
done

# As cmake/tests.cmake has them; here for parleyd in the tests from end to end.
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp

build=build/$preset
logs=$build/test-logs
passed=0
failed=0
skipped=0

wants()
{
    [[ ,$only, == *,$1,* ]]
}

# add "N passed, N failed, N skipped"
add()
{
    local numbers
    read -r -a numbers <<<"${1//[^0-9 ]/}"
    passed=$((passed + numbers[0]))
    failed=$((failed + numbers[1]))
    skipped=$((skipped + numbers[2]))
}

# totals_of STATUS FILE: the last line of FILE when it is a sum; else the status is all we know.
totals_of()
{
    local line
    line=$(tail -n 1 -- "$2" | grep -xE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' || true)
    if [ -z "$line" ]; then
        line="$((${1} == 0)) passed, $((${1} != 0)) failed, 0 skipped"
    elif [ "$1" -ne 0 ] && [[ $line == *" 0 failed"* ]]; then
        line=${line/ 0 failed/ 1 failed}
    fi
    printf '%s\n' "$line"
}

# run NAME SECONDS_MAX COMMAND...: counts it, and shows what it said when it did not go well.
run()
{
    local name=$1 seconds_max=$2 status=0 line log
    shift 2
    log=$logs/${name//[\/ ]/-}.log
    timeout --kill-after=20 "$seconds_max" "$@" </dev/null >"$log" 2>&1 || status=$?
    line=$(totals_of "$status" "$log")
    add "$line"
    printf '%-28s %s\n' "$name" "$line"
    if [[ $line != *" 0 failed"* ]]; then
        grep -A 40 -m 10 '^failed ' -- "$log" || true
        tail -n 100 -- "$log"
        [ "$status" -ne 124 ] || printf '%s did not end within %d s\n' "$name" "$seconds_max"
    fi
}

# run_ctest SECONDS_MAX LABEL...: the ctest tests of these labels, two at a time. A label without
# any test is a failure.
run_ctest()
{
    local seconds_max=$1 part line seen=0 status=0 has_failed=no
    local xml=$PWD/$logs/ctest.xml log=$logs/ctest.log
    shift
    rm -f -- "$xml"
    timeout --kill-after=20 "$seconds_max" ctest --test-dir "$build" \
        --label-regex "^($(IFS='|' && printf '%s' "$*"))\$" \
        --parallel 2 --no-tests=error --output-on-failure --output-junit "$xml" \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
        </dev/null >"$log" 2>&1 || status=$?
    while read -r part line; do
        add "$line"
        seen=$((seen + 1))
        [[ $line == *" 0 failed"* ]] || has_failed=yes
        printf '%-28s %s\n' "$part" "$line"
    done < <([ ! -s "$xml" ] || python3 tests/totals.py "$xml")
    if [ "$status" -ne 0 ] || [ "$seen" -ne $# ]; then
        [ "$has_failed" = yes ] || add '0 passed, 1 failed, 0 skipped'
        tail -n 200 -- "$log"
        [ "$status" -ne 124 ] || printf 'ctest did not end within %d s\n' "$seconds_max"
    fi
}

if [ "$install" = yes ]; then
    mapfile -t node < <(packages_node)
    packages_install "${packages_build[@]}" "${packages_test[@]}" "${packages_bench[@]}" \
        "${node[@]}"
fi

printf 'Building %s\n' "$build"
# Not in an `if`, which would switch off errexit inside: a build that fails is one failed test.
trap 'printf "0 passed, 1 failed, 0 skipped\n"' ERR
parley_build "$preset" all -D PARLEY_TESTS=ON
trap - ERR
mkdir -p "$logs"

if wants lint; then
    run lint/selftest 300 tests/lint/selftest.sh
    run lint/layers 60 tests/lint/check_layers.py
    run lint/style 60 tests/lint/check_style.py
    run lint/symbols 60 tests/lint/check_symbols.sh "$build"
    run lint/headers 300 tests/lint/check_headers.sh --build "$build" gcc
fi
labels=()
for part in unit net sim; do
    ! wants "$part" || labels+=("$part")
done
if [ ${#labels[@]} -gt 0 ]; then
    run_ctest 1500 "${labels[@]}"
fi
if wants e2e; then
    (cd tests/e2e && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
        </dev/null >/dev/null)
    # Sanitizers take several times as long: they look at two reactors, not at one and four too; and
    # TSan, which is about what reactors share, at each group with one back end.
    few=()
    case $preset in
    asan) few=(--quick) ;;
    tsan) few=(--quick --alternate) ;;
    esac
    PARLEYD=$PWD/$build/parleyd PARLEY_PRESET=$preset \
        run e2e 1200 node tests/e2e/run.mjs "${few[@]}"
fi

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
