"""The pan of a balance: load, settling, noise and the digits on its display.

The pan follows the load as a critically damped second order system; the display shows the mean of
the last five readings, ten readings a second, and holds its digit until the mean has left it
clearly. Weights are in the unit of the balance, whatever that is.
"""

import math
import random
from collections import deque
from collections.abc import Iterator
from decimal import Decimal

READING_S = 0.1
"""Simulated seconds between two readings of the cell."""
ZERO_RANGE = 0.02
"""Part of the capacity within which a balance can be zeroed, either side."""
HOLD_D = 0.7
"""Digits by which the mean must leave a stable display before that changes."""
STABLE_SPREAD_D = 0.8
"""Digits within which the last readings lie when the weight counts as stable."""
AT_REST_D = 0.05
"""Digits that the pan may still be away from where it will rest."""
SHAKING_D = 50.0
"""Noise, in digits, of a pan that does not come to rest."""
OVER_D = 9
"""Digits above the capacity before the load counts as too much."""


class Pan:
    """A load cell and its display; `shown` is in whole digits of the readability."""

    def __init__(self, seed: int, *, capacity: str, readability: str) -> None:
        self._random = random.Random(seed)
        self.limit = Decimal(capacity)
        self.digit = Decimal(readability)
        self._capacity = float(capacity)
        self._d = float(readability)
        self._numbers = {"load": 0.0, "noise_d": 0.1, "tau_s": 0.15}
        self._position = self._speed = self._owed = 0.0
        self._readings: deque[float] = deque([0.0] * 5, maxlen=5)
        self._held = True
        self.shown = 0

    @property
    def load(self) -> float:
        """What lies on the pan."""
        return self._numbers["load"]

    def set(self, name: str, value: str, *, called: str) -> None:
        """Change `load`, `noise_d` or `tau_s`; raises ValueError that names it as `called`."""
        number = float(value)
        if not math.isfinite(number) or (name != "load" and number < 0):
            raise ValueError(f"setting {called!r}: {value!r} is out of range")
        if name == "tau_s" and number == 0:
            raise ValueError("setting 'tau_s': must be above 0")
        self._numbers[name] = number

    def readings(self, dt: float, *, shaking: bool) -> Iterator[int]:
        """Let time pass and yield what is shown after each reading that falls into it."""
        self._owed += dt
        while self._owed >= READING_S:
            self._owed -= READING_S
            self._settle(READING_S)
            self._read_cell(shaking=shaking)
            yield self.shown

    def stable(self) -> bool:
        """Whether the readings agree and the pan has come to rest."""
        spread = max(self._readings) - min(self._readings)
        distance = abs(self._position - self._numbers["load"])
        return spread <= STABLE_SPREAD_D * self._d and distance <= AT_REST_D * self._d

    def over(self) -> bool:
        """Whether the pan holds more than the capacity and nine digits."""
        return self._position > self._capacity + OVER_D * self._d

    def under(self) -> bool:
        """Whether the pan was lifted."""
        return self._position < -ZERO_RANGE * self._capacity

    def zero_digits(self) -> float:
        """How far from its own zero the balance can be zeroed, in digits."""
        return ZERO_RANGE * self._capacity / self._d

    def weight(self, digits: int) -> Decimal:
        """Return so many digits as a weight with the decimals of the display."""
        return digits * self.digit

    def _settle(self, dt: float) -> None:
        omega = 1.0 / self._numbers["tau_s"]
        load = self._numbers["load"]
        offset = self._position - load
        slope = self._speed + omega * offset
        decay = math.exp(-omega * dt)
        self._position = load + (offset + slope * dt) * decay
        self._speed = (slope - omega * (offset + slope * dt)) * decay

    def _read_cell(self, *, shaking: bool) -> None:
        noise = self._numbers["noise_d"] + (SHAKING_D if shaking else 0.0)
        self._readings.append(self._position + self._random.gauss(0.0, noise * self._d))
        mean = sum(self._readings) / len(self._readings) / self._d
        if not self.stable() or not self._held or abs(mean - self.shown) > HOLD_D:
            self.shown = round(mean)
        self._held = self.stable()
