-- @noindex
-- Take envelopes (volume, pan, mute, pitch) travel as they stand in the item's chunk.

local envelopes = {}

local KINDS = { VOLENV = true, PANENV = true, MUTEENV = true, PITCHENV = true }

-- The envelope blocks of the n-th take (from 0) of an item's chunk.
local function blocks(chunk, wanted)
  local found, take, depth, keep = {}, 0, 0, false
  for line in chunk:gmatch("[^\r\n]+") do
    local opens = line:match("^%s*<(%S+)")
    if depth == 1 and (line == "TAKE" or line:match("^TAKE ")) then
      take = take + 1
    end
    if opens then
      depth = depth + 1
      if depth == 2 and take == wanted and KINDS[opens] then
        keep = true
      end
    end
    if keep then
      found[#found + 1] = line
    end
    if line:match("^%s*>%s*$") then
      depth = depth - 1
      if depth == 1 then
        keep = false
      end
    end
  end
  return found
end

-- Gives an item of one take the envelopes of a take of another.
function envelopes.copy(from_item, take_number, to_item)
  local _, chunk = reaper.GetItemStateChunk(from_item, "", false)
  local lines = blocks(chunk, take_number)
  if #lines == 0 then
    return
  end
  local _, target = reaper.GetItemStateChunk(to_item, "", false)
  local body = target:gsub("%s*>%s*$", "")
  reaper.SetItemStateChunk(to_item, body .. "\n" .. table.concat(lines, "\n") .. "\n>\n", false)
end

return envelopes
