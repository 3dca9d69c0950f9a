#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/packages.sh

usage()
{
    cat <<'TEXT'
Makes the Debian package of parley: build/package/parley_VERSION_ARCHITECTURE.deb, for the Debian
that this runs on. Its last line is the file's name.

usage: deploy/package.sh [--no-install] [--no-check]

  1. installs the Debian packages that are missing (sudo only when you are not root)
  2. builds build/package/ and the package
  3. lintian: an error is ours, too; systemd-analyze: the unit must not be more open than needed
     (what it says of the units when they are installed, deploy/try_package.sh looks at)

  --no-install   skip 1
  --no-check     skip 3
TEXT
}

EXPOSURE_MAX=15 # tenths, of systemd-analyze security
install=yes
check=yes
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=no ;;
    --no-check) check=no ;;
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

if [ "$install" = yes ]; then
    mapfile -t node < <(packages_node)
    packages_install "${packages_build[@]}" "${packages_package[@]}" "${node[@]}"
fi
parley_build package programs
cmake --build --preset package --target package_files -- --quiet
rm -f build/package/parley_*.deb
(cd build/package && cpack --config CPackConfig.cmake >cpack.log 2>&1) || {
    cat build/package/cpack.log >&2
    exit 1
}
package=$(echo build/package/parley_*.deb)

if [ "$check" = yes ]; then
    lintian --fail-on error \
        --allow-root "$package"
    for unit in deploy/*.service; do
        systemd-analyze security --offline=yes --threshold=$EXPOSURE_MAX --no-pager "$unit" |
            tail -n 1
    done
fi
printf '%s\n' "$package"
