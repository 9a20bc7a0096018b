-- @noindex
-- Rendered mode: the item's sound through Reaper's own decoders, written as a wave file bit by bit.

local items = require("unstir.items")
local text = require("unstir.text")

local capture = {}

local PIECE = 16384 -- samples at a time
local PIECES_PER_TICK = 8
local RIFF_LIMIT = 4294967295 - 4096

-- The project's sample rate: its own, else the device's, else 48 kHz.
local function project_rate(project)
  if reaper.GetSetProjectInfo(project, "PROJECT_SRATE_USE", 0, false) == 1 then
    return text.round(reaper.GetSetProjectInfo(project, "PROJECT_SRATE", 0, false))
  end
  local ok, rate = reaper.GetAudioDeviceInfo("SRATE")
  return ok and math.tointeger(tonumber(rate)) or 48000
end

local function header(rate, n_channels, n_samples)
  local n_bytes = n_samples * n_channels * 4
  return "RIFF" .. string.pack("<I4", 36 + n_bytes) .. "WAVEfmt "
    .. string.pack("<I4I2I2I4I4I2I2", 16, 3, n_channels, rate, rate * n_channels * 4,
      n_channels * 4, 32)
    .. "data" .. string.pack("<I4", n_bytes)
end

local function packed(values, n)
  local out = {}
  for i = 1, n, 128 do
    local to = math.min(i + 127, n)
    out[#out + 1] = string.pack("<" .. ("f"):rep(to - i + 1), table.unpack(values, i, to))
  end
  return table.concat(out)
end

-- A function to be called once a tick until it returns a clip, or nil and why there is none, or
-- false while there is more to do. The item is looked up each time: it may be gone.
function capture.start(project, part, path)
  local rate, n_channels, total, file
  local done = 0
  return function()
    local item = items.find(project, part.item)
    local take = item and items.find_take(item, part.take)
    if not take then
      if file then
        file:close()
      end
      return nil, "the item is gone"
    end
    if not file then
      rate = project_rate(project)
      if reaper.TakeIsMIDI(take) then
        return nil, "MIDI has no sound before its instrument; render or glue it first"
      end
      local source = reaper.GetMediaItemTake_Source(take)
      local path_of_source = items.file(take).file
      if path_of_source ~= "" and not reaper.file_exists(path_of_source) then
        return nil, "its file is not there: " .. path_of_source
      end
      local mode = math.tointeger(reaper.GetMediaItemTakeInfo_Value(take, "I_CHANMODE")) or 0
      local _, n = items.channels(mode, reaper.GetMediaSourceNumChannels(source))
      n_channels = math.max(1, n)
      total = text.round((part.to - part.from) * rate)
      if total < 1 then
        return nil, "it is shorter than one sample"
      elseif total * n_channels * 4 > RIFF_LIMIT then
        return nil, "more than 4 GB would have to be rendered; select a part of the time"
      end
      local why
      file, why = io.open(path, "wb")
      if not file then
        return nil, why
      end
      file:write(header(rate, n_channels, total))
    end
    local accessor = reaper.CreateTakeAudioAccessor(take)
    local begin = reaper.GetAudioAccessorStartTime(accessor)
    for _ = 1, PIECES_PER_TICK do
      local n = math.min(PIECE, total - done)
      if n == 0 then
        break
      end
      local buffer = reaper.new_array(n * n_channels)
      buffer.clear()
      local at = begin + part.from + done / rate
      local got = reaper.GetAudioAccessorSamples(accessor, rate, n_channels, at, n, buffer)
      if got < 0 then
        reaper.DestroyAudioAccessor(accessor)
        file:close()
        return nil, "Reaper could not read it"
      end
      file:write(packed(buffer.table(), n * n_channels))
      done = done + n
    end
    reaper.DestroyAudioAccessor(accessor)
    if done < total then
      return false
    end
    file:close()
    return {
      file = path,
      rate = rate,
      channels = "all",
      n_channels = n_channels,
      segments = { { 0, total, 1 } },
      capture = "rendered",
      from = part.from,
      start_offset = part.start_offset,
    }
  end
end

return capture
