"""ES modules joined into one module: an HTML file that is opened from disk may not load others beside it.

Each module becomes a function that runs once and returns what it exports, in an order in which every module
comes after those that it imports. Of the language's import and export the report's modules use two forms, and
others are refused:

    import { name, other } from "./module.js";
    export const | function | async function | class NAME
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from turnaround.pipeline.errors import CallError

_IMPORT = re.compile(r'^import \{([\w\s,$]+)\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|function|async function|class) ([\w$]+))", re.MULTILINE)
_ANY = re.compile(r"^\s*(?:import|export)\b.*|\bimport\(.*", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """One file: what it takes from others, what it gives, and its code without both kinds of lines."""

    name: str
    imports: tuple[tuple[str, tuple[str, ...]], ...]  # module -> names
    exports: tuple[str, ...]
    code: str

    @staticmethod
    def parse(name: str, source: str) -> Module:
        """Read a module's source. CallError names the line of an import or export of another form."""
        imports = tuple((m[2], tuple(re.findall(r"[\w$]+", m[1]))) for m in _IMPORT.finditer(source))
        code = _EXPORT.sub("", _IMPORT.sub("", source))
        if left := _ANY.search(code):
            raise CallError(
                f'{name}.js: expected import {{ names }} from "./module.js"; or export const, function or '
                f"class, got {left[0].strip()!r}; write it in one of these forms"
            )
        return Module(name, imports, tuple(_EXPORT.findall(source)), code.strip("\n"))

    def scoped(self) -> str:
        """The module as a function of its own scope, run at once."""
        takes = [f"const {{ {', '.join(names)} }} = ${_plain(owner)};\n" for owner, names in self.imports]
        gives = f"\nreturn {{ {', '.join(self.exports)} }};" if self.exports else ""
        return f"const ${_plain(self.name)} = (() => {{\n{''.join(takes)}{self.code}{gives}\n}})();\n"


def bundle(folder: Path, entry: str) -> str:
    """Join `entry` and all modules that it needs from `folder`: the text of one ES module, all ASCII.

    CallError for a circle of imports, a name that its module does not export, or a form as above.
    """
    return bundle_sources(lambda name: (folder / f"{name}.js").read_text(encoding="ascii"), entry)


def bundle_sources(source: Callable[[str], str], entry: str) -> str:
    """As `bundle`, of modules whose text `source(name)` gives."""
    modules: dict[str, Module] = {}
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise CallError(f"modules import each other in a circle: {' -> '.join((*path, name))}")
        if name in modules:
            return
        module = Module.parse(name, source(name))
        for other, names in module.imports:
            visit(other, (*path, name))
            if lacking := sorted(set(names) - set(modules[other].exports)):
                raise CallError(f"{name}.js imports {', '.join(lacking)}, which {other}.js does not export")
        modules[name] = module
        order.append(name)

    visit(entry, ())
    return "\n".join(modules[name].scoped() for name in order)


def _plain(name: str) -> str:
    return name.replace("-", "_")
