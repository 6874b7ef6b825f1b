#!/bin/sh
# What `make test` needs of the system: found, or installed where the system's package manager may be used, or else said in one command.
#
# Rust is not among what is installed: distributions have older ones, and rustup belongs to whoever works here.
set -eu

missing=""
packages=""

# What is missing, for a person, and the package of Debian that has it.
lacks() {
    missing="$missing $1"
    packages="$packages $2"
}

has() {
    command -v "$1" > /dev/null 2>&1
}

# The major version of a Java, as 17; nothing where it does not start.
java_version() {
    "$1" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p'
}

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
if ! has "$java" || [ "$(java_version "$java")" -lt 17 ] 2> /dev/null; then
    # 17 in Debian 12, 21 in Debian 13.
    lacks "Java 17 or later," default-jre-headless
fi
has gcc || lacks gcc, gcc
has g++ || lacks g++, g++
has git || lacks git, git
if has python3; then
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "needs: Python 3.11 or later; this is $(python3 --version)" >&2
        exit 1
    fi
    python3 -c 'import ensurepip, venv' 2> /dev/null || lacks "Python's venv and pip," python3-venv
else
    lacks "Python with venv and pip," "python3 python3-venv"
fi
if ! has cargo; then
    echo "needs: Rust 1.90 or later is missing: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    exit 1
fi
[ -n "$missing" ] || exit 0

missing="${missing%,}"
packages="${packages# }"
if ! has apt-get; then
    echo "needs:$missing; install them with the system's package manager (on Debian and Ubuntu: apt-get install $packages)" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif has sudo && sudo -n true 2> /dev/null; then
    as_root="sudo -n"
else
    echo "needs:$missing: sudo apt-get install $packages" >&2
    exit 1
fi
echo "needs:$missing: installing $packages"
# Both are words of a command.
# shellcheck disable=SC2086
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $packages > /dev/null
