# Sourced by scripts that need the Supabase CLI: installs the one that tests/official_cli/package.json pins.

setup_official_cli() {
    local want node folder=tests/official_cli
    want=$(fingerprint "$folder/package.json" "$folder/package-lock.json")
    [ "$(cat "$folder/node_modules/.stamp" 2>/dev/null)" = "$want" ] && return 0
    node=$(node_bin)
    say "setting up: the Supabase CLI, for the tests"
    (
        export PATH="$node:$PATH"
        cd "$folder"
        # Not `npm ci`: that wants the hashes of all platforms in the lock, also of those the lock was not made on. What the
        # lock lacks is one exact version all the same, for the `supabase` package names its programs so.
        npm install --no-save --no-audit --no-fund --no-progress --no-update-notifier --loglevel=error >/dev/null
    ) >&2
    printf '%s' "$want" > "$folder/node_modules/.stamp"
}
