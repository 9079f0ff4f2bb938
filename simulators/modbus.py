"""A scale that speaks Modbus TCP or RTU: a pan behind the registers that a map describes.

The same table that the driver reads from a map file is written here, so that any map can be tried
without its machine. Only registers that the map knows can be read; only the command register can be
written. Commands take effect after COMMAND_S, as on a device that looks at its registers in turn.
"""

from decimal import Decimal

from drivers.errors import ProtocolError
from drivers.modbus.codec import (
    Answer,
    Code,
    Envelope,
    Framing,
    Read,
    Refused,
    Registers,
    Request,
    RequestSplitter,
    Write,
    Written,
    decode_request,
    encode_answer,
)
from drivers.modbus.maps import load_map
from drivers.modbus.regmap import Commands, Handshake, RegisterMap, Reply
from simulators.base import FaultPlan, Json, Outgoing
from simulators.pan import Pan

COMMAND_S = 0.1
"""Simulated seconds until a written command has its effect, or a bit follows."""
QUIET_S = 0.5
"""Simulated seconds after which half a request is forgotten."""
UNIT = "g"
FIRMWARE = 102
MODEL = 24
_FAULTS = (
    "motion",  # never at rest
    "overload",
    "hardware_error",  # the first fault bit of the map
    "busy",  # every request is answered with exception 6
    "server_failure",  # exception 4
    "illegal_address",  # exception 2
    "no_path",  # exception 10 of a gateway
    "no_target",  # exception 11 of a gateway: the scale does not answer it
    "refused",  # commands have no effect
    "handshake_stuck",  # the bit of the handshake never moves
    "command_stuck",  # the command register keeps the code, and the code no effect
    "wrong_unit",  # answers carry another unit id
)
_EXCEPTIONS = {
    "busy": Code.BUSY,
    "server_failure": Code.SERVER_FAILURE,
    "illegal_address": Code.ILLEGAL_ADDRESS,
    "no_path": Code.NO_PATH,
    "no_target": Code.NO_TARGET,
}
_PAN = {"load_g": "load", "noise_d": "noise_d", "tau_s": "tau_s"}
"""Settings of the pan, by the name that they have here."""


class ModbusScaleModel:
    """A scale with the registers of a map; any number of hosts on TCP, one line on RTU."""

    def __init__(
        self,
        seed: int = 0,
        *,
        registers: RegisterMap,
        framing: Framing | None = None,
        unit_id: int | None = None,
        capacity_g: str = "320",
        readability_g: str = "0.001",
    ) -> None:
        self._map = registers
        self._framing = framing or registers.framing
        self._unit_id = registers.unit_id if unit_id is None else unit_id
        self._pan = Pan(seed, capacity=capacity_g, readability=readability_g)
        underload = registers.status.underload is not None
        self._faults = FaultPlan((*_FAULTS, *(("underload",) if underload else ())))
        self._serial = 12345
        self._out: list[Outgoing] = []
        self._hosts: dict[int, RequestSplitter] = {}
        self._quiet_s = 0.0
        self._zero = self._tare = 0  # whole digits of the readability
        self._net_mode = False
        self._control = 0 if registers.commands is None else registers.commands.idle
        self._done = self._accepted = False
        self._due: tuple[int, float] | None = None

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """Faults of the pan, of the status bits and of the handshake."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Load in grams, noise in digits, time constant, serial number (a register)."""
        return (*_PAN, "serial")

    def set(self, name: str, value: str) -> None:
        """Put a load on the pan, or change what is in `settings`."""
        if name == "serial":
            if not value.isdecimal() or int(value) > 0xFFFF:  # noqa: PLR2004 - one register
                raise ValueError(f"setting 'serial': {value!r} does not fit into a register")
            self._serial = int(value)
        elif name in _PAN:
            self._pan.set(_PAN[name], value, called=name)
        else:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")

    def state(self) -> dict[str, Json]:
        """Load, what the registers say, and the command register."""
        gross = self._pan.shown - self._zero
        return {
            "load_g": self._pan.load,
            "net_g": str(self._pan.weight(gross - self._tare)),
            "tare_g": str(self._pan.weight(self._tare)),
            "net_mode": self._net_mode,
            "stable": self._pan.stable(),
            "command": self._control,
            "faults": self._faults.state(),
        }

    # time

    def step(self, dt: float) -> None:
        """Let the pan settle, carry out what is due, forget half a request."""
        for _ in self._pan.readings(dt, shaking=self._faults.active("motion")):
            pass
        self._quiet_s += dt
        if self._quiet_s > QUIET_S:
            for splitter in self._hosts.values():
                splitter.reset()
        if self._due is not None:
            value, left = self._due
            self._due = (value, left - dt)
            if left <= dt:
                self._due = None
                self._follow(value)

    # the protocol

    def connected(self, session: int) -> None:
        """Listen to a host."""
        self._hosts[session] = RequestSplitter(self._framing)

    def disconnected(self, session: int) -> None:
        """Forget a host."""
        del self._hosts[session]

    def received(self, session: int, data: bytes) -> None:
        """Answer the requests completed by `data`."""
        self._quiet_s = 0.0
        for envelope, pdu in self._hosts[session].feed(data):
            if self._framing is Framing.RTU and envelope.unit != self._unit_id:
                continue
            self._send(session, envelope, self._reply(pdu))

    def outgoing(self) -> list[Outgoing]:
        """Return the answers since the last call."""
        out, self._out = self._out, []
        return out

    def _send(self, session: int, envelope: Envelope, pdu: bytes) -> None:
        unit = (envelope.unit + self._faults.take("wrong_unit")) % 0x100
        frame = Envelope(envelope.framing, unit, envelope.number).wrap(pdu)
        self._out.append(Outgoing(session, frame))

    def _reply(self, pdu: bytes) -> bytes:
        try:
            request = decode_request(pdu)
        except ProtocolError:
            return bytes([pdu[0] | 0x80, Code.ILLEGAL_FUNCTION])
        return encode_answer(request, self._answer(request))

    def _answer(self, request: Request) -> Answer:
        for name, code in _EXCEPTIONS.items():
            if self._faults.take(name):
                return Refused(code)
        if isinstance(request, Write):
            return self._write(request)
        if request.function != self._map.read_function:
            return Refused(Code.ILLEGAL_FUNCTION)
        return self._read(request)

    def _read(self, request: Read) -> Answer:
        shown = self._registers()
        wanted = range(request.address, request.address + request.count)
        if not all(each in shown for each in wanted):
            return Refused(Code.ILLEGAL_ADDRESS)
        return Registers(tuple(shown[each] for each in wanted))

    def _registers(self) -> dict[int, int]:
        """Return every register that can be read, as it is now."""
        it, shown = self._map, dict.fromkeys(range(self._map.address, self._map.last + 1), 0)
        self._put_identity(shown)
        if it.commands is not None:
            self._put_handshake(it.commands, shown)
        self._put_scaling(shown)
        gross = self._pan.shown - self._zero
        decimals = -int(self._pan.digit.as_tuple().exponent)
        it.gross.put(shown, gross, decimals)
        it.net.put(shown, gross - self._tare, decimals)
        stable, status = self._pan.stable(), it.status
        for flag, on in (
            (status.stable, stable),
            (status.moving, not stable),
            (status.net, self._net_mode),
            (status.underload, self._under()),
            (status.overload, self._over()),
            (status.faults[0][1], self._faults.active("hardware_error")),
        ):
            if flag is not None and on:
                flag.put(shown, on=True)
        return shown

    def _put_identity(self, shown: dict[int, int]) -> None:
        place = self._map.identification
        if place is None:
            return
        shown.update(dict.fromkeys(range(place.address, place.address + place.count), 0))
        told = {place.model: MODEL, place.serial: self._serial, place.firmware: FIRMWARE}
        shown.update({key: number for key, number in told.items() if key is not None})

    def _put_handshake(self, commands: Commands, shown: dict[int, int]) -> None:
        if commands.handshake is Handshake.TOGGLE_BIT:
            for flag, on in ((commands.done, self._done), (commands.accepted, self._accepted)):
                if flag is not None:
                    flag.put(shown, on=on)
        elif commands.reply is Reply.ECHO:
            shown[commands.reply_address] = self._control if self._done else commands.idle
        else:
            shown[commands.reply_address] = self._control

    def _put_scaling(self, shown: dict[int, int]) -> None:
        scaling, units = self._map.scaling, self._map.units
        if scaling.field is not None:
            number = -int(self._pan.digit.as_tuple().exponent)
            if scaling.steps:
                number = scaling.steps.index(Decimal(str(self._pan.digit)))
            scaling.field.put(shown, number)
        if units.field is not None:
            units.field.put(shown, units.names.index(UNIT))

    def _over(self) -> bool:
        return self._faults.active("overload") or self._pan.over()

    def _under(self) -> bool:
        named = "underload" in self._faults.names
        return (named and self._faults.active("underload")) or self._pan.under()

    # commands

    def _write(self, request: Write) -> Answer:
        commands = self._map.commands
        if commands is None or request.address != commands.address or len(request.values) != 1:
            return Refused(Code.ILLEGAL_ADDRESS)
        value = request.values[0]
        if value != self._control or commands.handshake is not Handshake.TOGGLE_BIT:
            self._control, self._done = value, self._done and value == commands.idle
            self._due = (value, COMMAND_S)
        return Written()

    def _follow(self, value: int) -> None:
        """Carry out what was written, and show it in the way of the map."""
        commands = self._map.commands
        if commands is None or self._faults.active("handshake_stuck"):
            return
        toggle = commands.handshake is Handshake.TOGGLE_BIT
        if value == commands.idle:
            self._done = False
        elif not self._faults.active("command_stuck"):
            name = next((name for name, code in commands.codes.items() if code == value), "")
            self._accepted = not self._faults.active("refused") and self._obey(name, commands)
            self._done = True
            if not toggle and commands.reply is Reply.IDLE:
                self._control = commands.idle

    def _obey(self, name: str, commands: Commands) -> bool:
        """Carry out a command; False when the scale cannot now."""
        gross = self._pan.shown - self._zero
        if name == "gross":
            self._net_mode = commands.gross_toggles and not self._net_mode
            self._tare = self._tare if self._net_mode else 0
            return True
        if not self._pan.stable() or self._over() or self._under():
            return False
        if name == "tare" and gross >= 0:
            self._tare, self._net_mode = gross, True
            return True
        if name == "zero" and abs(self._pan.shown) <= self._pan.zero_digits():
            self._zero = self._pan.shown
            return True
        return False


def make(seed: int) -> ModbusScaleModel:
    """Return a WTX120 as the demonstration uses it: Modbus TCP, 320 g by 1 mg."""
    return ModbusScaleModel(seed, registers=load_map("wtx120"))


def make_laumas(seed: int) -> ModbusScaleModel:
    """Return a Laumas transmitter on RTU."""
    return ModbusScaleModel(seed, registers=load_map("laumas"))
