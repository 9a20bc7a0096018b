-- @description unstir: self-test (writes a report of what only real Reaper can show)
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

require("unstir.selftest").start()
