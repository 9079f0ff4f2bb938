"""`dispensed-sim`: one machine on a real wire, run by hand.

Prints the addresses one a line, then each change of the machine's state, until Ctrl-C.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import click

from simulators import (
    and_,
    ipp,
    lockboard,
    modbus,
    mtsics,
    nci,
    ohaus,
    pdf,
    sbi,
    scanner,
    toledo8217,
    weighcount,
    wwks2,
    zpl,
)
from simulators.base import Json, Model, StreamModel
from simulators.control import owner_of_fault, serve_control
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.wire import Wire

SHOW_S = 0.25
"""Real seconds between two looks at the state."""
_Serve = Callable[[Wire], AbstractAsyncContextManager[Served]]
_DEFAULT_OPCUA = "opc.tcp://127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Options:
    """Where and how to run a simulator, as given on the command line."""

    protocol: str
    pty: Path | None
    tcp: tuple[str, int] | None
    opcua: str | None
    control: tuple[str, int] | None
    seed: int
    speed: float
    faults: tuple[str, ...]
    as_json: bool


STREAMS: dict[str, Callable[[int], StreamModel]] = {
    "and": and_.make,
    "ipp": ipp.make,
    "lockboard": lockboard.make,
    "modbus": modbus.make,
    "modbus-laumas": modbus.make_laumas,
    "mtsics": mtsics.make,
    "nci": nci.make,
    "ohaus": ohaus.make,
    "sbi": sbi.make,
    "scanner": scanner.make,
    "toledo8217": toledo8217.make,
    "weighcount": weighcount.make,
    "wwks2": wwks2.make,
    "zpl": zpl.make,
}
"""Machines that speak bytes over TCP or a pty."""


def _packml(options: Options) -> tuple[Model, _Serve]:
    from simulators import packml  # noqa: PLC0415 - asyncua is slow to import

    model = packml.make(options.seed)
    return model, lambda wire: packml.serve(model, wire, options.opcua or _DEFAULT_OPCUA)


def _pdf(options: Options) -> tuple[Model, _Serve]:
    model = pdf.make(options.seed)
    return model, lambda wire: pdf.serve(model, wire)


def _opcua40200(options: Options) -> tuple[Model, _Serve]:
    from simulators import opcua40200  # noqa: PLC0415 - asyncua is slow to import

    model = opcua40200.make(options.seed)
    return model, lambda wire: opcua40200.serve(model, wire, options.opcua or _DEFAULT_OPCUA)


def _opcua_cabinet(options: Options) -> tuple[Model, _Serve]:
    from simulators import opcua_cabinet  # noqa: PLC0415 - asyncua is slow to import

    model = opcua_cabinet.make(options.seed)
    return model, lambda wire: opcua_cabinet.serve(model, wire, options.opcua or _DEFAULT_OPCUA)


ENDPOINTS: dict[str, Callable[[Options], tuple[Model, _Serve]]] = {
    "pdf": _pdf,
    "opcua40200": _opcua40200,
    "opcua_cabinet": _opcua_cabinet,
    "packml": _packml,
}
"""Machines that bring their own server."""


def _stream(options: Options) -> tuple[Model, _Serve]:
    model = STREAMS[options.protocol](options.seed)
    if options.pty is not None:
        link = options.pty.absolute()
        return model, lambda wire: serve_pty(model, link=link, wire=wire)
    host, port = options.tcp or ("127.0.0.1", 0)
    return model, lambda wire: serve_tcp(model, host=host, port=port, wire=wire)


def _host_port(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004
        raise click.BadParameter(f"HOST:PORT expected, not {value!r}")
    return host, int(port)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("protocol", type=click.Choice(sorted([*STREAMS, *ENDPOINTS])))
@click.option("--pty", type=click.Path(path_type=Path), help="Serve on a pty linked from here.")
@click.option("--tcp", metavar="HOST:PORT", callback=_host_port, help="Serve on a TCP port.")
@click.option("--opcua", metavar="URL", help="Endpoint of an OPC UA machine.")
@click.option("--control", metavar="HOST:PORT", callback=_host_port, help="Control channel.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of all chance.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    default=1.0,
    show_default=True,
    help="Simulated seconds in a real one.",
)
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="On from the start.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def main(**given: object) -> None:
    """Run the simulator of PROTOCOL on a real wire until Ctrl-C."""
    options = Options(**given)  # type: ignore[arg-type] # click has checked the types
    wanted_stream = options.pty is not None or options.tcp is not None
    if options.protocol in ENDPOINTS and wanted_stream:
        raise click.UsageError(f"{options.protocol} is served with --opcua")
    if options.protocol in STREAMS and (options.opcua or (options.pty and options.tcp)):
        raise click.UsageError(f"{options.protocol} is served with one of --pty and --tcp")
    try:
        asyncio.run(_run(options))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    make = ENDPOINTS.get(options.protocol, _stream)
    model, serve = make(options)
    wire = Wire(seed=options.seed, speed=options.speed)
    for name in options.faults:
        owner_of_fault({"model": model, "wire": wire}, name).faults.switch(name, on=True)
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve(wire))
        addresses: dict[str, Json] = {"address": _as_driver_takes_it(options, served)}
        if options.control is not None:
            host, port = options.control
            bound = await stack.enter_async_context(
                serve_control(model, wire, host=host, port=port)
            )
            addresses["control"] = f"{bound[0]}:{bound[1]}"
        _show(addresses, as_json=options.as_json)
        await _follow(model, served, stop, as_json=options.as_json)


def _as_driver_takes_it(options: Options, served: Served) -> str:
    """Return the address for the configuration; a printer's has its own scheme and a path."""
    if options.protocol == "ipp" and options.pty is None:
        return served.address.replace("tcp://", "ipp://") + "/ipp/print"
    return served.address


async def _follow(model: Model, served: Served, stop: asyncio.Event, *, as_json: bool) -> None:
    """Print what changes in the state until told to stop."""
    shown: Mapping[str, Json] = {}
    while not stop.is_set():
        served.check()
        state = model.state()
        changed = {key: value for key, value in state.items() if shown.get(key) != value}
        if changed:
            _show({"state": changed} if as_json else changed, as_json=as_json)
            shown = state
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHOW_S):
                await stop.wait()


def _show(values: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values))
        return
    for key, value in values.items():
        click.echo(f"{key} {value if isinstance(value, str) else json.dumps(value)}")


if __name__ == "__main__":
    main()
