"""Writes the table of nodes of a machine: the same few kinds of facts, over and over.

A `Table` numbers the nodes of an instance in its own namespace and knows what goes with each kind:
a property its reference and type, a method its arguments.
"""

from collections.abc import Mapping, Sequence
from itertools import count

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from simulators.opcua import OPCUA_URI, NodeFact, NodePath, Ref

OBJECTS = Ref(OPCUA_URI, ObjectIds.ObjectsFolder)
FOLDER = Ref(OPCUA_URI, ObjectIds.FolderType)
BASE_OBJECT = Ref(OPCUA_URI, ObjectIds.BaseObjectType)
BASE_VARIABLE = Ref(OPCUA_URI, ObjectIds.BaseDataVariableType)
FIRST_NUMBER = 5001


def good(value: object, kind: ua.VariantType) -> ua.DataValue:
    """Return a value that the machine vouches for."""
    return ua.DataValue(ua.Variant(value, kind, is_array=isinstance(value, list)))


def doubtful(shown: ua.DataValue, status: int) -> ua.DataValue:
    """Return a value that the machine shows and does not vouch for."""
    return ua.DataValue(shown.Value, StatusCode=ua.StatusCode(ua.UInt32(status)))


def numbered(number: int, index: int) -> ua.NodeId:
    """Return a node by number and namespace index."""
    return ua.NodeId(ua.Int32(number), ua.Int16(index))


def structure(encoding: int, index: int, body: bytes) -> ua.ExtensionObject:
    """Return a structure in its binary form."""
    return ua.ExtensionObject(numbered(encoding, index), ua.ByteString(body))


def argument(name: str, data_type: ua.NodeId, *, is_array: bool = False) -> ua.Argument:
    """Return one input argument of a method."""
    made = ua.Argument()
    made.Name = name
    made.DataType = data_type
    made.ValueRank = ua.Int32(1 if is_array else -1)
    made.ArrayDimensions = [ua.UInt32(0)] if is_array else []
    return made


class Table:
    """Collects facts, parents first."""

    def __init__(self, own_uri: str) -> None:
        self._own = own_uri
        self._numbers = count(FIRST_NUMBER)
        self.facts: list[NodeFact] = []

    # ------------------------------------------------------------ types

    def node_type(self, uri: str, number: int, name: str, base: Ref) -> Ref:
        """Add an object type, as a type carries no more than is needed to recognise it."""
        return self._typed(uri, (number, name), base, ua.NodeClass.ObjectType)

    def variable_type(self, uri: str, number: int, name: str, base: Ref) -> Ref:
        """Add a variable type."""
        return self._typed(uri, (number, name), base, ua.NodeClass.VariableType)

    def structure_type(self, uri: str, number: int, name: str, encoding: int) -> Ref:
        """Add a structure and its binary encoding."""
        base = Ref(OPCUA_URI, ObjectIds.Structure)
        made = self._typed(uri, (number, name), base, ua.NodeClass.DataType)
        self.facts.append(
            NodeFact(
                ("types", name, "Default Binary"),
                OPCUA_URI,
                Ref(uri, encoding),
                made,
                ua.NodeClass.Object,
                ObjectIds.HasEncoding,
                type_of=Ref(OPCUA_URI, ObjectIds.DataTypeEncodingType),
            )
        )
        return made

    def _typed(self, uri: str, called: tuple[int, str], base: Ref, kind: ua.NodeClass) -> Ref:
        number, name = called
        made = Ref(uri, number)
        self.facts.append(NodeFact(("types", name), uri, made, base, kind, ObjectIds.HasSubtype))
        return made

    # ------------------------------------------------------------ the instance

    def folder(self, uri: str, number: int, name: str) -> Ref:
        """Add a folder with a number of its own under Objects."""
        made = Ref(uri, number)
        self.facts.append(
            NodeFact((name,), uri, made, OBJECTS, ua.NodeClass.Object, ObjectIds.Organizes, FOLDER)
        )
        return made

    def machine(self, name: str, under: Ref, type_of: Ref) -> None:
        """Add the machine itself."""
        self.facts.append(
            NodeFact(
                (name,),
                self._own,
                self._fresh(),
                under,
                ua.NodeClass.Object,
                ObjectIds.Organizes,
                type_of,
            )
        )

    def part(self, path: NodePath, uri: str, type_of: Ref = BASE_OBJECT) -> None:
        """Add an object below another."""
        self.facts.append(
            NodeFact(path, uri, self._fresh(), path[:-1], ua.NodeClass.Object, type_of=type_of)
        )

    def variable(
        self,
        path: NodePath,
        uri: str,
        data_type: Ref,
        shown: ua.DataValue,
        *,
        type_of: Ref = BASE_VARIABLE,
    ) -> None:
        """Add a variable with what it shows at first."""
        self.facts.append(
            NodeFact(
                path,
                uri,
                self._fresh(),
                path[:-1],
                ua.NodeClass.Variable,
                type_of=type_of,
                data_type=data_type,
                value=shown.Value or ua.Variant(None),
            )
        )

    def properties(self, under: NodePath, uri: str, given: Mapping[str, ua.Variant]) -> None:
        """Add properties of built-in types."""
        for name, value in given.items():
            data_type = Ref(OPCUA_URI, int(value.VariantType))
            self.property((*under, name), uri, data_type, ua.DataValue(value))

    def property(self, path: NodePath, uri: str, data_type: Ref, shown: ua.DataValue) -> None:
        """Add a property."""
        self.facts.append(
            NodeFact(
                path,
                uri,
                self._fresh(),
                path[:-1],
                ua.NodeClass.Variable,
                ObjectIds.HasProperty,
                type_of=Ref(OPCUA_URI, ObjectIds.PropertyType),
                data_type=data_type,
                value=shown.Value or ua.Variant(None),
            )
        )

    def method(self, path: NodePath, uri: str, arguments: Sequence[ua.Argument] = ()) -> None:
        """Add a method with its input arguments."""
        self.facts.append(NodeFact(path, uri, self._fresh(), path[:-1], ua.NodeClass.Method))
        if arguments:
            value = ua.Variant(list(arguments), ua.VariantType.ExtensionObject)
            self.property(
                (*path, "InputArguments"),
                OPCUA_URI,
                Ref(OPCUA_URI, ObjectIds.Argument),
                ua.DataValue(value),
            )

    def _fresh(self) -> Ref:
        return Ref(self._own, next(self._numbers))
