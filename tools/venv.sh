#!/bin/sh
# Make a virtual environment with pip, or say exactly what this machine lacks for it.
#
#     sh tools/venv.sh .venv [python]
#
# A candidate is tried by running it: the name alone says little (a version manager's stand-in may name a Python that is
# not there, and Debian's python3 comes without ensurepip).  VENV/.made holds the path at which it was made: the scripts in
# it name that path, so one that was moved or copied is refused.
set -eu

venv=$1
wanted=${2:-"python3.13 python3.12 python3.11 python3 python3.14"}
made=$venv/.made
case $venv in /*) here=$venv ;; *) here=$PWD/$venv ;; esac

works() { "$1" -m pip --version >/dev/null 2>&1; }
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_one() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

if [ -s "$made" ] && [ "$(cat "$made")" != "$here" ]; then
    echo "$venv was made in $(cat "$made"), and this is $here: the checkout was moved or copied." >&2
    echo "Make it anew:  make clean-all, then the same command again." >&2
    exit 1
fi
if [ -s "$made" ] && [ -x "$venv/bin/python" ] && is_new_enough "$venv/bin/python"; then
    exit 0
fi
if works "$venv/bin/python" && is_new_enough "$venv/bin/python"; then
    printf '%s\n' "$here" >"$made"
    exit 0
fi

incomplete=
for python in $wanted; do
    is_new_enough "$python" || continue
    if ! can_make_one "$python"; then
        incomplete=${incomplete:-$python}
        continue
    fi
    echo "making $venv with $("$python" --version) …"
    "$python" -m venv --clear "$venv"
    printf '%s\n' "$here" >"$made"
    exit 0
done

{
    if [ -n "$incomplete" ]; then
        number=$("$incomplete" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "$incomplete is Python $number, but it cannot make virtual environments: venv or ensurepip is missing."
        echo "On Debian or Ubuntu:  apt-get install python$number-venv"
    else
        echo "shiftboss needs Python 3.11 or newer.  Tried: $wanted."
        if command -v python3 >/dev/null 2>&1 && found=$(python3 --version 2>&1); then
            echo "python3 is $found."
        fi
        echo "On Debian 12 or Ubuntu 24.04 and later:  apt-get install python3 python3-venv"
        echo "Another place:  make PYTHON=/path/to/python3.12 …"
    fi
} >&2
exit 1
