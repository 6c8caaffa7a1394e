#!/usr/bin/env bash
# `make web-test`: the page, and the site where `make site` has built it, in a real browser. As root on Debian and its
# relatives it installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
[ -n "$(type -P chromium chromium-browser google-chrome)" ] || missing+=(chromium)
type -P node > /dev/null || missing+=(nodejs)
type -P npm > /dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! type -P apt-get > /dev/null; then
        echo "error: ${missing[*]} not found: apt-get install ${missing[*]}" >&2
        exit 2
    fi
    echo "installing ${missing[*]}"
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
            > "$log" 2>&1; then
        echo "error: apt-get install ${missing[*]} failed: $(grep '^E:' "$log" | head -n 1) (log: $log)" >&2
        exit 2
    fi
fi
BOOKCNN_WEB_TEST=1 OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest -n 2 --dist loadfile tests/page tests/site "$@"
