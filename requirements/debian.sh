#!/bin/sh
# Installs the Debian packages some tests need, where that is allowed; else says what is missing.
# Tests that need one of them are skipped and name it.
set -eu
missing=""
for package in $(cat "$(dirname "$0")/debian.txt"); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
else
    echo "Not installed, so some tests will be skipped:$missing" >&2
fi
