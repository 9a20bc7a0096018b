-- @noindex
-- Tracks for stems: found again by what is written into them, added without moving others' folders.

local text = require("unstir.text")

local tracks = {}

local LOOKS = {
  speech = { plain = "Speech", post = "DX", rgb = { 86, 156, 214 } },
  music = { plain = "Music", post = "MX", rgb = { 106, 190, 120 } },
  effects = { plain = "Effects", post = "FX", rgb = { 230, 150, 70 } },
  vocals = { plain = "Vocals", post = "VOX", rgb = { 86, 156, 214 } },
  accompaniment = { plain = "Accompaniment", post = "INST", rgb = { 106, 190, 120 } },
  melody = { plain = "Melody", post = "Melody", rgb = { 190, 130, 210 } },
}

local function guid(track)
  local _, found = reaper.GetSetMediaTrackInfo_String(track, "GUID", "", false)
  return found
end

local function ext(track, key, value)
  local _, kept =
    reaper.GetSetMediaTrackInfo_String(track, "P_EXT:unstir_" .. key, value or "", value ~= nil)
  return kept
end

local function number(track, key)
  return reaper.GetMediaTrackInfo_Value(track, key)
end

local function set(track, key, value)
  reaper.SetMediaTrackInfo_Value(track, key, value)
end

-- 0 for the first track.
local function index(track)
  return math.tointeger(number(track, "IP_TRACKNUMBER")) - 1
end

function tracks.stem_name(role, names)
  local look = LOOKS[role]
  return look and look[names] or role
end

local function color(role)
  local look = LOOKS[role]
  local r, g, b = table.unpack(look and look.rgb or { 160, 160, 160 })
  return reaper.ColorToNative(r, g, b) | 0x1000000
end

-- Our track for a role of a source track, or nil.
function tracks.find(project, source_guid, role)
  for i = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, i)
    if ext(track, "source") == source_guid and ext(track, "role") == role then
      return track
    end
  end
end

local function insert(project, at)
  reaper.InsertTrackAtIndex(at, false)
  return reaper.GetTrack(project, at)
end

-- The last track of a folder, or the track itself, and how many levels lie between the two.
local function last_within(project, track)
  if number(track, "I_FOLDERDEPTH") < 1 then
    return track, 0
  end
  local level, i = 1, index(track)
  while i + 1 < reaper.CountTracks(project) do
    i = i + 1
    local here = reaper.GetTrack(project, i)
    local next_level = level + number(here, "I_FOLDERDEPTH")
    if next_level <= 0 then
      return here, level
    end
    level = next_level
  end
  return reaper.GetTrack(project, i), level
end

-- A folder right below a track, or below its children; closed by its first stem.
local function folder_below(project, source, source_guid)
  local last, level = last_within(project, source)
  local surplus = math.min(0, level + number(last, "I_FOLDERDEPTH"))
  local folder = insert(project, index(last) + 1)
  set(last, "I_FOLDERDEPTH", 0 - level)
  -- What the last track closed beyond its own folder is closed by the new one instead.
  set(folder, "I_FOLDERDEPTH", surplus)
  local _, name = reaper.GetSetMediaTrackInfo_String(source, "P_NAME", "", false)
  reaper.GetSetMediaTrackInfo_String(
    folder, "P_NAME", text.label(name == "" and "stems" or name .. " stems"), true
  )
  for _, key in ipairs({ "D_VOL", "D_PAN", "D_WIDTH", "I_PANMODE", "B_PHASE", "B_MAINSEND",
    "D_DUALPANL", "D_DUALPANR", "D_PANLAW" }) do
    set(folder, key, number(source, key))
  end
  for fx = 0, reaper.TrackFX_GetCount(source) - 1 do
    reaper.TrackFX_CopyToTrack(source, fx, folder, fx, false)
  end
  ext(folder, "source", source_guid)
  ext(folder, "role", "folder")
  return folder
end

-- Stem tracks of a source track by role; those that are missing become its first children.
function tracks.ensure(project, source, roles, options)
  local source_guid = guid(source)
  local parent = source
  if options.place == "below" then
    parent = tracks.find(project, source_guid, "folder")
      or folder_below(project, source, source_guid)
  end
  local found, missing = {}, {}
  for _, role in ipairs(roles) do
    found[role] = tracks.find(project, source_guid, role)
    if not found[role] then
      missing[#missing + 1] = role
    end
  end
  local depth = number(parent, "I_FOLDERDEPTH")
  for i, role in ipairs(missing) do
    local track = insert(project, index(parent) + i)
    local name = text.label(tracks.stem_name(role, options.names))
    reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
    set(track, "I_CUSTOMCOLOR", color(role))
    ext(track, "source", source_guid)
    ext(track, "role", role)
    found[role] = track
  end
  if #missing > 0 and depth < 1 then
    -- The parent opens a folder, and the last stem closes it and whatever the parent closed.
    set(parent, "I_FOLDERDEPTH", 1)
    set(found[missing[#missing]], "I_FOLDERDEPTH", depth - 1)
  end
  local n_channels = math.max(2, options.n_channels + options.n_channels % 2)
  for _, track in pairs(found) do
    if number(track, "I_NCHAN") < n_channels then
      set(track, "I_NCHAN", n_channels)
    end
  end
  if number(parent, "I_NCHAN") < n_channels then
    set(parent, "I_NCHAN", n_channels)
  end
  return found
end

-- Removes a track of ours that holds nothing any more; what it closed, the one before closes.
function tracks.remove_if_bare(project, track)
  local ours = ext(track, "role") ~= "" and ext(track, "role") ~= "folder"
  if not ours or reaper.CountTrackMediaItems(track) > 0 or reaper.TrackFX_GetCount(track) > 0 then
    return false
  end
  local depth, at = number(track, "I_FOLDERDEPTH"), index(track)
  if depth > 0 or at == 0 then
    return false
  end
  local before = reaper.GetTrack(project, at - 1)
  set(before, "I_FOLDERDEPTH", number(before, "I_FOLDERDEPTH") + depth)
  reaper.DeleteTrack(track)
  return true
end

tracks.guid = guid

return tracks
