-- @description unstir: melody of selected items to MIDI
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

local settings = require("unstir.settings")
-- What else plays beside the voice decides whether it must be taken out first.
local answer = reaper.MB("Is one voice or instrument alone in the selected items?\n\n"
  .. "Yes: its melody is followed as it is.\nNo: the voice is separated first.",
  "unstir: melody to MIDI", 3)
if answer ~= 2 then
  local options = settings.load()
  options.action = "notes"
  options.methods = ""
  if answer == 6 then
    options.stems = "none"
  end
  options.title = "melody to MIDI"
  require("unstir.run").start(options)
end
