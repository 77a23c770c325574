# Sourced by scripts/test: exports CHROMIUM, the path of a Chromium for the browser tests. Installs one by the system's
# package manager where it may; where it cannot, says so loudly, and fails under CI, where a skip would go unseen.

find_chromium() {
    local candidate
    for candidate in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Chromium.app/Contents/MacOS/Chromium" "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        [ -n "$candidate" ] && command -v "$candidate" 2>/dev/null && return
    done
    return 1
}

install_chromium() {
    if command -v brew >/dev/null 2>&1; then
        brew install --cask chromium
        return
    fi
    [ "$(id -u)" = 0 ] || return 1
    if command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
    elif command -v dnf >/dev/null 2>&1; then
        dnf install -y -q chromium
    elif command -v apk >/dev/null 2>&1; then
        apk add --quiet chromium
    else
        return 1
    fi
}

setup_chromium() {
    if [ -n "${CHROMIUM:-}" ] && ! command -v "$CHROMIUM" >/dev/null 2>&1; then
        die "CHROMIUM names $CHROMIUM, which cannot be run: correct or unset it"
    fi
    if ! CHROMIUM=$(find_chromium); then
        say "setting up: Chromium"
        install_chromium >&2 || say "Chromium could not be installed here"
        CHROMIUM=$(find_chromium) || CHROMIUM=
    fi
    export CHROMIUM
    [ -n "$CHROMIUM" ] && return 0
    [ -z "${CI:-}" ] || die "no Chromium, and CI is set: the browser tests must run; install chromium or set CHROMIUM"
    say "**********************************************************************************"
    say "* NO CHROMIUM: the browser tests are SKIPPED. Install chromium (Debian:          *"
    say "* apt-get install chromium) or set CHROMIUM to its path, then run this again.    *"
    say "**********************************************************************************"
}
