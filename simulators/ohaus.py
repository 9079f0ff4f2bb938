"""A balance that speaks the Ohaus command set."""

from drivers.dialect import Refused, Shown, Told
from drivers.ohaus.codec import UNKNOWN, decode_preset, encode
from simulators.linescale import Kind, LineEar, LineScaleModel, Order, Voice

VERSION = "SIM 1.00"
_WORDS = {
    b"IP": Kind.WEIGHT,
    b"Z": Kind.ZERO,
    b"T": Kind.TARE,
    b"0T": Kind.CLEAR,
    b"PT": Kind.TARE_MEMORY,
    b"PSN": Kind.SERIAL,
    b"PV": Kind.FIRMWARE,
}


def _ear() -> LineEar:
    return LineEar(_WORDS, lambda line: decode_preset(line, "g"))


def _say(scale: LineScaleModel, order: Order) -> bytes:
    state, shown = scale.status(), scale.shown()
    match order.kind:
        case Kind.UNKNOWN:
            return encode(Refused(UNKNOWN))
        case Kind.WEIGHT if not (state.over or state.under):  # else the display holds no number
            return encode(Shown(shown.value, shown.unit, shown.stable, _legend(scale)))
        case Kind.TARE_MEMORY:
            return encode(scale.tare())
        case Kind.SERIAL:
            return encode(Told(scale.setting("serial")))
        case Kind.FIRMWARE:
            return encode(Told(VERSION))
        case _:
            return b""


def _legend(scale: LineScaleModel) -> bool | None:
    return scale.shown().net if scale.setting("legend") == "1" else None


VOICE = Voice(_ear, _say, settings=(("legend", "1"),))


def make(seed: int) -> LineScaleModel:
    """Return a balance as the demonstration uses it: 320 g by 1 mg."""
    return LineScaleModel(
        VOICE, seed, unit="g", capacity="320", readability="0.001", serial="B123456789"
    )
