-- @noindex
-- A small window that shows how far a run is. Esc or closing it cancels.

local window, note = {}, nil

-- Opens the window; a remark stands in it all the time.
function window.open(title, remark)
  note = remark
  gfx.init("unstir: " .. title, 460, 100)
  gfx.setfont(1, "Arial", 15)
end

-- Shows a share from 0 to 1 and a line of text; returns false once the user wants an end.
function window.show(share, line)
  local key = gfx.getchar()
  if key < 0 or key == 27 then
    return false
  end
  gfx.set(0.16, 0.16, 0.17)
  gfx.rect(0, 0, gfx.w, gfx.h, 1)
  gfx.set(0.3, 0.3, 0.32)
  gfx.rect(16, 52, gfx.w - 32, 12, 1)
  gfx.set(0.34, 0.61, 0.84)
  gfx.rect(16, 52, (gfx.w - 32) * math.max(0, math.min(1, share)), 12, 1)
  gfx.set(0.9, 0.9, 0.9)
  gfx.x, gfx.y = 16, 18
  gfx.drawstr(line)
  gfx.x, gfx.y = 16, 72
  gfx.drawstr("Esc cancels." .. (note and "  " .. note or ""))
  gfx.update()
  return true
end

function window.close()
  gfx.quit()
end

return window
