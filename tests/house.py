"""
The package as its source tells it: modules, rooms, imports, public names. Nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOUSE = "sahool_cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """
    One source file of the package.
    """

    name: str
    path: str
    source: str
    tree: ast.Module

    @property
    def room(self) -> str:
        parts = self.name.split(".")[1:]
        return ".".join(parts[: 2 if parts[:1] == ["integrations"] else 1]) or "__init__"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    def imports(self) -> Iterator[tuple[int, str]]:
        """
        Line and full name of everything imported, also within functions and `if TYPE_CHECKING`.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: write the import in full"
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def house_imports(self, known: Iterable[str]) -> Iterator[tuple[int, str, str]]:
        """
        Line, full name, and module of what is imported from this package.
        """
        for line, name in self.imports():
            if is_within(name, HOUSE):
                yield line, name, longest_prefix(name, known) or HOUSE

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def read_house() -> dict[str, Module]:
    """
    Every module of the package, by its full name.
    """
    modules = (read(path) for path in sorted((ROOT / HOUSE).rglob("*.py")))
    return {module.name: module for module in modules}


def read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    source = path.read_text(encoding="utf-8")
    return Module(
        name=".".join(parts[:-1] if parts[-1] == "__init__" else parts),
        path=path.relative_to(ROOT / HOUSE).as_posix(),
        source=source,
        tree=ast.parse(source, filename=str(path)),
    )


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def longest_prefix(name: str, known: Iterable[str]) -> str | None:
    return max((each for each in known if is_within(name, each)), key=len, default=None)


def has_content(module: Module) -> bool:
    return any(
        not isinstance(node, ast.ImportFrom) or node.module != "__future__"
        for node in module.tree.body[1:]
    )


def listed_names(module: Module) -> list[str] | None:
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            return list(ast.literal_eval(node.value))
    return None


def is_sorted(names: list[str]) -> bool:
    return names == sorted(set(names), key=sort_key)


def sort_key(name: str) -> tuple[int, str]:
    """
    Constants, then classes, then functions: the order that ruff keeps in `__all__`.
    """
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def public_definitions(
    body: list[ast.stmt],
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") or any(map(is_repetition, node.decorator_list)):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body)


def is_repetition(decorator: ast.expr) -> bool:
    """
    True for `@overload` and `@x.setter`: the docstring stands on the other definition.
    """
    name = decorator.attr if isinstance(decorator, ast.Attribute) else ""
    name = decorator.id if isinstance(decorator, ast.Name) else name
    return name in {"overload", "override", "setter", "deleter"}
