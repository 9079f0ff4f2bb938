"""A scale that speaks the NCI protocol (SCP-01)."""

from dataclasses import replace

from drivers.dialect import Refused, Shown, Status
from drivers.nci.codec import UNKNOWN, encode
from simulators.linescale import Kind, LineEar, LineScaleModel, Order, Voice

_WORDS = {b"W": Kind.WEIGHT, b"S": Kind.STATUS, b"Z": Kind.ZERO, b"T": Kind.TARE}


def _ear() -> LineEar:
    return LineEar(_WORDS)


def _say(scale: LineScaleModel, order: Order) -> bytes:
    short = scale.setting("status_bytes") == "2"
    state, shown = scale.status(), scale.shown()
    fault = "RAM" if scale.faults.active("hardware_error") else ""
    negative = shown.value < 0
    net = None if short else state.net
    state = replace(state, fault=fault, under=state.under or negative, net=net)
    if order.kind is Kind.UNKNOWN:
        return encode(Refused(UNKNOWN))
    if order.kind is Kind.WEIGHT and not state.explains:
        said = Shown(shown.value, shown.unit, stable=True, net=net)
        return encode(said, weight_chars=int(scale.setting("weight_chars")))
    return encode(Status(state.moving, state.over, state.under, state.fault, state.zero, state.net))


VOICE = Voice(
    _ear, _say, faults=("hardware_error",), settings=(("status_bytes", "3"), ("weight_chars", "6"))
)


def make(seed: int) -> LineScaleModel:
    """Return a scale as the demonstration uses it: 15 kg by 5 g."""
    return LineScaleModel(VOICE, seed, unit="kg", capacity="15", readability="0.005")
