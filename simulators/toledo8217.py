"""A scale of a point of sale that speaks the Mettler-Toledo 8217 protocol, set to kilograms."""

from drivers.dialect import Done, Said, Shown, Status, Told
from drivers.toledo8217.codec import CR, ECHO, NO_ECHO, STX, decode_preset, encode
from simulators.linescale import Kind, LineScaleModel, Order, Voice

TARE_WAIT_S = 0.15
"""How long a scale waits for the digits behind T."""
_WORDS = {
    ord("W"): Kind.WEIGHT,
    ord("Z"): Kind.ZERO,
    ord("C"): Kind.CLEAR,
    ord("A"): Kind.TEST,
    ord("B"): Kind.TEST_RESULT,
    ord("E"): Kind.ECHO_ON,
    ord("F"): Kind.ECHO_OFF,
}
_LETTERS = {kind: bytes([letter]) for letter, kind in _WORDS.items()}
_FIXED: dict[Kind, Said] = {
    Kind.TEST: Done(),
    Kind.ECHO_ON: Told(ECHO),
    Kind.ECHO_OFF: Told(NO_ECHO),
}
_TARES = (Kind.TARE, Kind.PRESET, Kind.CLEAR)
WEIGHT_END = 100
"""Kilograms that no longer fit into an answer."""
_TARE = ord("T")
_DIGITS = b"0123456789"
_DIGITS_MAX = 5
_RAM_ERROR = b"H"
"""Confidence byte with the bit of a RAM error."""


class _Ear:
    """Commands are single letters; only T may have five digits behind it."""

    def __init__(self) -> None:
        self._tare = bytearray()
        self._waited = 0.0

    def feed(self, data: bytes) -> list[Order]:
        orders: list[Order] = []
        for byte in data:
            if self._tare and byte in _DIGITS:
                self._tare.append(byte)
                self._waited = 0.0
                if len(self._tare) > _DIGITS_MAX:
                    orders.append(Order(Kind.PRESET, decode_preset(bytes(self._tare), "kg")))
                    self._tare.clear()
                continue
            orders += self._finish()
            if byte == _TARE:
                self._tare.append(byte)
            else:
                orders.append(Order(_WORDS.get(byte, Kind.UNKNOWN)))
        return orders

    def wait(self, dt: float) -> list[Order]:
        self._waited += dt
        return self._finish() if self._waited >= TARE_WAIT_S else []

    def _finish(self) -> list[Order]:
        """End a T: alone it takes the load, with too few digits it is nothing."""
        alone, digits = bytes(self._tare) == b"T", len(self._tare)
        self._tare.clear()
        self._waited = 0.0
        return [Order(Kind.TARE if alone else Kind.UNKNOWN)] if digits else []


def _say(scale: LineScaleModel, order: Order) -> bytes:
    failed = scale.faults.active("self_test")
    kind = order.kind
    if scale.echoing and kind is not Kind.ECHO_ON:
        return _LETTERS.get(kind, b"?")  # no frame
    if kind in _FIXED:
        return encode(_FIXED[kind])
    if kind is Kind.TEST_RESULT:
        return STX + b"?" + (_RAM_ERROR if failed else b"@") + CR
    disabled = scale.setting("tare_enabled") != "1"
    if (failed and kind in (Kind.WEIGHT, Kind.ZERO)) or (disabled and kind in _TARES):
        return b""
    return _weight(scale) if kind is Kind.WEIGHT else _status(scale)


def _weight(scale: LineScaleModel) -> bytes:
    state, shown = scale.status(), scale.shown()
    if state.explains or not 0 <= shown.value < WEIGHT_END:
        return _status(scale)
    return encode(Shown(shown.value, scale.unit, stable=True, net=shown.net))


def _status(scale: LineScaleModel) -> bytes:
    state = scale.status()
    negative = scale.shown().value < 0
    said = Status(
        moving=state.moving,
        over=state.over,
        under=state.under or negative,
        zero=state.zero and not state.moving,
    )
    return encode(said, outside_zero=scale.beyond_zero())


VOICE = Voice(_Ear, _say, faults=("self_test",), settings=(("tare_enabled", "1"),))


def make(seed: int) -> LineScaleModel:
    """Return a scale as the demonstration uses it: 15 kg by 5 g."""
    return LineScaleModel(VOICE, seed, unit="kg", capacity="15", readability="0.005")
