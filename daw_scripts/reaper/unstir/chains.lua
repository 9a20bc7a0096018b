-- @noindex
-- Effect chains on stems: live in our equalizer where they are filters and gains, else rendered by
-- unstir into a new take, so that the old one stays a click away.

local equalizer = require("unstir.equalizer")
local items = require("unstir.items")
local place = require("unstir.place")
local settings = require("unstir.settings")
local tracks = require("unstir.tracks")

local chains = {}

-- Adds a stem to those that are found; whole files of ours, so that no mapping is needed.
local function add(found, item, track)
  local take = reaper.GetActiveTake(item)
  if take and items.ext(item, "role") ~= "" and not reaper.TakeIsMIDI(take) then
    found[#found + 1] = {
      item = items.guid(item),
      take = items.take_guid(take),
      track = track and tracks.guid(track),
      name = reaper.GetTakeName(take),
      from = 0,
      to = reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
      whole = true,
      file = true,
      start_offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS"),
    }
  end
end

-- The selected stems; where none is selected, all stems on the selected tracks.
local function selected(project)
  local found = {}
  for i = 0, reaper.CountSelectedMediaItems(project) - 1 do
    add(found, reaper.GetSelectedMediaItem(project, i))
  end
  if #found == 0 then
    for i = 0, reaper.CountSelectedTracks(project) - 1 do
      local track = reaper.GetSelectedTrack(project, i)
      for k = 0, reaper.CountTrackMediaItems(track) - 1 do
        add(found, reaper.GetTrackMediaItem(track, k), track)
      end
    end
  end
  return found
end

local function say(what)
  reaper.ShowConsoleMsg("unstir: " .. what .. "\n")
end

local function count(n, what)
  return n .. " " .. what .. (n == 1 and "" or "s")
end

-- One equalizer on each take, or on each track where tracks were selected.
local function put_live(project, clips, outputs, options)
  options.title = "apply " .. options.chain .. ", live"
  local done, n, on = {}, 0, "take"
  local lost = place.for_each(project, clips, outputs, options, function(output, clip, item, take)
    local track = clip.part.track and reaper.GetMediaItem_Track(item)
    if not track then
      equalizer.put(equalizer.of_take, take, output)
    elseif not done[clip.part.track] then
      on = "track"
      equalizer.put(equalizer.of_track, track, output)
    end
    if not track or not done[clip.part.track] then
      n = n + 1
    end
    done[clip.part.track or ""] = true
  end)
  say(options.chain .. " is live: " .. count(tonumber(outputs[1].bands), "band")
    .. " of the effect 'unstir equalizer' on " .. count(n, on) .. ".")
  return lost
end

local function put_rendered(project, clips, outputs, options)
  options.title = "apply " .. options.chain .. ", rendered"
  local lost = place.new_takes(project, clips, outputs, options)
  say(options.chain .. " was rendered into " .. count(#outputs - lost, "new take") .. ", since "
    .. outputs[1].why .. ".")
  return lost
end

function chains.start()
  local parts = selected(reaper.EnumProjects(-1))
  if #parts == 0 then
    return reaper.MB("Select stem items made by unstir, or their tracks.", "unstir", 0)
  end
  local ok, chain = reaper.GetUserInputs("unstir: apply effect chain (filters live, else rendered)", 1,
    "Preset or .json file:,extrawidth=200", "dialogue-clarity")
  if not ok or not chain:match("%S") then
    return nil
  end
  local options = settings.load()
  options.action = "chain"
  options.chain = chain
  options.live = equalizer.installed() and "1" or "0"
  options.methods = ""
  options.parts = parts
  options.title = "apply " .. chain
  options.finish = function(project, clips, outputs, chosen)
    local put = outputs[1].live == "1" and put_live or put_rendered
    return put(project, clips, outputs, chosen)
  end
  return require("unstir.run").start(options)
end

return chains
