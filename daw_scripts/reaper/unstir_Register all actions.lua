-- @description unstir: register all actions
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
reaper.EnumerateFiles(here, -1) -- what Reaper remembers of the folder may be old
local i, found = 0, {}
while true do
  local name = reaper.EnumerateFiles(here, i)
  if not name then
    break
  end
  if name:match("^unstir_.*%.lua$") then
    found[#found + 1] = name
  end
  i = i + 1
end
for n, name in ipairs(found) do
  reaper.AddRemoveReaScript(true, 0, here .. name, n == #found)
end
reaper.MB(#found .. " actions are in the action list; look for 'unstir'.", "unstir", 0)
