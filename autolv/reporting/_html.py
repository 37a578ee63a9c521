"""Pages that hold everything in themselves: nothing is requested, and the browser is told to refuse what would be."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path

_ASSETS = Path(__file__).parent / "assets"


def escaped(text: object) -> str:
    """Return text for HTML, also within quotes."""
    return html.escape(str(text), quote=True)


def asset(name: str) -> str:
    """Return the text of a style sheet or script that comes with autolv."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def standalone_page(title: str, body: str, *, style: str, script: str = "", data: object = None) -> str:
    """Return a page with this ``body`` (HTML), ``style`` and ``script``; ``data`` is JSON that the script finds as ``#data``.

    Its security policy allows these two, known by their hashes, and pictures that stand in the page; nothing else loads.
    """
    policy = f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src '{_hash(script)}'"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escaped(title)}</title><style>{style}</style></head>\n<body>\n{body}\n",
    ]
    if data is not None:
        parts.append(f'<script type="application/json" id="data">{json_in_html(data)}</script>\n')
    if script:
        parts.append(f"<script>{script}</script>\n")
    return "".join([*parts, "</body></html>\n"])


def json_in_html(data: object) -> str:
    """Return compact JSON in which nothing can end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_uri(picture: bytes, kind: str = "jpeg") -> str:
    """Return a picture as part of the text."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def table(rows: Sequence[Sequence[str]], head: Sequence[str], *, name: str = "", left: int | None = None) -> str:
    """Return a table; all cells are text and are escaped. Columns from ``left`` on are numbers and end right."""
    kinds = [' class="number"' if left is not None and index >= left else "" for index in range(len(head))]
    top = "".join(f"<th{kind}>{escaped(cell)}</th>" for cell, kind in zip(head, kinds, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{escaped(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    ]
    return f'<table class="{escaped(name)}"><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
