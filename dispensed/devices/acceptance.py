"""A machine tried by itself, without ledger or daemon: who it is, and a guided acceptance run.

Nothing here books anything: what leaves a machine during the run is put back or booked by hand.
The weights, counts and answers of the person at the machine are the expected values.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import partial
from typing import Protocol, TypeVar, assert_never

from dispensed.devices import registry
from dispensed.devices.registry import Capability, DeviceConfig, ScaleLookup
from dispensed.errors import DeviceProblem
from drivers.base import (
    Cabinet,
    Counter,
    CountJob,
    Device,
    DeviceSpec,
    Drawers,
    Identity,
    Label,
    LabelPrinter,
    PickLine,
    PickOrder,
    RawMessage,
    Scale,
    Scanner,
)
from drivers.errors import DeviceTimeout, DriverError, Moved, Unsupported

CONNECT_S = 30.0
STEP_S = 120.0
T = TypeVar("T")


class Verdict(StrEnum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class OtherMachine(DeviceProblem):
    """The machine on this line is not the configured one."""

    code = "other_machine"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an acceptance run: what was done, expected and seen."""

    name: str
    verdict: Verdict
    expected: str
    seen: str


class Person(Protocol):
    """The technician at the machine."""

    def told(self, text: str) -> None:
        """Say what happens or what to do."""
        ...

    async def answer(self, question: str) -> str:
        """Ask; an empty answer skips the step."""
        ...


async def probe(name: str, devices: Mapping[str, DeviceConfig]) -> Identity:
    """Connect, return what the machine says it is, and go. Reads only.

    Raises OtherMachine when option `serial` names another serial number, DriverError when the
    machine cannot be reached, ValueError or UnknownProtocol for a bad configuration.
    """
    config = devices[name]
    async with _scales_for(config, devices) as scales:
        if scales is not None:
            spec = _spec(name, config)
            device: Device = registry.build_counter(config.protocol, spec, _kept_by_nobody, scales)
        else:
            device = registry.build(config.protocol, _spec(name, config), _kept_by_nobody)
        async with _connected(device, config) as identity:
            return identity


async def run(name: str, devices: Mapping[str, DeviceConfig], person: Person) -> tuple[Step, ...]:
    """Lead a technician through every ability of one machine; returns the steps in their order.

    A step that fails does not end the run; a machine that is gone does.
    """
    config = devices[name]
    protocol, capability = config.protocol, registry.capability_of(config.protocol)
    spec, sink = _spec(name, config), _kept_by_nobody
    match capability:
        case Capability.SCALE:
            scale = registry.build_scale(protocol, spec, sink)
            return await _lead(scale, config, person, lambda: _try_scale(scale, person))
        case Capability.COUNTER:
            async with _scales_for(config, devices) as scales:
                if scales is None:
                    counter = registry.build_counter(protocol, spec, sink)
                    trial = partial(_try_counter, counter, person)
                else:
                    call = partial(_call_to_pour, person)
                    counter = registry.build_counter(protocol, spec, call, scales)
                    trial = partial(_try_weigh_counter, counter, person)
                return await _lead(counter, config, person, trial)
        case Capability.CABINET:
            cabinet = registry.build_cabinet(protocol, spec, sink)
            return await _lead(cabinet, config, person, lambda: _try_cabinet(cabinet, person))
        case Capability.PRINTER:
            printer = registry.build_printer(protocol, spec, sink)
            return await _lead(printer, config, person, lambda: _try_printer(printer, person))
        case Capability.DRAWERS:
            drawers = registry.build_drawers(protocol, spec, sink)
            return await _lead(drawers, config, person, lambda: _try_drawers(drawers, person))
        case Capability.SCANNER:
            scanner = registry.build_scanner(protocol, spec, sink)
            return await _lead(scanner, config, person, lambda: _try_scanner(scanner, person))
        case unreachable:
            assert_never(unreachable)


async def _lead(
    device: Device,
    config: DeviceConfig,
    person: Person,
    trial: Callable[[], Awaitable[list[Step]]],
) -> tuple[Step, ...]:
    """Connect, say who it is, try it while its background reading runs."""
    async with _connected(device, config) as identity:
        seen = ", ".join(part for part in _words(identity) if part) or "says nothing of itself"
        person.told(seen)
        async with _watched(device):
            steps = await trial()
    return (Step("identity", Verdict.PASSED, "an answer", seen), *steps)


@contextlib.asynccontextmanager
async def _watched(device: Device) -> AsyncIterator[None]:
    """Let the background reading of a device run."""
    watching = asyncio.ensure_future(device.watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, DriverError):
            await watching


@contextlib.asynccontextmanager
async def _scales_for(
    config: DeviceConfig, devices: Mapping[str, DeviceConfig]
) -> AsyncIterator[ScaleLookup | None]:
    """Connect the scale that a counter is made of; None for a device that is not made of one."""
    part = registry.part_of(config)
    if part is None:
        yield None
        return
    made_of = devices[part]
    scale = registry.build_scale(made_of.protocol, _spec(part, made_of), _kept_by_nobody)
    async with _connected(scale, made_of), _watched(scale):
        yield lambda _name: scale


def _spec(name: str, config: DeviceConfig) -> DeviceSpec:
    return DeviceSpec(name=name, address=config.address, options=config.options)


@contextlib.asynccontextmanager
async def _connected(device: Device, config: DeviceConfig) -> AsyncIterator[Identity]:
    try:
        async with asyncio.timeout(CONNECT_S):
            identity = await device.connect()
        pinned = config.options.get("serial")
        if pinned and identity.serial != pinned:
            raise OtherMachine(
                f"the machine at {config.address} has serial number"
                f" {identity.serial or '(none)'}, not {pinned}"
            )
        yield identity
    except TimeoutError as error:
        raise DeviceTimeout(f"{config.address}: no answer within {CONNECT_S:.0f} s") from error
    finally:
        await device.close()


async def _kept_by_nobody(message: RawMessage) -> None:
    """Take what the machine reports; an acceptance run books nothing."""
    del message


def _words(identity: Identity) -> tuple[str, ...]:
    serial = f"serial number {identity.serial}" if identity.serial else ""
    firmware = f"firmware {identity.firmware}" if identity.firmware else ""
    return identity.maker, identity.model, serial, firmware, identity.link


# ---------------------------------------------------------------- trials by capability


async def _tried(
    name: str, expected: str, call: Callable[[], Awaitable[T]], good: Callable[[T], bool]
) -> Step:
    """Make one call; a DriverError is a failed step, not the end of the run.

    What the machine cannot do at all is skipped, with its reason.
    """
    try:
        async with asyncio.timeout(STEP_S):
            value = await call()
    except Unsupported as error:
        return Step(name, Verdict.SKIPPED, expected, str(error))
    except (DriverError, TimeoutError) as error:
        moved = error.moved if isinstance(error, DriverError) else Moved.UNKNOWN
        text = str(error) or f"no end within {STEP_S:.0f} s"
        return Step(name, Verdict.FAILED, expected, f"{text} (moved: {moved})")
    verdict = Verdict.PASSED if good(value) else Verdict.FAILED
    return Step(name, verdict, expected, str(value))


def _skipped(name: str) -> Step:
    return Step(name, Verdict.SKIPPED, "", "skipped by the technician")


async def _number(person: Person, question: str) -> Decimal | None:
    """Ask until the answer is a number or empty."""
    for _ in range(3):
        given = (await person.answer(question)).strip()
        if not given:
            return None
        with contextlib.suppress(InvalidOperation):
            number = Decimal(given)
            if number.is_finite() and number >= 0:
                return number
        person.told(f"{given!r} is not a number")
    return None


async def _yes(person: Person, name: str, question: str) -> Step:
    given = (await person.answer(f"{question} (yes / no)")).strip().lower()
    if not given:
        return _skipped(name)
    good = given in ("y", "yes")
    return Step(name, Verdict.PASSED if good else Verdict.FAILED, "yes", given)


async def _try_scale(scale: Scale, person: Person) -> list[Step]:
    await person.answer("Take everything off the scale, then press Enter")
    steps = [
        await _tried("zero", "no error", lambda: scale.zero(timeout_s=STEP_S), lambda _: True),
        await _tried(
            "empty",
            "0, stable",
            lambda: scale.weigh(timeout_s=STEP_S),
            lambda reading: reading.value == 0,
        ),
    ]
    nominal = await _number(person, "Put a check weight on. What does it weigh (unit of the scale)")
    limit = await _number(person, "By how much may it differ") if nominal is not None else None
    if not nominal or limit is None:
        return [*steps, _skipped("check weight")]
    weighed = await _tried(
        "check weight",
        f"{nominal} within {limit}",
        lambda: scale.weigh(timeout_s=STEP_S),
        lambda reading: abs(reading.value - nominal) <= limit,
    )
    await person.answer("Take the weight off, then press Enter")
    return [*steps, weighed]


async def _try_counter(
    counter: Counter,
    person: Person,
    question: str = "Fill the counter. How many pieces shall it count",
) -> list[Step]:
    pieces = await _number(person, question)
    if pieces is None or pieces != int(pieces) or pieces < 1:
        return [_skipped("count")]
    job = CountJob("acceptance-1", "acceptance", "acceptance", "acceptance", int(pieces))
    step = await _tried(
        "count",
        f"{job.pieces} counted",
        lambda: counter.count(job, timeout_s=STEP_S),
        lambda result: result.complete and result.counted == job.pieces,
    )
    by_hand = await _number(person, "Count by hand what fell. How many pieces")
    if by_hand is None:
        return [step, _skipped("counted by hand")]
    verdict = Verdict.PASSED if by_hand == job.pieces else Verdict.FAILED
    return [step, Step("counted by hand", verdict, str(job.pieces), str(by_hand))]


async def _call_to_pour(person: Person, message: RawMessage) -> None:
    """Say when the counter waits for pieces; its `start` message means that it does."""
    if message.kind == "start":
        person.told("Pour now")


async def _try_weigh_counter(counter: Counter, person: Person) -> list[Step]:
    """Sample the piece weight first, then count with it."""
    question = "Put the empty tray on the scale, tare, and put counted pieces on it. How many"
    pieces = await _number(person, question)
    if pieces is None or pieces != int(pieces):
        return [_skipped("sample"), _skipped("count")]
    sampled = await _tried(
        "sample",
        "the weight of one piece",
        lambda: counter.sample("acceptance", int(pieces), timeout_s=STEP_S),
        lambda piece: piece.mean_ug > 0,
    )
    await person.answer("Empty the tray, put it back, tare, and press Enter")
    question = "Pour when you are told. How many pieces shall it count"
    return [sampled, *await _try_counter(counter, person, question)]


async def _try_cabinet(cabinet: Cabinet, person: Person) -> list[Step]:
    steps = [await _tried("inventory", "a list of packs", cabinet.inventory, lambda _: True)]
    article = (await person.answer("Article code of a pack that may be put out")).strip()
    lot = (await person.answer("Its lot")).strip() if article else ""
    if not article:
        return [*steps, _skipped("output")]
    order = PickOrder("900000001-1", (PickLine(article, lot, 1),))
    steps.append(
        await _tried(
            "output",
            f"one pack of {article}",
            lambda: cabinet.deliver(order, timeout_s=STEP_S),
            lambda report: len(report.packs) == 1,
        )
    )
    steps.append(await _yes(person, "pack in hand", "Did that one pack come out"))
    return steps


async def _try_printer(printer: LabelPrinter, person: Person) -> list[Step]:
    label = Label("ACCEPTANCE RUN", ("not a medicine",), (("01", "00300710155237"), ("10", "A1")))
    steps = [
        await _tried("status", "ready", printer.status, lambda status: status.ready),
        await _tried(
            "label",
            "a proof",
            lambda: printer.print(label, request_id="acceptance-1"),
            lambda _: True,
        ),
    ]
    steps.append(await _yes(person, "label in hand", "Did one label come out, and is it readable"))
    return steps


async def _try_drawers(drawers: Drawers, person: Person) -> list[Step]:
    steps = [await _tried("drawers", "every drawer", drawers.drawers, bool)]
    drawer = (await person.answer("Which drawer may be opened")).strip()
    if not drawer:
        return [*steps, _skipped("open")]
    steps.append(
        await _tried(
            "open",
            f"drawer {drawer} open",
            lambda: drawers.open_drawer(drawer, request_id="acceptance-1", timeout_s=STEP_S),
            lambda state: state.is_open is True,
        )
    )
    await person.answer("Shut the drawer, then press Enter")
    steps.append(
        await _tried(
            "shut",
            f"drawer {drawer} shut",
            drawers.drawers,
            lambda found: any(each.drawer == drawer and each.is_open is False for each in found),
        )
    )
    return steps


async def _try_scanner(scanner: Scanner, person: Person) -> list[Step]:
    person.told("Scan a code now")
    step = await _tried("scan", "a code", lambda: scanner.scan(timeout_s=STEP_S), lambda _: True)
    return [step, await _yes(person, "text", f"Is this what the code holds: {step.seen}")]
