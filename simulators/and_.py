"""A balance that speaks the A&D standard format."""

from decimal import Decimal

from drivers.and_.codec import UNDEFINED, decode_preset, encode
from drivers.dialect import Done, Refused, Shown, Status, Told
from drivers.errors import ProtocolError
from simulators.linescale import Kind, LineEar, LineScaleModel, Order, Voice

MODEL = "SIM-320"
NOT_READY = "E02"
_WORDS = {
    b"SI": Kind.WEIGHT,
    b"Q": Kind.WEIGHT,
    b"Z": Kind.ZERO,
    b"R": Kind.ZERO,
    b"T": Kind.TARE,
    b"?PT": Kind.TARE_MEMORY,
    b"?SN": Kind.SERIAL,
    b"?TN": Kind.MODEL,
}


def _grams(line: bytes) -> Decimal:
    value, unit = decode_preset(line)
    if unit != "g":
        raise ProtocolError(f"a tare in grams was expected, not in {unit}")
    return value


def _ear() -> LineEar:
    return LineEar(_WORDS, _grams)


def _say(scale: LineScaleModel, order: Order) -> bytes:
    match order.kind:
        case Kind.WEIGHT:
            return _weight(scale)
        case Kind.TARE_MEMORY:
            return encode(scale.tare())
        case Kind.SERIAL:
            return encode(Told(scale.setting("serial")))
        case Kind.MODEL:
            return encode(Told(MODEL)).replace(b"SN,", b"TN,", 1)
        case _ if scale.setting("acknowledge") != "1":
            return b""
        case kind:
            return encode(Refused(UNDEFINED) if kind is Kind.UNKNOWN else Done())


def _weight(scale: LineScaleModel) -> bytes:
    state, shown = scale.status(), scale.shown()
    if scale.faults.active("busy"):
        return encode(Refused(NOT_READY, busy=True))
    if state.over or state.under:
        return encode(Status(over=state.over, under=not state.over))
    return encode(Shown(shown.value, shown.unit, shown.stable))


VOICE = Voice(_ear, _say, faults=("busy",), settings=(("acknowledge", "0"),))


def make(seed: int) -> LineScaleModel:
    """Return a balance as the demonstration uses it: 320 g by 1 mg."""
    return LineScaleModel(
        VOICE, seed, unit="g", capacity="320", readability="0.001", serial="B123456789"
    )
