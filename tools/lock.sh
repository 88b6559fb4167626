#!/bin/sh
# Resolves requirements/*.in into locks with versions and hashes, and no addresses of an index.
set -eu
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/uv pip compile -q --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --python-version 3.11 --universal "$@"
}
compile requirements/run.in -o requirements/run.lock
compile requirements/clouds.in -c requirements/run.lock -o requirements/clouds.lock
compile requirements/dev.in -c requirements/run.lock -o requirements/dev.lock
compile requirements/uv.in -o requirements/uv.lock
