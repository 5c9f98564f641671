"""A command that goes on, as a process of its own."""

from __future__ import annotations

import queue
import subprocess
import threading

from .conftest import COMMAND, PATIENCE_S, clean_environment


class Running:
    """A command that goes on; what it says is read line by line."""

    def __init__(self, *args, cwd, **env):
        self.process = subprocess.Popen(
            [*COMMAND, *args], cwd=cwd, env=clean_environment(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._lines = queue.Queue()
        self.said = []
        self._open_streams = 2
        self._threads = [
            threading.Thread(target=self._read, args=(stream,)) for stream in (self.process.stdout, self.process.stderr)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line.decode())
        self._lines.put(None)

    def says(self, text):
        """Wait until a line has *text*."""
        while self._open_streams:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                break
            if line is None:
                self._open_streams -= 1
                continue
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said; exit code {self.process.poll()}:\n{''.join(self.said)}")

    def ends(self, number=None):
        """The exit code, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
