-- @description unstir: separate selected items into speech, music and effects
-- @version 0.1.0
-- @author Unstir
-- @noindex

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
package.path = here .. "?.lua;" .. package.path

require("unstir.run").separate({ stems = "film", method = "", title = "speech, music and effects" })
