"""Text devices of wedge programs: a FIFO or a terminal that somebody types codes into.

A keyboard of its own (`/dev/input/...`) is not read: it has no text, only keys.
"""

import asyncio
import os
import stat
from pathlib import Path

from drivers.errors import DeviceUnavailable
from drivers.transport import LinkLost

_READ_MAX = 4096


class TextDevice:
    """The reading end of a FIFO or terminal; what is not read yet stays in it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._name = f"wedge {path}"
        self._number = -1
        self._ready = asyncio.Event()

    async def open(self) -> None:
        """Open the device; raises DeviceUnavailable when it is missing or of another kind."""
        await self.close()
        try:
            number = self._open()
        except OSError as error:
            raise DeviceUnavailable(f"{self._name}: {error.strerror or error}") from error
        if number < 0:
            raise DeviceUnavailable(f"{self._name}: neither a FIFO nor a terminal")
        self._number = number

    def _open(self) -> int:
        mode = Path(self._path).stat().st_mode
        # A FIFO opened for writing too never ends when its writer goes away.
        access = os.O_RDWR if stat.S_ISFIFO(mode) else os.O_RDONLY
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            return -1
        number = os.open(self._path, access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if stat.S_ISCHR(mode) and not os.isatty(number):
            os.close(number)
            return -1
        return number

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        loop = asyncio.get_running_loop()
        while (number := self._number) >= 0:
            try:
                data = os.read(number, _READ_MAX)
            except BlockingIOError:
                self._ready.clear()
                loop.add_reader(number, self._ready.set)
                try:
                    await self._ready.wait()
                finally:
                    if self._number == number:
                        loop.remove_reader(number)
                continue
            except OSError as error:
                raise LinkLost(f"{self._name}: {error.strerror or error}") from error
            if data:
                return data
            break
        raise LinkLost(f"{self._name}: closed")

    async def close(self) -> None:
        """Close the device; a pending read ends with LinkLost."""
        number, self._number = self._number, -1
        if number >= 0:
            asyncio.get_running_loop().remove_reader(number)
            os.close(number)
            self._ready.set()
