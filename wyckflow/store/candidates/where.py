"""Conditions as people write them, as MongoDB asks them.

``band_gap > 0.5 and energy_above_hull < 0.05`` is read as Python reads it, but never
run: only comparisons of known fields with constants, joined by and, or, not.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import QueryError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Collection

_OPERATORS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "$eq",
    ast.NotEq: "$ne",
    ast.Lt: "$lt",
    ast.LtE: "$lte",
    ast.Gt: "$gt",
    ast.GtE: "$gte",
    ast.In: "$in",
    ast.NotIn: "$nin",
}
_MIRRORED: Final[dict[str, str]] = {
    "$eq": "$eq",
    "$ne": "$ne",
    "$lt": "$gt",
    "$lte": "$gte",
    "$gt": "$lt",
    "$gte": "$lte",
}
_JOINS: Final[dict[type[ast.boolop], str]] = {ast.And: "$and", ast.Or: "$or"}
_HINT: Final = (
    "Write comparisons of fields with numbers, 'text', true, false or none, joined by "
    "and, or, not: band_gap > 0.5 and 0 <= energy_above_hull < 0.05 and chemsys in "
    "['Ba-O-Ti', 'O-Sr-Ti']"
)
_CONSTANTS: Final = {"true": True, "false": False, "none": None, "null": None}


def parse_where(text: str, fields: Collection[str]) -> dict[str, Any]:
    """Turn a condition into a query of MongoDB.

    An ordering comparison never matches a field without a value.

    Parameters
    ----------
    text
        Such as ``band_gap > 0.5 and elements == 'O'``; a list field equals a value
        that it contains. Empty text asks for nothing.
    fields
        Names that may be used.

    Raises
    ------
    QueryError
        If it is no such condition, or a field is unknown.
    """
    if not text.strip():
        return {}
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise QueryError(f"{text!r} cannot be read ({error}). {_HINT}") from None
    return _read(tree.body, text, fields)


def _read(node: ast.expr, text: str, fields: Collection[str]) -> dict[str, Any]:
    """Turn one node into a query."""
    if isinstance(node, ast.BoolOp):
        parts = [_read(value, text, fields) for value in node.values]
        return {_JOINS[type(node.op)]: parts}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return {"$nor": [_read(node.operand, text, fields)]}
    if isinstance(node, ast.Compare):
        return _read_comparison(node, text, fields)
    if isinstance(node, ast.Name):  # a bare boolean field
        return {_field(node, fields): True}
    raise QueryError(f"{_source(node, text)!r} is no condition. {_HINT}")


def _read_comparison(
    node: ast.Compare, text: str, fields: Collection[str]
) -> dict[str, Any]:
    """Turn a comparison, also a chained one, into a query."""
    operands = [node.left, *node.comparators]
    parts = []
    for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
        word = _OPERATORS.get(type(operator))
        if word is None:
            raise QueryError(f"{_source(node, text)!r} is no comparison. {_HINT}")
        parts.append(_compare(left, word, right, text, fields))
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _compare(
    left: ast.expr, word: str, right: ast.expr, text: str, fields: Collection[str]
) -> dict[str, Any]:
    """Compare a field with a constant, whichever side it is on."""
    if _is_field(left) and not _is_field(right):
        return {_field(left, fields): {word: _constant(right, text)}}
    if _is_field(right) and not _is_field(left):
        if word == "$in":  # 'O' in elements
            return {_field(right, fields): {"$eq": _constant(left, text)}}
        if word == "$nin":
            return {_field(right, fields): {"$ne": _constant(left, text)}}
        return {_field(right, fields): {_MIRRORED[word]: _constant(left, text)}}
    what = "two fields" if _is_field(left) else "no field"
    raise QueryError(f"{text!r} compares {what} in one comparison. {_HINT}")


def _is_field(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.lower() not in _CONSTANTS


def _field(node: ast.expr, fields: Collection[str]) -> str:
    """Return the name of a field that exists."""
    name = node.id if isinstance(node, ast.Name) else ""
    if name not in fields:
        raise QueryError(
            f"A candidate has no field {name!r}.{nearest_name(name, fields)} "
            "Text needs quotes; 'wyckflow candidates --fields' lists the fields."
        )
    return name


def _constant(node: ast.expr, text: str) -> Any:
    """Return the value of a constant, a negative number, or a list of them."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, bytes | complex):
        return node.value
    if isinstance(node, ast.Name):
        return _CONSTANTS[node.id.lower()]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _constant(node.operand, text)
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_constant(item, text) for item in node.elts]
    raise QueryError(f"{_source(node, text)!r} is no constant. {_HINT}")


def _source(node: ast.expr, text: str) -> str:
    """Return the piece of the text that a node stands for."""
    return ast.get_source_segment(text.strip(), node) or text
