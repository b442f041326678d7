# shellcheck shell=bash
# What scripts/demo and scripts/test share.  Sourced, not run, after these are set:
#   root     the source tree
#   work     the private directory to build and run in
#   log_dir  where the log of apt-get goes

# Oldest and newest PostgreSQL that the extension is built for; the first is preferred.
readonly pg_versions="15 16 17 18"

# A server or a service of the caller must not answer in place of ours.
for variable in $(compgen -e PG | grep -vx PG_CONFIG); do unset "$variable"; done

# The same locale everywhere, with the encoding that a store needs.  (pg_regress
# drops LC_ALL, so LANG has to say it too.)
for variable in $(compgen -e LC_) LANGUAGE; do unset "$variable"; done
export LANG=C.UTF-8 LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# ---------------------------------------------------------------------------
# Packages
# ---------------------------------------------------------------------------

# Runs a command as root.
with_root() {
    if is_root; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Installs Debian packages; asks for nothing.
install_packages() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "please install what corresponds to these Debian packages: $*"
    is_root || command -v sudo >/dev/null ||
        die "packages are missing and there is no sudo; as root, run: apt-get install $*"
    say "Installing with apt-get: $*"
    with_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" \
        </dev/null >"$log_dir/apt.log" 2>&1 || {
        tail -n 20 "$log_dir/apt.log" >&2
        die "could not install packages; as root, try: apt-get install $*"
    }
}

# Refreshes apt's lists, once; a machine without network may have what is needed.
refresh_packages() {
    [ -z "${packages_refreshed:-}" ] && command -v apt-get >/dev/null || return 0
    packages_refreshed=1
    is_root || command -v sudo >/dev/null || return 0
    say "Refreshing the list of packages"
    with_root apt-get update -q </dev/null >"$log_dir/apt.log" 2>&1 ||
        say "apt-get update failed; going on with the lists that are there"
}

has_package() { apt-cache show "$1" >/dev/null 2>&1; }

# ---------------------------------------------------------------------------
# PostgreSQL
# ---------------------------------------------------------------------------

is_server() { [ -x "$1" ] && [ -x "$("$1" --bindir)/postgres" ]; }

has_headers() { [ -f "$("$1" --includedir-server)/postgres.h" ] && [ -f "$("$1" --pgxs)" ]; }

major_version() { "$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

is_supported() { [[ " $pg_versions " == *" $(major_version "$1") "* ]]; }

debian_pg_config() { printf '/usr/lib/postgresql/%s/bin/pg_config' "$1"; }

# The version that apt can install: the oldest supported one, else the distribution's.
packaged_version() {
    local version
    for version in ${pg_versions%% *} $(apt-cache depends postgresql 2>/dev/null |
        sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p') $pg_versions; do
        [[ " $pg_versions " == *" $version "* ]] && has_package "postgresql-$version" &&
            has_package "postgresql-server-dev-$version" && echo "$version" && return
    done
    return 1
}

# Prints the pg_config of a server that is installed with its headers, if there is one.
installed_pg_config() {
    local candidate version
    for candidate in "$(command -v pg_config)" \
        $(for version in $pg_versions; do debian_pg_config "$version"; echo; done); do
        is_server "$candidate" && is_supported "$candidate" && has_headers "$candidate" &&
            echo "$candidate" && return
    done
    return 1
}

# Sets pg_config.  $1: empty, a major version, or the path of a pg_config.
find_postgres() {
    local wanted=${1:-${PG_CONFIG:-}} version
    case $wanted in
    '')
        pg_config=$(installed_pg_config) && return
        command -v apt-get >/dev/null || die "no PostgreSQL ${pg_versions// /, } with headers found; pass --pg PG_CONFIG"
        refresh_packages
        version=$(packaged_version) || die "apt has no PostgreSQL ${pg_versions// /, }"
        ;;
    *[!0-9]*)
        pg_config=$(command -v "$wanted") || die "no such program: $wanted"
        is_server "$pg_config" || die "there is no server beside $wanted"
        has_headers "$pg_config" || die "there are no server headers for $wanted"
        is_supported "$pg_config" || die "$("$pg_config" --version) is not supported; one of $pg_versions is"
        return
        ;;
    *)
        version=$wanted
        [[ " $pg_versions " == *" $version "* ]] || die "PostgreSQL $version is not supported; one of $pg_versions is"
        ;;
    esac
    pg_config=$(debian_pg_config "$version")
    if ! is_server "$pg_config" || ! has_headers "$pg_config"; then
        refresh_packages
        install_packages "postgresql-$version" "postgresql-server-dev-$version"
    fi
    is_server "$pg_config" && has_headers "$pg_config" || die "PostgreSQL $version is not where Debian puts it"
}

# Installs what compiles an extension.
find_compiler() {
    local missing=()
    command -v make >/dev/null || missing+=(make)
    command -v gcc >/dev/null || command -v cc >/dev/null || missing+=(gcc)
    [ -f /usr/include/stdlib.h ] || missing+=(libc6-dev)
    [ ${#missing[@]} -eq 0 ] || refresh_packages
    install_packages "${missing[@]}"
}

# Installs what the Python programs connect with.
find_psycopg2() {
    /usr/bin/python3 -c 'import psycopg2' 2>/dev/null && return
    refresh_packages
    install_packages python3 python3-psycopg2
}

# ---------------------------------------------------------------------------
# A private place
# ---------------------------------------------------------------------------

# PostgreSQL refuses to run as root, so root works as the user postgres.
server_user() { if is_root; then echo postgres; else id -un; fi; }

# Runs a command as the server's user in the work directory.
as_server() (
    cd "$work" || exit
    if is_root; then
        exec runuser -u postgres -- env HOME="$work" "$@"
    else
        exec "$@"
    fi
)

# Gives the work directory to the server's user alone.
own_work() {
    is_root || return 0
    id postgres >/dev/null 2>&1 || die "root needs an operating system user postgres to run the server"
    chown postgres: "$work"
}

# Copies the source tree without anything built, so that it stays as it is.
copy_tree() {
    as_server mkdir -p "$work/src"
    tar -C "$root" -cf - --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
        --exclude=node_modules --exclude=__pycache__ --exclude='./tmp_check*' --exclude=./output_iso \
        --exclude=./results --exclude=./regression.\* --exclude=./log . |
        as_server tar -C "$work/src" --no-same-owner -xf -
}

# Copies the PostgreSQL of pg_config below the work directory.  Its programs find
# their files by their own place, so the extension can be installed
# in the copy: that needs no rights and leaves the machine's server alone.
copy_postgres() {
    local place directory
    for place in bindir pkglibdir sharedir; do
        directory=$("$pg_config" --$place)
        as_server mkdir -p "$work/pg${directory%/*}"
        [ -e "$work/pg$directory" ] || as_server cp -a "$directory" "$work/pg${directory%/*}"
    done
    for place in includedir pkgincludedir includedir-server libdir; do
        directory=$("$pg_config" --$place)
        [ -e "$work/pg$directory" ] && continue
        as_server mkdir -p "$work/pg${directory%/*}"
        as_server ln -s "$directory" "$work/pg$directory"
    done
    pg_bin=$work/pg$("$pg_config" --bindir)
    as_server rm -f "$("$pg_bin/pg_config" --pkglibdir)/sierra_es.so"
    as_server find "$("$pg_bin/pg_config" --sharedir)/extension" -name 'sierra_es*' -delete
}

# Builds and installs the extension into the copy.
build_extension() {
    as_server make -C "$work/src" -j"$(nproc)" PG_CONFIG="$pg_bin/pg_config" with_llvm=no "$@" install
}
