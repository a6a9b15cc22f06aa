#!/bin/sh
# Installs the system libraries that open3d loads, or says which are missing and how to get them.
set -eu
[ "$(uname -s)" = Linux ] || exit 0
missing=""
for pair in libusb-1.0.so.0:libusb-1.0-0 libGL.so.1:libgl1 libEGL.so.1:libegl1 libgomp.so.1:libgomp1 libX11.so.6:libx11-6; do
    library=${pair%%:*}
    package=${pair##*:}
    ldconfig -p 2>/dev/null | grep -q "$library" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing system packages:$missing"
    # shellcheck disable=SC2086
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
elif command -v apt-get >/dev/null 2>&1; then
    echo "open3d needs system packages that pip cannot bring. Please run:" >&2
    echo "    sudo apt-get install -y$missing" >&2
    exit 1
else
    echo "open3d needs these libraries (Debian names):$missing. Install them with your system's package manager." >&2
    exit 1
fi
