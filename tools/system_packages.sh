#!/bin/sh
# Installs, as root on Debian or Ubuntu, what the tests marked `system` need; elsewhere it names what is missing.
set -eu

missing=
have_postgresql() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
have_postgresql || missing="$missing postgresql"
[ -d /usr/lib/rabbitmq/lib ] || missing="$missing rabbitmq-server"
for tool in curl openssl; do
    command -v $tool >/dev/null || missing="$missing $tool"
done

[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Missing for the system tests; to install it: sudo apt-get install$missing" >&2
fi
