"""How far a long piece of work is, on the terminal."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_MB = 1e6
#: Seconds between two lines where the output is no terminal.
_INTERVAL = 30


class Progress:
    """Says how much was done, how fast, and how long the rest will take."""

    def __init__(
        self,
        what: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Initialize a new Progress instance.

        Args:
            what: What is done, for example ``'Packed'``.
            stream: Where to say it; by default the standard error.
            clock: Tells the time in seconds.
        """
        self._what = what
        self._stream = stream or sys.stderr
        self._clock = clock
        self._begin: tuple[float, int] | None = None
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is.

        Args:
            done: Bytes that are done.
            total: Bytes in all.
        """
        now = self._clock()
        if self._begin is None:
            # What was done before says nothing of how fast this is.
            self._begin, self._last = (now, done), now
        is_last = done >= total
        if self._stream.isatty():
            end = '\n' if is_last else ''
            print(f'\r{self._line(now, done, total)}', end=end, file=self._stream)
            self._stream.flush()
        elif now - self._last >= _INTERVAL:
            self._last = now
            print(self._line(now, done, total), file=self._stream, flush=True)

    def _line(self, now: float, done: int, total: int) -> str:
        start, before = self._begin or (now, done)
        text = f'{self._what} {done / _MB:,.0f} of {total / _MB:,.0f} MB'
        if now <= start or done <= before:
            return text
        rate = (done - before) / (now - start)
        minutes, seconds = divmod(round((total - done) / rate), 60)
        hours, minutes = divmod(minutes, 60)
        left = f'{hours}:{minutes:02}:{seconds:02}'
        return f'{text}, {rate / _MB:,.0f} MB/s, {left} left '
