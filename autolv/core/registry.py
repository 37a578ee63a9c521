"""Name to component: one registry per kind of part, filled by the files of one package."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from autolv.core.errors import AutolvError

T = TypeVar("T")


class RegistryError(AutolvError):
    """A name is unknown or stands for two components."""


class Registry(Generic[T]):
    """Components of one kind by name, in the files of one package.

    On the first look-up the modules of ``package`` are imported (flat; names that start with ``_`` are left out), and
    each registers what it holds. A duplicate or unknown name is an error that lists the known ones.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._components: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its object under ``name``."""

        def add(component: T) -> T:
            if name in self._components:
                raise RegistryError(
                    f"two components are registered as {self.kind} {name!r}.", remedy="Rename one of them."
                )
            self._components[name] = component
            return component

        return add

    def get(self, name: str) -> T:
        """Return the component called ``name``; an unknown name is a ``RegistryError``."""
        self._load()
        if name not in self._components:
            close = difflib.get_close_matches(name, self._components, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise RegistryError(
                f"there is no {self.kind} {name!r}.", remedy=f"{hint}Known: {', '.join(sorted(self._components))}."
            )
        return self._components[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._components))

    def __len__(self) -> int:
        self._load()
        return len(self._components)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._components

    def _load(self) -> None:
        if self._loaded:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self._package}.{module.name}")
        self._loaded = True
