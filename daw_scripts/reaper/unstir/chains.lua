-- @noindex
-- Effect chains on stems: rendered by unstir into a new take, so that the old one stays a click away.

local items = require("unstir.items")
local place = require("unstir.place")
local settings = require("unstir.settings")

local chains = {}

-- The selected stems, whole files of ours: no mapping is needed.
local function selected(project)
  local found = {}
  for i = 0, reaper.CountSelectedMediaItems(project) - 1 do
    local item = reaper.GetSelectedMediaItem(project, i)
    local take = reaper.GetActiveTake(item)
    if take and items.ext(item, "role") ~= "" and not reaper.TakeIsMIDI(take) then
      found[#found + 1] = {
        item = items.guid(item),
        take = items.take_guid(take),
        name = reaper.GetTakeName(take),
        from = 0,
        to = reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
        whole = true,
        file = true,
        start_offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS"),
      }
    end
  end
  return found
end

function chains.start()
  local parts = selected(reaper.EnumProjects(-1))
  if #parts == 0 then
    return reaper.MB("Select stem items made by unstir.", "unstir", 0)
  end
  local ok, chain = reaper.GetUserInputs("unstir: apply effect chain", 1,
    "Preset or .json file:,extrawidth=200", "dialogue-clarity")
  if not ok or not chain:match("%S") then
    return nil
  end
  local options = settings.load()
  options.action = "chain"
  options.chain = chain
  options.methods = ""
  options.parts = parts
  options.title = "apply " .. chain
  options.finish = function(project, clips, outputs, chosen)
    return place.new_takes(project, clips, outputs, chosen)
  end
  return require("unstir.run").start(options)
end

return chains
