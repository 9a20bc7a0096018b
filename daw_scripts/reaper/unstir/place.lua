-- @noindex
-- From finished stems to items on tracks, in one undo step.

local envelopes = require("unstir.envelopes")
local items = require("unstir.items")
local text = require("unstir.text")
local tracks = require("unstir.tracks")

local place = {}

local ITEM_VALUES = { "D_POSITION", "D_LENGTH", "D_SNAPOFFSET", "D_FADEINLEN", "D_FADEOUTLEN",
  "D_FADEINLEN_AUTO", "D_FADEOUTLEN_AUTO", "C_FADEINSHAPE", "C_FADEOUTSHAPE", "D_FADEINDIR",
  "D_FADEOUTDIR", "D_VOL", "C_LOCK", "I_GROUPID", "C_BEATATTACHMODE" }
local TAKE_VALUES = { "D_VOL", "D_PAN", "D_PANLAW", "D_PLAYRATE", "D_PITCH", "B_PPITCH",
  "I_PITCHMODE" }

-- The stems that an earlier run made for this very item: not those of what it was copied from.
local function earlier(project, item)
  local found, own = {}, items.guid(item)
  for guid in items.ext(item, "stems"):gmatch("%S+") do
    local stem = items.find(project, guid)
    if stem and items.ext(stem, "source") == own then
      found[#found + 1] = stem
    end
  end
  return found
end

local function note_stems(item, stems)
  local guids = {}
  for i, stem in ipairs(stems) do
    items.ext(stem, "source", items.guid(item))
    guids[i] = items.guid(stem)
  end
  items.ext(item, "stems", table.concat(guids, " "))
end

-- Splits an item, and stems that it has already, at a time; returns the right part.
local function split(project, item, at)
  local stems = earlier(project, item)
  local right = reaper.SplitMediaItem(item, at)
  local right_stems = {}
  for _, stem in ipairs(stems) do
    right_stems[#right_stems + 1] = reaper.SplitMediaItem(stem, at)
  end
  note_stems(right, right_stems)
  return right
end

-- The part of an item that was worked on; the rest is split off.
local function part_of(project, item, part)
  if part.whole then
    return item
  end
  local start = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  if part.to < length - 1e-6 then
    split(project, item, start + part.to)
  end
  if part.from > 1e-6 then
    item = split(project, item, start + part.from)
  end
  return item
end

-- Removes what an earlier run made for an item; returns the tracks it lay on.
local function remove_earlier(project, item, touched)
  for _, stem in ipairs(earlier(project, item)) do
    local track = reaper.GetMediaItem_Track(stem)
    touched[tracks.guid(track)] = true
    reaper.DeleteTrackMediaItem(track, stem)
  end
end

-- Where a stem's take begins in its file, in seconds. `source` is the take as it is now: it may
-- have been trimmed since it was snapshot.
local function start_offset(clip, source)
  local now = reaper.GetMediaItemTakeInfo_Value(source, "D_STARTOFFS")
  if clip.capture == "source" then
    return now - clip.first_s
  end
  local rate = reaper.GetMediaItemTakeInfo_Value(source, "D_PLAYRATE")
  return (now - clip.start_offset) / rate - clip.from
end

local function add_take(stem, output, clip, source, names)
  local take = reaper.AddTakeToMediaItem(stem)
  local media = reaper.PCM_Source_CreateFromFile(output.file)
  reaper.SetMediaItemTake_Source(take, media)
  for _, key in ipairs(TAKE_VALUES) do
    local value = reaper.GetMediaItemTakeInfo_Value(source, key)
    if clip.capture == "rendered" and (key == "D_PLAYRATE" or key == "D_PITCH") then
      value = key == "D_PLAYRATE" and 1 or 0
    end
    reaper.SetMediaItemTakeInfo_Value(take, key, value)
  end
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", start_offset(clip, source))
  for fx = 0, reaper.TakeFX_GetCount(source) - 1 do
    reaper.TakeFX_CopyToTake(source, fx, take, fx, false)
  end
  local name = output.label or (clip.name .. " - " .. tracks.stem_name(output.stem, names))
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", text.label(name), true)
  return take
end

-- One stem item for what an item plays now; several outputs become takes of it.
local function add_stem(track, outputs, clip, item, take, was_muted, names)
  local stem = reaper.AddMediaItemToTrack(track)
  for _, key in ipairs(ITEM_VALUES) do
    reaper.SetMediaItemInfo_Value(stem, key, reaper.GetMediaItemInfo_Value(item, key))
  end
  reaper.SetMediaItemInfo_Value(stem, "B_MUTE", was_muted)
  reaper.SetMediaItemInfo_Value(stem, "B_LOOPSRC", 0)
  local first
  for _, output in ipairs(outputs) do
    first = first or add_take(stem, output, clip, take, names)
    if output ~= outputs[1] then
      add_take(stem, output, clip, take, names)
    end
  end
  reaper.SetActiveTake(first)
  if reaper.CountTakeEnvelopes(take) > 0 and #outputs == 1 then
    local number = reaper.GetMediaItemTakeInfo_Value(take, "IP_TAKENUMBER")
    envelopes.copy(item, number, stem)
  end
  items.ext(stem, "role", outputs[1].stem)
  items.ext(stem, "job", outputs[1].job)
  return stem
end

-- The outputs of one clip by stem, in the order of the stems.
local function by_stem(outputs, number)
  local found, order = {}, {}
  for _, output in ipairs(outputs) do
    if output.clip == number then
      if not found[output.stem] then
        found[output.stem] = {}
        order[#order + 1] = output.stem
      end
      table.insert(found[output.stem], output)
    end
  end
  return found, order
end

local function place_one(project, clip, found, order, options, touched)
  local item = items.find(project, clip.part.item)
  local take = item and items.find_take(item, clip.part.take)
  if not take or #order == 0 then
    return false
  end
  local number = reaper.GetMediaItemTakeInfo_Value(take, "IP_TAKENUMBER")
  item = part_of(project, item, clip.part)
  take = reaper.GetTake(item, math.tointeger(number)) or take
  remove_earlier(project, item, touched)
  local kept = items.ext(item, "muted")
  local was_muted = tonumber(kept) or reaper.GetMediaItemInfo_Value(item, "B_MUTE")
  local where = tracks.ensure(project, reaper.GetMediaItem_Track(item), order, {
    place = options.place,
    names = options.names,
    n_channels = clip.n_channels,
  })
  local made = {}
  for _, role in ipairs(order) do
    local stem = add_stem(where[role], found[role], clip, item, take, was_muted, options.names)
    made[#made + 1] = stem
  end
  note_stems(item, made)
  items.ext(item, "muted", tostring(math.tointeger(was_muted)))
  items.ext(item, "job", options.job)
  reaper.SetMediaItemInfo_Value(item, "B_MUTE", 1)
  return true
end

-- Removes those of our tracks on which earlier stems were all there was.
local function sweep(project, touched)
  for i = reaper.CountTracks(project) - 1, 0, -1 do
    local track = reaper.GetTrack(project, i)
    if touched[tracks.guid(track)] then
      tracks.remove_if_bare(project, track)
    end
  end
end

-- Runs a change of the project as one undo step. Nothing is left open if it fails.
function place.in_one_step(project, name, change)
  reaper.Undo_BeginBlock2(project)
  reaper.PreventUIRefresh(1)
  local ok, result = xpcall(change, debug.traceback)
  reaper.PreventUIRefresh(-1)
  reaper.Undo_EndBlock2(project, name, -1)
  reaper.UpdateArrange()
  if not ok then
    error(result, 0)
  end
  return result
end

-- Places the stems of all clips; returns how many clips had lost their item meanwhile.
function place.stems(project, clips, outputs, options)
  return place.in_one_step(project, "unstir: " .. options.title, function()
    local lost, touched = 0, {}
    -- From the back, so that splitting one part does not move the others of the same item.
    for number = #clips, 1, -1 do
      local found, order = by_stem(outputs, number)
      if not place_one(project, clips[number], found, order, options, touched) then
        lost = lost + 1
      end
    end
    sweep(project, touched)
    reaper.Main_OnCommandEx(40047, 0, project) -- build any missing peaks
    return lost
  end)
end

-- Calls change(output, clip, item, take) for every output whose item is still there, in one undo
-- step; returns how many are not.
function place.for_each(project, clips, outputs, options, change)
  return place.in_one_step(project, "unstir: " .. options.title, function()
    local lost = 0
    for _, output in ipairs(outputs) do
      local clip = clips[output.clip]
      local item = items.find(project, clip.part.item)
      local take = item and items.find_take(item, clip.part.take)
      if take then
        change(output, clip, item, take)
      else
        lost = lost + 1
      end
    end
    reaper.Main_OnCommandEx(40047, 0, project) -- build any missing peaks
    return lost
  end)
end

-- Adds each output to the item it was made from as a new active take: the same sound, colored.
function place.new_takes(project, clips, outputs, options)
  return place.for_each(project, clips, outputs, options, function(output, clip, item, take)
    local how = output.linear == "1" and "" or ", not linear"
    output.label = clip.name .. " (" .. output.chain .. ", rendered" .. how .. ")"
    reaper.SetActiveTake(add_take(item, output, clip, take, options.names))
  end)
end

local function remove_earlier_melody(project, item)
  local older = items.find(project, items.ext(item, "melody"))
  if older and items.ext(older, "source") == items.guid(item) then
    reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(older), older)
  end
end

-- Places notes as a MIDI item over the item they were heard in.
function place.notes(project, clips, outputs, options)
  local function add(output, clip, item, take)
    local start = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
    local stop = start + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
    local rate = clip.capture == "rendered" and 1
      or reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
    local offset = start_offset(clip, take)
    local track = tracks.ensure(project, reaper.GetMediaItem_Track(item), { "melody" },
      { place = options.place, names = options.names, n_channels = 2 }).melody
    remove_earlier_melody(project, item)
    local midi = reaper.CreateNewMIDIItemInProj(track, start, stop, false)
    local notes = reaper.GetActiveTake(midi)
    for i = 1, tonumber(output.notes) do
      local from, to, key, velocity = output["note_" .. i]:match("(%S+) (%S+) (%S+) (%S+)")
      from = math.max(start, start + (tonumber(from) - offset) / rate)
      to = math.min(stop, start + (tonumber(to) - offset) / rate)
      if to > from then
        reaper.MIDI_InsertNote(notes, false, false,
          reaper.MIDI_GetPPQPosFromProjTime(notes, from),
          reaper.MIDI_GetPPQPosFromProjTime(notes, to),
          0, math.tointeger(tonumber(key)), math.tointeger(tonumber(velocity)), true)
      end
    end
    reaper.MIDI_Sort(notes)
    reaper.GetSetMediaItemTakeInfo_String(
      notes, "P_NAME", text.label(clip.name .. " - melody"), true)
    items.ext(midi, "role", "melody")
    items.ext(midi, "source", items.guid(item))
    items.ext(item, "melody", items.guid(midi))
  end
  return place.for_each(project, clips, outputs, options, add)
end

return place
