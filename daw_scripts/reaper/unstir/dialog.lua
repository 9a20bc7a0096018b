-- @noindex
-- The options of a separation as a window: ReaImGui's where it is installed, else one drawn by gfx.

local settings = require("unstir.settings")

local dialog = {}

local FIELDS = {
  { "stems", "Stems", { "film", "speech, music, effects" }, { "song", "vocals, accompaniment" } },
  { "method", "Method", { "", "the best that ships" }, { "hybrid", "hybrid" },
    { "compact-film", "compact-film (film)" }, { "classical", "classical" },
    { "midside", "midside" }, { "nmf", "nmf" }, { "wiener", "wiener" } },
  { "capture", "Sound", { "auto", "from the file, rendered where needed" },
    { "rendered", "always rendered by Reaper" } },
  { "handles_s", "Handles", { "0", "none" }, { "0.5", "0.5 s" }, { "1", "1 s" }, { "2", "2 s" },
    { "5", "5 s" } },
  { "place", "Tracks", { "inside", "children of the item's track" },
    { "below", "a folder below, with a copy of its effects" } },
  { "names", "Names", { "plain", "Speech, Music, Effects" }, { "post", "DX, MX, FX" } },
  { "device", "Device", { "auto", "GPU if there is one" }, { "cpu", "CPU" }, { "cuda", "GPU" } },
}

-- The words for a field's value; a value set elsewhere is shown as it is.
local function shown(field, value)
  for i = 3, #field do
    if field[i][1] == value then
      return field[i][2]
    end
  end
  return value
end

local function accept(options, done)
  settings.save(options)
  done(options)
end

local function open_imgui(options, done)
  package.path = reaper.ImGui_GetBuiltinPath() .. "/?.lua;" .. package.path
  local ImGui = require("imgui")("0.10")
  local context = ImGui.CreateContext("unstir")

  local function frame()
    local visible, open = ImGui.Begin(context, "unstir: separate into stems", true)
    local start = false
    if visible then
      for _, field in ipairs(FIELDS) do
        if ImGui.BeginCombo(context, field[2], shown(field, options[field[1]])) then
          for i = 3, #field do
            local chosen = field[i][1] == options[field[1]]
            if ImGui.Selectable(context, field[i][2], chosen) then
              options[field[1]] = field[i][1]
            end
          end
          ImGui.EndCombo(context)
        end
      end
      start = ImGui.Button(context, "Separate")
      ImGui.SameLine(context)
      open = not ImGui.Button(context, "Cancel") and open
      ImGui.End(context)
    end
    if start then
      accept(options, done)
    elseif open then
      reaper.defer(frame)
    end
  end
  reaper.defer(frame)
end

local ROW, LEFT, MIDDLE, WIDTH = 30, 16, 110, 440

local function row_at(y)
  local row = math.floor((y - 12) / ROW) + 1
  return row
end

local function menu_of(field, value)
  local words = {}
  for i = 3, #field do
    words[#words + 1] = (field[i][1] == value and "!" or "") .. field[i][2]
  end
  return table.concat(words, "|")
end

local function open_gfx(options, done)
  local height = 12 + ROW * (#FIELDS + 1) + 16
  gfx.init("unstir: separate into stems", WIDTH, height)
  gfx.setfont(1, "Arial", 15)
  local was_down = true

  local function draw()
    gfx.set(0.16, 0.16, 0.17)
    gfx.rect(0, 0, WIDTH, height, 1)
    for row, field in ipairs(FIELDS) do
      local y = 12 + (row - 1) * ROW
      gfx.set(0.24, 0.24, 0.26)
      gfx.rect(MIDDLE - 8, y, WIDTH - MIDDLE - 8, ROW - 6, 1)
      gfx.set(0.9, 0.9, 0.9)
      gfx.x, gfx.y = LEFT, y + 4
      gfx.drawstr(field[2])
      gfx.x, gfx.y = MIDDLE, y + 4
      gfx.drawstr(shown(field, options[field[1]]))
    end
    gfx.set(0.34, 0.61, 0.84)
    gfx.rect(LEFT, 12 + #FIELDS * ROW + 6, WIDTH - 2 * LEFT, ROW - 4, 1)
    gfx.set(0.05, 0.05, 0.05)
    gfx.x, gfx.y = WIDTH / 2 - 60, 12 + #FIELDS * ROW + 11
    gfx.drawstr("Separate (Enter)")
    gfx.update()
  end

  -- Returns true once a click means "go".
  local function click(row)
    local field = FIELDS[row]
    if not field then
      return row == #FIELDS + 1
    end
    gfx.x, gfx.y = MIDDLE, 12 + row * ROW - 6
    local chosen = math.tointeger(gfx.showmenu(menu_of(field, options[field[1]])))
    if chosen and chosen > 0 then
      options[field[1]] = field[2 + chosen][1]
    end
    return false
  end

  local function frame()
    local key = gfx.getchar()
    if key < 0 or key == 27 then
      gfx.quit()
      return nil
    end
    local down = math.tointeger(gfx.mouse_cap) & 1 == 1
    local go = key == 13
    if down and not was_down then
      go = click(row_at(gfx.mouse_y)) or go
    end
    was_down = down
    if go then
      gfx.quit()
      return accept(options, done)
    end
    draw()
    reaper.defer(frame)
    return nil
  end
  reaper.defer(frame)
end

-- Asks for options, keeps them, and calls done(options); nothing if the user closes the window.
function dialog.open(done)
  local options = settings.load()
  if reaper.APIExists("ImGui_GetBuiltinPath") then
    open_imgui(options, done)
  else
    open_gfx(options, done)
  end
end

return dialog
