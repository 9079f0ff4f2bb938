"""The simulated counting scale that speaks OPC 40200 over OPC UA, ready to be served.

The machine is `simulators.opcua40200_model`, its nodes are `simulators.opcua40200_nodes`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from simulators.opcua import Keys, serve_opcua
from simulators.opcua40200_model import ScaleModel
from simulators.opcua40200_nodes import FULL, ScaleFace, View
from simulators.serve import Served
from simulators.wire import Wire


def make(seed: int) -> ScaleModel:
    """Return a scale with a bottle on its pan."""
    model = ScaleModel(seed)
    model.set("load_g", "12.5")
    return model


def serve(
    model: ScaleModel,
    wire: Wire,
    address: str,
    *,
    views: Sequence[View] = (FULL,),
    keys: Keys | None = None,
) -> AbstractAsyncContextManager[Served]:
    """Serve a scale on `opc.tcp://HOST:PORT`, port 0 any free one; with `keys` only securely."""
    return serve_opcua(ScaleFace(model, views), wire, address, keys=keys)
