"""Wakes whoever waits for commits, also those of other processes on the same file.

Rules of this file
- Beside the store is an empty file, NAME.notify.  Whoever has committed opens it for writing and closes it again, and
  the kernel tells everybody who watches it (inotify(7), IN_CLOSE_WRITE).  Nothing is written, so a full disk is no
  obstacle; nothing of a listener is left when it dies; reading or copying the file notifies nobody and does no harm.
- A commit never waits for a listener, and never fails for one.  The kernel keeps one notification for each listener
  that has not looked yet, however many commits there were.
- A notification says only "look".  One that is lost, or that an older version does not send, is made up for by a look
  once a second.  If such a look finds a commit, somebody cannot notify us: then looks are 20 ms apart for a while.
- Where nothing can be watched (macOS, a folder that this user may not write, no inotify instance left), looks are 20 ms
  apart all the time; `doctor` says so.
- False notifications cost at most 500 looks a second.
- Nothing of it works in a forked child: its copies of the descriptors are closed, and `wake` does nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import sys
import threading
from contextlib import suppress
from math import ceil
from pathlib import Path

from shiftboss.clock import SystemClock
from shiftboss.logs import get_logger
from shiftboss.stores.host import file_modes
from shiftboss.stores.sql.pace import Pace
from shiftboss.stores.sqlite import file_locks

LOOK_S = 1.0  # between looks for commits that nobody announced
POLL_S = 0.020  # the same where nothing is announced: 0.7 % of a core while idle; 5 ms cost 2.7 % (measured)
ALERT_S = 10.0  # looks are close together for so long after a commit that nobody announced
TRY_AGAIN_S = 10.0  # to watch the file, where that failed
GAP_S, BURST = 0.002, 50  # between notifications: a look costs 40 µs, so false ones take up 2 % of a core

IN_CLOSE_WRITE, IN_IGNORED, IN_DONT_FOLLOW = 0x8, 0x8000, 0x02000000  # <sys/inotify.h>
EVENT = struct.Struct("@iIII")  # struct inotify_event of a file that is watched itself: without a name
MAX_EVENTS_BYTES = 256 * EVENT.size

USED_UP = {  # limits of each user, which editors reach that watch whole folders
    errno.EMFILE: ("inotify instance", "fs.inotify.max_user_instances"),
    errno.ENOSPC: ("inotify watch", "fs.inotify.max_user_watches"),
}

_clock = SystemClock()  # waiting for other processes takes real time, whatever clock the rules use

log = get_logger("shiftboss.store")


class NotWatched(Exception):
    """Why this process cannot be notified, or cannot notify others; and the remedy, if there is one."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


class Notifier:
    """The file beside one store."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.path = Path(f"{os.path.realpath(store)}.notify")  # the same file for those who come by a link
        self._has_complained = False

    def keep(self) -> None:
        """Make the file, if that can be done."""
        with suppress(OSError):  # a listener tries again, and says so
            self._make()

    def announce(self) -> None:
        """Tell all listeners that something was committed."""
        with suppress(OSError):  # they look by themselves
            self._announce()

    def watch(self) -> Watch:
        """Raises NotWatched."""
        watch = Watch(self.path)
        try:
            self._try(watch)
        except BaseException:
            watch.close()
            raise
        return watch

    def trouble(self) -> NotWatched | None:
        """What keeps a process of this user from being notified or from notifying others; None if nothing does."""
        if not self.path.exists():
            return None  # the next process that waits makes it
        try:
            self.watch().close()
            self._announce()
        except NotWatched as error:
            return error
        except OSError as error:
            why = f"{self.path} cannot be opened for writing ({error.strerror})"
            return NotWatched(why, "give it the owner, the group and the mode of the store")
        return None

    def complain(self, why: NotWatched) -> None:
        if not self._has_complained:
            self._has_complained = True
            log.info("%s; commits of other processes are looked for every %d ms", why, POLL_S * 1000)

    def _announce(self) -> None:
        flags = os.O_WRONLY | os.O_NONBLOCK | file_modes.FOLLOWS_NO_LINK
        file_locks.close_file(file_locks.open_file(self.path, flags))

    def _try(self, watch: Watch) -> None:
        """Make the file if there is none, watch it, and see whether the kernel tells."""
        try:
            self._make()
        except OSError as error:
            why = f"{self.path} cannot be made ({error.strerror})"
            raise NotWatched(why, "let every process that writes the store write its folder too") from error
        watch.open()
        try:
            self._announce()
        except OSError:
            return  # this user may not write the store, but others may
        if not watch.has_news():
            raise NotWatched(f"the file system of {self.path} reports no changes", "move the store to a local disk")

    def _make(self) -> None:
        if self.path.exists():
            return
        with suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | file_modes.FOLLOWS_NO_LINK
            descriptor = file_locks.open_file(self.path, flags, file_modes.ALONE)
            try:
                file_modes.share_like(descriptor, self._store)
            finally:
                file_locks.close_file(descriptor)


class Watch:
    """An inotify instance that watches one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place: tuple[int, int] | None = None  # device and inode of the watched file
        self.descriptor = -1

    def open(self) -> None:
        """Raises NotWatched."""
        if sys.platform != "linux":
            raise NotWatched("this system has no inotify")
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            (self.descriptor,) = file_locks.note(lambda: (_made(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)),))
            _made(libc.inotify_add_watch(self.descriptor, os.fsencode(self._path), IN_CLOSE_WRITE | IN_DONT_FOLLOW))
            self._place = _place(self._path)
        except AttributeError as error:
            raise NotWatched("the C library of this system has no inotify") from error
        except OSError as error:
            raise _not_watched(self._path, error) from error

    def is_in_place(self) -> bool:
        """Whether the watched file is the one that others open."""
        try:
            return self._place is not None and self._place == _place(self._path)
        except OSError:
            return False

    def has_news(self) -> bool:
        """Whether the file was closed by a writer since the last call."""
        try:
            events = os.read(self.descriptor, MAX_EVENTS_BYTES)
        except OSError:  # BlockingIOError: none
            return False
        if any(mask & IN_IGNORED for _, mask, _, _ in EVENT.iter_unpack(events)):
            self._place = None  # it was deleted; another file may get its inode
        return True

    def close(self) -> None:
        if self.descriptor >= 0:
            file_locks.close_file(self.descriptor)
        self.descriptor = -1


class Listener:
    """Ends the waits of one session.  Any thread calls `wake`; everything else is its session's own."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._pid = os.getpid()
        self._lock = threading.Lock()  # protects the two flags, and the pipe from being closed under `wake`
        self._is_woken = False
        self._is_waiting = False
        self._pipe: tuple[int, ...] = ()  # to end the wait; opened by the first one
        self._watch: Watch | None = None
        self._own = select.poll()  # the pipe alone
        self._all = select.poll()
        self._see_to_watch_s = float("-inf")
        self._alert_until_s = float("-inf")
        self._pace = Pace(GAP_S, burst=BURST)  # of notifications

    @property
    def is_woken(self) -> bool:
        return self._is_woken

    def wake(self) -> None:
        """End the wait, or the next one."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._is_woken = True
            if self._is_waiting:
                with suppress(BlockingIOError):  # the pipe is full of wake-ups
                    os.write(self._pipe[1], b".")

    def used_up(self) -> None:
        """The wait ends, and with it the wake-up."""
        self._is_woken = False

    def forget_news(self) -> None:
        """Before a look: it sees everything that was announced."""
        if self._watch is not None:
            self._watch.has_news()

    def wait(self, timeout_s: float) -> bool:
        """Until a wake-up or a notification (False), or until it is time to look without one (True).

        False as well, at once, when it has just begun to watch: what was committed before that was not announced to it.
        """
        if self._has_begun():
            return False
        with self._lock:
            if self._is_woken:
                return False
            self._is_waiting = True
        try:
            return self._wait(timeout_s)
        finally:
            with self._lock:
                self._is_waiting = False

    def missed_one(self) -> None:
        """A look has found what nobody announced."""
        self._alert_until_s = _clock.monotonic_s() + ALERT_S

    def close(self) -> None:
        with self._lock:
            for descriptor in self._pipe:
                file_locks.close_file(descriptor)
            self._pipe = ()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _wait(self, timeout_s: float) -> bool:
        now_s = _clock.monotonic_s()
        rest_s = self._pace.left_s(now_s)
        if rest_s > 0:  # too many came: what comes meanwhile is one
            self._read_pipe(self._own.poll(ceil(min(rest_s, timeout_s) * 1000)))
            return False
        is_alert = self._watch is None or now_s < self._alert_until_s
        ready = self._all.poll(ceil(min(timeout_s, POLL_S if is_alert else LOOK_S) * 1000))
        if not ready:
            return True
        self._read_pipe(ready)
        if self._watch is not None and self._watch.has_news():
            self._pace.took(now_s)
        return False

    def _read_pipe(self, ready: list[tuple[int, int]]) -> None:
        if any(descriptor == self._pipe[0] for descriptor, _ in ready):
            os.read(self._pipe[0], 4096)

    def _has_begun(self) -> bool:
        """Watch the file that is there, unless it is watched already; looks at that once a second."""
        if not self._pipe:
            self._open_pipe()
        now_s = _clock.monotonic_s()
        if now_s < self._see_to_watch_s:
            return False
        self._see_to_watch_s = now_s + LOOK_S
        if self._watch is not None:
            if self._watch.is_in_place():
                return False
            self._all.unregister(self._watch.descriptor)
            self._watch.close()
            self._watch = None
        try:
            self._watch = self._notifier.watch()
        except NotWatched as error:
            self._see_to_watch_s = now_s + TRY_AGAIN_S
            self._notifier.complain(error)
            return False
        self._all.register(self._watch.descriptor, select.POLLIN)
        return True

    def _open_pipe(self) -> None:
        self._pipe = file_locks.note(os.pipe)
        for descriptor in self._pipe:
            os.set_blocking(descriptor, False)
        for each in (self._own, self._all):
            each.register(self._pipe[0], select.POLLIN)


def _not_watched(path: Path, error: OSError) -> NotWatched:
    if error.errno in USED_UP:
        what, limit = USED_UP[error.errno]
        return NotWatched(f"this user has no {what} left", f"raise {limit} (sysctl), or end programs that watch files")
    why = f"{path} cannot be watched ({error.strerror})"
    return NotWatched(why, "give it the owner, the group and the mode of the store")


def _made(answer: int) -> int:
    """The answer of a C function.  Raises OSError for -1."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def _place(path: Path) -> tuple[int, int]:
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino
