#!/bin/sh
# Installs the system library that numba's threads load, or says that it is missing and how to get it.
set -eu
[ "$(uname -s)" = Linux ] || exit 0
ldconfig -p 2>/dev/null | grep -q libgomp.so.1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing the system package libgomp1"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libgomp1 >/dev/null
elif command -v apt-get >/dev/null 2>&1; then
    echo "numba's threads need a system package that pip cannot bring. Please run:" >&2
    echo "    sudo apt-get install -y libgomp1" >&2
    exit 1
else
    echo "numba's threads need libgomp (Debian: libgomp1). Install it with your system's package manager." >&2
    exit 1
fi
