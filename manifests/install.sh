#!/bin/sh
# Copies wholenode, its unit and its default configuration to where they belong. It only copies files: it starts nothing,
# makes no user, and asks no network. It can be run again at any time; configuration that is there is never touched.
set -eu
umask 022

usage() {
    cat <<'END'
usage: manifests/install.sh [--binary=FILE] [--prefix=FOLDER] [--destdir=FOLDER] [--hardening=auto|yes|no]
       manifests/install.sh --uninstall [--purge] [--prefix=FOLDER] [--destdir=FOLDER]

  --binary     the program; else what `cargo build --release` made for this machine
  --prefix     where the program goes (/usr/local)
  --destdir    the root of another system, such as an image that is being built; also $DESTDIR
  --hardening  whether to add the drop-in for systemd 245 and newer; auto asks `systemctl --version`, and with
               --destdir says no
  --uninstall  removes what it copied; --purge the configuration and the folder of text files too
END
}
fail() { echo "install.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd)
binary=
prefix=/usr/local
destdir=${DESTDIR:-}
hardening=auto
uninstall=
purge=
for word in "$@"; do
    case $word in
        --binary=?*) binary=${word#*=} ;;
        --prefix=/*) prefix=${word#*=} ;;
        --destdir=?*) destdir=${word#*=} ;;
        --hardening=auto | --hardening=yes | --hardening=no) hardening=${word#*=} ;;
        --uninstall) uninstall=yes ;;
        --purge) purge=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "$word: expected one of the options above" ;;
    esac
done
[ -z "$purge" ] || [ -n "$uninstall" ] || fail "--purge: expected --uninstall beside it"
prefix=${prefix%/}
destdir=${destdir%/}

# systemd looks for units below these two prefixes only.
case $prefix in
    /usr | /usr/local) units=$prefix/lib/systemd/system ;;
    *) units=/etc/systemd/system ;;
esac
unit=$units/wholenode.service
drop_in=/etc/systemd/system/wholenode.service.d/50-hardening.conf
users=/etc/sysusers.d/wholenode.conf
config=/etc/wholenode/config.yml
flags=/etc/default/wholenode

# Copies a file unless the same is there, by a rename: the program may be running.
put() { # MODE SOURCE TARGET
    to=$destdir$3
    if [ -f "$to" ] && cmp -s "$2" "$to"; then
        echo "same    $3"
        return
    fi
    mkdir -p "$(dirname "$to")"
    cp "$2" "$to.new"
    chmod "$1" "$to.new"
    mv "$to.new" "$to"
    echo "copied  $3"
}
put_once() { # MODE SOURCE TARGET
    if [ -e "$destdir$3" ]; then echo "kept    $3"; else put "$1" "$2" "$3"; fi
}
take() {
    [ -e "$destdir$1" ] || [ -L "$destdir$1" ] || return 0
    rm -r "$destdir$1"
    echo "removed $1"
}

if [ -n "$uninstall" ]; then
    wanted=/etc/systemd/system/multi-user.target.wants/wholenode.service
    [ ! -L "$destdir$wanted" ] || fail "the service is enabled; first: systemctl disable --now wholenode"
    for path in "$prefix/bin/wholenode" "$unit" "$drop_in" "$users"; do take "$path"; done
    if [ -n "$purge" ]; then for path in /etc/wholenode "$flags" /var/lib/wholenode; do take "$path"; done; fi
    rmdir "$destdir$(dirname "$drop_in")" 2>/dev/null || true
    [ -n "$destdir" ] || echo "Then: systemctl daemon-reload"
    exit 0
fi

if [ -z "$binary" ]; then
    for target in "$here/../target/$(uname -m)-unknown-linux-gnu/release/wholenode" "$here/../wholenode"; do
        [ -n "$binary" ] || [ ! -f "$target" ] || binary=$target
    done
    [ -n "$binary" ] || fail "no program found; build it by \`cargo build --release\`, or name it by --binary=FILE"
fi
case $binary in */*) ;; *) binary=./$binary ;; esac
[ -f "$binary" ] || fail "--binary=$binary: no such file"
if [ -z "$destdir" ]; then
    "$binary" --version >/dev/null 2>&1 || fail "$binary: does not run on this machine ($(uname -m))"
    [ -w / ] || fail "expected to be run as root, or with --destdir"
fi
if [ "$hardening" = auto ]; then
    hardening=no
    if [ -z "$destdir" ]; then
        version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
        [ "${version:-0}" -lt 245 ] || hardening=yes
    fi
fi

made=$(mktemp)
trap 'rm -f "$made"' EXIT
sed "s|^ExecStart=/usr/bin/|ExecStart=$prefix/bin/|" "$here/systemd/wholenode.service" >"$made"
put 755 "$binary" "$prefix/bin/wholenode"
put 644 "$made" "$unit"
put 644 "$here/systemd/sysusers.conf" "$users"
put_once 644 "$here/systemd/config.yml" "$config"
put_once 644 "$here/systemd/wholenode.default" "$flags"
if [ "$hardening" = yes ]; then put 644 "$here/systemd/hardening.conf" "$drop_in"; fi
mkdir -p "$destdir/var/lib/wholenode/textfile"

[ -z "$destdir" ] || exit 0
cat <<'END'
Then, once:        systemd-sysusers && systemctl daemon-reload && systemctl enable --now wholenode
After an update:   systemctl daemon-reload && systemctl restart wholenode
END
