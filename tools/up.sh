#!/bin/sh
# Starts the compose file with the engine that this machine has.
set -eu
cd "$(dirname "$0")/.."
[ -f .env ] || cp .env.example .env
if command -v docker >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
    exec docker compose up --build --wait "$@"
fi
if command -v podman-compose >/dev/null 2>&1; then
    exec podman-compose up --build -d "$@"
fi
echo "make up needs Docker with its compose plugin (or podman-compose). Without either, 'make run' starts everything here." >&2
exit 1
