"""Build HTML as a tree, so that every string is escaped when the tree is serialized."""

from __future__ import annotations

from xml.etree import ElementTree


def tag(name: str, /, *content: ElementTree.Element | str | None, **attributes: object) -> ElementTree.Element:
    """Return an element.

    Args:
        name: Name of the element.
        content: Elements and strings in it; ``None`` is skipped.
        attributes: Attributes. ``class_`` becomes ``class``, and other underscores become hyphens; ``None`` is skipped.
    """
    element = ElementTree.Element(name)
    for attribute, value in attributes.items():
        if value is not None:
            element.set(attribute.rstrip("_").replace("_", "-"), _clean(str(value)))
    last: ElementTree.Element | None = None
    for part in content:
        if isinstance(part, str):
            if last is None:
                element.text = (element.text or "") + _clean(part)
            else:
                last.tail = (last.tail or "") + _clean(part)
        elif part is not None:
            element.append(part)
            last = part
    return element


def document(root: ElementTree.Element) -> str:
    """Serialize an HTML page."""
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html")


def _clean(text: str) -> str:
    """Escape characters that HTML cannot contain: control characters and lone surrogates."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text)
