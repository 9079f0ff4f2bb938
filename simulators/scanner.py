r"""A barcode scanner: somebody scans, it beeps and sends a line; it never listens.

What is scanned comes through the control channel: `scan` takes the content of a symbol, FNC1 as
`\x1d` or as GS itself.
"""

from collections import deque

from simulators.base import FaultPlan, Json, Outgoing

KEPT = 500
SHOWN = 5
_FAULTS = (
    "no_aim",  # the symbology identifier is switched off
    "fnc1_lost",  # FNC1 does not arrive
    "no_prefix",
    "no_suffix",  # the line end is switched off: codes run together
    "twice",  # every code is sent twice
    "misread",  # one digit of the next code is another one
    "cut_short",  # the next code stops in the middle
)
_AFFIX_MAX = 8
_SCAN_MAX = 400
_DEMO = ("01003007101552371727123110LOT123\x1d21SER0001", "010030071015523710B7")


class ScannerModel:
    """One scanner; `every_s` seconds between the codes of a demonstration, 0 none."""

    def __init__(self, seed: int = 0, *, every_s: float = 0.0) -> None:
        del seed  # Nothing in it is left to chance.
        self._faults = FaultPlan(_FAULTS)
        self._texts = {"symbology": "d2", "prefix": "", "suffix": "\r", "separator": "\x1d"}
        self._every_s = every_s
        self._waited = 0.0
        self._demo = 0
        self._sessions: set[int] = set()
        self._sent: deque[str] = deque(maxlen=KEPT)
        self._out: list[Outgoing] = []

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """How the scanner is set wrongly, and what befalls the next code."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """A code to scan, how codes are sent, and the pace of a demonstration."""
        return ("scan", *self._texts, "every_s")

    def set(self, name: str, value: str) -> None:
        """Scan a code, or change how codes are sent. Escapes as in Python stand for controls."""
        if name not in self.settings:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        if name == "every_s":
            seconds = float(value)
            if not 0 <= seconds <= 3600:  # noqa: PLR2004 - an hour
                raise ValueError(f"setting 'every_s': {value!r} is out of range")
            self._every_s = seconds
            return
        text = value.replace("\\x1d", "\x1d").replace("\\r", "\r").replace("\\n", "\n")
        text = text.replace("\\t", "\t")
        longest = _SCAN_MAX if name == "scan" else _AFFIX_MAX
        if len(text) > longest or not text.isascii():
            raise ValueError(f"setting {name!r}: up to {longest} ASCII letters")
        if name == "scan":
            self.scan(text)
        else:
            self._texts[name] = text

    def state(self) -> dict[str, Json]:
        """How codes are sent, and the last ones that were scanned."""
        return {
            **self._texts,
            "scanned": list(self._sent)[-SHOWN:],
            "faults": self._faults.state(),
        }

    @property
    def scanned(self) -> tuple[str, ...]:
        """The contents that were scanned, oldest first; the last KEPT of them."""
        return tuple(self._sent)

    # physics

    def scan(self, content: str) -> None:
        """Read a symbol and send what it holds."""
        self._sent.append(content)
        line = self._line(content)
        for _ in range(2 if self._faults.take("twice") else 1):
            self._out.append(Outgoing(None, line))

    def _line(self, content: str) -> bytes:
        faults, texts = self._faults, self._texts
        body = content.replace("\x1d", "" if faults.take("fnc1_lost") else texts["separator"])
        if faults.take("misread"):
            place = next(at for at, letter in enumerate(body) if letter.isdigit())
            body = body[:place] + str((int(body[place]) + 1) % 10) + body[place + 1 :]
        aim = "" if faults.take("no_aim") or not texts["symbology"] else f"]{texts['symbology']}"
        line = ("" if faults.take("no_prefix") else texts["prefix"]) + aim + body
        if faults.take("cut_short"):
            return line[: len(line) // 2].encode("ascii")
        return (line + ("" if faults.take("no_suffix") else texts["suffix"])).encode("ascii")

    def step(self, dt: float) -> None:
        """Scan the next pack of the demonstration when it is time."""
        self._waited += dt
        if self._every_s and self._waited >= self._every_s and self._sessions:
            self._waited = 0.0
            self.scan(_DEMO[self._demo % len(_DEMO)])
            self._demo += 1

    # wire

    def connected(self, session: int) -> None:
        """Somebody listens."""
        self._sessions.add(session)

    def disconnected(self, session: int) -> None:
        """Somebody listens no more."""
        self._sessions.discard(session)

    def received(self, session: int, data: bytes) -> None:
        """Nothing is understood."""

    def outgoing(self) -> list[Outgoing]:
        """Return the lines since the last call."""
        out, self._out = self._out, []
        return out


def make(seed: int) -> ScannerModel:
    """Return a scanner that somebody uses every two seconds."""
    return ScannerModel(seed, every_s=2.0)
