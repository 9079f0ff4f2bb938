"""A balance that speaks SBI, in the form of 16 or of 22 characters."""

from drivers.dialect import Shown, Status, Told
from drivers.sbi.codec import encode
from simulators.linescale import Kind, LineEar, LineScaleModel, Order, Voice

MODEL = "SIM Balance"
_WORDS = {
    b"\x1bP": Kind.WEIGHT,
    b"\x1bT": Kind.TARE,
    b"\x1bU": Kind.TARE,
    b"\x1bV": Kind.ZERO,
    b"\x1bx1_": Kind.MODEL,
    b"\x1bx2_": Kind.SERIAL,
}


def _ear() -> LineEar:
    return LineEar(_WORDS)


def _say(scale: LineScaleModel, order: Order) -> bytes:
    match order.kind:
        case Kind.WEIGHT:
            return _weight(scale)
        case Kind.MODEL:
            return encode(Told(MODEL))
        case Kind.SERIAL:
            return encode(Told(scale.setting("serial")))
        case _:
            return b""


def _weight(scale: LineScaleModel) -> bytes:
    state, shown = scale.status(), scale.shown()
    if scale.faults.active("hardware_error"):
        return encode(Status(fault="Err 101"))
    if scale.faults.active("busy"):
        return encode(Status(moving=True))
    if state.over or state.under:
        return encode(Status(over=state.over, under=not state.over))
    unit = shown.unit if shown.stable else ""
    identification = "N" if scale.setting("characters") == "22" else ""
    return encode(Shown(shown.value, unit, shown.stable), identification=identification)


VOICE = Voice(_ear, _say, faults=("hardware_error", "busy"), settings=(("characters", "16"),))


def make(seed: int) -> LineScaleModel:
    """Return a balance as the demonstration uses it: 320 g by 1 mg."""
    return LineScaleModel(
        VOICE, seed, unit="g", capacity="320", readability="0.001", serial="B123456789"
    )
