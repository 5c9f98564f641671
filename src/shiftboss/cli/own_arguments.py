"""Hides passwords that were typed: every user of the machine can read the arguments of a process, by `ps`.

Rules of this file
- An argument with a password in an address is overwritten where the system shows it, as `mysql` does with its own,
  before anything else happens.  For a moment it is visible; SHIFTBOSS_STORE and a settings file avoid even that.
- Where this is impossible (no /proc), nothing is done: the command works nevertheless.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from shiftboss.core import address

OPTION = re.compile(r"--(?:store|from|to)(?:=|$)|-[a-zA-Z]*?s")  # the options that take the address of a store
MAX_BYTES = 4 << 20  # of all arguments: the most that Linux takes
STACK_FIELDS = (47, 48)  # of /proc/self/stat: where the arguments begin and end; proc(5) counts from 1


def take_arguments() -> list[str]:
    """The arguments without the program.  In `sys.argv`, and where the system shows them, passwords are removed."""
    given = sys.argv[1:]
    shown = without_passwords(given)
    if shown != given:
        sys.argv[1:] = shown
        known = dict(zip(given, shown, strict=True))
        sys.orig_argv[:] = [known.get(each, each) for each in sys.orig_argv]
        _overwrite({os.fsencode(old): os.fsencode(new) for old, new in known.items() if old != new})
    return given


def without_passwords(arguments: Sequence[str]) -> list[str]:
    """ "--store=postgresql://ada:secret@db/jobs" → "--store=postgresql://ada@db/jobs"."""
    shown, is_address = [], False
    for argument in arguments:
        option = OPTION.match(argument)
        if is_address or (option is not None and option[0] != argument):
            head = "" if is_address or option is None else option[0]
            shown.append(f"{head}{address.without_password(argument[len(head) :])}")
        else:
            shown.append(argument)
        is_address = not is_address and option is not None and option[0] == argument
    return shown


def _overwrite(texts: dict[bytes, bytes]) -> None:
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        begin, end = (int(fields[number - 2]) for number in STACK_FIELDS)  # two fields stand before the bracket
    except (OSError, ValueError, IndexError):
        return
    if not 0 < end - begin <= MAX_BYTES:
        return
    import ctypes  # 2 ms of import, only for those who give a password

    at = begin
    for argument in ctypes.string_at(begin, end - begin).split(b"\0"):
        new = texts.get(argument)
        if new is not None:  # it is truly one of this process's arguments, at that place
            ctypes.memmove(at, new[: len(argument)].ljust(len(argument), b"\0"), len(argument))
        at += len(argument) + 1
