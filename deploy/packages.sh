# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For run.sh beside it, tests/run.sh and .ci/run, which source it: which Debian packages are needed
# for what, and how to install the ones that are missing.

# shellcheck disable=SC2034
packages_build=(build-essential cmake ninja-build pkg-config git ca-certificates python3
    liburing-dev libssl-dev libyaml-dev libpcre2-dev librocksdb-dev libcjose-dev
    libcurl4-openssl-dev zlib1g-dev scdoc)
# shellcheck disable=SC2034
packages_test=(check curl chromium openssl procps python3-websockets strace prometheus
    haproxy nginx iproute2 libwebsockets-dev libnginx-mod-nchan)
# shellcheck disable=SC2034
packages_ci=(clang clang-format clang-tidy libclang-rt-14-dev slowhttptest testssl.sh)
# shellcheck disable=SC2034
packages_package=(dpkg-dev file lintian systemd)
# shellcheck disable=SC2034
packages_try=(mmdebstrap systemd-container)
# shellcheck disable=SC2034
packages_bench=(libbenchmark-dev g++)

# shellcheck disable=SC2034
packages_peers=(libwebsockets-dev python3-websockets nginx libnginx-mod-nchan)

# Node usually comes from somewhere else than apt; it is a package only where it is missing.
packages_node()
{
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        printf '%s\n' nodejs npm
    fi
}

package_is_installed()
{
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# packages_install NAME...: does nothing, not even ask apt, when all of them are there.
packages_install()
{
    local package missing=() as_root=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        printf 'This is not Debian: see to it yourself that there is %s\n' "$*" >&2
        return 0
    fi
    for package in "$@"; do
        package_is_installed "$package" || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
    fi
    printf 'Installing %s\n' "${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "${missing[@]}" \
        </dev/null >/dev/null
}

# parley_build PRESET TARGET [cmake options...]: configures and builds, quiet but for what matters.
parley_build()
{
    local preset=$1 target=$2
    shift 2
    cmake --preset "$preset" --log-level=WARNING "$@" >/dev/null
    cmake --build --preset "$preset" --target "$target" -- --quiet
}
