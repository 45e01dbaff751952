"""Texts from outside, made fit for rows, messages and terminals."""

from __future__ import annotations

MAX_ID_CHARACTERS = 255
"""What the store can hold of an id or a SKU."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_storable(text: str) -> bool:
    """Whether any database can hold it as an id: bounded, without NUL (PostgreSQL), without half surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return len(text) <= MAX_ID_CHARACTERS and "\x00" not in text


def legible(text: str) -> str:
    """The same text, with every character replaced that cannot be stored, ends a line, or moves a cursor."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else REPLACEMENT for character in text)
