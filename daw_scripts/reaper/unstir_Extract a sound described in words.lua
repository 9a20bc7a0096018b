-- @description unstir: extract a sound described in words
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

local settings = require("unstir.settings")
local ok, words = reaper.GetUserInputs("unstir: extract a sound", 1,
  "What is to be heard:,extrawidth=200", "a dog barking")
if ok and words:match("%S") then
  local options = settings.load()
  options.action = "extract"
  options.words = words
  options.methods = ""
  options.title = "extract " .. words
  require("unstir.run").start(options)
end
