-- @noindex
-- Effect chains that are filters and gains, live: our own equalizer on takes or on tracks. How the
-- parameters of Reaper's own ReaEQ are scaled is not documented.

local equalizer = {}

local BANDS, GAIN = 8, 32 -- four parameters a band, then the output gain; numbers are from 0
local TITLE = "unstir equalizer"
-- Where `unstir reaper install` and ReaPack put it, within the folder of effects.
local PLACES = { "unstir/equalizer.jsfx", "unstir/reaper/unstir/equalizer.jsfx" }

equalizer.kinds = {
  ["peak"] = 1,
  ["low-shelf"] = 2,
  ["high-shelf"] = 3,
  ["high-pass-12"] = 4,
  ["low-pass-12"] = 5,
  ["high-pass-6"] = 6,
  ["low-pass-6"] = 7,
  ["notch"] = 8,
}

-- What takes and tracks have alike.
equalizer.of_take = {
  count = reaper.TakeFX_GetCount,
  name = reaper.TakeFX_GetFXName,
  set = reaper.TakeFX_SetParam,
  get = reaper.TakeFX_GetParam,
  add = function(take, name)
    return reaper.TakeFX_AddByName(take, name, -1)
  end,
}
equalizer.of_track = {
  count = reaper.TrackFX_GetCount,
  name = reaper.TrackFX_GetFXName,
  set = reaper.TrackFX_SetParam,
  get = reaper.TrackFX_GetParam,
  add = function(track, name)
    return reaper.TrackFX_AddByName(track, name, false, -1)
  end,
}

-- The name by which Reaper adds it, or nil if it is not installed.
function equalizer.installed()
  for _, place in ipairs(PLACES) do
    if reaper.file_exists(reaper.GetResourcePath() .. "/Effects/" .. place) then
      return "JS:" .. place
    end
  end
end

-- The place of ours among the effects of a take or track; one that is there is used again.
local function find_or_add(fx, thing)
  for at = 0, fx.count(thing) - 1 do
    local _, name = fx.name(thing, at)
    if name:find(TITLE, 1, true) then
      return at
    end
  end
  local at = fx.add(thing, equalizer.installed() or "JS:" .. TITLE)
  if at < 0 then
    error("Reaper does not find the effect '" .. TITLE .. "'. Restart Reaper, or run "
      .. "'unstir reaper install' once more.", 0)
  end
  return at
end

-- Puts a chain's bands on a take or track; `fx` is of_take or of_track.
function equalizer.put(fx, thing, output)
  local at = find_or_add(fx, thing)
  for band = 1, BANDS do
    local kind, cutoff_hz, gain_db, q = "", "1000", "0", "1"
    if output["band_" .. band] then
      kind, cutoff_hz, gain_db, q = output["band_" .. band]:match("(%S+) (%S+) (%S+) (%S+)")
    end
    local first = 4 * (band - 1)
    fx.set(thing, at, first, equalizer.kinds[kind] or 0)
    fx.set(thing, at, first + 1, tonumber(cutoff_hz))
    fx.set(thing, at, first + 2, tonumber(gain_db))
    fx.set(thing, at, first + 3, tonumber(q))
  end
  fx.set(thing, at, GAIN, tonumber(output.gain_db))
  return at
end

return equalizer
