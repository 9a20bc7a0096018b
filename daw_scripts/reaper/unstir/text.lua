-- @noindex
-- Text that crosses borders: lines of key=value, shell words, file names.

local text = {}

-- A value as one line of a job file holds it.
function text.escape(value)
  return (tostring(value):gsub("[%%%z\1-\31\127]", function(c)
    return string.format("%%%02X", c:byte())
  end))
end

function text.unescape(value)
  return (value:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The keys and values of a job or status file.
function text.parse(content)
  local found = {}
  for line in content:gmatch("[^\r\n]+") do
    local key, value = line:match("^([^=]+)=(.*)$")
    if key then
      found[key] = text.unescape(value)
    end
  end
  return found
end

-- Lines for an array of {key, value}.
function text.lines(pairs_in_order)
  local out = {}
  for _, pair in ipairs(pairs_in_order) do
    out[#out + 1] = pair[1] .. "=" .. text.escape(pair[2])
  end
  return table.concat(out, "\n") .. "\n"
end

function text.is_windows()
  return reaper.GetOS():match("^Win") ~= nil
end

-- One word of a command line, whatever is in it.
function text.quote(word)
  if text.is_windows() then
    -- A quote cannot be part of a Windows path; backslashes before the closing one count double.
    return '"' .. word:gsub('"', ""):gsub("(\\+)$", "%1%1") .. '"'
  end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- A name that every file system and every project file takes.
function text.safe_name(name)
  name = name:gsub("[%c/\\:*?\"<>|]+", "_"):gsub("^[%s._]+", ""):gsub("[%s._]+$", "")
  return name ~= "" and name or "clip"
end

-- A name for tracks and takes: no line breaks, no quotes, which break project files.
function text.label(name)
  return (name:gsub("%c+", " "):gsub('"', "'"))
end

function text.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local content = file:read("a")
  file:close()
  return content
end

-- Writes under a temporary name first: nobody sees half a file.
function text.write(path, content)
  local file, why = io.open(path .. ".part", "wb")
  if not file then
    return nil, why
  end
  file:write(content)
  file:close()
  os.remove(path)
  return os.rename(path .. ".part", path)
end

function text.round(x)
  return math.floor(x + 0.5)
end

return text
