-- @description unstir: separate selected items into stems
-- @version 0.1.0
-- @author Unstir
-- @about
--   Takes the selected items apart into stems that add up to them: speech, music and effects, or
--   vocals and accompaniment. Needs the Python package unstir, which ReaPack does not install:
--   run the action "unstir: check the set-up" first.
-- @provides
--   [main] unstir_*.lua
--   [nomain] unstir/*.lua
--   [effect] unstir/*.jsfx

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

require("unstir.dialog").open(function(options)
  require("unstir.run").separate(options)
end)
