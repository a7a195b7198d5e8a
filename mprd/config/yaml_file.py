"""YAML as people mean it: what YAML 1.1 reads as something else is refused, not guessed."""

import re
from pathlib import Path
from typing import Any

import yaml

from mprd.errors import UserError, why_no_file

_MOST_VALUES = 100_000  # after all aliases are written out
_LONGEST = 2**19  # bytes of a file; the reader of YAML takes seconds for as many
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # that no file name can hold
_DATE = "tag:yaml.org,2002:timestamp"
_NUMBER = "a number (0,5 is two: write 0.5)"
_NO_NAMES = {
    f"tag:yaml.org,2002:{tag}": words
    for tag, words in {
        "bool": "yes or no",
        "int": _NUMBER,
        "float": _NUMBER,
        "null": "nothing",
    }.items()
}


class _Loader(yaml.SafeLoader):
    """YAML without a key given twice and without octal or sexagesimal numbers; dates are text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise yaml.YAMLError(f"`{key.value}` is given twice, again in {_line(key)}")
            seen.add((key.tag, str(key.value)))
            if isinstance(key, yaml.ScalarNode) and key.tag in _NO_NAMES:
                raise yaml.YAMLError(
                    f"the name `{key.value}` in {_line(key)} is {_NO_NAMES[key.tag]} in YAML: put "
                    "quotes around it"
                )
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError):  # a tag whose text is none of its values
            kind = node.tag.rpartition(":")[2]
            raise yaml.YAMLError(f"`{node.value}` in {_line(node)} is no {kind}") from None

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        text = str(super().construct_yaml_str(node))
        if _NO_TEXT.search(text):
            raise yaml.YAMLError(f"the text in {_line(node)} holds NUL or half a character")
        return text

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(node.value)
        if ":" in text or _OCTAL.fullmatch(text):
            number = super().construct_yaml_int(node)
            raise yaml.YAMLError(
                f"`{text}` in {_line(node)} is the number {number} in YAML: write the number that "
                "you mean without leading zeros and colons, or put quotes around a text"
            )
        return int(super().construct_yaml_int(node))

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        text = str(node.value)
        if ":" in text:
            raise yaml.YAMLError(
                f"`{text}` in {_line(node)} is a number to the base of 60 in YAML: write it as a "
                "decimal number, or put quotes around a text"
            )
        return float(super().construct_yaml_float(node))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != _DATE]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_yaml_str)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        UserError: no such file, no YAML, or what most people would read differently than YAML does
            (`010`, `1:30`, a key given twice).
    """
    if not path.exists():
        raise UserError(f"Config file {why_no_file(path)}. Write one with `mprd new FOLDER`.")
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise yaml.YAMLError(f"it has more than {_LONGEST:,} bytes")
        content = parse_yaml(text.decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"Config file {path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold `key: value` pairs, not a {type(content).__name__}.")
    return content


def parse_yaml(text: str) -> Any:
    """Return what a text in YAML holds.

    Raises:
        yaml.YAMLError: no YAML, nested too deeply, or too large once its aliases are written out.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > _MOST_VALUES:
            raise yaml.YAMLError(f"it holds more than {_MOST_VALUES:,} values")
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values stand below a node, those behind aliases each time."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.YAMLError(f"the alias in {_line(node)} contains itself")
        return known[id(node)]
    known[id(node)] = 0
    pairs = isinstance(node, yaml.MappingNode)
    below = [one for pair in node.value for one in pair] if pairs else node.value
    known[id(node)] = 1 + sum(_count(one, known) for one in below)
    return known[id(node)]


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
