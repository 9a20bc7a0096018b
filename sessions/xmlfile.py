"""XML as the project formats share it."""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from unstir.journal import write_whole


def add(parent: Element, tag: str, text: object = None, /, **attributes: object) -> Element:
    """Append an element and return it; underscores in attribute names stand for hyphens.

    Examples
    --------
    >>> tostring(add(Element("a"), "b", 1, audio_channels=2)).decode()
    '<b audio-channels="2">1</b>'
    """
    words = {key.replace("_", "-"): str(value) for key, value in attributes.items()}
    child = SubElement(parent, tag, words)
    if text is not None:
        child.text = str(text)
    return child


def xml_bytes(root: Element, doctype: str = "") -> bytes:
    """Return a document, indented, in UTF-8."""
    indent(root)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' + (doctype and doctype + "\n")
    text: str = tostring(root, encoding="unicode")
    return f"{head}{text}\n".encode()


def write_xml(root: Element, path: Path, doctype: str = "") -> None:
    """Write a document, whole or not at all."""
    write_whole(path, xml_bytes(root, doctype))
