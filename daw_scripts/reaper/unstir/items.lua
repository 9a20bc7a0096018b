-- @noindex
-- What is selected, and what of which file an item plays.

local text = require("unstir.text")

local items = {}

-- Decoded to the same samples by everybody. Of others (MP3, AAC, video) decoders differ in delay.
local EXACT = { WAVE = true, AIFF = true, FLAC = true }
local MAX_SEGMENTS = 20000

local function item_guid(item)
  local _, guid = reaper.GetSetMediaItemInfo_String(item, "GUID", "", false)
  return guid
end

local function take_guid(take)
  local _, guid = reaper.GetSetMediaItemTakeInfo_String(take, "GUID", "", false)
  return guid
end

items.guid, items.take_guid = item_guid, take_guid

function items.ext(item, key, value)
  local _, kept =
    reaper.GetSetMediaItemInfo_String(item, "P_EXT:unstir_" .. key, value or "", value ~= nil)
  return kept
end

-- The item of that GUID, or nil: pointers do not survive an undo, so none is kept.
function items.find(project, guid)
  for i = 0, reaper.CountMediaItems(project) - 1 do
    local item = reaper.GetMediaItem(project, i)
    if item_guid(item) == guid then
      return item
    end
  end
end

function items.find_take(item, guid)
  for i = 0, reaper.CountTakes(item) - 1 do
    local take = reaper.GetTake(item, i)
    if take and take_guid(take) == guid then
      return take
    end
  end
end

-- Razor edits of a track's items as pairs of times.
local function razor_edits(track)
  local _, spoken = reaper.GetSetMediaTrackInfo_String(track, "P_RAZOREDITS", "", false)
  local found = {}
  for from, to, envelope in spoken:gmatch('(%S+)%s+(%S+)%s+"([^"]*)"') do
    if envelope == "" then
      found[#found + 1] = { tonumber(from), tonumber(to) }
    end
  end
  return found
end

-- The parts of an item to work on, in seconds from its start; all of it where nothing limits.
local function parts(project, item)
  local start = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local limits = razor_edits(reaper.GetMediaItem_Track(item))
  if #limits == 0 then
    local from, to = reaper.GetSet_LoopTimeRange2(project, false, false, 0, 0, false)
    if to > from then
      limits = { { from, to } }
    end
  end
  local found = {}
  for _, limit in ipairs(limits) do
    local from = math.max(limit[1] - start, 0)
    local to = math.min(limit[2] - start, length)
    if to - from > 1e-6 then
      found[#found + 1] = { from = from, to = to }
    end
  end
  if #found == 0 then
    -- A time selection somewhere else limits nothing.
    found[1] = { from = 0, to = length }
  end
  return found
end

-- What is selected: GUIDs and numbers only.
function items.selected(project)
  local found = {}
  for i = 0, reaper.CountSelectedMediaItems(project) - 1 do
    local item = reaper.GetSelectedMediaItem(project, i)
    local take = reaper.GetActiveTake(item)
    if take and items.ext(item, "role") == "" then
      local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
      for _, part in ipairs(parts(project, item)) do
        found[#found + 1] = {
          item = item_guid(item),
          take = take_guid(take),
          name = text.label(reaper.GetTakeName(take)),
          from = part.from,
          to = part.to,
          whole = part.from < 1e-6 and part.to > length - 1e-6,
          start_offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS"),
        }
      end
    end
  end
  return found
end

-- Which channels of a file a take plays: what the job file says, and how many.
function items.channels(mode, n_channels)
  if n_channels == 1 or mode == 0 then
    return "all", n_channels
  elseif mode == 1 then
    local order = { "2", "1" }
    for channel = 3, n_channels do
      order[channel] = tostring(channel)
    end
    return table.concat(order, ","), n_channels
  elseif mode == 2 then
    return "mean", 1
  elseif mode < 67 then
    return tostring(mode - 2), 1
  end
  return string.format("%d,%d", mode - 66, mode - 65), 2
end

-- How samples of a take's source map onto its file: file = at + step * sample, for samples from
-- `first` up to but not including `stop`. Sections nest, and may or may not be reversed.
local function file_map(source)
  local sections, here = {}, source
  while true do
    local parent = reaper.GetMediaSourceParent(here)
    if not parent then
      break
    end
    local ok, offset, length, reversed = reaper.PCM_Source_GetSectionInfo(here)
    if not ok then
      return nil, "its source is neither a file nor a section of one"
    end
    sections[#sections + 1] = { offset = offset, length = length, reversed = reversed }
    here = parent
  end
  local kind = reaper.GetMediaSourceType(here)
  if not EXACT[kind] then
    return nil, "decoders of " .. kind .. " differ"
  end
  local rate = reaper.GetMediaSourceSampleRate(here)
  local length, in_beats = reaper.GetMediaSourceLength(here)
  if rate <= 0 or in_beats then
    return nil, "its source has no sample rate"
  end
  local map = { at = 0, step = 1, first = -math.huge, stop = math.huge, rate = rate }
  local function limit(n)
    -- 0 <= at + step * sample < n
    if map.step > 0 then
      map.first, map.stop = math.max(map.first, -map.at), math.min(map.stop, n - map.at)
    else
      map.first, map.stop = math.max(map.first, map.at - n + 1), math.min(map.stop, map.at + 1)
    end
  end
  for _, section in ipairs(sections) do
    if section.length > 0 then
      limit(text.round(section.length * rate))
    end
    if section.reversed then
      local last = text.round((section.offset + section.length) * rate) - 1
      map.at, map.step = last - map.at, -map.step
    else
      map.at = map.at + text.round(section.offset * rate)
    end
  end
  limit(text.round(length * rate))
  map.file = reaper.GetMediaSourceFileName(here)
  map.n_channels = reaper.GetMediaSourceNumChannels(here)
  return map
end

local function unrolled(map, first, stop, period)
  local segments, at = {}, first
  while at < stop do
    local turn = period and math.floor(at / period) * period or 0
    local to = period and math.min(stop, turn + period) or stop
    segments[#segments + 1] =
      { math.tointeger(map.at + map.step * (at - turn)), math.tointeger(to - at), map.step }
    at = to
  end
  return segments
end

-- The clip of a job for what an item plays, in source mode; or nil and why it must be rendered.
function items.heard(take, part, handles_s)
  local item = reaper.GetMediaItemTake_Item(take)
  if reaper.TakeIsMIDI(take) then
    return nil, "it is MIDI"
  elseif reaper.GetTakeNumStretchMarkers(take) > 0 then
    return nil, "it has stretch markers"
  end
  local map, why = file_map(reaper.GetMediaItemTake_Source(take))
  if not map then
    return nil, why
  end
  local start = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local rate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local handle = text.round(handles_s * map.rate)
  -- A hair is forgiven, so that 0.1 s at 48 kHz stays 4800 samples.
  local first = math.floor((start + part.from * rate) * map.rate + 1e-4)
  local stop = math.ceil((start + part.to * rate) * map.rate - 1e-4)
  local period
  if reaper.GetMediaItemInfo_Value(item, "B_LOOPSRC") == 1 then
    local length = reaper.GetMediaSourceLength(reaper.GetMediaItemTake_Source(take))
    period = text.round(length * map.rate)
    if period < 1 then
      return nil, "it loops nothing"
    end
    first, stop = first - handle, stop + handle
    if first >= 0 and stop <= period then
      period = nil
    end
  else
    if first >= map.stop or stop <= map.first then
      return nil, "it plays nothing of its file"
    end
    first = math.max(first - handle, map.first)
    stop = math.min(stop + handle, map.stop)
  end
  if period and (stop - first) / period > MAX_SEGMENTS then
    return nil, "it loops too often"
  end
  local mode = math.tointeger(reaper.GetMediaItemTakeInfo_Value(take, "I_CHANMODE")) or 0
  local channels, n_channels = items.channels(mode, map.n_channels)
  return {
    file = map.file,
    rate = math.tointeger(map.rate),
    channels = channels,
    n_channels = n_channels,
    segments = unrolled(map, first, stop, period),
    first_s = first / map.rate, -- where the clip begins in the take's source
    capture = "source",
  }
end

-- The whole file of a take, whatever part of it plays.
function items.file(take)
  local source = reaper.GetMediaItemTake_Source(take)
  local parent = reaper.GetMediaSourceParent(source)
  while parent do
    source, parent = parent, reaper.GetMediaSourceParent(parent)
  end
  local rate = reaper.GetMediaSourceSampleRate(source)
  return {
    file = reaper.GetMediaSourceFileName(source),
    rate = math.tointeger(rate),
    channels = "all",
    n_channels = reaper.GetMediaSourceNumChannels(source),
    segments = { { 0, text.round(reaper.GetMediaSourceLength(source) * rate), 1 } },
    first_s = 0,
    capture = "source",
  }
end

return items
