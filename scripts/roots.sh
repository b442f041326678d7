# shellcheck shell=bash
# Throw-away Debian roots, for scripts/package and scripts/image.  Sourced after lib.sh.
#
# A root is a directory that says what it changes of the directories below it; nothing that
# runs in it changes those.  In it are: lower (the directories below, separated by
# colons), upper (what has changed), work and root (for overlayfs), and hidden (directories
# that are empty whenever a command begins).

# Why throw-away roots cannot be made here; empty if they can.
why_no_roots() {
    if ! is_root; then
        say "only root can mount the throw-away roots"
    elif ! command -v unshare >/dev/null || ! command -v chroot >/dev/null; then
        say "unshare or chroot is missing"
    else
        local place
        place=$(mktemp -d "${TMPDIR:-/var/tmp}/sierra_es_probe.XXXXXX")
        new_root "$place/probe" /
        in_root "$place/probe" true 2>/dev/null || say "overlayfs cannot be mounted on $place"
        rm -rf "$place"
    fi
}

# Notes what is missing to build Debian packages and to test them.
find_packaging_tools() {
    local package
    command -v dpkg-buildpackage >/dev/null || need dpkg-dev
    command -v dh >/dev/null || need debhelper
    is_installed postgresql-server-dev-all || need postgresql-server-dev-all
    for package in dh-python libevent-dev libpq-dev libssl-dev pkgconf python3-psycopg; do
        is_installed "$package" || need "$package"
    done
    command -v lintian >/dev/null || need lintian
    command -v autopkgtest >/dev/null || need autopkgtest
}

# Makes root $1 upon the directories $2.
new_root() {
    mkdir -p "$1/upper" "$1/work" "$1/root"
    printf '%s' "$2" >"$1/lower"
}

# The directories of root $1, for a root upon it.
layers_of() { printf '%s:%s' "$1/upper" "$(cat "$1/lower")"; }

# Runs a command as root in root $1, with devices and processes of its own; they end with it.
in_root() {
    local root=$1
    shift
    unshare --mount --pid --ipc --fork --kill-child \
        bash -c "set -e; $(declare -f mount_root); mount_root \"\$1\"; shift; exec \"\$@\"" in_root "$root" \
        chroot "$root/root" env -i HOME=/root USER=root LOGNAME=root TERM=dumb LANG=C.UTF-8 LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} "$@" </dev/null
}

# Mounts root $1 for in_root, in a mount namespace of its own.
mount_root() {
    local device directory root=$1/root
    mount --make-rprivate /
    mount -t overlay overlay -o "lowerdir=$(cat "$1/lower"),upperdir=$1/upper,workdir=$1/work" "$root"
    mkdir -p "$root/proc" "$root/dev" "$root/run" "$root/tmp"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s /proc/self/fd/0 "$root/dev/stdin"
    ln -s /proc/self/fd/1 "$root/dev/stdout"
    ln -s /proc/self/fd/2 "$root/dev/stderr"
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mkdir -m 1777 "$root/run/lock"
    [ ! -e "$1/hidden" ] || while read -r directory; do
        [ -d "$root$directory" ] || continue
        mount -t tmpfs -o "mode=755,uid=$(stat -c %u "$root$directory"),gid=$(stat -c %g "$root$directory")" tmpfs "$root$directory"
    done <"$1/hidden"
}

# Makes directories of root $1 empty for each command.
hide_in_root() {
    local root=$1
    shift
    printf '%s\n' "$@" >>"$root/hidden"
}

# Copies files to directory $2 of root $1, which must not be in use.
put_in_root() {
    local root=$1 place=$2
    shift 2
    mkdir -p "$root/upper$place"
    cp -a "$@" "$root/upper$place/"
}

# Where this machine gets Debian's packages.
debian_mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's/^Debian|Debian|//p' | head -n 1
}

# Makes a small Debian of release $2 in directory $1, from mirror $3.
make_debian() {
    local place=$1 release=$2 mirror=$3 script=/usr/share/debootstrap/scripts/$2
    # A release that debootstrap does not know yet is made as sid is.
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase "$release" "$place" "$mirror" "$script"
    printf 'deb %s %s main\n' "$mirror" "$release" >"$place/etc/apt/sources.list"
    apt-config dump | grep -iE '^Acquire::https?::Proxy' >"$place/etc/apt/apt.conf.d/90proxy" || true
    # Nothing is translated, nobody is asked, and the mirror may be a snapshot of an earlier time.
    printf '%s\n' 'Acquire::Check-Valid-Until "false";' 'Acquire::Languages "none";' 'APT::Install-Recommends "false";' 'APT::Get::Assume-Yes "true";' \
        >"$place/etc/apt/apt.conf.d/91small"
    grep -qs localhost "$place/etc/hosts" || printf '127.0.0.1 localhost\n' >>"$place/etc/hosts"
    suit_packages "$place"
}

# No service is started in directory $1 when packages are installed there, and nothing is
# kept for the time after a crash.
suit_packages() {
    mkdir -p "$1/usr/sbin" "$1/etc/dpkg/dpkg.cfg.d"
    echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/sierra_es"
    printf '%s\n' '#!/bin/sh' 'exit 101' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
}
