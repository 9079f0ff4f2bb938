"""The codecs that are fuzzed. A new codec is one row: how to make a frame, and how to read one."""

import importlib
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from drivers import drawers
from drivers.base import CountJob, CountResult, PieceWeight
from drivers.dialect import Shown
from drivers.framing import LineSplitter
from drivers.ipp import codec as ipp_codec
from drivers.lockboard.codec import DIALECTS, Hook, Listening, Status, StatusRequest
from drivers.modbus import codec as modbus
from drivers.modbus.options import AGREEING
from drivers.mtsics import codec as mtsics_codec
from drivers.opcua40200 import codec as weighing
from drivers.packml.binary import CountElement, decode_count, encode_count
from drivers.packml.codec import (
    CountRecord,
    Counts,
    State,
    Tally,
    count_message,
    interpret,
    tally_of,
)
from drivers.pdf.codec import Note, decode_note, encode_note
from drivers.scanner.codec import Rules, read_line
from drivers.weighcount import codec as by_weight
from drivers.wwks2 import codec as wwks2_codec
from drivers.wwks2 import messages as wire
from drivers.wwks2.stream import DocumentSplitter
from drivers.zpl import codec as zpl_codec
from tests.fuzz.engine import Row, Rule

Cut = Callable[[bytes], Sequence[bytes]]


def weight_of(rng: random.Random, *, digits: int = 6, decimals: int = 3) -> Decimal:
    """Return a weight that is never negative, with its digits."""
    return Decimal(rng.randrange(10**digits)).scaleb(-decimals)


def only(frames: Sequence[bytes]) -> bytes | None:
    """Return the frame when there is exactly one: drivers refuse an answer with more behind it."""
    return frames[0] if len(frames) == 1 else None


# ---------------------------------------------------------------- scales


def mtsics(rule: Rule) -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        value = weight_of(rng)
        weight = mtsics_codec.Weight("S", mtsics_codec.WeightStatus.STABLE, value, "g")
        return mtsics_codec.encode(weight), (value, "g")

    def read(data: bytes) -> object | None:
        line = only(LineSplitter(mtsics_codec.LINE_MAX).feed(data))
        reply = mtsics_codec.decode(line) if line is not None else None
        if not isinstance(reply, mtsics_codec.Weight) or reply.command != "S":
            return None
        stable = reply.status is mtsics_codec.WeightStatus.STABLE
        return (reply.value, reply.unit) if stable else None

    return Row(make, read, rule)


def dialect(
    codec: str, rule: Rule, *, unit: str, digits: int = 6, decimals: int = 3, told: bool = True
) -> Row:
    """A scale of `drivers.dialect`; `told` says whether its frames say that they are stable."""

    module = importlib.import_module(f"drivers.{codec}.codec")
    extra = (unit,) if codec == "toledo8217" else ()

    def make(rng: random.Random) -> tuple[bytes, object]:
        value = weight_of(rng, digits=digits, decimals=decimals)
        net = False if codec == "toledo8217" else None
        return module.encode(Shown(value, unit, stable=True, net=net)), (value, unit, net)

    def read(data: bytes) -> object | None:
        frame = only(module.splitter().feed(data))
        said = module.decode(frame, *extra) if frame is not None else None
        if not isinstance(said, Shown) or (told and not said.stable):
            return None
        return (said.value, said.unit, said.net)

    return Row(make, read, rule)


def modbus_answer(framing: modbus.Framing, rule: Rule) -> Row:
    request = modbus.Read(modbus.READ_HOLDING, 7, 4)
    envelope = modbus.Envelope(framing, 1, 77 if framing is modbus.Framing.TCP else 0)

    def make(rng: random.Random) -> tuple[bytes, object]:
        values = tuple(rng.randrange(65536) for _ in range(4))
        return envelope.wrap(modbus.encode_answer(request, modbus.Registers(values))), values

    def read(data: bytes) -> object | None:
        answer = modbus.AnswerFinder(request, envelope).feed(data)
        return answer.values if isinstance(answer, modbus.Registers) else None

    return Row(make, read, rule, need=AGREEING[framing])


def opcua_weight() -> Row:
    def make(rng: random.Random) -> tuple[bytes, object]:
        weight = weighing.Weight(*(rng.randrange(320_000) / 1000 for _ in range(3)))
        return weighing.encode_weight(weight), weight

    return Row(make, weighing.decode_weight, Rule.WHOLE)


def opcua_printed() -> Row:
    def values(printed: weighing.Printed) -> object:
        return [weighing.printed_value(printed.part(part)) for part in weighing.Part]

    def make(rng: random.Random) -> tuple[bytes, object]:
        printed = weighing.Printed(*(str(weight_of(rng)) for _ in range(3)))
        return weighing.encode_printed(printed), values(printed)

    return Row(make, lambda data: values(weighing.decode_printed(data)), Rule.WHOLE)


# ---------------------------------------------------------------- counters and cabinets


def packml_records() -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        pieces = rng.randrange(1, 500)
        job = CountJob(f"{rng.randrange(10**6)}-1", "00071015523", "L1", "shelf", pieces)
        before, acc = Tally(1, 0, rng.randrange(10**6)), rng.randrange(10**6)
        after = Tally(1, pieces, acc)
        result = CountResult(job.job_id, pieces, 0, complete=True)
        record = CountRecord(job, result, State.COMPLETE, Counts(before, None), Counts(after, None))
        raw = count_message(record).raw
        return raw, interpret(raw)

    return Row(make, interpret, Rule.WHOLE)


def packml_structures() -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        element = CountElement(
            1, "good", 4405311, "pcs", rng.randrange(10**6), rng.randrange(10**9)
        )
        return encode_count(element), tally_of(element)

    return Row(make, lambda data: tally_of(decode_count(data)), Rule.WHOLE)


def weighcount() -> Row:
    def make(rng: random.Random) -> tuple[bytes, object]:
        pieces = rng.randrange(1, 500)
        job = CountJob(f"{rng.randrange(10**6)}-1", "00071015523", "L1", "shelf", pieces)
        basis = by_weight.Basis(PieceWeight(rng.randrange(10**6) + 1, 9, 20), 1000)
        record = by_weight.CountRecord(
            job,
            CountResult(job.job_id, pieces, 0, complete=True),
            rng.randrange(10**9),
            by_weight.Estimate(pieces, 110, 52),
            basis,
        )
        raw = by_weight.count_message(record).raw
        return raw, by_weight.interpret(raw)

    return Row(make, by_weight.interpret, Rule.WHOLE)


def drawer_records() -> Row:
    """OPC UA carries a cabinet's states as numbers; what can be damaged is the stored record."""

    def make(rng: random.Random) -> tuple[bytes, object]:
        drawer = f"{rng.randrange(9)}.{rng.randrange(99)}"
        record = drawers.DrawerRecord(drawer, rng.random() < 0.5, "r1", False, "Opened")  # noqa: FBT003
        raw = drawers.encode_record(record)
        return raw, drawers.interpret(raw)

    return Row(make, drawers.interpret, Rule.WHOLE)


def wwks2() -> Row:

    at = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)

    def make(rng: random.Random) -> tuple[bytes, object]:
        packs = tuple(
            wire.PackData(id=rng.randrange(10**6), batch=f"B{rng.randrange(999)}", scan_code="123")
            for _ in range(rng.randint(1, 3))
        )
        message = wire.OutputMessage(
            str(rng.randrange(1, 10**6)),
            999,
            100,
            wire.OutputDetails("1", 1, 1, "Completed"),
            (wire.Article(id="1", packs=packs),),
            (),
        )
        raw = wwks2_codec.encode(message, at)
        return raw, [wwks2_codec.interpret(raw)]

    def read(data: bytes) -> object | None:
        frames = [frame for frame in DocumentSplitter().feed(data) if not frame.fault]
        return [wwks2_codec.interpret(frame.raw) for frame in frames] or None

    return Row(make, read, Rule.WHOLE)


def lockboard(name: str) -> Row:

    board = DIALECTS[name]
    lock = 0 if board.whole_board else 7
    request = StatusRequest(3, lock)
    size = board.locks if board.whole_board else 1

    def make(rng: random.Random) -> tuple[bytes, object]:
        hooks = tuple(rng.choice((Hook.OPEN, Hook.CLOSED)) for _ in range(size))
        status = Status(3, lock, hooks)
        return board.encode_reply(status), status

    def read(data: bytes) -> object | None:
        return Listening(board, request).feed(data)

    return Row(make, read, Rule.UNBOOKED)


# ---------------------------------------------------------------- printers and scanners


def zpl() -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        status = zpl_codec.HostStatus(
            formats_waiting=rng.randrange(999), paper_out=rng.random() < 0.5
        )
        odometer = f'"{rng.randrange(10**6)}"\r\n'.encode()
        return zpl_codec.encode_host_status(status) + odometer, status

    def read(data: bytes) -> object:
        replies = zpl_codec.ReplySplitter().feed(data)
        for reply in replies:
            if reply.kind is zpl_codec.ReplyKind.QUOTED:
                zpl_codec.parse_odometer(reply)
            elif reply.kind is not zpl_codec.ReplyKind.FRAMED:
                zpl_codec.parse_identity(reply.body)
        return zpl_codec.parse_host_status(
            reply.body for reply in replies if reply.kind is zpl_codec.ReplyKind.FRAMED
        )

    return Row(make, read, Rule.UNBOOKED)


def ipp() -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        message = ipp_codec.Message(
            0,
            rng.randrange(1, 10**6),
            (
                ipp_codec.Group(
                    ipp_codec.GroupTag.OPERATION,
                    (
                        ipp_codec.attribute("attributes-charset", ipp_codec.Tag.CHARSET, "utf-8"),
                        ipp_codec.attribute(
                            "attributes-natural-language", ipp_codec.Tag.LANGUAGE, "en"
                        ),
                    ),
                ),
                ipp_codec.Group(
                    ipp_codec.GroupTag.JOB,
                    (
                        ipp_codec.attribute("job-id", ipp_codec.Tag.INTEGER, rng.randrange(10**6)),
                        ipp_codec.attribute("job-state", ipp_codec.Tag.ENUM, rng.randrange(3, 10)),
                        ipp_codec.attribute(
                            "job-state-reasons", ipp_codec.Tag.KEYWORD, "none", "job-printing"
                        ),
                    ),
                ),
            ),
        )
        data = ipp_codec.encode(message)
        return data, ipp_codec.decode(data)

    return Row(make, ipp_codec.decode, Rule.WHOLE)


def pdf() -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        note = Note(rng.random() < 0.5, rng.randbytes(32).hex())
        return encode_note(note), note

    return Row(make, decode_note, Rule.WHOLE)


def scanner() -> Row:

    def make(rng: random.Random) -> tuple[bytes, object]:
        lot = f"L{rng.randrange(10**5)}"
        line = f"]d2010030071015523717271231{'10' + lot}\x1d21{rng.randrange(10**9)}".encode()
        return line, read_line(line, Rules())

    return Row(make, lambda data: read_line(data, Rules()), Rule.UNBOOKED)


ROWS: dict[str, Callable[[], Row]] = {
    "mtsics": lambda: mtsics(Rule.LINE),
    "mtsics, parity": lambda: mtsics(Rule.PARITY),
    "toledo8217": lambda: dialect("toledo8217", Rule.LINE, unit="kg", digits=5),
    "toledo8217, parity": lambda: dialect("toledo8217", Rule.PARITY, unit="kg", digits=5),
    "nci": lambda: dialect("nci", Rule.LINE, unit="kg", digits=5, decimals=3),
    "nci, parity": lambda: dialect("nci", Rule.PARITY, unit="kg", digits=5, decimals=3),
    "ohaus": lambda: dialect("ohaus", Rule.LINE, unit="g"),
    "ohaus, parity": lambda: dialect("ohaus", Rule.PARITY, unit="g"),
    "and_": lambda: dialect("and_", Rule.LINE, unit="g"),
    "and_, parity": lambda: dialect("and_", Rule.PARITY, unit="g"),
    "sbi": lambda: dialect("sbi", Rule.LINE, unit="g"),
    "sbi, parity": lambda: dialect("sbi", Rule.PARITY, unit="g"),
    "modbus, rtu": lambda: modbus_answer(modbus.Framing.RTU, Rule.CHECKED),
    "modbus, tcp": lambda: modbus_answer(modbus.Framing.TCP, Rule.WHOLE),
    "opcua40200, weight": opcua_weight,
    "opcua40200, printed": opcua_printed,
    "packml, records": packml_records,
    "packml, structures": packml_structures,
    "weighcount": weighcount,
    "opcua_cabinet": drawer_records,
    "wwks2": wwks2,
    "lockboard, kr-cu16": lambda: lockboard("kr-cu16"),
    "lockboard, cu48": lambda: lockboard("cu48"),
    "lockboard, winnsen": lambda: lockboard("winnsen"),
    "zpl": zpl,
    "ipp": ipp,
    "pdf": pdf,
    "scanner": scanner,
}
"""Name of the codec, and which of its forms -> the row."""


def missing() -> list[str]:
    """Return the drivers whose codec has no row."""
    drivers = Path(__file__).parents[2] / "drivers"
    known = {name.partition(",")[0] for name in ROWS}
    return sorted({path.parent.name for path in drivers.glob("*/codec.py")} - known)
