"""Every document of the contract has a current schema and an example that it accepts."""

import pytest

from perene.contract import schemas
from perene.contract.base import Document

DOCUMENTS = schemas.documents()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_schema_file_is_current(kind: str) -> None:
    path = schemas.path(kind)
    written = path.read_text() if path.is_file() else ""
    assert written == schemas.schema(DOCUMENTS[kind]), (
        f"{path.name} is not what the model says. Write it anew: python -m perene.contract.schemas"
    )


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_example_is_valid_and_complete(kind: str) -> None:
    path = schemas.example(kind)
    assert path.is_file(), f"whoever owns the document {kind} writes perene/contract/examples/{kind}.json, a whole one as it really occurs"
    text = path.read_text()
    read = DOCUMENTS[kind].parse(text, path.name)
    assert read.to_json() == text, f"{path.name} must be in canonical form, all fields in order: write Document.to_json() of it"


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_says_what_it_is_and_in_which_version(kind: str) -> None:
    fields = DOCUMENTS[kind].model_fields
    assert fields["document"].default == kind
    assert isinstance(fields["version"].default, int), "a reader must be able to refuse a version that it does not know"


def test_no_file_stands_without_a_document() -> None:
    names = {path.name.removesuffix(".schema.json") for path in schemas.DIRECTORY.glob("*.json")}
    assert names == set(DOCUMENTS)
    assert {path.stem for path in schemas.EXAMPLES.glob("*.json")} <= set(DOCUMENTS)


def test_kinds_are_unique() -> None:
    def below(base: type[Document]) -> list[type[Document]]:
        return [found for child in base.__subclasses__() for found in [child, *below(child)]]

    kinds = [document.KIND for document in below(Document) if "KIND" in vars(document) and document.__module__.startswith("perene.")]
    assert len(kinds) == len(set(kinds)), kinds
