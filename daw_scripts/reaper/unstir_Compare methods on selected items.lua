-- @description unstir: compare methods on selected items
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

local names = "Methods, with spaces between:,extrawidth=200"
local ok, answer = reaper.GetUserInputs("unstir: compare methods", 1, names,
  "compact-film classical midside")
if ok then
  local methods = {}
  for method in answer:gmatch("[%w%-_]+") do
    methods[#methods + 1] = method
  end
  require("unstir.run").separate({
    methods = table.concat(methods, ","),
    title = "compare " .. table.concat(methods, ", "),
    -- There is no truth to score against: what is said is what the take holds.
    label = function(output)
      local loudness = output.loudness ~= "" and output.loudness .. " LUFS" or "silent"
      return output.method .. ": " .. loudness
    end,
  })
end
