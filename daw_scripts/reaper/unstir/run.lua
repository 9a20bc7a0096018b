-- @noindex
-- One run: what is selected, captured, separated by the worker, placed. Reaper is never held up:
-- every step is a short call from `defer`.

local capture = require("unstir.capture")
local items = require("unstir.items")
local job = require("unstir.job")
local place = require("unstir.place")
local settings = require("unstir.settings")
local text = require("unstir.text")
local window = require("unstir.window")

local run = {}

local POLL_S = 0.3

local function say(message)
  reaper.MB(message, "unstir", 0)
end

local function is_open(project)
  local i = 0
  while true do
    local one = reaper.EnumProjects(i)
    if not one then
      return false
    elseif one == project then
      return true
    end
    i = i + 1
  end
end

-- What of a finished worker goes where.
local PLACERS = { separate = place.stems, extract = place.stems, notes = place.notes }

-- Clips of all parts, one a call; rendered where reading the file would not give what is heard.
local function gatherer(project, parts, folder, options, said)
  local clips, left_out, number, rendering = {}, {}, 1, nil
  return function()
    local part = parts[number]
    if not part then
      return clips, left_out
    end
    local clip, why
    if rendering then
      clip, why = rendering()
    else
      local item = items.find(project, part.item)
      local take = item and items.find_take(item, part.take)
      if not take then
        why = "the item is gone"
      else
        if part.file then
          clip = items.file(take)
        elseif options.capture == "rendered" then
          why = "asked for"
        else
          clip, why = items.heard(take, part, tonumber(options.handles_s) or 0)
        end
        if not clip then
          said.stage = "rendering " .. part.name .. ", since " .. why
          rendering = capture.start(project, part, folder .. "/rendered_" .. number .. ".wav")
          return nil
        end
      end
    end
    if clip == false then
      return nil
    end
    if clip then
      clip.name, clip.part = part.name, part
      clips[#clips + 1] = clip
    else
      left_out[#left_out + 1] = part.name .. " was left out: " .. why .. "."
    end
    number, rendering = number + 1, nil
    return nil
  end
end

local function describe(status)
  local line = (status.stage or status.state) .. "  "
    .. text.round(100 * (tonumber(status.progress) or 0)) .. " %"
  local eta = tonumber(status.eta)
  if eta then
    line = line .. string.format("   about %d:%02d left", eta // 60, eta % 60)
  end
  return line
end

-- Starts a run. `options` are settings, and: action, title, methods, words, chain;
-- `finish(project, clips, outputs, options)` in place of the usual placing.
function run.start(options)
  local project = reaper.EnumProjects(-1)
  local python = settings.python()
  if not python then
    return say("unstir is not set up yet. Run the action 'unstir: check the set-up'.")
  end
  local parts = options.parts or items.selected(project)
  if #parts == 0 then
    return say("Select one or more items with sound; stems made by unstir do not count.")
  end
  local folder, out = job.new_folder(project)
  local status = { state = "starting", stage = "reading the items", progress = "0" }
  local gather = gatherer(project, parts, folder, options, status)
  local clips, left_out, watch, finished -- left_out: lines that are shown at the end
  local polled = 0
  local ended = false

  local function stop(message)
    ended = true
    window.close()
    for number = 1, #parts do
      os.remove(folder .. "/rendered_" .. number .. ".wav")
    end
    if message then
      say(message)
    end
  end

  local function finish()
    -- Into the project the items came from, and only while it is the one in front.
    if not is_open(project) then
      return stop("The project was closed. The results are in\n" .. out)
    elseif reaper.EnumProjects(-1) ~= project then
      status = { stage = "done; go back to the project to place the stems", progress = "1" }
      return nil
    end
    options.job = folder:match("[^/]+$")
    local placer = options.finish or PLACERS[options.action]
    local lost = placer(project, clips, finished, options)
    if lost > 0 then
      left_out[#left_out + 1] = lost .. " of " .. #clips .. " items are gone; their results are in\n"
        .. out
    end
    stop(#left_out > 0 and table.concat(left_out, "\n") or nil)
    if lost == 0 then
      job.remove(folder)
    end
  end

  local function launch()
    if #clips == 0 then
      return stop("There is nothing to work on.\n" .. table.concat(left_out, "\n"))
    end
    options.out = out
    local written, why = job.write(folder, options, clips)
    if not written then
      return stop("The folder " .. folder .. " cannot be written: " .. tostring(why))
    end
    if not job.launch(folder, python) then
      return stop("The worker could not be started:\n" .. python)
    end
    watch = job.watcher(folder)
  end

  local function advance()
    if finished then
      return finish()
    elseif not clips then
      if not is_open(project) then
        return stop()
      end
      clips, left_out = gather()
      if clips then
        launch()
      end
      return nil
    end
    local now = reaper.time_precise()
    if now - polled < POLL_S then
      return nil
    end
    polled, status = now, watch()
    if status.state == "done" then
      finished = job.outputs(status)
      for _, output in ipairs(finished) do
        output.job = folder:match("[^/]+$")
        if output.note then
          left_out[#left_out + 1] = clips[output.clip].name .. ": " .. output.note
        end
        if options.label then
          output.label = options.label(output)
        end
      end
      return finish()
    elseif status.state == "cancelled" then
      stop()
    elseif status.state == "failed" then
      stop(status.error)
    end
  end

  local function tick()
    local ok, why = xpcall(advance, debug.traceback)
    if not ok then
      job.cancel(folder)
      return stop("unstir met an error in its own script:\n" .. tostring(why))
    end
    if ended then
      return nil
    end
    if not window.show(tonumber(status.progress) or 0, describe(status)) then
      -- The worker sees the file at its next window; nobody has to wait for that.
      job.cancel(folder)
      return stop()
    end
    reaper.defer(tick)
  end

  reaper.atexit(function()
    if not ended then
      job.cancel(folder)
    end
  end)
  local _, file = reaper.EnumProjects(-1)
  window.open(options.title, file == "" and "The project is not saved; results go to " .. out)
  reaper.defer(tick)
end

-- Separates the selected items with settings, some of them replaced.
function run.separate(changes)
  local options = settings.load()
  for key, value in pairs(changes or {}) do
    options[key] = value
  end
  options.action = "separate"
  options.methods = options.methods or options.method
  options.title = options.title or "separate items into stems"
  run.start(options)
end

return run
