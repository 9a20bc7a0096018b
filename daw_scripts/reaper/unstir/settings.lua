-- @noindex
-- What the user chose last, kept by Reaper between sessions.

local text = require("unstir.text")

local settings = {}
local SECTION = "unstir"

settings.defaults = {
  method = "", -- the stem set's default
  stems = "film", -- film: speech, music, effects; song: vocals, accompaniment
  capture = "auto", -- auto, source, rendered
  handles_s = "1", -- sound beyond the item's edges, so that stems can be trimmed outward
  place = "inside", -- inside: children of the item's track; below: a folder of their own
  names = "plain", -- plain: Speech, Music, Effects; post: DX, MX, FX
  device = "auto",
}

function settings.load()
  local found = {}
  for key, default in pairs(settings.defaults) do
    local kept = reaper.GetExtState(SECTION, key)
    found[key] = kept ~= "" and kept or default
  end
  return found
end

function settings.save(values)
  for key in pairs(settings.defaults) do
    if values[key] then
      reaper.SetExtState(SECTION, key, values[key], true)
    end
  end
end

-- The interpreter that has unstir: chosen by "Check the set-up", or by `unstir reaper install`.
function settings.python()
  local kept = reaper.GetExtState(SECTION, "python")
  if kept ~= "" then
    return kept
  end
  local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
  local noted = here and text.read(here .. "interpreter.txt")
  return noted and noted:match("^[^\r\n]+")
end

function settings.set_python(path)
  reaper.SetExtState(SECTION, "python", path, true)
end

return settings
