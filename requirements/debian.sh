#!/bin/sh
# debian.sh WITHOUT PACKAGE...: installs Debian packages where that is allowed; else says which are
# missing and what happens WITHOUT them.
set -eu
without=$1
shift
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086 # a list of packages
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
        --no-install-recommends $missing >/dev/null && exit 0
fi
echo "Not installed, so $without:$missing" >&2
