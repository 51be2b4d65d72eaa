"""One YAML text as plain values that remember where they stood.

Of YAML we take mappings, lists and scalars. Aliases and anchors, tags, several documents and repeated keys are
refused, because each lets a file mean something else than it shows. Scalars that YAML 1.1 reads in
unexpected ways (dates, ``1:30`` as ninety, ``010`` as eight) stay text, so that they are refused by their key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml
from msgspec import Struct

from bzzzd.config.faults import Fault, Path, key_text

MAX_CHARACTERS: Final = 1_048_576
MAX_DEPTH: Final = 16
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"


class Mark(Struct, frozen=True):
    """A position, counted from 1."""

    line: int
    column: int


class Source(Struct, frozen=True):
    """A file's values, the marks of its values and of its keys, and the faults of its YAML."""

    file: str
    data: Any
    values: dict[Path, Mark]
    keys: dict[Path, Mark]
    faults: tuple[Fault, ...]

    def given(self, *path: str | int) -> bool:
        """Whether the file itself sets this key."""
        return path in self.values

    def fault(self, path: Path, message: str, fix: str, *, at_key: bool = False) -> Fault:
        """A fault at ``path``, or at the nearest thing above it that the file has."""
        mark = self.keys.get(path) if at_key else self.values.get(path)
        above = path
        while mark is None and above:
            above = above[:-1]
            mark = self.keys.get(above) or self.values.get(above)
        mark = mark or Mark(1 if self.values else 0, 1 if self.values else 0)
        return Fault(self.file, mark.line, mark.column, key_text(path), message, fix)


def nothing(file: str) -> Source:
    """The source of a file that does not exist."""
    return Source(file, {}, {}, {}, ())


def read_source(file: str, raw: bytes) -> Source:
    """Compose ``raw``; every fault is a value, and data with faults in its structure is ``None``."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        return _broken(file, [Fault(file, line, column, "", "these bytes are not UTF-8", "save the file as UTF-8")])
    if len(text) > MAX_CHARACTERS:
        fault = Fault(file, 0, 0, "", f"the file has more than {MAX_CHARACTERS} characters", "shorten it")
        return _broken(file, [fault])
    try:
        faults = list(_structure_faults(file, text))
        if faults:
            return _broken(file, faults)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        return _broken(file, [_syntax_fault(file, error)])
    return _Reader(file).read(node)


def _broken(file: str, faults: list[Fault]) -> Source:
    return Source(file, None, {}, {}, tuple(faults))


def _structure_faults(file: str, text: str) -> Iterator[Fault]:
    """What the event stream alone shows; checked first, so that no alias can blow up the composed tree."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        mark: Any = event.start_mark
        line, column = mark.line + 1, mark.column + 1

        def fault(message: str, fix: str, line: int = line, column: int = column) -> Fault:
            return Fault(file, line, column, "", message, fix)

        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                yield fault("a second document begins", "keep one document in a file: take the `---` away")
        elif isinstance(event, yaml.AliasEvent):
            yield fault(f"the alias *{event.anchor} is not allowed", "write the value out")
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            yield fault(f"the anchor &{event.anchor} is not allowed", "take it away and write values out")
        tag = getattr(event, "tag", None)
        if tag:
            yield fault(f"the tag {tag.replace(_TAG, '!!')} is not allowed", "take it away; put text in quotes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                yield fault(f"values are nested deeper than {MAX_DEPTH}", "take a level away")
                return
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _syntax_fault(file: str, error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    fix = "check indentation, quotes and brackets here"
    if "\\t" in problem or "cannot start any token" in problem:
        fix = "indent with spaces, and put text that begins with a sign in quotes"
    return Fault(file, line, column, "", f"this is not YAML: {problem}", fix)


class _Reader:
    """Turns composed nodes into values and marks."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self.faults: list[Fault] = []
        self.scalars = _LOADER("")

    def read(self, node: yaml.Node | None) -> Source:
        data = {} if node is None else self._value(node, ())
        if data is None:
            data = {}
        return Source(self.file, data, self.values, self.keys, tuple(self.faults))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.values[path] = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                message, fix = "a key must be a word, not a list or mapping", "write a word before the colon"
                self.faults.append(Fault(self.file, mark.line, mark.column, key_text(path), message, fix))
                continue
            key = key_node.value
            here = (*path, key)
            if key in found:
                first = self.keys[here].line
                message, fix = f"this key stands on line {first} already", "keep one of the two"
                self.faults.append(Fault(self.file, mark.line, mark.column, key_text(here), message, fix))
                continue
            self.keys[here] = mark
            found[key] = self._value(value_node, here)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        digits = text.lstrip("+-")
        surprising = ":" in text or (kind == "int" and len(digits) > 1 and digits[0] == "0")
        if kind not in ("null", "bool", "int", "float") or (kind in ("int", "float") and surprising):
            return text
        try:
            return self.scalars.construct_object(node)
        except (ValueError, yaml.YAMLError):
            return text
