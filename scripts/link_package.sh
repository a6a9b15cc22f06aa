#!/bin/sh
# Links the folders of this checkout into DIR/turnaround, the package as it is installed: for the type checker, and to
# run without an installation (PYTHONPATH=DIR python -m turnaround ...).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
package=${1:?usage: link_package.sh DIR}/turnaround
rm -rf "$package"
mkdir -p "$package"
for room in configs data flows models pipeline stages; do
    ln -s "$root/$room" "$package/$room"
done
for file in "$root"/flows/api/*.py; do
    ln -s "$file" "$package/"
done
