"""Fixtures that every contract suite can ask for."""

import pytest

from tests.contract.transports import FAITHFUL, LINES, UNFAITHFUL, Inbox, Line


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


@pytest.fixture
def inbox() -> Inbox:
    """A sink that keeps what it is given."""
    return Inbox()
