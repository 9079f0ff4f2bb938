"""A counting scale that speaks OPC 40200 over OPC UA: the machine, from the inside.

Source: OPC 40200 "OPC UA for Weighing Technology" 1.01 for what is shown and what the methods do;
when they refuse is made up. Weights are grams. Its nodes are in `simulators.opcua40200_nodes`.
"""

from decimal import Decimal

from simulators.base import FaultPlan, Json
from simulators.pan import Pan

_PAN = {"load_g": "load", "noise_d": "noise_d", "tau_s": "tau_s"}
"""Settings of the pan, by the name that they have here."""
FAULTS = (
    "motion",  # never at rest
    "overload",
    "underload",
    "uncertain",  # does not vouch for the weight: status Uncertain
    "invalid_text",  # prints a text instead of a weight
    "stale_print",  # goes on printing the weight of the moment when the fault began
    "foreign_unit",  # the number of its unit is one of another namespace
    "refuse",  # refuses every method
    "no_effect",  # answers Good to every method and does nothing
)


class ScaleModel:
    """One scale; weights are kept in whole digits of the readability."""

    def __init__(
        self,
        seed: int = 0,
        *,
        capacity_g: str = "320",
        readability_g: str = "0.001",
        serial: str = "SIM-40200",
    ) -> None:
        self._pan = Pan(seed, capacity=capacity_g, readability=readability_g)
        self._faults = FaultPlan(FAULTS)
        self._zero = self._tare = 0
        self._piece_g = Decimal("0.25")
        self._reference_pieces = 10
        self._printed = ""
        self.serial = serial

    # ------------------------------------------------------------ control

    @property
    def faults(self) -> FaultPlan:
        """The faults of the machine."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Load in grams, noise in digits, time constant of the pan, weight of a piece in grams."""
        return (*_PAN, "piece_g")

    def set(self, name: str, value: str) -> None:
        """Put a load on the pan, or change what is in `settings`."""
        if name in _PAN:
            self._pan.set(_PAN[name], value, called=name)
        elif name == "piece_g":
            piece = Decimal(value)
            if not piece.is_finite() or piece <= 0:
                raise ValueError(f"setting 'piece_g': {value!r} is no weight of a piece")
            self._piece_g = piece
        else:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")

    def state(self) -> dict[str, Json]:
        """Load, and what the display shows."""
        return {
            "load_g": self._pan.load,
            "gross_g": str(self.gross),
            "net_g": str(self.net),
            "tare_g": str(self.tare),
            "stable": self.stable,
            "pieces": self.pieces,
            "piece_g": str(self._piece_g),
            "faults": self._faults.state(),
        }

    # ------------------------------------------------------------ what is shown

    @property
    def gross(self) -> Decimal:
        """The weight above the zero point."""
        return self._pan.weight(self._pan.shown - self._zero)

    @property
    def net(self) -> Decimal:
        """The weight above the tare."""
        return self._pan.weight(self._pan.shown - self._zero - self._tare)

    @property
    def tare(self) -> Decimal:
        """The tare weight."""
        return self._pan.weight(self._tare)

    @property
    def capacity(self) -> Decimal:
        """The most that can be weighed."""
        return self._pan.limit

    @property
    def decimals(self) -> int:
        """Digits after the point."""
        return -int(self._pan.digit.as_tuple().exponent)

    @property
    def stable(self) -> bool:
        """Whether the pan has come to rest."""
        return self._pan.stable() and not self._faults.active("motion")

    @property
    def over(self) -> bool:
        """Whether there is more on the pan than can be weighed."""
        return self._pan.over() or self._faults.active("overload")

    @property
    def under(self) -> bool:
        """Whether the pan was lifted."""
        return self._pan.under() or self._faults.active("underload")

    @property
    def inside_zero(self) -> bool:
        """Whether the scale can be zeroed."""
        return abs(self._pan.shown) <= self._pan.zero_digits()

    @property
    def pieces(self) -> int:
        """How many pieces the net weight is."""
        return int((self.net / self._piece_g).to_integral_value())

    def printed_net(self) -> str:
        """Return the net weight as it is printed."""
        if self._faults.active("invalid_text"):
            return "-----"
        if not self._faults.active("stale_print"):
            self._printed = str(self.net)
        return self._printed

    # ------------------------------------------------------------ methods

    def zero(self) -> bool:
        """Set the zero point; False when it is refused."""
        if not self._may() or not self.inside_zero:
            return False
        if not self._faults.active("no_effect"):
            self._zero, self._tare = self._pan.shown, 0
        return True

    def take_tare(self) -> bool:
        """Take the load as tare; False when it is refused."""
        if not self._may() or self.gross < 0:
            return False
        if not self._faults.active("no_effect"):
            self._tare = self._pan.shown - self._zero
        return True

    def preset_tare(self, grams: float) -> bool:
        """Set the tare, 0 to clear it; False when it is refused."""
        if self._faults.active("refuse") or not 0 <= grams <= float(self.capacity):
            return False
        if not self._faults.active("no_effect"):
            self._tare = round(Decimal(grams) / self._pan.digit)
        return True

    def refer(self, piece_g: Decimal) -> bool:
        """Set the weight of a piece; False when it is refused."""
        if self._faults.active("refuse") or piece_g <= 0:
            return False
        if not self._faults.active("no_effect"):
            self._piece_g = piece_g
        return True

    def refer_pieces(self, pieces: int) -> bool:
        """Set how many pieces a reference has; False when it is refused."""
        if self._faults.active("refuse") or pieces < 1:
            return False
        self._reference_pieces = pieces
        return True

    def start_reference(self, pieces: int) -> bool:
        """Work out the weight of a piece from the load; False when it is refused."""
        if pieces < 1 or self.net <= 0 or not self._may():
            return False
        return self.refer_pieces(pieces) and self.refer(self.net / pieces)

    def _may(self) -> bool:
        moving = not self.stable or self.over or self.under
        return not moving and not self._faults.active("refuse")

    # ------------------------------------------------------------ time

    def step(self, dt: float) -> None:
        """Let the pan settle."""
        for _ in self._pan.readings(dt, shaking=self._faults.active("motion")):
            pass
