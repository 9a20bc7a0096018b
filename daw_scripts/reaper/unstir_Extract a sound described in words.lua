-- @description unstir: extract a sound described in words
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

local settings = require("unstir.settings")
local ok, answer = reaper.GetUserInputs("unstir: extract sounds (several with ; between)", 1,
  "What is to be heard:,extrawidth=200", "a dog barking")
local queries = {}
for query in (ok and answer or ""):gmatch("[^;]+") do
  queries[#queries + 1] = query:match("^%s*(%S.-)%s*$")
end
if #queries > 0 then
  local words = table.concat(queries, "; ")
  local options = settings.load()
  options.action = "extract"
  options.words = words
  options.methods = ""
  options.title = "extract " .. words
  require("unstir.run").start(options)
end
