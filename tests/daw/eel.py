"""Enough of EEL2, the language of Reaper's own effects, to run the one of ours.

Statements become Python functions without arguments, which call each other. As in EEL2, numbers are
double, names do not tell case, a condition holds if it is further from 0 than 0.00001, and two
numbers are equal if they are no further apart than that.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Code = Callable[[], float]
NEAR = 0.00001
TOKEN = re.compile(
    r"\s*(?:(\d+\.?\d*)|(\$?[A-Za-z_]\w*)|(==|!=|<=|>=|&&|\|\||\+=|[-+*/^<>=?:;,()\[\]]))"
)
BINARY: list[dict[str, Callable[[float, float], float]]] = [  # weakest first; all from the left
    {"||": lambda a, b: float(abs(a) > NEAR or abs(b) > NEAR)},
    {"&&": lambda a, b: float(abs(a) > NEAR and abs(b) > NEAR)},
    {"==": lambda a, b: float(abs(a - b) < NEAR), "!=": lambda a, b: float(abs(a - b) >= NEAR)},
    {
        "<": lambda a, b: float(a < b),
        ">": lambda a, b: float(a > b),
        "<=": lambda a, b: float(a <= b),
        ">=": lambda a, b: float(a >= b),
    },
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": lambda a, b: a / b},
    {"^": lambda a, b: a**b},
]
MATHS: dict[str, Callable[..., float]] = {
    **{"cos": math.cos, "sin": math.sin, "tan": math.tan, "sqrt": math.sqrt},
    **{"abs": abs, "min": min, "max": max},
}


class Effect:
    """An effect of Reaper's, run as Reaper runs it.

    Parameters
    ----------
    path : Path
        The ``.jsfx`` file.
    sample_rate, n_channels : int
        Of what it is to process.
    """

    def __init__(self, path: Path, sample_rate: int, n_channels: int) -> None:
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        head, *parts = re.split(r"^@(\w+)[^\n]*$", text, flags=re.M)
        self.values: dict[str, float] = defaultdict(float)
        self.values.update(srate=sample_rate, num_ch=n_channels)
        self.values["$pi"] = math.pi
        self.memory: dict[int, float] = defaultdict(float)
        self.frame: list[float] = []
        self.functions: dict[str, tuple[list[str], list[Code]]] = {}
        self.sliders: dict[int, tuple[float, float, list[str], str]] = {}
        self.title = re.search(r"^desc:\s*(.*?)\s*$", head, flags=re.M)[1]
        pattern = r"^slider(\d+):([-\d.]+)<([-\d.]+),([-\d.]+),([\d.]+)(?:\{(.*)\})?>(.+)$"
        for n, default, low, high, _, names, title in re.findall(pattern, head, flags=re.M):
            self.sliders[int(n)] = (float(low), float(high), names.split(","), title)
            self.values[f"slider{n}"] = float(default)
        self.sections = {
            name: _Parser(self, body).everything()
            for name, body in zip(parts[::2], parts[1::2], strict=True)
        }
        self.run("init")
        self.run("slider")

    def run(self, section: str) -> None:
        for statement in self.sections[section]:
            statement()

    def set(self, sliders: dict[int, float]) -> None:
        """Move sliders, by number, within their ranges."""
        for number, value in sliders.items():
            low, high, _, title = self.sliders[number]
            assert low <= value <= high, f"{title}: {value}"
            self.values[f"slider{number}"] = value
        self.run("slider")

    def process(self, wave: NDArray[np.float64], block: int = 512) -> NDArray[np.float64]:
        out = np.array(wave, np.float64)
        for at in range(out.shape[1]):
            if at % block == 0:
                self.run("block")
            self.frame[:] = out[:, at].tolist()
            self.run("sample")
            out[:, at] = self.frame
        return out


class _Parser:
    def __init__(self, effect: Effect, text: str) -> None:
        self.effect, self.tokens, at = effect, [], 0
        text = text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            assert match, f"{text[at : at + 20]!r} is no EEL2 that this reads"
            self.tokens.append(match[match.lastindex or 0])
            at = match.end()
        self.tokens.append("")
        self.at = 0
        self.local: dict[str, str] = {}

    def next(self, wanted: str = "") -> str:
        token: str = self.tokens[self.at]
        assert not wanted or token == wanted, f"{wanted} is missing before {token!r}"
        self.at += 1
        return token

    def is_next(self, *tokens: str) -> bool:
        found = self.tokens[self.at] in tokens
        self.at += found
        return found

    def everything(self) -> list[Code]:
        return self.statements("")

    def statements(self, end: str) -> list[Code]:
        found = []
        while not self.is_next(end):
            if self.is_next(";"):
                continue
            found.append(self.function() if self.is_next("function") else self.expression())
        return found

    def function(self) -> Code:
        name = self.next().lower()
        self.next("(")
        arguments = self.names()
        local = self.names() if self.is_next("local") and self.next("(") else []
        self.local = {one: f"{name}.{one}" for one in (*arguments, *local)}
        self.next("(")
        body = self.statements(")")
        self.effect.functions[name] = ([self.local[one] for one in arguments], body)
        self.local = {}
        return lambda: 0.0

    def names(self) -> list[str]:
        found = []
        while not self.is_next(")"):
            found += [] if self.is_next(",") else [self.next().lower()]
        return found

    def expression(self) -> Code:
        condition = self.binary(0)
        if not self.is_next("?"):
            return condition
        yes = self.expression()
        no = self.expression() if self.is_next(":") else lambda: 0.0
        return lambda: yes() if abs(condition()) > NEAR else no()

    def binary(self, level: int) -> Code:
        if level == len(BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while self.tokens[self.at] in BINARY[level]:
            operate, first = BINARY[level][self.next()], left
            second = self.binary(level + 1)
            left = lambda f=operate, a=first, b=second: f(a(), b())  # type: ignore[misc]  # noqa: E731
        return left

    def unary(self) -> Code:
        if self.is_next("-"):
            inner = self.unary()
            return lambda: -inner()
        return self.primary()

    def primary(self) -> Code:
        effect, token = self.effect, self.next()
        if token == "(":
            block = self.statements(")")
            return block[0] if len(block) == 1 else lambda: [one() for one in block][-1]
        if token[0].isdigit():
            number = float(token)
            return lambda: number
        name = token.lower()
        if self.is_next("("):
            return self.call(name)
        key = self.local.get(name, name)
        if self.is_next("["):
            index = self.expression()
            self.next("]")
            where = lambda: round(effect.values[key] + index())  # noqa: E731
            return self.assigned(lambda: effect.memory[where()], effect.memory, where)
        return self.assigned(lambda: effect.values[key], effect.values, lambda: key)

    def assigned(self, read: Code, target: Any, where: Callable[[], Any]) -> Code:
        """Return the reading of a place, or its writing if that is what comes next."""
        if not self.is_next("=", "+="):
            return read
        adds, value = self.tokens[self.at - 1] == "+=", self.expression()

        def write() -> float:
            target[where()] = new = value() + (read() if adds else 0.0)
            return new

        return write

    def call(self, name: str) -> Code:
        effect = self.effect
        given: list[Code] = []
        if name == "loop":
            times = self.expression()
            self.next(",")
            body = self.statements(")")
            return lambda: float(len([one() for _ in range(int(times())) for one in body]))
        while not self.is_next(")"):
            given += [] if self.is_next(",") else [self.expression()]
        if name == "spl":
            channel = lambda: round(given[0]())  # noqa: E731
            return self.assigned(lambda: effect.frame[channel()], effect.frame, channel)
        if name == "slider":
            return lambda: effect.values[f"slider{round(given[0]())}"]
        if name == "memset":
            return lambda: effect.memory.clear() or 0.0  # of all there is, when it begins
        if name in MATHS:
            return lambda: MATHS[name](*[one() for one in given])
        arguments, body = effect.functions[name]
        assert len(arguments) == len(given), f"{name} takes {len(arguments)} arguments"

        def call() -> float:
            effect.values.update(zip(arguments, [one() for one in given], strict=True))
            return [one() for one in body][-1]

        return call
