"""python-opcua, the deprecated predecessor of our library, as a client of our simulator.

It finds the machine by browse names, decodes the counts with its own reader of a structure written
out here from OPC 30050, starts a job and is told of every state by a subscription.
"""

import struct
import threading
from collections.abc import Iterator

import pytest
from opcua import Client, Node, ua

from tests.contract.opcua_stand import Stand, a_stand

pytestmark = pytest.mark.peer
WAIT_S = 20.0
PACKML_URI = "http://opcfoundation.org/UA/PackML/"


@pytest.fixture(scope="module")
def _stand() -> Iterator[Stand]:
    yield from a_stand()


@pytest.fixture
def stand(_stand: Stand) -> Stand:
    _stand.reset(speed=20)
    return _stand


@pytest.fixture
def client(stand: Stand) -> Iterator[Client]:
    client = Client(stand.address, timeout=10)
    client.connect()
    yield client
    client.disconnect()


class States:
    """Keeps the names of the states that a subscription reports."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.complete = threading.Event()

    def datachange_notification(self, _node: Node, value: object, _data: object) -> None:
        if isinstance(value, ua.LocalizedText):
            self.names.append(str(value.Text))
            if value.Text == "Complete":
                self.complete.set()


def _machine(client: Client) -> tuple[Node, int]:
    index = client.get_namespace_index(PACKML_URI)
    machinery = client.get_namespace_index("http://opcfoundation.org/UA/Machinery/")
    (machine,) = client.get_objects_node().get_child([f"{machinery}:Machines"]).get_children()
    return machine, index


def _count(node: Node) -> tuple[int, str, int, int]:
    """ID, Name, Count, AccCount of the first element."""
    (element,) = node.get_value()
    body = element.Body
    number, length = struct.unpack_from("<ii", body)
    name = body[8 : 8 + length].decode()
    return (number, name, *struct.unpack("<ii", body[-8:]))


def _text(value: str) -> bytes:
    return struct.pack("<i", len(value)) + value.encode()


def _parameter(index: int, name: str, value: float) -> ua.ExtensionObject:
    given = ua.ExtensionObject()
    given.TypeId = ua.NodeId(77, index)
    unit = _text("") + struct.pack("<i", 0) + b"\x00\x00"
    given.Body = struct.pack("<i", 1) + _text(name) + unit + struct.pack("<f", value)
    return given


def test_the_predecessor_reads_the_machine_and_its_counts(client: Client) -> None:
    machine, index = _machine(client)
    assert machine.get_type_definition() == ua.NodeId(6, index)
    base = machine.get_child([f"{index}:BaseStateMachine"])
    middle = base.get_child([f"{index}:MachineState"])
    assert base.get_child(["0:CurrentState"]).get_value().Text == "Cleared"
    assert middle.get_child(["0:CurrentState"]).get_value().Text == "Stopped"
    assert middle.get_child(["0:CurrentState", "0:Id"]).get_value() == ua.NodeId(53, index)
    assert middle.get_child(["0:CurrentState", "0:Number"]).get_value() == 2
    with pytest.raises(ua.UaStatusCodeError, match="not currently active"):
        middle.get_child([f"{index}:ExecuteState", "0:CurrentState"]).get_value()
    counts = machine.get_child([f"{index}:Admin", f"{index}:ProdProcessedCount"])
    assert counts.get_data_type() == ua.NodeId(14, index)
    assert _count(counts) == (0, "tablets", 0, 0)


def test_the_predecessor_runs_a_job_and_is_told_of_its_states(client: Client, stand: Stand) -> None:
    machine, index = _machine(client)
    middle = machine.get_child([f"{index}:BaseStateMachine", f"{index}:MachineState"])
    inner = middle.get_child([f"{index}:ExecuteState"])
    states = States()
    subscription = client.create_subscription(20, states)
    handle = subscription.subscribe_data_change(inner.get_child(["0:CurrentState"]))
    middle.call_method(f"{index}:Reset")
    while stand.do(lambda: stand.model.current).name != "IDLE":
        threading.Event().wait(0.01)
    wanted = ua.Variant(
        [_parameter(index, "TargetCount", 12.0)], ua.VariantType.ExtensionObject, is_array=True
    )
    inner.call_method(f"{index}:Start", wanted)
    assert states.complete.wait(WAIT_S)
    subscription.unsubscribe(handle)
    subscription.delete()
    counts = machine.get_child([f"{index}:Admin", f"{index}:ProdProcessedCount"])
    assert _count(counts) == (0, "tablets", 12, 12)
    assert stand.dispensed == 12
    wanted_order = ["Starting", "Execute", "Completing", "Complete"]
    assert [name for name in states.names if name in wanted_order] == wanted_order


def test_the_predecessor_is_refused_what_the_state_forbids(client: Client) -> None:
    machine, index = _machine(client)
    inner = machine.get_child(
        [f"{index}:BaseStateMachine", f"{index}:MachineState", f"{index}:ExecuteState"]
    )
    with pytest.raises(ua.UaStatusCodeError, match="some other invalid state"):
        inner.call_method(f"{index}:Hold")
