#!/bin/sh
# Runs a command with its words in a file: quietly.sh LOG COMMAND ...; shows the file where the command fails.
log=$1
shift
if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "failed: $* (the lines above are also in $log)" >&2
    exit 1
fi
