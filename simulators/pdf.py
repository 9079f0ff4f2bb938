"""A folder of label files and the person who takes them away, for the driver that writes PDF.

There is no wire: the folder is the machine. The model decides, `serve` does it to a real folder.
"""

import asyncio
import contextlib
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from drivers.pdf.codec import folder_of
from simulators.base import FaultPlan, Json
from simulators.serve import TICK_S, Served, Ticker
from simulators.wire import Wire

KEPT = 500
SHOWN = 5
_FAULTS = ("folder_gone",)  # a mount that is lost


class PdfModel:
    """Files that come, and somebody who takes the oldest every `take_s` seconds (0: never)."""

    def __init__(self, seed: int = 0) -> None:
        del seed  # Nothing in it is left to chance.
        self._faults = FaultPlan(_FAULTS)
        self._take_s = 0.0
        self._waited = 0.0
        self._files: tuple[str, ...] = ()
        self._printed: deque[str] = deque(maxlen=KEPT)
        self._wanted: deque[str] = deque(maxlen=KEPT)

    @property
    def faults(self) -> FaultPlan:
        """What befalls the folder."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Seconds between two files that are taken away, and taking one now."""
        return ("take_s", "take")

    def set(self, name: str, value: str) -> None:
        """Change how fast files are taken away, or take so many."""
        if name not in self.settings:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        number = float(value)
        if not 0 <= number <= 3600:  # noqa: PLR2004 - an hour
            raise ValueError(f"setting {name!r}: {value!r} is out of range")
        if name == "take_s":
            self._take_s = number
        else:
            self._wanted.extend(self._files[: int(number)])

    def state(self) -> dict[str, Json]:
        """What lies in the folder and what was taken."""
        return {
            "files": list(self._files)[-SHOWN:],
            "printed": list(self._printed)[-SHOWN:],
            "faults": self._faults.state(),
        }

    @property
    def printed(self) -> tuple[str, ...]:
        """The files that were ever seen, in the order of coming; the last KEPT of them."""
        return tuple(self._printed)

    @property
    def there(self) -> bool:
        """Whether the folder is to be reached."""
        return not self._faults.active("folder_gone")

    def step(self, dt: float) -> None:
        """Let somebody come by."""
        self._waited += dt
        if self._take_s and self._waited >= self._take_s:
            self._waited = 0.0
            self._wanted.extend(self._files[:1])

    def seen(self, names: tuple[str, ...]) -> None:
        """Note what lies in the folder, the oldest first."""
        self._printed.extend(name for name in names if name not in self._files)
        self._files = names

    def taken(self) -> tuple[str, ...]:
        """Return, once, what is to be taken away."""
        wanted = tuple(self._wanted)
        self._wanted.clear()
        return wanted


@contextlib.asynccontextmanager
async def serve(
    model: PdfModel, wire: Wire | None = None, address: str = ""
) -> AsyncIterator[Served]:
    """Put the model on a folder, a temporary one without an address. Raises OSError."""
    wire = wire or Wire()
    with contextlib.ExitStack() as stack:
        if address:
            folder = Path(folder_of(address))
        else:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="dispensed-sim-"))
            folder = Path(temporary) / "labels"
        folder.mkdir(exist_ok=True)
        task = asyncio.create_task(_attend(model, wire, folder))
        try:
            yield Served(f"file://{folder}", wire, task)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _attend(model: PdfModel, wire: Wire, folder: Path) -> None:
    ticker = Ticker(model, wire)
    loop = asyncio.get_running_loop()
    away = folder.with_name(f"{folder.name}.gone")
    while True:
        ticker.advance(loop.time())
        _look(model, folder, away)
        await asyncio.sleep(TICK_S)


def _look(model: PdfModel, folder: Path, away: Path) -> None:
    """Do to the folder what the model wants, and show it what lies there."""
    if folder.is_dir() and not model.there:
        folder.rename(away)
    elif away.is_dir() and model.there and not folder.exists():
        away.rename(folder)
    if folder.is_dir():
        for name in model.taken():
            (folder / name).unlink(missing_ok=True)
        files = sorted(folder.glob("*.pdf"), key=lambda path: path.stat().st_mtime_ns)
        model.seen(tuple(path.name for path in files))


def make(seed: int) -> PdfModel:
    """Return a folder that nobody looks after."""
    return PdfModel(seed)
