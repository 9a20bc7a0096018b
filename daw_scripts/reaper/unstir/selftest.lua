-- @noindex
-- What only a real Reaper can show, measured on a ramp whose samples tell their own number, and
-- written to a report that can be sent. The project is left as it was.

local equalizer = require("unstir.equalizer")
local items = require("unstir.items")
local place = require("unstir.place")
local settings = require("unstir.settings")
local text = require("unstir.text")

local selftest = {}

local RATE, N = 48000, 24000

-- Left counts up from 0, right down: sample n is n / 32768 and -n / 32768.
local function write_ramp(path)
  local out = {}
  for n = 0, N - 1 do
    out[#out + 1] = string.pack("<i2i2", n, -n)
  end
  local sound = table.concat(out)
  return text.write(path, "RIFF" .. string.pack("<I4", 36 + #sound) .. "WAVEfmt "
    .. string.pack("<I4I2I2I4I4I2I2", 16, 1, 2, RATE, RATE * 4, 4, 16)
    .. "data" .. string.pack("<I4", #sound) .. sound)
end

-- The first samples of a take by an accessor: `count` frames of two channels, times 32768.
local function heard(take, count)
  local accessor = reaper.CreateTakeAudioAccessor(take)
  local buffer = reaper.new_array(2 * count)
  buffer.clear()
  local start = reaper.GetAudioAccessorStartTime(accessor)
  reaper.GetAudioAccessorSamples(accessor, RATE, 2, start, count, buffer)
  reaper.DestroyAudioAccessor(accessor)
  local values = buffer.table()
  for i = 1, #values do
    values[i] = values[i] * 32768
  end
  return values
end

local function measure(track, path, say)
  local item = reaper.AddMediaItemToTrack(track)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, reaper.PCM_Source_CreateFromFile(path))
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", 0.25)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 0)
  local function set(key, value)
    reaper.SetMediaItemTakeInfo_Value(take, key, value)
  end
  local function at(frame, channel, count)
    return heard(take, count or frame + 1)[2 * frame + channel]
  end
  local function near(what, value, wanted)
    local good = math.abs(value - wanted) < 0.51
    say(what, string.format("%.3f", value), string.format("%.3f", wanted), good)
  end

  near("sample 1000 of a plain item", at(1000, 1), 1000)
  set("D_STARTOFFS", 0.1)
  near("sample 1000 after an offset of 0.1 s", at(1000, 1), 5800)
  set("D_STARTOFFS", 0)
  set("D_VOL", 0.5)
  near("sample 1000, take gain of 0.5 (accessor before gain)", at(1000, 1), 1000)
  set("D_VOL", 1)
  reaper.SetMediaItemInfo_Value(item, "D_VOL", 0.5)
  near("sample 1000, item gain of 0.5 (accessor before gain)", at(1000, 1), 1000)
  reaper.SetMediaItemInfo_Value(item, "D_VOL", 1)
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0.2)
  near("sample 1000 within a fade (accessor before fades)", at(1000, 1), 1000)
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0)
  for mode, wanted in ipairs({ -1000, 0, 1000, -1000 }) do
    set("I_CHANMODE", mode)
    near("left of sample 1000 in channel mode " .. mode, at(1000, 1), wanted)
  end
  set("I_CHANMODE", 0)
  local clip = items.heard(take, { from = 0, to = 0.25 }, 0)
  say("the item's first segment", clip and table.concat(clip.segments[1], " ") or "none",
    "0 12000 1", clip and table.concat(clip.segments[1], " ") == "0 12000 1")
  items.ext(item, "role", "test")
  say("a note in the item is read back", items.ext(item, "role"), "test",
    items.ext(item, "role") == "test")

  -- The equalizer is added by its path, and its parameters are in hertz and decibels.
  local set_up, fx = pcall(equalizer.put, equalizer.of_take, take,
    { band_1 = "high-pass-12 80.5 0 0.70710678", gain_db = "-3.25" })
  local got = {}
  for i, parameter in ipairs({ 0, 1, 3, 32 }) do
    got[i] = set_up and string.format("%.4f", (reaper.TakeFX_GetParam(take, fx, parameter)))
  end
  local read = set_up and table.concat(got, " ") or tostring(fx)
  say("parameters of the equalizer", read, "4.0000 80.5000 0.7071 -3.2500",
    read == "4.0000 80.5000 0.7071 -3.2500")

  -- Reversed by Reaper's own action, which acts on what is selected.
  reaper.SetMediaItemSelected(item, true)
  local project = reaper.EnumProjects(-1)
  reaper.Main_OnCommandEx(41051, 0, project)
  take = reaper.GetActiveTake(item)
  local back, why = items.heard(take, { from = 0, to = 0.25 }, 0)
  local segment = back and table.concat(back.segments[1], " ") or why
  say("segment of the reversed item", segment, "23999 12000 -1", segment == "23999 12000 -1")
  near("first sample of the reversed item", at(0, 1, 1), 23999)
end

function selftest.start()
  local project = reaper.EnumProjects(-1)
  local folder = reaper.GetResourcePath() .. "/Data/unstir"
  reaper.RecursiveCreateDirectory(folder, 0)
  local ramp, report = folder .. "/ramp.wav", folder .. "/selftest.txt"
  write_ramp(ramp)
  local lines, odd = {
    "unstir self-test",
    "Reaper " .. reaper.GetAppVersion() .. " on " .. reaper.GetOS() .. ", " .. _VERSION,
    "project folder: " .. reaper.GetProjectPathEx(project),
    "interpreter: " .. (settings.python() or "none"),
    "ReaImGui: " .. tostring(reaper.APIExists("ImGui_GetBuiltinPath")),
    "",
  }, 0
  local function say(what, found, wanted, good)
    odd = odd + (good and 0 or 1)
    lines[#lines + 1] = string.format("%s  %s: %s (expected %s)",
      good and "ok       " or "DIFFERENT", what, found, wanted)
  end
  local selected = {}
  for i = 0, reaper.CountSelectedMediaItems(project) - 1 do
    selected[#selected + 1] = reaper.GetSelectedMediaItem(project, i)
  end
  for _, item in ipairs(selected) do
    reaper.SetMediaItemSelected(item, false)
  end
  place.in_one_step(project, "unstir: self-test", function()
    local at = reaper.CountTracks(project)
    reaper.InsertTrackAtIndex(at, false)
    local track = reaper.GetTrack(project, at)
    local ok, why = xpcall(measure, debug.traceback, track, ramp, say)
    if not ok then
      say("the test itself", tostring(why), "no error", false)
    end
    reaper.DeleteTrack(track)
  end)
  for _, item in ipairs(selected) do
    reaper.SetMediaItemSelected(item, true)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = odd .. " of these differ from what the scripts take for granted."
  text.write(report, table.concat(lines, "\n") .. "\n")
  reaper.MB(odd .. " findings differ from what is expected. The report is in\n" .. report
    .. "\n\nPlease send it with a bug report.", "unstir: self-test", 0)
end

return selftest
