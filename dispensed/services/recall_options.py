"""How recalls are handled at this site."""

from dataclasses import dataclass, field

from dispensed.model.recall import RecallClocks


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Where notices come from: an address, a file, or neither; bounds of one run."""

    url: str = ""
    file: str = ""
    timeout_s: float = 60.0
    bytes_max: int = 32_000_000
    page_records: int = 500
    pages_max: int = 10
    etags: dict[str, str] = field(default_factory=dict, compare=False)
    """Newest ETag by address, as long as the daemon runs."""


@dataclass(frozen=True, slots=True)
class RecallOptions:
    """`signatures` different persons sign before a case closes."""

    clocks: RecallClocks = field(default_factory=RecallClocks)
    signatures: int = 2
    feed: FeedOptions = field(default_factory=FeedOptions)
