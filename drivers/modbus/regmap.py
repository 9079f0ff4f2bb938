"""What the registers of one scale mean: a table that comes from a map file, checked and then used.

Pure. A map says which block is read in one request (so that a value and its status are of one
moment), where values, status bits, decimals and unit lie in it, and how commands are given. The
driver and the simulator use the same table, in opposite directions.

Source: the shapes were chosen to fit the published maps of HBK WTX110-A/WTX120 (WTX Modbus API of
the maker), Laumas TLB/W/LCB (protocol manuals) and their kin; each map file names its own
documents. Not verified on hardware.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from drivers.errors import ProtocolError
from drivers.modbus.codec import Framing

_WORD = 0x10000
_DOUBLE = 1 << 32


class Kind(StrEnum):
    """How a weight is stored."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    FLOAT32 = "float32"
    SIGN_FLAG = "sign_flag"
    """32 bits, negative when a status bit says so: a magnitude, or two's complement then."""

    @property
    def registers(self) -> int:
        """Return how many registers it takes."""
        return 1 if self in (Kind.U16, Kind.S16) else 2


class Order(StrEnum):
    """Which register of a pair comes first."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class Handshake(StrEnum):
    """How a device tells that it has taken a command."""

    NONE = "none"
    COMMAND_REGISTER = "command_register"
    TOGGLE_BIT = "toggle_bit"


class Reply(StrEnum):
    """What a command register shows when the command is done."""

    IDLE = "idle"
    ECHO = "echo"


@dataclass(frozen=True, slots=True)
class Field:
    """Bits of one register; `bit` is the lowest, bit 0 the least significant."""

    address: int
    bit: int
    width: int = 1

    def get(self, registers: Mapping[int, int]) -> int:
        """Return the number in the field."""
        return (registers[self.address] >> self.bit) & ((1 << self.width) - 1)

    def put(self, registers: dict[int, int], number: int) -> None:
        """Write a number into the field."""
        mask = ((1 << self.width) - 1) << self.bit
        registers[self.address] = registers.get(self.address, 0) & ~mask | number << self.bit & mask

    def __str__(self) -> str:
        last = self.bit + self.width - 1
        bits = f"bit {self.bit}" if self.width == 1 else f"bits {self.bit} to {last}"
        return f"register {self.address} {bits}"


@dataclass(frozen=True, slots=True)
class Flag:
    """A status: on when the field holds one of `equals`."""

    field: Field
    equals: tuple[int, ...] = (1,)

    def get(self, registers: Mapping[int, int]) -> bool:
        """Whether the status is on."""
        return self.field.get(registers) in self.equals

    def put(self, registers: dict[int, int], *, on: bool) -> None:
        """Switch the status on; off only where it is on."""
        if on:
            self.field.put(registers, self.equals[0])
        elif self.get(registers):
            self.field.put(registers, 0)


@dataclass(frozen=True, slots=True)
class Value:
    """A weight in the block."""

    address: int
    kind: Kind
    order: Order
    limit: int | None = None
    negative: Flag | None = None

    def get(self, registers: Mapping[int, int], decimals: int) -> Decimal:
        """Return the weight with its digits; raises ProtocolError on a number that cannot be."""
        raw = registers[self.address]
        if self.kind.registers == 2:  # noqa: PLR2004 - a pair
            pair = (raw, registers[self.address + 1])
            high, low = pair if self.order is Order.HIGH_FIRST else pair[::-1]
            raw = high * _WORD + low
        number = self._float(raw, decimals) if self.kind is Kind.FLOAT32 else self._whole(raw)
        if self.kind is Kind.SIGN_FLAG:
            number = self._signed(number, negative=self._is(registers))
        if self.limit is not None and abs(number) > self.limit:
            raise ProtocolError(f"register {self.address}: {number} is beyond {self.limit}")
        return Decimal(number).scaleb(-decimals)

    def _is(self, registers: Mapping[int, int]) -> bool:
        return self.negative is not None and self.negative.get(registers)

    def _whole(self, raw: int) -> int:
        if self.kind is Kind.S16 and raw >= _WORD // 2:
            return raw - _WORD
        return raw - _DOUBLE if self.kind is Kind.S32 and raw >= _DOUBLE // 2 else raw

    def _float(self, raw: int, decimals: int) -> int:
        number: float = struct.unpack(">f", raw.to_bytes(4, "big"))[0]
        if not math.isfinite(number):
            raise ProtocolError(f"register {self.address}: {number} is no weight")
        return int(Decimal(number).scaleb(decimals).to_integral_value())

    @staticmethod
    def _signed(number: int, *, negative: bool) -> int:
        """Return the number of a sign flag: minus a magnitude, or two's complement."""
        complement = number >= _DOUBLE // 2
        if complement and not negative:
            raise ProtocolError(f"{number:#010x} is negative, its sign flag is not")
        return number - _DOUBLE if complement else -number if negative else number

    def put(self, registers: dict[int, int], number: int, decimals: int = 0) -> None:
        """Write a whole number of digits."""
        if self.kind is Kind.FLOAT32:
            packed = struct.pack(">f", float(Decimal(number).scaleb(-decimals)))
            raw = int.from_bytes(packed, "big")
        elif self.kind is Kind.SIGN_FLAG:
            raw = abs(number)
            if self.negative is not None:
                self.negative.put(registers, on=number < 0)
        else:
            raw = number % (_DOUBLE if self.kind.registers == 2 else _WORD)  # noqa: PLR2004
        if self.kind.registers == 1:
            registers[self.address] = raw
            return
        pair = divmod(raw, _WORD)
        high, low = pair if self.order is Order.HIGH_FIRST else pair[::-1]
        registers[self.address], registers[self.address + 1] = high, low


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many decimals and which step a weight has: fixed, or what a field says.

    `steps` are the divisions by the field's number; empty: the number is that of the decimals.
    """

    fixed: int = 0
    field: Field | None = None
    steps: tuple[Decimal, ...] = ()

    def get(self, registers: Mapping[int, int]) -> tuple[int, int]:
        """Return decimals, and the step in units of the last digit; raises ProtocolError."""
        if self.field is None:
            return self.fixed, 1
        number = self.field.get(registers)
        if not self.steps:
            return number, 1
        if number >= len(self.steps):
            raise ProtocolError(f"{self.field}: division {number} is not known")
        step = self.steps[number]
        decimals = max(0, -int(step.normalize().as_tuple().exponent))
        return decimals, int(step.scaleb(decimals))


@dataclass(frozen=True, slots=True)
class Units:
    """The unit: one of `names` by the number in the field, or the only one."""

    names: tuple[str, ...]
    field: Field | None = None

    def get(self, registers: Mapping[int, int]) -> str:
        """Return the unit; raises ProtocolError for a number without a name."""
        if self.field is None:
            return self.names[0]
        number = self.field.get(registers)
        if number >= len(self.names):
            raise ProtocolError(f"{self.field}: unit {number} is not known")
        return self.names[number]


@dataclass(frozen=True, slots=True)
class Status:
    """The status bits that a scale must have, and those that it may have."""

    moving: Flag | None
    stable: Flag | None
    net: Flag
    overload: Flag
    underload: Flag | None
    faults: tuple[tuple[str, Flag], ...]

    def is_stable(self, registers: Mapping[int, int]) -> bool:
        """Whether the weight is at rest."""
        at_rest = self.stable is None or self.stable.get(registers)
        return at_rest and not (self.moving is not None and self.moving.get(registers))


@dataclass(frozen=True, slots=True)
class Commands:
    """How commands are given. `codes` holds `tare`, `zero` and `gross` as far as there are.

    With a toggle bit the device raises `done` once it has taken the code, waits for `idle` and
    lowers it; `accepted` says then whether it obeyed. With a command register the register at
    `reply_address` shows `idle` or the code again. With none only the status shows what happened.
    """

    function: int
    address: int
    handshake: Handshake
    codes: Mapping[str, int]
    idle: int = 0
    done: Flag | None = None
    accepted: Flag | None = None
    reply_address: int = 0
    reply: Reply = Reply.IDLE
    gross_toggles: bool = False


@dataclass(frozen=True, slots=True)
class Identification:
    """Where a device tells what it is; numbers, shown as they are."""

    address: int
    count: int
    model: int | None = None
    serial: int | None = None
    firmware: int | None = None


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """One scale. `longest` is how many registers may be read from the block's address."""

    name: str
    maker: str
    model: str
    framing: Framing
    unit_id: int
    read_function: int
    address: int
    count: int
    longest: int
    net: Value
    gross: Value
    scaling: Scaling
    units: Units
    status: Status
    commands: Commands | None
    identification: Identification | None

    @property
    def last(self) -> int:
        """Return the last register that may be read with the block."""
        return self.address + self.longest - 1

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the numbers of registers that reads take in turn."""
        return tuple(range(self.count, self.longest + 1))

    def image(self, values: Sequence[int]) -> "Image":
        """Return what a block read in one request means; raises ProtocolError."""
        registers = dict(zip(range(self.address, self.address + len(values)), values, strict=True))
        decimals, step = self.scaling.get(registers)
        return Image(
            registers=registers,
            net=self.net.get(registers, decimals),
            gross=self.gross.get(registers, decimals),
            step=Decimal(step).scaleb(-decimals),
            unit=self.units.get(registers),
            stable=self.status.is_stable(registers),
            net_mode=self.status.net.get(registers),
            overload=self.status.overload.get(registers),
            underload=self.status.underload is not None and self.status.underload.get(registers),
            faults=tuple(name for name, flag in self.status.faults if flag.get(registers)),
        )


@dataclass(frozen=True, slots=True)
class Image:
    """One moment of a scale, from one request. `step` is its smallest step in its unit."""

    registers: Mapping[int, int]
    net: Decimal
    gross: Decimal
    step: Decimal
    unit: str
    stable: bool
    net_mode: bool
    overload: bool
    underload: bool
    faults: tuple[str, ...]

    @property
    def shown(self) -> Decimal:
        """Return the weight that counts: net while a tare is active, else gross."""
        return self.net if self.net_mode else self.gross

    @property
    def meaning(self) -> tuple[object, ...]:
        """Return what must be identical when reads are compared."""
        return (
            self.shown.as_tuple(),
            self.unit,
            self.stable,
            self.net_mode,
            self.overload,
            self.underload,
            self.faults,
        )
