"""JSON Schemas of every contract document, generated from its model: `python -m perene.contract.schemas`."""

import importlib
import json
import pkgutil
from pathlib import Path

import perene.contract
from perene.contract.base import Document

DIRECTORY = Path(__file__).parent
EXAMPLES = DIRECTORY.parent / "examples"


def documents() -> dict[str, type[Document]]:
    """Every document of the contract by its kind, found by importing all modules of perene.contract."""
    for module in pkgutil.iter_modules(perene.contract.__path__, "perene.contract."):
        importlib.import_module(module.name)
    found = _below(Document)
    return {document.KIND: document for document in sorted(found, key=lambda document: document.KIND)}


def _below(base: type[Document]) -> list[type[Document]]:
    return [found for child in base.__subclasses__() for found in ([child] if "KIND" in vars(child) else []) + _below(child)]


def schema(document: type[Document]) -> str:
    """A document's JSON Schema as text, the same bytes for the same model."""
    body = document.model_json_schema(mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **body}, indent=2, ensure_ascii=False) + "\n"


def path(kind: str) -> Path:
    """The schema file of a kind."""
    return DIRECTORY / f"{kind}.schema.json"


def example(kind: str) -> Path:
    """The example file of a kind, written by hand."""
    return EXAMPLES / f"{kind}.json"
