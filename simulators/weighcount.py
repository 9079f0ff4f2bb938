"""A person who pours pieces onto a scale, for the driver that counts by weight.

The scale is the simulated MT-SICS balance. Every piece has its own weight, drawn from a normal
distribution; the person pours in handfuls and takes single pieces away. `pieces` of the state is
the truth that a count is held against.
"""

import random

from drivers.weighcount.codec import PIECES_MAX
from simulators.base import FaultPlan, Json, Outgoing
from simulators.mtsics import MtSicsModel

HANDFUL_MAX = 9
"""Most pieces that fall at once."""
_NUMBERS = ("mean_mg", "sd_mg", "pace_s")
_ORDERS = ("pour", "take", "clear")


class PouringModel:
    """A balance and a person at it; all settings of the balance are settings of this."""

    def __init__(self, seed: int = 0, *, mean_mg: float = 500.0, sd_mg: float = 8.0) -> None:
        self.scale = MtSicsModel(seed)
        self._random = random.Random(seed)
        self._numbers = {"mean_mg": mean_mg, "sd_mg": sd_mg, "pace_s": 0.5}
        self._pieces: list[float] = []
        self._to_pour = 0
        self._waited = 0.0

    @property
    def pieces(self) -> int:
        """How many pieces really lie on the scale."""
        return len(self._pieces)

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """Those of the balance."""
        return self.scale.faults

    @property
    def settings(self) -> tuple[str, ...]:
        """`pour` or `take` so many pieces, `clear` (1) the scale; pieces and pace; the balance."""
        return (*_ORDERS, *_NUMBERS, *self.scale.settings)

    def set(self, name: str, value: str) -> None:
        """Tell the person what to do, or change what is in `settings`."""
        if name in _NUMBERS:
            number = float(value)
            if not 0 <= number <= 1e6:  # noqa: PLR2004 - a kilogram, or eleven days
                raise ValueError(f"setting {name!r}: {value!r} is out of range")
            self._numbers[name] = number
        elif name in _ORDERS:
            if not value.isdecimal() or int(value) > PIECES_MAX:
                raise ValueError(f"setting {name!r}: {value!r} is not a number of pieces")
            self._order(name, int(value))
        else:
            self.scale.set(name, value)

    def _order(self, name: str, pieces: int) -> None:
        if name == "pour":
            self._to_pour += pieces
            return
        self._to_pour = 0
        keep = 0 if name == "clear" else max(0, self.pieces - pieces)
        self._pieces = self._pieces[:keep]
        self._put_down()

    def _put_down(self) -> None:
        self.scale.set("load_g", f"{sum(self._pieces) / 1000:.6f}")

    def state(self) -> dict[str, Json]:
        """The truth, what is still to be poured, and the balance."""
        return {"pieces": self.pieces, "to_pour": self._to_pour, **self.scale.state()}

    # time

    def step(self, dt: float) -> None:
        """Let a handful fall every `pace_s`, and the balance settle."""
        self._waited += dt
        if self._to_pour and self._waited >= self._numbers["pace_s"]:
            self._waited = 0.0
            handful = min(self._to_pour, self._random.randint(1, HANDFUL_MAX))
            self._to_pour -= handful
            self._pieces += [self._piece() for _ in range(handful)]
            self._put_down()
        self.scale.step(dt)

    def _piece(self) -> float:
        drawn = self._random.gauss(self._numbers["mean_mg"], self._numbers["sd_mg"])
        return max(0.0, drawn)

    # the wire of the balance

    def connected(self, session: int) -> None:
        """Pass a host on to the balance."""
        self.scale.connected(session)

    def disconnected(self, session: int) -> None:
        """Take a host from the balance."""
        self.scale.disconnected(session)

    def received(self, session: int, data: bytes) -> None:
        """Pass commands on to the balance."""
        self.scale.received(session, data)

    def outgoing(self) -> list[Outgoing]:
        """Return the answers of the balance."""
        return self.scale.outgoing()


def make(seed: int) -> PouringModel:
    """Return a balance with a person who waits to be told how much to pour."""
    return PouringModel(seed)
