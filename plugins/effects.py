"""Effects with their settings, checked against the catalog."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.catalog import CATALOG as CATALOG
from unstir.plugins.catalog import KINDS as KINDS
from unstir.plugins.catalog import Kind
from unstir.plugins.catalog import Parameter as Parameter
from unstir.plugins.catalog import Settings as Settings
from unstir.plugins.catalog import Value as Value


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name as a question in brackets, or nothing.

    Examples
    --------
    >>> did_you_mean("gian", ["gain", "gate"])
    ' (did you mean gain?)'
    """
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def kind_of(name: str) -> Kind:
    """Return what is known of an effect.

    Raises
    ------
    UnknownNameError
        If there is none of that name; the nearest one is suggested.
    """
    if name not in CATALOG:
        raise UnknownNameError(
            f"there is no effect {name!r}{did_you_mean(name, CATALOG)}; "
            f"there are: {', '.join(CATALOG)}"
        )
    return CATALOG[name]


def checked(name: str, parameters: Mapping[str, object]) -> dict[str, Value]:
    """Return every parameter of an effect, defaults filled in.

    Raises
    ------
    UnknownNameError
        If the effect or a parameter does not exist.
    SettingsError
        If a value is missing or out of its range.

    Examples
    --------
    >>> checked("pan", {"position": -1})
    {'position': -1.0}
    """
    kind = kind_of(name)
    known = [parameter.name for parameter in kind.parameters]
    found: dict[str, Value] = {}
    others = {given: parameters[given] for given in parameters if given not in known}
    for given, value in others.items():
        if not kind.others:
            raise UnknownNameError(
                f"{name} has no parameter {given!r}{did_you_mean(given, known)}; "
                f"there are: {', '.join(known) or 'none'}"
            )
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            raise SettingsError(f"{name}: {given} is {value!r}; a number or a text is wanted")
        found[given] = value
    for parameter in kind.parameters:
        value = parameters.get(parameter.name, parameter.default)
        if value is None:
            raise SettingsError(f"{name}: {parameter.name} is missing; say what it is")
        found[parameter.name] = parameter.check(name, value)
    return found


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect and its settings.

    Parameters
    ----------
    name : str
        One of `CATALOG`.
    parameters : mapping of str to float or str
        By name, with the unit in the name: ``gain_db``, ``cutoff_hz``, ``attack_ms``. What is
        left out has its default.

    Raises
    ------
    UnknownNameError
        If the effect or a parameter is not there; the nearest name is suggested.
    SettingsError
        If a value lies outside its range, or one without default is missing.

    Examples
    --------
    >>> Effect("high-pass", {"cutoff_hz": 5})
    Traceback (most recent call last):
        ...
    unstir.errors.SettingsError: high-pass: cutoff_hz is 5; 10 to 20000 is wanted
    """

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked(self.name, self.parameters)

    @property
    def settings(self) -> dict[str, Value]:
        """Every parameter, defaults included."""
        return checked(self.name, self.parameters)

    def to_json(self) -> dict[str, Value]:
        """Return what a file holds of it.

        Examples
        --------
        >>> Effect("gain", {"gain_db": -3.0}).to_json()
        {'effect': 'gain', 'gain_db': -3.0}
        """
        return {"effect": self.name, **self.parameters}
