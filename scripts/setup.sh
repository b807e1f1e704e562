# shellcheck shell=bash
# What scripts/demo and scripts/test share: find what is missing, install or fetch it, say so. Sourced, not run.
# Everything fetched goes below target/; only Debian packages touch the machine, and only when run as root.
# When all is there already nothing is asked of the network.

set -euo pipefail

# Debian keeps some programs where only root's own PATH looks: not a user's, and not that after a plain `su`.
export PATH=$PATH:/usr/sbin:/sbin

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

build_tools=("gcc=gcc" "g++=g++" "make=make" "perl=perl" "pkg-config=pkg-config")

say() { printf '==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# not_run PART WHY: a part that cannot run is said, never skipped in silence. WEIR_REQUIRE=all makes it an error.
not_run() {
    printf 'NOT RUN: %s: %s\n' "$1" "$2" >&2
    [ "${WEIR_REQUIRE:-}" != all ] || die "WEIR_REQUIRE=all, so every part has to run"
}

# has NAME: is this command here, and new enough where that matters?
has() {
    case $1 in
    java) # Kafka 4 wants Java 17.
        local major
        major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || return 1
        [ -n "$major" ] && [ "$major" -ge 17 ]
        ;;
    # Debian's own Python has Debian's packages, whatever comes first on the path.
    python-cryptography) /usr/bin/python3 -c 'import cryptography' 2>/dev/null ;;
    python-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# want COMMAND=PACKAGE...: installs the packages whose command is missing, in one go, when that is possible.
want() {
    local pair missing=()
    for pair in "$@"; do
        has "${pair%%=*}" || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! has apt-get; then
        say "missing, and there is no apt-get to install it: ${missing[*]} (Debian's names)"
    elif [ "$(id -u)" -ne 0 ]; then
        say "missing; install it with: sudo apt-get install --no-install-recommends ${missing[*]}"
    else
        say "installing Debian packages: ${missing[*]}"
        if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" >/dev/null; }; then
            say "apt-get could not install them"
        fi
    fi
}

# lacking COMMAND=PACKAGE...: the packages whose command is still missing, on one line.
lacking() {
    local pair names=()
    for pair in "$@"; do
        has "${pair%%=*}" || names+=("${pair#*=}")
    done
    printf '%s' "${names[*]}"
}

# A too old cargo fails on the manifest with a message that does not name the cure.
need_build_tools() {
    local missing wanted found
    missing=$(lacking "${build_tools[@]}")
    [ -z "$missing" ] || die "cannot build without: $missing"
    has cargo || die "no cargo: install a Rust toolchain (https://rustup.rs)"
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    found=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "cargo $found is too old, $wanted is needed: rustup update stable"
}

# need_cargo_part COMMAND COMPONENT: a minimal toolchain comes without rustfmt and clippy.
need_cargo_part() {
    cargo "$1" --version >/dev/null 2>&1 && return 0
    if has rustup; then
        say "adding $2 to the Rust toolchain"
        rustup component add "$2" && return 0
    fi
    not_run "cargo $1" "$2 is not part of this Rust toolchain: rustup component add $2"
    return 1
}

# Apache Kafka is jars only; tests/kafka/pom.xml pins them. The pom is copied in last, as the mark of a whole folder.
fetch_kafka() {
    local part="Apache Kafka" pom=tests/kafka/pom.xml version libs missing
    missing=$(lacking java=default-jre-headless)
    if [ -n "$missing" ]; then
        not_run "$part" "no Java 17 or newer: $missing"
        return
    fi
    version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
    libs=$target/kafka/$version
    if ! cmp -s "$pom" "$libs/pom.xml"; then
        if ! has mvn; then
            not_run "$part" "no Maven to fetch its jars: maven"
            return
        fi
        say "fetching Apache Kafka $version through Maven (45 MB) into $libs"
        rm -rf "$libs.part"
        if ! mvn -q -B -Dstyle.color=never -f "$pom" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$libs.part"; then
            not_run "$part" "Maven could not fetch its jars"
            return
        fi
        cp "$pom" "$libs.part/pom.xml"
        rm -rf "$libs"
        mv "$libs.part" "$libs"
    fi
    export WEIR_KAFKA_LIBS=$libs
}

fetch_pymodbus() {
    local part=pymodbus pins=tests/pymodbus/requirements.txt venv=$target/venv
    if ! cmp -s "$pins" "$venv/requirements.txt" || ! "$venv/bin/python" -c 'import pymodbus, serial' 2>/dev/null; then
        if ! has python-venv; then
            not_run "$part" "python3 cannot make a virtual environment: python3-venv"
            return
        fi
        say "installing pymodbus into $venv"
        rm -rf "$venv"
        if ! { python3 -m venv "$venv" && "$venv/bin/pip" --quiet --disable-pip-version-check \
            install --require-hashes --no-deps -r "$pins"; }; then
            not_run "$part" "pip could not install $pins"
            return
        fi
        cp "$pins" "$venv/requirements.txt"
    fi
    export WEIR_PYTHON=$venv/bin/python
}
