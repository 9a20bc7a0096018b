-- @noindex
-- Finds an interpreter that has unstir, tries it on a second of noise, and keeps its path.

local job = require("unstir.job")
local settings = require("unstir.settings")
local text = require("unstir.text")
local window = require("unstir.window")

local setup = {}

local TRY_S = 60

-- Where interpreters usually are; Reaper started from the desktop has no PATH of a terminal.
local function candidates()
  local home = os.getenv("HOME") or os.getenv("USERPROFILE") or ""
  local found = { settings.python() }
  local rest
  if text.is_windows() then
    rest = { home .. "\\unstir\\Scripts\\python.exe",
      home .. "\\pipx\\venvs\\unstir\\Scripts\\python.exe", "python.exe" }
  else
    rest = { home .. "/unstir/bin/python", home .. "/.local/share/pipx/venvs/unstir/bin/python",
      home .. "/.local/pipx/venvs/unstir/bin/python", "/opt/homebrew/bin/python3",
      "/usr/local/bin/python3", "/usr/bin/python3" }
  end
  for _, path in ipairs(rest) do
    found[#found + 1] = path
  end
  return found
end

local function instructions()
  local lines
  if text.is_windows() then
    lines = "py -m venv %USERPROFILE%\\unstir\n%USERPROFILE%\\unstir\\Scripts\\pip install unstir\n"
      .. "%USERPROFILE%\\unstir\\Scripts\\unstir reaper install"
  else
    lines = "python3 -m venv ~/unstir\n~/unstir/bin/pip install unstir\n"
      .. "~/unstir/bin/unstir reaper install"
  end
  return "No Python with unstir was found. ReaPack installs the scripts only. In a terminal:\n\n"
    .. lines .. "\n\nThen run this check again."
end

-- A second of noise, the same every time, as a wave file of 16 bits.
local function write_noise(path)
  local n, seed, out = 16000, 1, {}
  for i = 1, n * 2 do
    seed = (seed * 16807) % 2147483647
    out[i] = string.pack("<i2", seed // 65536 - 16384)
  end
  local sound = table.concat(out)
  return text.write(path, "RIFF" .. string.pack("<I4", 36 + #sound) .. "WAVEfmt "
    .. string.pack("<I4I2I2I4I4I2I2", 16, 1, 2, 16000, 64000, 4, 16)
    .. "data" .. string.pack("<I4", #sound) .. sound)
end

-- Calls done(python, problem) once; shows what it does meanwhile.
function setup.check(done)
  local folder, out = job.new_folder(nil, reaper.GetResourcePath() .. "/Data/unstir")
  local list, at, watch, began = candidates(), 0, nil, nil
  local said = "looking for Python"

  local function try_next()
    at = at + 1
    local python = list[at]
    if not python then
      return done(nil, instructions())
    end
    said = "trying " .. python
    for _, name in ipairs({ "status.txt", "exit.txt", "log.txt", "cancel" }) do
      os.remove(folder .. "/" .. name)
    end
    local noise = folder .. "/noise.wav"
    write_noise(noise)
    job.write(folder, { action = "separate", out = out, methods = "midside", stems = "film" }, {
      { file = noise, name = "set-up", rate = 16000, channels = "all", capture = "source",
        segments = { { 0, 16000, 1 } } },
    })
    began = reaper.time_precise()
    watch = job.launch(folder, python) and job.watcher(folder) or nil
    return nil
  end

  local function tick()
    if not window.show(0, said) then
      job.cancel(folder)
      return done(nil, nil)
    end
    local status = watch and watch() or { state = "failed" }
    if status.state == "done" then
      settings.set_python(list[at])
      job.remove(folder)
      return done(list[at], nil, status.unstir)
    elseif at == 0 or status.state == "failed"
      or (status.state == "starting" and reaper.time_precise() - began > TRY_S) then
      try_next()
      if at > #list then
        return nil
      end
    end
    reaper.defer(tick)
    return nil
  end

  window.open("check the set-up")
  reaper.defer(tick)
end

function setup.start()
  setup.check(function(python, problem, version)
    window.close()
    if python then
      reaper.MB("unstir " .. version .. " works: a second of sound was separated by\n" .. python, "unstir", 0)
    elseif problem then
      reaper.MB(problem, "unstir", 0)
    end
  end)
end

return setup
