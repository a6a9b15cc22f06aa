#!/bin/sh
# Prints a Python that can run Turnaround: 3.11 or 3.12 with venv and pip; otherwise says what is missing.
set -eu
found=""
for name in ${1:-} python3.11 python3.12 python3 python; do
    version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case "$version" in
    3.11 | 3.12)
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$name"
            exit 0
        fi
        found="$found $name ($version, without venv: on Debian and Ubuntu, apt-get install python$version-venv)"
        ;;
    *) found="$found $name ($version)" ;;
    esac
done
echo "Turnaround needs Python 3.11 or 3.12; found:${found:- none}." >&2
echo "Install one (https://www.python.org/downloads, or: uv python install 3.12; pyenv install 3.12)," >&2
echo "or name one: make PYTHON=/path/to/python3.12 ..." >&2
exit 1
