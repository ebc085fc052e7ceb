"""The engine's wire form of properties as plain Python values."""

from typing import Any

from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime import rpc

from perene.engine.program import Secret, Unknown


def plain(properties: Struct) -> dict[str, Any]:
    """A property tree as dicts, lists and scalars; secrets as `Secret`, unknown values as `Unknown`, whole numbers as int."""
    return {key: _value(value) for key, value in sorted(properties.fields.items())}


def _value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return Unknown() if value.string_value == rpc.UNKNOWN else value.string_value
        case "number_value":
            return int(value.number_value) if value.number_value.is_integer() else value.number_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "struct_value":
            return _tree(value.struct_value)
        case _:
            return None


def _tree(tree: Struct) -> Any:
    if rpc._special_sig_key not in tree.fields:
        return plain(tree)
    signature = tree.fields[rpc._special_sig_key].string_value
    if signature == rpc._special_secret_sig:
        return Secret(_value(tree.fields["value"]))
    if signature == rpc._special_resource_sig:
        reference = tree.fields["id"] if tree.fields["id"].string_value else tree.fields["urn"]
        return _value(reference)
    return {key: _value(value) for key, value in tree.fields.items() if key != rpc._special_sig_key}
