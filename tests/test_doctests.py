"""Every example in a docstring runs and says what it shows."""

import doctest
import importlib
import pkgutil

import pytest

import unstir
import unstir.hybrid
import unstir.neural
import unstir.plugins
import unstir.sessions

MODULES = [
    *(f"unstir.{m.name}" for m in pkgutil.iter_modules(unstir.__path__) if m.name != "__main__"),
    *(
        f"{room.__name__}.{m.name}"
        for room in (unstir.hybrid, unstir.neural, unstir.plugins, unstir.sessions)
        for m in pkgutil.iter_modules(room.__path__)
    ),
    "unstir",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples_to_hold() -> None:
    finder = doctest.DocTestFinder()
    count = sum(
        bool(test.examples) for n in MODULES for test in finder.find(importlib.import_module(n))
    )
    assert count > 60
