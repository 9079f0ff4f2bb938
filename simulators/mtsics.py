"""A balance that speaks MT-SICS levels 0 and 1, and of level 2 what counts and repeats.

A pan, zero, tare, piece weight and faults. Weights are grams, the display shows grams or pieces.
Where sources differ (whether `@` clears the tare), it is a setting.
"""

from dataclasses import dataclass
from decimal import Decimal

from drivers.errors import ProtocolError
from drivers.framing import LineSplitter
from drivers.mtsics.codec import (
    LINE_MAX,
    Answer,
    Command,
    HardwareError,
    LineError,
    Misunderstood,
    Reason,
    Refusal,
    Reply,
    ReplyStatus,
    Text,
    Weight,
    WeightStatus,
    decode_command,
    encode,
)
from simulators.base import FaultPlan, Json, Outgoing
from simulators.pan import READING_S, Pan

STABILITY_TIMEOUT_S = 15.0
"""How long S, T and Z wait for stability before they are refused."""
_COMMANDS = {
    0: ("I0", "I1", "I2", "I3", "I4", "S", "SI", "SIR", "Z", "ZI", "@"),
    1: ("T", "TA", "TAC", "TI"),
    2: ("I10", "I11", "I14", "I5", "PW", "SIU", "SNR", "SNRU", "SR", "SRU", "SU"),
    3: ("M21",),
}
_WAITING = ("S", "SU", "T", "Z")
_WEIGHTS = frozenset({"S", "SI", "SIR", "SIU", "SNR", "SNRU", "SR", "SRU", "SU"})
"""Commands that are answered as S."""
_WITH_ARGUMENTS = ("TA", "M21", "PW")
CHANGE_PART, CHANGE_D = 8, 30
"""A change for SR and SNR is an eighth (12.5 %) of the last weight and at least 30 digits."""
DISPLAYS = ("g", "PCS")
_PAN = {"load_g": "load", "noise_d": "noise_d", "tau_s": "tau_s"}
"""Settings of the pan, by the name that they have here."""
_FAULTS = ("motion", "overload", "underload", "hardware_error", "busy")


@dataclass(slots=True)
class _Changes:
    """One host that is told of changes.

    `last` is the last stable weight sent, in digits; `moving` that a moving one was sent after it.
    """

    displayed: bool
    moving_too: bool
    last: int | None = None
    moving: bool = False


class MtSicsModel:
    """One balance with any number of hosts; answers go to the host that asked."""

    def __init__(
        self,
        seed: int = 0,
        *,
        capacity_g: str = "320",
        readability_g: str = "0.001",
        serial: str = "B123456789",
    ) -> None:
        self._pan = Pan(seed, capacity=capacity_g, readability=readability_g)
        self._faults = FaultPlan(_FAULTS)
        self._serial = serial
        self._reset_clears_tare = False
        self._out: list[Outgoing] = []
        self._hosts: dict[int, LineSplitter] = {}
        self._streams: set[int] = set()
        self._changes: dict[int, _Changes] = {}
        self._display = "g"
        self._piece = Decimal("0.1250")
        self._pending: tuple[int, str, float] | None = None
        self._zero = self._tare = 0  # whole digits of the readability

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """Motion (never stable), overload, underload, hardware_error (`S S Error 10b`), busy."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Load in grams, noise in digits, time constant, serial, does @ clear the tare, display."""
        return (*_PAN, "serial", "reset_clears_tare", "display")

    def set(self, name: str, value: str) -> None:
        """Put a load on the pan, or change what is in `settings`."""
        if name == "serial":
            if not value.isascii() or not value.isprintable() or '"' in value:
                raise ValueError(f"setting 'serial': {value!r} is not plain text")
            self._serial = value
        elif name == "reset_clears_tare":
            self._reset_clears_tare = value.lower() in ("1", "true", "yes")
        elif name == "display":
            if value not in DISPLAYS:
                raise ValueError(f"setting 'display': {value!r} is not one of {DISPLAYS}")
            self._display = value
        elif name in _PAN:
            self._pan.set(_PAN[name], value, called=name)
        else:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")

    def state(self) -> dict[str, Json]:
        """Load, and what the display shows."""
        return {
            "load_g": self._pan.load,
            "net_g": str(self._pan.weight(self._pan.shown - self._zero - self._tare)),
            "tare_g": str(self._pan.weight(self._tare)),
            "stable": self._pan.stable(),
            "display": self._display,
            "piece_g": str(self._piece),
            "faults": self._faults.state(),
        }

    # physics

    def step(self, dt: float) -> None:
        """Let the pan settle, take a reading every READING_S, answer what waited for stability."""
        for _ in self._pan.readings(dt, shaking=self._faults.active("motion")):
            for host in sorted(self._streams):
                self._send(host, self._weight_now("S"))
            for host, changes in sorted(self._changes.items()):
                self._tell_change(host, changes)
            self._serve_pending(READING_S)

    # the protocol

    def connected(self, session: int) -> None:
        """Listen to a host."""
        self._hosts[session] = LineSplitter(LINE_MAX)

    def disconnected(self, session: int) -> None:
        """Forget a host and what it waits for."""
        del self._hosts[session]
        self._cancel(session)

    def received(self, session: int, data: bytes) -> None:
        """Carry out the commands completed by `data`."""
        splitter = self._hosts[session]
        try:
            lines = splitter.feed(data)
        except ProtocolError:
            self._send(session, LineError(Misunderstood.SYNTAX))
            lines = splitter.feed(b"")
        for line in lines:
            if not line.isascii():
                self._send(session, LineError(Misunderstood.TRANSMISSION))
                continue
            try:
                command = decode_command(line)
            except ProtocolError:
                self._send(session, LineError(Misunderstood.SYNTAX))
            else:
                self._carry_out(session, command)

    def outgoing(self) -> list[Outgoing]:
        """Return the answers since the last call."""
        out, self._out = self._out, []
        return out

    def _send(self, host: int, *replies: Reply) -> None:
        self._out.extend(Outgoing(host, encode(reply)) for reply in replies)

    def _cancel(self, host: int) -> None:
        self._end_repeating(host)
        if self._pending is not None and self._pending[0] == host:
            self._pending = None

    def _end_repeating(self, host: int) -> None:
        self._streams.discard(host)
        self._changes.pop(host, None)

    def _carry_out(self, host: int, command: Command) -> None:
        name = command.name
        known = any(name in names for names in _COMMANDS.values())
        if not known or (command.arguments and name not in _WITH_ARGUMENTS):
            self._send(host, LineError(Misunderstood.SYNTAX))
        elif name == "@":
            self._cancel(host)
            if self._reset_clears_tare:
                self._tare = 0
            self._send(host, self._about("I4"))
        elif self._faults.active("busy") or self._pending is not None:
            self._send(host, Refusal("S" if name in _WEIGHTS else name, Reason.BUSY))
        elif name.startswith("I"):
            self._inform(host, name)
        elif name in _WAITING:
            self._end_repeating(host)
            self._pending = (host, name, STABILITY_TIMEOUT_S)
            self._serve_pending(0.0)
        else:
            self._act(host, command)

    def _act(self, host: int, command: Command) -> None:
        match command:
            case Command("SI" | "SIU"):
                self._end_repeating(host)
                self._send(host, self._weight_now("S", displayed=command.name == "SIU"))
            case Command("SR" | "SRU" | "SNR" | "SNRU" as name):
                self._end_repeating(host)
                self._changes[host] = _Changes(name.endswith("U"), not name.startswith("SN"))
            case Command("SIR"):
                self._streams.add(host)
                self._send(host, self._weight_now("S"))
            case Command("TI" | "ZI" as name):
                self._send(host, self._take_reference(name))
            case _:
                self._send(host, self._setting(command))

    def _setting(self, command: Command) -> Reply:
        """Answer a command that asks for, or sets, a number."""
        match command:
            case Command("PW", (() | (str(), "g")) as wanted):
                return self._count_by(str(wanted[0])) if wanted else self._piece_now()
            case Command("TAC"):
                self._tare = 0
                return Answer("TAC", ReplyStatus.DONE)
            case Command("TA", (() | (str(), "g")) as wanted):
                return self._preset_tare(str(wanted[0])) if wanted else self._tare_now()
            case Command("M21", ("0", "0")):  # host unit: grams, the only one here
                return Answer("M21", ReplyStatus.DONE)
            case _:
                return Refusal(command.name, Reason.PARAMETER)

    def _serve_pending(self, dt: float) -> None:
        """Answer the command that waits for stability, once there is some or no more patience."""
        if self._pending is None:
            return
        host, name, patience = self._pending
        refused = self._out_of_range()
        if self._pan.stable() or refused is not None or self._faults.active("hardware_error"):
            self._pending = None
            if name in ("S", "SU"):
                self._send(host, self._weight_now("S", displayed=name == "SU"))
            else:
                self._send(host, self._take_reference(name))
        elif patience <= dt:
            self._pending = None
            self._send(host, Refusal("S" if name == "SU" else name, Reason.BUSY))
        else:
            self._pending = (host, name, patience - dt)

    def _tell_change(self, host: int, changes: _Changes) -> None:
        """Send the first stable weight, then that of each change; SR also once while it moves."""
        now = self._pan.shown - self._zero - self._tare
        last = changes.last
        least = CHANGE_D if last is None else max(CHANGE_D, abs(last) // CHANGE_PART)
        if last is not None and abs(now - last) < least and not changes.moving:
            return
        if self._pan.stable():
            changes.last, changes.moving = now, False
        elif changes.moving_too and last is not None and not changes.moving:
            changes.moving = True
        else:
            return
        self._send(host, self._weight_now("S", displayed=changes.displayed))

    def _inform(self, host: int, name: str) -> None:
        """Answer I0 and I14 in several lines, the others in one."""
        if name == "I0":
            listed = [(str(level), each) for level, names in _COMMANDS.items() for each in names]
        elif name == "I14":
            listed = [("0", "1"), ("1", "SIM Balance"), ("3", self._serial)]
        else:
            self._send(host, self._about(name))
            return
        for at, (number, text) in enumerate(listed, 1):
            status = ReplyStatus.DONE if at == len(listed) else ReplyStatus.MORE
            self._send(host, Answer(name, status, (number, Text(text))))

    def _about(self, name: str) -> Answer:
        limit = self._pan.limit.quantize(self._pan.digit)
        texts = {
            "I1": ("012", "2.30", "2.22", "2.33", ""),
            "I10": ("scale 1",),
            "I11": ("SIM320",),
            "I2": (f"SIM Balance {limit} g",),
            "I3": ("1.00 0.0.0.0",),
            "I4": (self._serial,),
            "I5": ("00000000A",),
        }[name]
        return Answer(name, ReplyStatus.DONE, tuple(Text(each) for each in texts))

    def _out_of_range(self) -> Reason | None:
        """Whether the pan holds more than the capacity and nine digits, or has been lifted."""
        if self._faults.active("overload") or self._pan.over():
            return Reason.OVER
        if self._faults.active("underload") or self._pan.under():
            return Reason.UNDER
        return None

    def _weight_now(self, command: str, *, displayed: bool = False) -> Reply:
        if self._faults.take("hardware_error"):
            return HardwareError(command, 10, "b")
        refused = self._out_of_range()
        if refused is not None:
            return Refusal(command, refused)
        net = self._pan.weight(self._pan.shown - self._zero - self._tare)
        if displayed and self._display == "PCS":
            return Weight(command, self._quality(), Decimal(round(net / self._piece)), "PCS")
        return Weight(command, self._quality(), net, "g")

    def _quality(self) -> WeightStatus:
        return WeightStatus.STABLE if self._pan.stable() else WeightStatus.DYNAMIC

    def _take_reference(self, name: str) -> Reply:
        """Carry out T, TI, Z or ZI with what the display shows."""
        refused = self._out_of_range()
        if refused is None and name in ("Z", "ZI"):
            if abs(self._pan.shown) > self._pan.zero_digits():
                refused = Reason.OVER if self._pan.shown > 0 else Reason.UNDER
        elif refused is None and self._pan.shown < self._zero:
            refused = Reason.UNDER
        if refused is not None:
            return Refusal(name, refused)
        if name in ("T", "TI"):
            self._tare = self._pan.shown - self._zero
            return Weight(name, self._quality(), self._pan.weight(self._tare), "g")
        self._zero, self._tare = self._pan.shown, 0
        if name == "Z":
            return Answer("Z", ReplyStatus.DONE)
        return Answer("ZI", ReplyStatus(self._quality().value))

    def _tare_now(self) -> Weight:
        return Weight("TA", WeightStatus.SET, self._pan.weight(self._tare), "g")

    def _preset_tare(self, text: str) -> Reply:
        if not text.replace(".", "", 1).isdecimal():
            return Refusal("TA", Reason.PARAMETER)
        wanted = Decimal(text)
        if wanted > self._pan.limit:
            return Refusal("TA", Reason.PARAMETER)
        self._tare = round(wanted / self._pan.digit)
        return self._tare_now()

    def _piece_now(self) -> Weight:
        return Weight("PW", WeightStatus.SET, self._piece, "g")

    def _count_by(self, text: str) -> Reply:
        if not text.replace(".", "", 1).isdecimal() or not 0 < Decimal(text) <= self._pan.limit:
            return Refusal("PW", Reason.PARAMETER)
        self._piece = Decimal(text)
        return Answer("PW", ReplyStatus.DONE)


def make(seed: int) -> MtSicsModel:
    """Return a balance as the demonstration uses it: 320 g by 1 mg."""
    return MtSicsModel(seed)
