#!/bin/sh
# Makes the virtual environment: sh tools/make_venv.sh FOLDER
# Finds a Python of 3.11 or newer ($PYTHON wins); where something is missing, says the one line that mends it.
set -eu
folder=$1

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3 python3.14 python}; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
}

as_root=sudo
[ "$(id -u)" = 0 ] && as_root=
install="${as_root:+$as_root }apt-get install"

python=$(find_python)
if [ -z "$python" ]; then
    echo "No Python of version 3.11 or newer was found. On Debian or Ubuntu: $install python3 python3-venv" >&2
    echo "If it has another name, say so: make PYTHON=/path/to/python ..." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "Python $version is here, but its venv module is not. On Debian or Ubuntu: $install python$version-venv" >&2
    exit 1
fi
rm -rf "$folder"
"$python" -m venv "$folder"
