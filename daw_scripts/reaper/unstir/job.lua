-- @noindex
-- The worker: a process of its own that reads a job file and writes a status file.

local text = require("unstir.text")

local job = {}

local START_S = 120 -- importing from a cold disk may take long
local SILENCE_S = 60 -- the worker's heart beats twice a second

-- A new folder for one run, within the project's folder or another; and the folder for results.
function job.new_folder(project, elsewhere)
  local base = elsewhere or reaper.GetProjectPathEx(project)
  local id = reaper.genGuid(""):gsub("[^%w]", ""):sub(1, 12)
  local out = base .. "/stems"
  local folder = out .. "/jobs/" .. os.date("%Y%m%d-%H%M%S-") .. id
  reaper.RecursiveCreateDirectory(folder, 0)
  return folder, out
end

-- Writes the job file. `clips` are those of items.heard or capture.
function job.write(folder, values, clips)
  local lines = { { "unstir_job", 1 } }
  for _, key in ipairs({ "action", "out", "methods", "stems", "device", "chain", "live",
    "words" }) do
    if values[key] then
      lines[#lines + 1] = { key, values[key] }
    end
  end
  lines[#lines + 1] = { "clips", #clips }
  for i, clip in ipairs(clips) do
    local key = "clip_" .. i .. "_"
    lines[#lines + 1] = { key .. "file", clip.file }
    lines[#lines + 1] = { key .. "name", clip.name }
    lines[#lines + 1] = { key .. "rate", clip.rate }
    lines[#lines + 1] = { key .. "channels", clip.channels }
    lines[#lines + 1] = { key .. "capture", clip.capture }
    lines[#lines + 1] = { key .. "segments", #clip.segments }
    for k, segment in ipairs(clip.segments) do
      lines[#lines + 1] = { key .. "segment_" .. k, table.concat(segment, " ") }
    end
  end
  return text.write(folder .. "/job.txt", text.lines(lines))
end

-- Starts a command in the background; its output goes to log.txt, its exit code to exit.txt.
function job.start(folder, words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = text.quote(word)
  end
  local command = table.concat(quoted, " ")
  if text.is_windows() then
    -- No shell, no console, no waiting. Nil if it cannot be started.
    return reaper.ExecProcess(command, -2) ~= nil
  end
  local log, exit = text.quote(folder .. "/log.txt"), text.quote(folder .. "/exit.txt")
  return os.execute("( " .. command .. " >" .. log .. " 2>&1; echo $? >" .. exit
    .. " ) 2>/dev/null &") and true
end

function job.launch(folder, python)
  return job.start(folder, { python, "-m", "unstir", "worker", folder .. "/job.txt" })
end

function job.cancel(folder)
  text.write(folder .. "/cancel", "")
end

-- Removes the folder of a job whose result is in the project. What cannot be removed, such as the
-- folder itself on Windows, the worker removes after a week.
function job.remove(folder)
  for _, name in ipairs({ "status.txt", "cancel", "log.txt", "exit.txt", "noise.wav", "job.txt" }) do
    os.remove(folder .. "/" .. name)
  end
  os.remove(folder)
end

-- The last lines of what the worker said.
local function last_words(folder)
  local log = text.read(folder .. "/log.txt") or ""
  return log:sub(-600):gsub("^%s+", ""):gsub("%s+$", "")
end

-- A function that tells how the job is now: its status, with `state` one of starting, running,
-- done, failed and cancelled. A worker that lives is never given up, however slow it is.
function job.watcher(folder)
  local began, beat, beat_at = reaper.time_precise(), nil, nil
  local function failed(why)
    local words = last_words(folder)
    return { state = "failed", error = why .. (words ~= "" and "\n\n" .. words or "") }
  end
  return function()
    local now = reaper.time_precise()
    -- First whether it has ended, then what it said last: the other way round would miss that.
    local exit = text.read(folder .. "/exit.txt")
    local content = text.read(folder .. "/status.txt")
    local status = content and text.parse(content) or { state = "starting", progress = "0" }
    if status.state ~= "running" and status.state ~= "starting" then
      return status
    elseif exit and exit ~= "" then
      return failed("The worker ended without a result (exit code " .. exit:match("%d+") .. ").")
    elseif status.heartbeat ~= beat then
      beat, beat_at = status.heartbeat, now
    elseif beat_at and now - beat_at > SILENCE_S then
      return failed("The worker has given no sign of life for " .. SILENCE_S .. " s.")
    elseif not beat_at and now - began > START_S then
      return failed("The worker did not start within " .. START_S .. " s. "
        .. "Run the action 'unstir: check the set-up'.")
    end
    return status
  end
end

-- The outputs of a finished job, in order.
function job.outputs(status)
  local found = {}
  for i = 1, tonumber(status.outputs) or 0 do
    local one, prefix = {}, "output_" .. i .. "_"
    for key, value in pairs(status) do
      if key:sub(1, #prefix) == prefix then
        one[key:sub(#prefix + 1)] = value
      end
    end
    one.clip = tonumber(one.clip)
    found[i] = one
  end
  return found
end

return job
