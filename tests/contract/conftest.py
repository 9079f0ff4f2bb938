"""Fixtures that every contract suite can ask for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.contract.transports import (
    AT_CONNECT,
    BREAKING,
    FAITHFUL,
    LINES,
    UNFAITHFUL,
    Inbox,
    Line,
)

if TYPE_CHECKING:
    from tests.contract.opcua_stand import Stand


def _named(line: Line) -> str:
    return line.name.replace(" ", "-")


@pytest.fixture(params=LINES, ids=_named)
def line(request: pytest.FixtureRequest) -> Line:
    """Every line in turn."""
    given: Line = request.param
    return given


@pytest.fixture(params=FAITHFUL, ids=_named)
def faithful_line(request: pytest.FixtureRequest) -> Line:
    """Lines on which every call must succeed."""
    given: Line = request.param
    return given


@pytest.fixture(params=UNFAITHFUL, ids=_named)
def unfaithful_line(request: pytest.FixtureRequest) -> Line:
    """Lines on which a call may fail, but never lie."""
    given: Line = request.param
    return given


@pytest.fixture(params=BREAKING, ids=_named)
def breaking_line(request: pytest.FixtureRequest) -> Line:
    """Lines after which the connection may have to be made again."""
    given: Line = request.param
    return given


@pytest.fixture(params=AT_CONNECT, ids=_named)
def connect_line(request: pytest.FixtureRequest) -> Line:
    """Lines that are as they are before anybody connects."""
    given: Line = request.param
    return given


@pytest.fixture
def inbox() -> Inbox:
    """A sink that keeps what it is given."""
    return Inbox()


@pytest.fixture(scope="session")
def opcua_stand() -> "Iterator[Stand]":
    """One OPC UA counter for the whole session; building its server takes seconds."""
    from tests.contract.opcua_stand import a_stand  # noqa: PLC0415 - asyncua is slow to import

    yield from a_stand()


@pytest.fixture
def stand(opcua_stand: "Stand") -> "Stand":
    """The OPC UA counter, new for this test."""
    opcua_stand.reset()
    return opcua_stand
