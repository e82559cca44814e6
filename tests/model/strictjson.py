"""JSON as contract 1 reads it: strict UTF-8, no repeated names, depth 64, no lone surrogates.

Written for the judge, so it shares nothing with the daemon's scanner. The text of numbers is kept,
and every member of an object knows the span of its value, because digests are over bytes as sent.
"""
import re

MAX_DEPTH = 64

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BLANK = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = (("true", True), ("false", False), ("null", None))


class Malformed(ValueError):
    """The bytes are not JSON as contract 1 reads it."""


class Num:
    """A number, as its text."""

    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return f"Num({self.text})"

    def __eq__(self, other):
        return isinstance(other, Num) and other.text == self.text

    def __hash__(self):
        return hash(self.text)


class Obj(dict):
    """An object; `raw[name]` is the text of that member's value as it was sent."""

    __slots__ = ("raw",)

    def __init__(self):
        super().__init__()
        self.raw = {}


def parse(data):
    """bytes -> Obj, list, str, Num, bool or None; raises Malformed."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: {error.reason}") from None
    reader = _Reader(text)
    value, at = reader.value(reader.blank(0), 0)
    if reader.blank(at) != len(text):
        raise Malformed(f"something follows the value at character {at}")
    return value


class _Reader:
    def __init__(self, text):
        self.text = text

    def blank(self, at):
        return _BLANK.match(self.text, at).end()

    def value(self, at, depth):
        text = self.text
        first = text[at:at + 1]
        if first == '"':
            return self.string(at)
        if first == "{":
            return self.object(at, depth + 1)
        if first == "[":
            return self.array(at, depth + 1)
        for word, value in _WORDS:
            if text.startswith(word, at):
                return value, at + len(word)
        match = NUMBER.match(text, at)
        if not match:
            raise Malformed(f"no value at character {at}")
        return Num(match.group()), match.end()

    def object(self, at, depth):
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        text, out = self.text, Obj()
        at = self.blank(at + 1)
        if text[at:at + 1] == "}":
            return out, at + 1
        while True:
            if text[at:at + 1] != '"':
                raise Malformed(f"no member name at character {at}")
            name, at = self.string(at)
            if name in out:
                raise Malformed(f"member {name!r} is there twice")
            at = self.blank(at)
            if text[at:at + 1] != ":":
                raise Malformed(f"no colon at character {at}")
            start = self.blank(at + 1)
            out[name], at = self.value(start, depth)
            out.raw[name] = text[start:at]
            at = self.blank(at)
            closing = text[at:at + 1]
            if closing == "}":
                return out, at + 1
            if closing != ",":
                raise Malformed(f"no comma at character {at}")
            at = self.blank(at + 1)

    def array(self, at, depth):
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        text, out = self.text, []
        at = self.blank(at + 1)
        if text[at:at + 1] == "]":
            return out, at + 1
        while True:
            item, at = self.value(at, depth)
            out.append(item)
            at = self.blank(at)
            closing = text[at:at + 1]
            if closing == "]":
                return out, at + 1
            if closing != ",":
                raise Malformed(f"no comma at character {at}")
            at = self.blank(at + 1)

    def string(self, at):
        text, parts = self.text, []
        at += 1
        while True:
            match = _PLAIN.match(text, at)
            parts.append(match.group())
            at = match.end()
            stop = text[at:at + 1]
            if stop == '"':
                return "".join(parts), at + 1
            if stop != "\\":
                raise Malformed(f"a string does not end, or has a control character, at {at}")
            code = text[at + 1:at + 2]
            if code in _ESCAPES and code:
                parts.append(_ESCAPES[code])
                at += 2
            elif code == "u":
                char, at = self.unicode(at)
                parts.append(char)
            else:
                raise Malformed(f"unknown escape at character {at}")

    def hex4(self, at):
        match = _HEX4.match(self.text, at)
        if not match:
            raise Malformed(f"no four hexadecimal digits at character {at}")
        return int(match.group(), 16)

    def unicode(self, at):
        unit = self.hex4(at + 2)
        at += 6
        if not 0xD800 <= unit <= 0xDFFF:
            return chr(unit), at
        if unit >= 0xDC00 or self.text[at:at + 2] != "\\u":
            raise Malformed("a lone surrogate")
        low = self.hex4(at + 2)
        if not 0xDC00 <= low <= 0xDFFF:
            raise Malformed("a lone surrogate")
        return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), at + 6
