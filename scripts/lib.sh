# shellcheck shell=bash
# What scripts/demo and scripts/test share.  Sourced, not run, after these are set:
#   root     the source tree
#   work     the private directory to build and run in
#   log_dir  where the log of apt-get goes

# Oldest and newest PostgreSQL that the extension is built for; the first is preferred.
readonly pg_versions="15 16 17 18"

# A server or a service of the caller must not answer in place of ours.
for variable in $(compgen -e PG | grep -vx PG_CONFIG); do unset "$variable"; done

# Python's own modules, and lines that it writes whole: PYTHONUNBUFFERED would write
# a line of a demo's client in two parts, with psql's output between them.
for variable in $(compgen -e PYTHON); do unset "$variable"; done

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

# Debian packages that are missing.
packages=()

need() { packages+=("$@"); }

# Calls function $1, which notes with need() what is missing, until nothing is.
install_missing() {
    local lists_are_new=
    packages=()
    "$1"
    [ ${#packages[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "please install what corresponds to these Debian packages: ${packages[*]}"
    require_root
    say "Refreshing the list of packages"
    apt_as_root update || {
        grep -E '^[EW]:' "$log_dir/apt.log" >&2 || true
        say "apt-get update failed; the lists that are there are used"
    }
    # Names depend on what these lists offer.
    lists_are_new=1
    packages=()
    "$1"
    install_packages
    packages=()
    "$1"
    [ ${#packages[@]} -eq 0 ] || die "apt-get installed everything, but something is still missing: ${packages[*]}"
}

# Sees to it that sudo works, before it is needed; says what to do if it does not.
require_root() {
    local remedy="as root, run: apt-get update && apt-get install --no-install-recommends ${packages[*]}"
    is_root && return
    command -v sudo >/dev/null || die "packages are missing and there is no sudo; $remedy"
    sudo -n true 2>/dev/null && return
    can_ask || die "packages are missing, and there is no terminal on which sudo could ask for your password; $remedy"
    say "Some packages are missing: ${packages[*]}"
    say "To install them, sudo asks for your password."
    sudo true || die "packages are missing; $remedy"
}

# Whether sudo can ask for a password.  It does so on the terminal itself, wherever
# our input and output go; a job in the background would be stopped by that.
can_ask() {
    local group terminal_group
    (: </dev/tty) 2>/dev/null || return
    read -r _ _ group _ _ terminal_group _ <<<"$(sed 's/.*) //' "/proc/$$/stat")"
    [ "$group" = "$terminal_group" ]
}

# Runs apt-get as root; asks nothing.
apt_as_root() {
    local command=(bash -c "$(declare -f apt_without_server); apt_without_server \"\$@\"" apt_without_server "$@")
    is_root || command=(sudo "${command[@]}")
    "${command[@]}" </dev/null >"$log_dir/apt.log" 2>&1
}

# Runs apt-get, in a shell of its own.  Debian's packages make and start a server when
# they are installed first, and start servers that are stopped.  Both are prevented,
# by files that exist only meanwhile.  A pooler that is installed here is not started
# with the machine later either.
apt_without_server() {
    settings=/etc/postgresql-common/createcluster.d
    setting=$settings/zz_sierra_es.conf
    policy=/usr/sbin/policy-rc.d
    made_policy=
    made_settings=
    had_pooler=
    [ ! -e /usr/sbin/pgbouncer ] || had_pooler=1
    clean_up() {
        [ -n "$had_pooler" ] || [ ! -e /usr/sbin/pgbouncer ] || update-rc.d pgbouncer disable
        rm -f "$setting" ${made_policy:+"$policy"}
        [ -z "$made_settings" ] || rmdir -p "$settings" 2>/dev/null
    }
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP
    umask 022
    # "su" keeps the path of an ordinary user, which dpkg cannot work with.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    [ -d "$settings" ] || made_settings=1
    mkdir -p "$settings"
    echo "create_main_cluster = false" >"$setting"
    # A policy of the administrator is left alone; one of ours was left by a crash.
    if [ ! -e "$policy" ] || grep -q sierra_es "$policy"; then
        made_policy=1
        printf '%s\n' '#!/bin/sh' '# Made by sierra_es while it installs packages' \
            'case $* in *postgresql* | *pgbouncer*) exit 101 ;; esac' >"$policy"
        chmod 755 "$policy"
    fi
    # Wait for other programs that install packages, as a new machine does by itself.
    # NEEDRESTART_SUSPEND: services are not restarted.
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# Installs packages, and nothing that would disturb the machine's own servers.
install_packages() {
    local plan name new=()
    plan=$(apt-get -s -q --no-install-recommends install "${packages[@]}" 2>&1) || {
        tail -n 20 <<<"$plan" >&2
        die "apt-get cannot install these packages: ${packages[*]}"
    }
    for name in $(sed -nE 's/^Remv ([^ ]+).*/\1/p' <<<"$plan"); do
        die "to install ${packages[*]}, apt-get would remove $name; please decide that yourself"
    done
    for name in $(sed -nE 's/^Inst postgresql-([0-9]+) \[.*/\1/p' <<<"$plan"); do
        ! has_cluster "$name" || die "to install ${packages[*]}, apt-get would upgrade postgresql-$name and" \
            "restart its servers; please upgrade it yourself, and try again"
    done
    for name in "${packages[@]}"; do is_installed "$name" || new+=("$name"); done
    say "Installing with apt-get: ${packages[*]}"
    apt_as_root install -y --no-install-recommends "${packages[@]}" || {
        tail -n 20 "$log_dir/apt.log" >&2
        die "could not install packages; as root, try: apt-get install --no-install-recommends ${packages[*]}"
    }
    record_packages "${new[@]}"
}

has_cluster() { [[ $'\n'$(pg_lsclusters -h 2>/dev/null) == *$'\n'"$1 "* ]]; }

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

has_package() { [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]; }

# Keeps the names of packages that were installed, for show_packages.
record_packages() {
    local list
    list=$(package_list)
    [ $# -gt 0 ] && is_own_list "$list" || return 0
    printf '%s\n' "$@" >>"$list"
}

package_list() { printf '/var/tmp/sierra_es_packages.%s' "$(id -u)"; }

# The name is known, so another user may have made a file or a link of this name.
is_own_list() { [ ! -L "$1" ] && { [ ! -e "$1" ] || [ -O "$1" ]; }; }

# Says which packages these scripts have installed that are still there.
show_packages() {
    local list name present=() sudo="sudo "
    list=$(package_list)
    [ -f "$list" ] && is_own_list "$list" || return 0
    while read -r name; do
        ! is_installed "$name" || present+=("$name")
    done < <(sort -u "$list")
    if [ ${#present[@]} -eq 0 ]; then
        rm -f "$list"
        return
    fi
    ! is_root || sudo=
    say
    say "These packages were installed by scripts/demo or scripts/test, and stay installed."
    say "To remove them, if nothing else needs them by now:"
    say
    say "    ${sudo}apt-get remove --autoremove ${present[*]}"
}

# ---------------------------------------------------------------------------
# PostgreSQL
# ---------------------------------------------------------------------------

is_server() { [ -x "$1" ] && [ -x "$("$1" --bindir)/postgres" ]; }

has_headers() { [ -f "$("$1" --includedir-server)/postgres.h" ] && [ -f "$("$1" --pgxs)" ]; }

major_version() { "$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

is_supported() { [[ " $pg_versions " == *" $1 "* ]]; }

debian_pg_config() { printf '/usr/lib/postgresql/%s/bin/pg_config' "$1"; }

# The version that apt can install: one that only lacks its headers, else the oldest
# supported one, else the distribution's.
packaged_version() {
    local version present=()
    for version in $pg_versions; do
        ! is_installed "postgresql-$version" || present+=("$version")
    done
    for version in "${present[@]}" ${pg_versions%% *} $(apt-cache depends postgresql 2>/dev/null |
        sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p') $pg_versions; do
        is_supported "$version" && has_package "postgresql-$version" &&
            has_package "postgresql-server-dev-$version" && echo "$version" && return
    done
    return 1
}

# Prints the pg_config of a server that is installed with its headers, if there is one.
installed_pg_config() {
    local candidate version
    for candidate in "$(command -v pg_config)" \
        $(for version in $pg_versions; do debian_pg_config "$version"; echo; done); do
        is_server "$candidate" && is_supported "$(major_version "$candidate")" && has_headers "$candidate" &&
            echo "$candidate" && return
    done
    return 1
}

# Sets pg_config and pg_version, and notes what is missing.
# $1: empty, a major version, or the path of a pg_config.
find_postgres() {
    local wanted=${1:-${PG_CONFIG:-}}
    case $wanted in
    '') find_any_postgres ;;
    *[!0-9]*) find_given_postgres "$wanted" ;;
    *)
        is_supported "$wanted" || die "PostgreSQL $wanted is not supported; one of $pg_versions is"
        find_packaged_postgres "$wanted"
        ;;
    esac
}

find_any_postgres() {
    if pg_config=$(installed_pg_config); then
        pg_version=$(major_version "$pg_config")
    elif pg_version=$(packaged_version); then
        find_packaged_postgres "$pg_version"
    else
        [ -z "$lists_are_new" ] || die "apt has no PostgreSQL ${pg_versions// /, }"
        need postgresql postgresql-server-dev-all
    fi
}

find_given_postgres() {
    pg_config=$(command -v "$1") || die "no such program: $1"
    is_server "$pg_config" || die "there is no server beside $1"
    has_headers "$pg_config" || die "there are no server headers for $1"
    pg_version=$(major_version "$pg_config")
    is_supported "$pg_version" || die "$("$pg_config" --version) is not supported; one of $pg_versions is"
}

find_packaged_postgres() {
    pg_version=$1
    pg_config=$(debian_pg_config "$pg_version")
    [ -z "$lists_are_new" ] || has_package "postgresql-$pg_version" || die "apt has no PostgreSQL $pg_version"
    [ -x "${pg_config%/*}/postgres" ] || need "postgresql-$pg_version"
    [ -x "$pg_config" ] && has_headers "$pg_config" || need "postgresql-server-dev-$pg_version"
}

# Notes what is missing to compile an extension.
find_compiler() {
    local compiler=gcc
    command -v make >/dev/null || need make
    # PostgreSQL's own compiler is the one that make will call.
    [ ! -x "${pg_config:-}" ] || compiler=$("$pg_config" --cc)
    compiler=${compiler%% *}
    if ! command -v "$compiler" >/dev/null; then
        case $compiler in
        *gcc*) need gcc ;;
        *clang*) need clang ;;
        *) die "the compiler that PostgreSQL was built with is missing: $compiler" ;;
        esac
    fi
    [ -f /usr/include/stdlib.h ] || need libc6-dev
    find_gateway_libraries
}

# What sierra_gateway is built with.  The extension is built without, too.
find_gateway_libraries() {
    command -v pkg-config >/dev/null || {
        need pkg-config libevent-dev libssl-dev libpq-dev
        return
    }
    pkg-config --exists libevent libevent_openssl || need libevent-dev
    pkg-config --exists libssl || need libssl-dev
    pkg-config --exists libpq || need libpq-dev
}

# Notes what is missing for Python programs that connect.  Debian's Python has
# Debian's modules; another python3 in the path need not.
find_psycopg2() {
    [ -x /usr/bin/python3 ] || need python3
    /usr/bin/python3 -c 'import psycopg2' 2>/dev/null || need python3-psycopg2
}

# For the tool at the shell.
find_psycopg3() {
    [ -x /usr/bin/python3 ] || need python3
    /usr/bin/python3 -c 'import psycopg' 2>/dev/null || ! has_package python3-psycopg || need python3-psycopg
}

# ---------------------------------------------------------------------------
# A private place
# ---------------------------------------------------------------------------

# PostgreSQL refuses to run as root, so root works as the user postgres.
server_user() { if is_root; then echo postgres; else id -un; fi; }

# Runs a command as the server's user in the work directory.  Variables that name root's
# own directories are not passed on.  setpriv becomes the command, as exec does, so signals
# reach it, and it starts no login session.
as_server() (
    cd "$work" || exit
    if is_root; then
        exec setpriv --reuid=postgres --regid=postgres --init-groups \
            env -u TMPDIR -u XDG_RUNTIME_DIR HOME="$work" USER=postgres LOGNAME=postgres "$@"
    else
        exec "$@"
    fi
)

# Gives the work directory to the server's user alone.
own_work() {
    if is_root; then
        id postgres >/dev/null 2>&1 || die "root needs an operating system user postgres to run the server"
        chown postgres: "$work"
        as_server true 2>/dev/null || die "the user postgres cannot enter $work; set TMPDIR to another directory"
    fi
    # Programs that tests run find these first.
    as_server mkdir -p "$work/tools"
    as_server ln -sf /usr/bin/python3 "$work/tools/python3"
}

# Copies the source tree without anything built, so that it stays as it is.
copy_tree() {
    as_server mkdir -p "$work/src"
    tar -C "$root" -cf - --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
        --exclude=node_modules --exclude=./bench/venv --exclude=./docs/examples/python/venv --exclude=./docs/examples/rust/target --exclude=__pycache__ --exclude='./tmp_check*' --exclude=./output_iso \
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
    as_server find "$("$pg_bin/pg_config" --sharedir)/extension" -name 'sierra_*' -delete
}

# Builds and installs the extension into the copy.
build_extension() {
    as_server make -C "$work/src" -j"$(nproc)" PG_CONFIG="$pg_bin/pg_config" with_llvm=no "$@" install
}
