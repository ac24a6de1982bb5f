"""Names of the columns in each cell of a table, for screens too narrow for a table.

A phone shows a row of a table of class ``cards`` as a block of "name value" pairs (see ``report.css``), and style
sheets can take the name from an attribute of the cell only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_TABLE = re.compile(r'<table class="[^"]*\bcards\b.*?</table>', re.DOTALL)
_BODY = re.compile(r"(?<=<tbody>).*?(?=</tbody>)", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_CELL = re.compile(r"<(t[dh])\b")


def with_column_names(html: str) -> str:
    """Gives each cell of the tables of class ``cards`` the name of its column as ``data-column``.

    Args:
        html: A document whose tables have one row of heads, and neither nested tables nor spanning cells.
    """
    return _TABLE.sub(lambda table: _labelled(table.group()), html)


def _labelled(table: str) -> str:
    head, _, _ = table.partition("</thead>")
    names = [re.sub(r"<[^>]*>", "", text).strip().replace('"', "&quot;") for text in _HEAD.findall(head)]
    return _BODY.sub(lambda body: _ROW.sub(lambda row: _row(row.group(), names), body.group()), table)


def _row(row: str, names: Sequence[str]) -> str:
    columns = iter(names)
    return _CELL.sub(lambda cell: f'<{cell.group(1)} data-column="{next(columns)}"', row)
