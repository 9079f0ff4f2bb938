"""One bench for every label printer driver: the driver, its simulator, what came out."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from drivers.base import (
    DeviceSpec,
    Identity,
    Label,
    PrinterStatus,
    PrintProof,
    PrintReceipt,
)
from drivers.errors import DriverError
from drivers.ipp.driver import IppDriver
from drivers.pdf.driver import PdfDriver
from drivers.zpl.driver import ZplDriver
from simulators import pdf
from simulators.ipp import IppModel
from simulators.pdf import PdfModel
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.zpl import ZplModel
from tests.contract.transports import CLEAN, Inbox, Line

KINDS = ("zpl", "ipp", "pdf")
Printer = ZplDriver | IppDriver | PdfDriver
Model = ZplModel | IppModel | PdfModel
Options = dict[str, str | int | float | bool]

OPTIONS: dict[str, Options] = {
    "zpl": {
        "reply_timeout_s": 1.0,
        "print_timeout_s": 5.0,
        "print_poll_s": 0.01,
        "poll_interval_s": 0.05,
    },
    "ipp": {
        "reply_timeout_s": 2.0,
        "print_timeout_s": 5.0,
        "print_poll_s": 0.01,
        "poll_interval_s": 0.05,
    },
    "pdf": {"poll_interval_s": 0.05},
}
"""Long enough that a busy machine proves nothing wrong; tests of silence are impatient."""
IMPATIENT = 0.1
BEST = {"zpl": PrintProof.PRINTED, "ipp": PrintProof.PRINTED, "pdf": PrintProof.ACCEPTED}
"""What a receipt says when all went well."""
LOSS = {"zpl": "cut", "ipp": "cut", "pdf": "folder_gone"}
"""How the link to each is lost: faults of the wire, or of the folder."""
DRIVERS: dict[str, type[ZplDriver] | type[IppDriver] | type[PdfDriver]] = {
    "zpl": ZplDriver,
    "ipp": IppDriver,
    "pdf": PdfDriver,
}


def label(request_id: str) -> Label:
    return Label(
        "Atorvastatin 20 mg",
        (f"request {request_id}.", "^XZ~JA"),
        (("01", "00300710155237"), ("17", "271231"), ("10", "LOT123")),
    )


@dataclass
class Bench:
    """One driver in front of one simulated printer, reconnected as the supervisor would."""

    kind: str
    model: Model
    served: Served
    driver: Printer

    async def print(self, request_id: str) -> PrintReceipt:
        return await self.driver.print(label(request_id), request_id=request_id)

    def out(self) -> tuple[str, ...]:
        """The requests whose labels came out, in no order for files."""
        if isinstance(self.model, ZplModel):
            return tuple(
                found[1]
                for text in self.model.printed
                if (found := re.search(r"request (\S+)\.\^FS", text))
            )
        if isinstance(self.model, IppModel):
            return tuple(name.removeprefix("label ") for name in self.model.printed)
        folder = Path(self.served.address.removeprefix("file://"))
        return tuple(unquote(path.stem.removeprefix("label-")) for path in folder.glob("*.pdf"))

    def labels(self, request_id: str) -> int:
        return self.out().count(request_id)

    async def reconnect(self) -> Identity:
        """Close and connect, again and again as the supervisor does."""
        for _ in range(20):
            await self.driver.close()
            with contextlib.suppress(DriverError):
                return await self.driver.connect()
            await asyncio.sleep(0.02)
        return await self.driver.connect()

    def lose(self, *, lost: bool = True) -> None:
        """Take the link away, or give it back."""
        faults = self.model.faults if self.kind == "pdf" else self.served.wire.faults
        faults.switch(LOSS[self.kind], on=lost)

    def fault(self, name: str, *, on: bool = True, times: int | None = None) -> None:
        self.model.faults.switch(name, on=on, times=times)


@contextlib.asynccontextmanager
async def _served(model: Model, line: Line, server: str) -> AsyncIterator[tuple[Served, str]]:
    """Put a model on its wire; yields the address that its driver takes, too."""
    if isinstance(model, PdfModel):
        async with pdf.serve(model, line.wire()) as served:
            yield served, served.address
        return
    serve = serve_pty if server == "pty" else serve_tcp
    async with serve(model, wire=line.wire()) as served:
        address = served.address
        if isinstance(model, IppModel):
            address = address.replace("tcp://", "ipp://") + "/ipp/print"
        yield served, address


@contextlib.asynccontextmanager
async def bench(
    kind: str,
    line: Line = CLEAN,
    *,
    server: str = "tcp",
    model: Model | None = None,
    inbox: Inbox | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
) -> AsyncIterator[Bench]:
    models: dict[str, Callable[[], Model]] = {"zpl": ZplModel, "ipp": IppModel, "pdf": PdfModel}
    model = model or models[kind]()
    async with _served(model, line, server) as (served, address):
        spec = DeviceSpec("label", address, OPTIONS[kind] | dict(options or {}))
        ready = Bench(kind, model, served, DRIVERS[kind](spec, (inbox or Inbox()).put))
        await ready.reconnect()
        try:
            yield ready
        finally:
            await ready.driver.close()
            served.check()


async def until(condition: Callable[[], object]) -> None:
    """Wait, but not for ever, until the other side has done something."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the simulator has no events
            await asyncio.sleep(0.002)


READY = PrinterStatus(ready=True, faults=(), waiting=0)
