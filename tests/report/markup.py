"""What a written page holds: its tags, ids and text, and the parts that are packed inside."""

from __future__ import annotations

import base64
import gzip
import re
from html.parser import HTMLParser
from itertools import pairwise


class Page(HTMLParser):
    """Text, tags with attributes, and ids of a page; complains about tags that close out of order."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.seen: list[str] = []  # the words of a page as it comes up, folds shut
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append("fold" if tag == "details" and "open" not in dict(attrs) else tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().replace("fold", "details") == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)
            inside = [child for fold, child in pairwise(self.open) if fold == "fold"]
            if all(child == "summary" for child in inside) and not {"noscript", "title"} & set(self.open):
                self.seen.append(data)

    @property
    def text(self) -> str:
        """With a hyphen for the minus that pages are set with."""
        return " ".join(" ".join(self.words).split()).replace("\u2212", "-")


def packed(html: str, name: str) -> str:
    found = re.search(rf'id="{name}">([A-Za-z0-9+/=]*)</script>', html)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1])).decode()
