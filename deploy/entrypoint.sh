#!/bin/sh
# Points the SDKs to the stand-ins where no key is set, and runs the command. With keys the vendors are used and nothing is changed.
set -eu
if [ -n "${STAND_IN_SANDBOXES:-}" ] && [ -z "${E2B_API_KEY:-}" ]; then
    export E2B_API_KEY="${LOCAL_SANDBOXES_API_KEY:-local}" E2B_API_URL="$STAND_IN_SANDBOXES" E2B_SANDBOX_URL="$STAND_IN_SANDBOXES"
    # The image has this template: its sandboxes are warm with their preview server running.
    export SANDBOX_E2B_TEMPLATE="${SANDBOX_E2B_TEMPLATE:-sandwright}"
fi
if [ -n "${STAND_IN_MODEL:-}" ] && [ -z "${ANTHROPIC_API_KEY:-}${ANTHROPIC_BASE_URL:-}" ]; then
    # Nobody is told, or billed, that Claude wrote what the composer wrote.
    export ANTHROPIC_API_KEY=local ANTHROPIC_BASE_URL="$STAND_IN_MODEL" GENERATION_MODEL=sandwright-composer-1
fi
# Compose passes what is not set as empty; the SDKs take an empty address for an address.
for name in E2B_API_URL E2B_SANDBOX_URL E2B_DOMAIN SANDBOX_E2B_TEMPLATE ANTHROPIC_API_KEY ANTHROPIC_BASE_URL GENERATION_MODEL; do
    if eval "[ -z \"\${$name:-}\" ]"; then unset "$name"; fi
done
exec "$@"
