"""Write every schema file anew."""

from perene.contract import schemas

for kind, document in schemas.documents().items():
    schemas.path(kind).write_text(schemas.schema(document), encoding="utf-8")
for file in schemas.DIRECTORY.glob("*.schema.json"):
    if file.name.removesuffix(".schema.json") not in schemas.documents():
        file.unlink()
