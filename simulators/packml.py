"""The simulated tablet counter that speaks PackML over OPC UA, ready to be served.

The machine is `simulators.packml_model`, its nodes are `simulators.packml_nodes`.
"""

from contextlib import AbstractAsyncContextManager

from simulators.opcua import Keys, serve_opcua
from simulators.packml_model import CounterModel
from simulators.packml_nodes import PackMlFace
from simulators.serve import Served
from simulators.wire import Wire


def make(seed: int) -> CounterModel:
    """Return a counter as it stands in a pharmacy: endless supply, one chipped tablet in 500."""
    model = CounterModel(seed)
    model.set("defective_rate", "0.002")
    return model


def serve(
    model: CounterModel, wire: Wire, address: str, *, keys: Keys | None = None
) -> AbstractAsyncContextManager[Served]:
    """Serve a counter on `opc.tcp://HOST:PORT`, port 0 any free one; with `keys` only securely."""
    return serve_opcua(PackMlFace(model), wire, address, keys=keys)
