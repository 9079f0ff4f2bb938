"""What holds for the book of drawers, whatever is seen and asked in whatever order."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.drawers import DrawerBook, Limits, interpret
from drivers.errors import DeviceRefused
from drivers.facts import DrawerReported

LIMITS = Limits(left_open_s=5.0, drawer_rest_s=2.0, cabinet_rest_s=1.0, claim_s=3.0)
NAMES = ("a", "b")


@dataclass(frozen=True)
class Step:
    """After `wait` seconds: a drawer is seen, or asked for under a request id."""

    wait: float
    drawer: str
    seen_open: bool | None
    request_id: str


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0]),
        st.sampled_from(NAMES),
        st.sampled_from([True, False, None]),
        st.sampled_from(["r1", "r2", "r3"]),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=150)
def test_openings_and_shuttings_alternate_and_a_request_is_sent_and_proven_once(
    steps: list[Step],
) -> None:
    book = DrawerBook(NAMES, LIMITS, session="s")
    now, sent = 0.0, dict[str, tuple[str, float]]()
    truth: dict[str, bool] = {}
    for step in steps:
        now += step.wait
        if step.seen_open is not None:
            book.seen(step.drawer, is_open=step.seen_open, now=now, evidence="")
            truth[step.drawer] = step.seen_open
            assert book.state(step.drawer).is_open is step.seen_open
            continue
        try:
            if book.check(step.drawer, step.request_id):
                assert sent[step.request_id][0] == step.drawer
                continue
            book.check_rest(step.drawer, now)
        except DeviceRefused:  # the lock is hot, or the request was for the other drawer
            continue
        for drawer, at in sent.values():
            assert now - at >= (LIMITS.drawer_rest_s if drawer == step.drawer else 1.0)
        sent[step.request_id] = (step.drawer, now)
        book.sending(step.drawer, step.request_id, now)
    facts = [fact for message in book.outbox for fact in interpret(message.raw)]
    assert len({message.key for message in book.outbox}) == len(facts)
    for name in NAMES:
        mine = [fact for fact in facts if isinstance(fact, DrawerReported) and fact.drawer == name]
        changes = [fact.is_open for fact in mine if not fact.overdue]
        assert changes == [at % 2 == 0 for at in range(len(changes))]
        assert bool(changes and changes[-1]) is truth.get(name, False)
        openings = [fact for fact in mine if fact.is_open and not fact.overdue]
        assert len([fact for fact in mine if fact.overdue]) <= len(openings)
        causes = [fact.request_id for fact in openings if fact.request_id]
        assert len(causes) == len(set(causes))
        assert all(sent[cause][0] == name and book.proven(cause) for cause in causes)
