#!/usr/bin/env bash
# Run the README's two commands on a machine that has nothing: `make demo`, then `make test`, as root in a home that is
# closed to others, and as an ordinary user.
#
#     tools/fresh_machine.sh [--suite bookworm] [--user root|user] [--keep] [ARGS for pytest …]
#     tools/fresh_machine.sh --user user -k gates        # a part of the tests, as an ordinary user only
#     tools/fresh_machine.sh --suite forky               # a younger Debian, with a younger Python (3.14 in late 2026)
#
# The machine is a minimal Debian in a folder (debootstrap: needs root), with Python, its venv, make and git; each user gets
# one of his own, or the first would install for the second.  How registries are reached (certificates, pip's and npm's
# settings, proxies) is taken over from this machine.  What is tested is the last commit of this checkout.
# All processes live in a namespace of their own and end with this script; the folder is removed, unless --keep is given.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
checkout=$PWD
suite=bookworm
users="user root"
keep=
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suite=$2 && shift 2 ;;
	--user) users=$2 && shift 2 ;;
	--keep) keep=1 && shift ;;
	--help | -h) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
	*) break ;;
	esac
done
tests=$(printf '%q ' "$@")

fail() { echo "fresh_machine.sh: $1" >&2 && exit 2; }
[ "$(id -u)" = 0 ] || fail "only root can make a machine in a folder; run it as root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "only what is committed is tested" >&2

folder=$(mktemp -d "${TMPDIR:-/var/tmp}/shiftboss-fresh.XXXXXX")
tidy() { if [ -n "$keep" ]; then echo "kept: $folder"; else rm -rf "$folder"; fi; }
trap tidy EXIT

say() { printf '\n── %s (%s s)\n' "$1" "$SECONDS"; }

say "a minimal $suite"
packages=python3,python3-venv,make,git,ca-certificates
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid  # a suite that is younger than this debootstrap
mirror=http://deb.debian.org/debian
debootstrap --variant=minbase --include=$packages "$suite" "$folder/base" "$mirror" "$script" >"$folder/debootstrap.log" ||
	{ tail -20 "$folder/debootstrap.log" >&2 && exit 2; }
for path in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/npmrc /etc/hosts /etc/resolv.conf; do
	if [ -e "$path" ]; then cp -L --remove-destination "$path" "$folder/base$path"; fi
done
chroot "$folder/base" useradd --create-home user

# The settings by which pip, npm and their like reach their registries, and nothing else of this environment.
registries=$(env | grep -E '^(PIP_|NPM_CONFIG_|npm_config_|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|SSL_CERT|NODE_EXTRA_CA)' || true)

result=0
for user in $users; do
	say "$user"
	machine=$folder/$user
	cp -a "$folder/base" "$machine"
	home=/root && [ "$user" = root ] || home=/home/$user
	for settings in .npmrc .config/pip; do
		if [ -e "$HOME/$settings" ]; then
			mkdir -p "$machine$home/$(dirname "$settings")" && cp -r "$HOME/$settings" "$machine$home/$(dirname "$settings")"
		fi
	done
	git clone --quiet --no-hardlinks "$checkout" "$machine$home/shiftboss"
	chroot "$machine" chown -R "$user:" "$home" && chmod 0700 "$machine$home"
	cat >"$machine/both" <<END
set -e
cd ~/shiftboss
make demo ARGS="--for 10s"
make test ARGS=$(printf '%q' "$tests")
END
	# shellcheck disable=SC2086  # words of the environment: one a line, none with spaces in it
	# The first process of a machine takes in orphans; bash does, and buries them.
	if ! unshare --mount --pid --fork --kill-child bash -c '
		mount --make-rprivate / && mount -t proc proc "$1/proc" && mount -t devpts devpts "$1/dev/pts"
		mkdir -p "$1/dev/shm" && mount -t tmpfs tmpfs "$1/dev/shm" && cd / && machine=$1 && shift && chroot "$machine" "$@"
		exit $?
	' bash "$machine" su - "$user" -c "env $(printf '%s' "$registries" | tr '\n' ' ') bash /both" </dev/null; then
		echo "FAILED as $user" >&2
		result=1
	fi
	[ -n "$keep" ] || rm -rf "$machine"
done
say "$([ $result = 0 ] && echo "both commands worked as: $users" || echo "it did not work")"
exit $result
