#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/packages.sh

usage()
{
    cat <<'TEXT'
Tries the Debian package in a Debian of its own, which is booted with its own systemd: installs,
starts, reloads, stops, watches, upgrades, removes and purges it, with HAProxy, nginx and Prometheus
as deploy/README.md says. What happens in there is in deploy/try_package_inside.sh and
deploy/try_package_around.sh. Needs root, and a machine that lets systemd-nspawn boot.

usage: deploy/try_package.sh [--no-install] PACKAGE.deb

  1. installs the Debian packages that are missing
  2. makes a Debian in build/try/root (mmdebstrap; kept as build/try/root.tar for the next time)
  3. installs the package with apt, boots, and prints what was found; the last line is the totals

  --no-install   skip 1
TEXT
}

install=yes
while [ $# -gt 1 ] && [ "$1" = --no-install ]; do
    install=no
    shift
done
if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    usage >&2
    exit 2
fi
package=$(realpath "$1")

if [ "$install" = yes ]; then
    packages_install "${packages_try[@]}"
fi

try=$PWD/build/try
root=$try/root
mkdir -p "$try"
if [ ! -f "$try/root.tar" ]; then
    mmdebstrap --quiet --format=tar --variant=minbase --include=systemd,systemd-sysv,curl,procps \
        bookworm "$try/root.tar.new"
    mv "$try/root.tar.new" "$try/root.tar"
fi
rm -rf "$root"
mkdir "$root"
trap 'rm -rf "$root"' EXIT
tar -C "$root" -xf "$try/root.tar"

# Not booted and with the host's network, for what the package depends on and what is around it.
cp "$package" "$root/root/parley.deb"
systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --console=pipe \
    --setenv=DEBIAN_FRONTEND=noninteractive sh -ec '
        apt-get -qq update
        apt-get -qq install --yes --no-install-recommends /root/parley.deb \
            haproxy nginx prometheus openssl iproute2
        systemctl --quiet disable haproxy nginx prometheus' \
    </dev/null >"$try/install.log" 2>&1 || {
    cat "$try/install.log" >&2
    exit 1
}

cp deploy/try_package_inside.sh "$root/root/inside.sh"
cp deploy/try_package_around.sh "$root/root/around.sh"
cat >"$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=multi-user.target parleyd.service
[Service]
Type=oneshot
ExecStart=/bin/bash /root/inside.sh
StandardOutput=append:/root/out
StandardError=append:/root/out
ExecStopPost=/bin/sh -c 'systemctl poweroff --no-block 2>/dev/null'
UNIT
ln -s ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"

# Without a way to the outside, so that no port is anybody else's.
timeout 300 systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --console=pipe \
    --private-network --boot </dev/null >"$try/boot.log" 2>&1 ||
    printf 'it did not end by itself: %s\n' "$try/boot.log" >&2
cat "$root/root/out"
tail -n 1 "$root/root/out" | grep -q ' passed, 0 failed'
