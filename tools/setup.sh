#!/bin/sh
# Readies this machine for a make target: `tools/setup.sh run` or `tools/setup.sh dev`.
# Makes .venv, installs the locked packages into it, and installs with apt what is missing and may be installed.
# Says what it does when it takes more than a moment; does nothing the second time.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
lock=requirements/$kind.lock

say() { printf '\033[2msetup:\033[0m %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

apt() { # apt NAME... : installs Debian packages where we may
    have apt-get || return 1
    if [ "$(id -u)" = 0 ]; then sudo=""; elif have sudo && sudo -n true 2>/dev/null; then sudo="sudo -n"; else return 1; fi
    say "installing $* with apt-get"
    DEBIAN_FRONTEND=noninteractive $sudo apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_python() {
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        if have $name && $name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo $name
            return
        fi
    done
}

python=$(find_python)
if [ -z "$python" ]; then
    apt python3 python3-venv || true
    python=$(find_python)
    [ -n "$python" ] || die "Python 3.11 or newer is needed and was not found"
fi

stamp=.venv/.installed-$kind
want=$(cat "$lock" requirements/uv.lock | cksum)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$want" ]; then
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "making .venv with $($python --version)"
        rm -rf .venv
        $python -m venv .venv >/dev/null 2>&1 || { apt python3-venv && rm -rf .venv && $python -m venv .venv; } ||
            die "can't make a virtual environment: install python3-venv"
    fi
    say "installing $(grep -c '^[a-zA-Z]' "$lock") locked packages"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.lock
    .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r "$lock" ||
        .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock" ||
        die "can't install the locked packages: is a package index within reach?"
    echo "$want" >"$stamp"
    # The larger set holds the smaller one.
    if [ "$kind" = dev ]; then cat requirements/run.lock requirements/uv.lock | cksum >.venv/.installed-run; fi
fi

[ "$(uname)" = Linux ] || exit 0

missing=""
# The local sandboxes: their jail, and an interpreter inside it that every user may run.
have bwrap || missing="$missing bubblewrap"
[ -x /usr/bin/python3 ] || missing="$missing python3"
if [ "$kind" = dev ]; then
    have chromium || missing="$missing chromium fonts-dejavu-core"
    have git || missing="$missing git"
    have curl || missing="$missing curl"
fi
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # names of packages, each a word
    apt $missing || say "missing:$missing. Install them, for example: sudo apt-get install$missing"
fi
