"""Enough of Reaper to run our scripts: its Lua, its event loop, its functions with their types."""

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lupa.lua53
import lupa.lua54

from tests.daw.functions import Accessor, Functions
from tests.daw.model import Item, Project, Source, Take, Track

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "daw_scripts/reaper"
API = json.loads((Path(__file__).parent / "api.json").read_text(encoding="utf-8"))
LUAS = {"5.3": lupa.lua53, "5.4": lupa.lua54}
HANDLES = {
    "MediaItem": Item,
    "MediaItem_Take": Take,
    "MediaTrack": Track,
    "PCM_source": Source,
    "ReaProject": Project,
    "AudioAccessor": Accessor,
}
MARK = "\0handle:"  # handles cross the border as text: lupa's own wrappers may be mixed up
PRELUDE = """
local call, lookup, imgui_call = ...
local mark = "\\0handle:"
local handles, numbers = {}, {}
local function inward(value)
  if type(value) ~= "string" or value:sub(1, #mark) ~= mark then
    return value
  elseif not handles[value] then
    handles[value] = setmetatable({}, { __newindex = error, __index = error })
    numbers[handles[value]] = value
  end
  return handles[value]
end
local function returned(n, ...)
  local values = { ... }
  for i = 1, n do values[i] = inward(values[i]) end
  return table.unpack(values, 1, n)
end
local function caller(name)
  return function(...)
    local n, values = select("#", ...), { ... }
    for i = 1, n do
      local value = values[i]
      if numbers[value] then values[i] = numbers[value] end
    end
    local function pass(...) return returned(select("#", ...), ...) end
    return pass(call(name, n, table.unpack(values, 1, n)))
  end
end
reaper = setmetatable({}, { __index = function(_, name)
  assert(lookup(name), "reaper." .. tostring(name) .. " is no function that scripts may call")
  return caller("reaper." .. name)
end })
rawset(reaper, "new_array", function(n)
  local values = {}
  for i = 1, n do values[i] = 0.0 end
  values.clear = function() for i = 1, n do values[i] = 0.0 end end
  values.table = function() return { table.unpack(values, 1, n) } end
  return values
end)
gfx = setmetatable({ w = 460, h = 96, x = 0, y = 0, mouse_x = 0, mouse_y = 0, mouse_cap = 0 },
  { __index = function(_, name) return caller("gfx." .. name) end })
package.preload.imgui = function()
  return function(version)
    assert(version == "0.10")
    return setmetatable({}, { __index = function(_, name)
      return function(...) return imgui_call(name, select("#", ...), ...) end
    end })
  end
end
-- A loop that never gives control back would hang Reaper.
debug.sethook(function() error("a script held Reaper up for too long") end, "", 200000000)
"""


class ApiError(AssertionError):
    """A call that Reaper would refuse."""


class Reaper:
    """A running Reaper with some projects open.

    Parameters
    ----------
    lua : {"5.3", "5.4"}
        Which Lua it embeds.
    *projects : Project
        Its tabs; the first is in front.
    """

    def __init__(self, lua: str, *projects: Project) -> None:
        self.lua, self.projects, self.front = lua, list(projects), projects[0]
        self.now_s, self.tick_s = 1000.0, 1 / 30
        self.ext_state: dict[tuple[str, str], str] = {}
        self.messages: list[str] = []
        self.console: list[str] = []
        self.answers: list[Any] = []
        self.keys: list[int] = []
        self.windows: list[str] = []
        self.lines: list[str] = []
        self.deferred: list[Any] = []
        self.at_exit: list[Any] = []
        self.refresh_stopped = 0
        self.commands: list[int] = []
        self.calls: dict[str, int] = {}
        self.os_name = "Other"
        self.scripts = SCRIPTS
        self.registered: list[str] = []
        self.extensions: set[str] = set()
        self.clicks: set[str] = set()
        self.real_processes = False
        self.launched: list[str] = []
        self.worker: Callable[[str], None] | None = None
        self.functions = Functions(self)
        self._runtimes: list[Any] = []
        self._handed: list[Any] = []

    def run(self, action: str, **globals_: Any) -> None:
        """Start an action by the end of its file's name."""
        path = self.scripts / f"unstir_{action}.lua"
        module = LUAS[self.lua]
        runtime = module.LuaRuntime(
            unpack_returned_tuples=True, register_eval=False, register_builtins=False
        )
        self._runtimes.append(runtime)
        runtime.execute(PRELUDE, self._call, self._knows, self._imgui)
        if not self.real_processes:
            runtime.globals().os.execute = self._execute
        chunk, why = runtime.execute("return loadfile(...)", str(path)), None
        if isinstance(chunk, tuple):
            chunk, why = chunk
        assert chunk is not None, why
        chunk()

    def globals(self) -> Any:
        """Return the globals of the script that was started last."""
        return self._runtimes[-1].globals()

    def pump(self, ticks: int = 3000, until: Callable[[], bool] | None = None) -> None:
        """Let time pass until no script waits any more, or ``until`` says so."""
        for _ in range(ticks):
            if not self.deferred or (until is not None and until()):
                break
            self.tick()
        else:
            raise AssertionError("the script did not come to an end")

    def tick(self) -> None:
        """Run what was deferred, in order; what it defers waits for the next tick."""
        self.now_s += self.tick_s
        if self.real_processes:
            time.sleep(0.01)
        queue, self.deferred = self.deferred, []
        for function in queue:
            function()
        assert self.refresh_stopped == 0, "PreventUIRefresh is out of balance across a tick"
        for project in self.projects:
            assert project._before is None, "an undo block is open across a tick"

    def quit_scripts(self) -> None:
        """End all scripts, as Reaper does when it is closed."""
        self.deferred.clear()
        for function in self.at_exit:
            function()

    def _execute(self, command: str) -> bool:
        """Do in this process what a shell would do in another: the same worker, started sooner."""
        words = shlex.split(command.replace("( ", "", 1))
        self.launched.append(command)
        if self.worker is not None and "worker" in words:
            self.worker(words[words.index("worker") + 1])
        return True

    def _knows(self, name: str) -> bool:
        if name in self.extensions:
            return True
        return f"reaper.{name}" in API["functions"] and hasattr(self.functions, name)

    def _imgui(self, name: str, n_given: int, *given: Any) -> Any:
        """Draw nothing; widgets whose label is in ``clicks`` say that they were clicked."""
        facts = API["imgui"].get(name)
        if facts is None:
            raise ApiError(f"there is no ImGui.{name}")
        least = sum(not kind.endswith("?") for kind in facts["args"])
        if not least <= n_given <= len(facts["args"]):
            raise ApiError(f"ImGui.{name} takes {facts['args']}; {given} came")
        for kind, one in zip(facts["args"], given, strict=False):
            self._check(f"ImGui.{name}", kind, one)
        if name == "CreateContext":
            return "context"
        if name == "Begin":
            return True, True
        return any(isinstance(one, str) and one in self.clicks for one in given)

    def _call(self, name: str, n_given: int, *given: Any) -> Any:
        facts = API["functions"].get(name)
        if facts is None:
            raise ApiError(f"there is no {name}")
        wanted = facts["args"]
        least = sum(not kind.endswith("?") for kind in wanted)
        if not least <= n_given <= len(wanted):
            raise ApiError(f"{name} takes {wanted}; {n_given} arguments came: {given}")
        values = [self._inward(one) for one in given]
        values += [None] * (n_given - len(given))
        for kind, one in zip(wanted, values, strict=False):
            self._check(name, kind, one)
        self.calls[name] = self.calls.get(name, 0) + 1
        if name.startswith("gfx."):
            return self.functions.draw(name[4:], *values)
        found = getattr(self.functions, name[7:])(*values)
        if isinstance(found, tuple):
            return tuple(self._outward(one) for one in found)
        return self._outward(found)

    def _outward(self, thing: Any) -> Any:
        if not isinstance(thing, tuple(HANDLES.values())):
            return thing
        if not any(one is thing for one in self._handed):
            self._handed.append(thing)
        number = next(i for i, one in enumerate(self._handed) if one is thing)
        return f"{MARK}{number}"

    def _inward(self, given: Any) -> Any:
        if isinstance(given, str) and given.startswith(MARK):
            return self._handed[int(given[len(MARK) :])]
        return given

    def _check(self, name: str, kind: str, given: Any) -> None:
        if kind.endswith("?") and given is None:
            return
        kind = kind.rstrip("?")
        if kind in HANDLES:
            if kind == "ReaProject" and given == 0:
                return
            good = isinstance(given, HANDLES[kind])
            if good and kind in ("MediaItem", "MediaItem_Take", "MediaTrack"):
                good = any(project.holds(given) for project in self.projects)
        elif kind == "integer":
            good = not isinstance(given, bool) and isinstance(given, (int, float))
            good = good and float(given).is_integer()
        elif kind == "number":
            good = isinstance(given, (int, float)) and not isinstance(given, bool)
        elif kind == "string":
            good = isinstance(given, str)
        elif kind in ("boolean", "optional"):
            good = isinstance(given, bool)
        elif kind == "function":
            good = callable(given)
        else:
            good = given is not None
        if not good:
            raise ApiError(f"{name} wants {kind}; {given!r} came, or it is gone")
