"""
What a call of a function is filed under.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from string import Formatter
from typing import Any

from sahool_cache.recipes.caching.canonical import Unkeyable, canonical, shortened
from sahool_cache.recipes.caching.template import Template

__all__ = ["Arguments"]


class Arguments:
    """
    Reads calls of a function by its signature: however an argument is given, by position, by name
    or by its default, the call is filed under the same text. Parameters that are ignored are no
    part of it. With a `template` that text is readable, and the template has to show every other
    one.

    Raises `ValueError` for a template or an ignored name that does not fit the signature.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        of_method: bool,
        template: str | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1 if of_method else 0 :]
        self._function = f"{function.__module__}.{function.__qualname__}"
        self._signature = signature.replace(parameters=parameters)
        self._names = [each.name for each in parameters]
        for name in ignore:
            if name not in self._names:
                raise ValueError(f"ignore: {self._function} has no parameter {name!r}")
        self._kept = [name for name in self._names if name not in ignore]
        self._all_by_position = not ignore and all(
            each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters
        )
        self._template = None if template is None else Template(template, self._names)
        if self._template is not None and (unseen := set(self._kept) - self._template.names):
            raise ValueError(
                f"key: calls that differ in {', '.join(sorted(unseen))} would share an entry; "
                "show it, or name it in ignore= if the result does not depend on it"
            )

    def check(self, tags: Iterable[str]) -> None:
        """
        Raises `ValueError` for a tag that shows what is no parameter.
        """
        for tag in tags:
            for _, field, _, _ in Formatter().parse(tag):
                name = re.split(r"[.\[]", field or "", maxsplit=1)[0]
                if field is not None and name not in self._names:
                    raise ValueError(f"tags: {tag}: {self._function} has no parameter {name!r}")

    def text(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """
        What the call is filed under.

        Raises `TypeError` for a call that the function would not take, and for an argument that
        does not tell what identifies it.
        """
        try:
            if self._template is not None:
                return self._template.render(self.named(args, kwargs))
            if not kwargs and self._all_by_position and len(args) == len(self._names):
                return shortened(f"({','.join([canonical(each) for each in args])})")
            named = self.named(args, kwargs)
            return shortened(f"({','.join([canonical(named[name]) for name in self._kept])})")
        except Unkeyable as error:
            raise self._refusal(args, kwargs) from error
        except RecursionError as error:
            raise TypeError(f"{self._function}: an argument contains itself") from error

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """
        All arguments by name, those left out with their defaults.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _refusal(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TypeError:
        for name, value in self.named(args, kwargs).items():
            try:
                canonical(value)
            except Unkeyable as error:
                if name in self._kept:
                    return TypeError(
                        f"{self._function}: the argument {name!r} cannot be part of a key, as "
                        f"nothing tells what identifies {error}. Pass what does (an id), give its "
                        "class a __cache_key__, or name it in ignore= if the result does not "
                        "depend on it"
                    )
        return TypeError(f"{self._function}: what the key shows does not tell what identifies it")
