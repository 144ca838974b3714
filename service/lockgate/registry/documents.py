"""Model cards and machine-learning bills of materials, as their teams wrote them, byte for byte. Pure.

Only the parts that are read here are checked; docs/formats/registry.md lists them.
"""

from typing import Final, Literal, TypeAlias

from lockgate.canonical_json import parse_json
from lockgate.schemas import check_schema

DocumentKind: TypeAlias = Literal["card", "bom"]

CARD_BYTES_MAX: Final = 256 * 1024  # a long card is twenty pages of text
BOM_BYTES_MAX: Final = 4 * 1024 * 1024  # some ten thousand components, a training image with everything in it
_BYTES_MAX: Final = {"card": CARD_BYTES_MAX, "bom": BOM_BYTES_MAX}
_SCHEMAS: Final = {"card": "v1/registry/model_card", "bom": "v1/registry/bom"}
_DEPTH_MAX: Final = 32  # CycloneDX nests components in components; a page of people's text never does
_NODES_MAX: Final = 500_000  # as many as fit a bill of that length; reading them takes a quarter of a second


def check_document(kind: DocumentKind, document: bytes) -> None:
    """Make sure that a document can be read as what it is handed in for.

    Args:
        kind: A model card (schema `v1/registry/model_card`) or a CycloneDX bill (schema `v1/registry/bom`).
        document: Its bytes.

    Raises:
        MalformedJSONError: It is not one unambiguous JSON value within the limits.
        SchemaError: It breaks its schema.

    Source: CycloneDX 1.5 and 1.6, "Machine Learning Model" components and their model cards.
    """
    value = parse_json(document, bytes_max=_BYTES_MAX[kind], depth_max=_DEPTH_MAX, nodes_max=_NODES_MAX)
    check_schema(_SCHEMAS[kind], value)
