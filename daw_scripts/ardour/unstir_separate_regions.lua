-- Separates the selected regions through `unstir worker` and lays the stems on new tracks at the
-- regions' places. For Ardour 7 on Linux and macOS.
--
-- Copy the file to ~/.config/ardour7/scripts (macOS: ~/Library/Preferences/Ardour7/scripts), then
-- assign it to a shortcut: Edit > Lua Scripts > Script Manager.
--
-- How it was tested: everything but the editor's own part runs in Ardour 7.3's ardour7-lua, with a
-- session, regions and tracks of Ardour and the real worker. Ardour without its window has no
-- selection, dialogs or import; there they are stand-ins of the test's. So it was NOT run in
-- Ardour's window.

ardour {
	["type"]    = "EditorAction",
	name        = "Separate Regions with Unstir",
	license     = "GPL",
	author      = "Unstir",
	description = [[Separates the selected audio regions into stems on new tracks, and mutes the regions.]]
}

function action_params ()
	return { ["program"] = { title = "Path of unstir", default = "unstir" } }
end

-- Ardour keeps only this function, so that everything is in it.
function factory (params) return function ()
	local COLORS = {
		speech = 0x3f7df5ff, vocals = 0x3f7df5ff, music = 0x1fae62ff, accompaniment = 0x1fae62ff,
		effects = 0xf58220ff,
	}
	local BLOCK = 8192
	local PATIENCE_S = 60 -- a worker writes its status twice a second

	local function tell (text)
		LuaDialog.Message ("Unstir", text, LuaDialog.MessageType.Error, LuaDialog.ButtonType.Close):run ()
	end

	local function shell (text)
		return "'" .. text:gsub ("'", "'\\''") .. "'"
	end

	local function escape (value)
		return (tostring (value):gsub ("[%%%c]", function (c) return string.format ("%%%02X", c:byte ()) end))
	end

	local function content (path)
		local file = io.open (path, "rb")
		if not file then return nil end
		local text = file:read ("a")
		file:close ()
		return text
	end

	local function read_lines (path)
		local found = {}
		for key, value in (content (path) or ""):gmatch ("([^=\n]+)=([^\n]*)") do
			found[key] = value:gsub ("%%(%x%x)", function (hex) return string.char (tonumber (hex, 16)) end)
		end
		return found
	end

	local function write_lines (path, lines)
		local file = assert (io.open (path, "wb"))
		file:write (table.concat (lines, "\n"), "\n")
		file:close ()
	end

	-- A region's sound before its gain and fades, which Ardour may keep in a file for each channel.
	local function write_region (path, audio, rate, step)
		local sound = audio:to_readable ()
		local n_channels, total = sound:n_channels (), sound:readable_length ()
		local n_bytes = total * n_channels * 4
		if n_bytes > 0xffffff00 then
			return "is longer than the 4 GiB of a wave file; split it"
		end
		local file = io.open (path, "wb")
		if not file then return "cannot be written beside the session; make room or free the folder" end
		file:write (string.pack (
			"<c4I4c4c4I4I2I2I4I4I2I2c4I4", "RIFF", 36 + n_bytes, "WAVE", "fmt ", 16, 3, n_channels,
			rate, rate * n_channels * 4, n_channels * 4, 32, "data", n_bytes
		))
		local memory = ARDOUR.DSP.DspShm (BLOCK)
		local frame = "<" .. string.rep ("f", n_channels)
		local problem
		for at = 0, total - 1, BLOCK do
			local n, channels, frames = math.min (BLOCK, total - at), {}, {}
			for c = 1, n_channels do
				local place = memory:to_float (0)
				if sound:read (place, at, n, c - 1) ~= n then problem = "cannot be read" end
				channels[c] = place:get_table (n)
			end
			for i = 1, n do
				local values = {}
				for c = 1, n_channels do values[c] = channels[c][i] end
				frames[i] = frame:pack (table.unpack (values))
			end
			if problem or not file:write (table.concat (frames)) then
				problem = problem or "cannot be written; make room on the disk"
				break
			end
			if step (at / total) then problem = "cancelled" break end
		end
		file:close ()
		return problem
	end

	-- Returns what is selected: the region, its audio, its place.
	local function selected ()
		local found = {}
		for region in Editor:get_selection ().regions:regionlist ():iter () do
			local audio = region:to_audioregion ()
			if not audio:isnil () then found[#found + 1] = { region = region, audio = audio } end
		end
		return found
	end

	local function write_job (folder, items, stems, rate)
		local lines = {
			"unstir_job=1", "action=separate", "out=" .. escape (folder .. "/stems"), "methods=",
			"stems=" .. stems, "clips=" .. #items,
		}
		for i, item in ipairs (items) do
			local key = "clip_" .. i
			lines[#lines + 1] = key .. "_file=" .. escape (item.file)
			lines[#lines + 1] = key .. "_name=" .. escape (item.region:name ())
			lines[#lines + 1] = key .. "_rate=" .. rate
			lines[#lines + 1] = key .. "_segments=1"
			lines[#lines + 1] = key .. "_segment_1=0 " .. item.audio:to_readable ():readable_length () .. " 1"
		end
		write_lines (folder .. "/job.txt", lines)
	end

	-- Returns the worker's last word, or nil and why there is none.
	local function wait (folder, window)
		local beat, since, asked = nil, os.time (), false
		while true do
			local ended = content (folder .. "/exit") -- before the status, which is older then
			local status = read_lines (folder .. "/status.txt")
			if status.state and status.state ~= "running" then return status end
			if ended then
				local line = (content (folder .. "/log.txt") or ""):match ("([^\n]*)%s*$")
				return nil, "unstir did not run (" .. line .. "); set its path in the script's settings"
			end
			if status.heartbeat ~= beat then beat, since = status.heartbeat, os.time () end
			if os.time () - since > PATIENCE_S then
				return nil, "unstir fell silent; see log.txt in " .. folder
			end
			window:progress (tonumber (status.progress) or 0, status.stage or "starting")
			if window:canceled () and not asked then
				asked = true
				write_lines (folder .. "/cancel", {})
			end
			ARDOUR.LuaAPI.usleep (200000)
		end
	end

	local function track_ids ()
		local found = {}
		for route in Session:get_tracks ():iter () do found[route:to_stateful ():id ():to_s ()] = route end
		return found
	end

	local function import (file, name, stem, item)
		local before = track_ids ()
		local files = C.StringVector ()
		files:push_back (file)
		Editor:do_import (
			files, Editing.ImportDistinctFiles, Editing.ImportAsTrack, ARDOUR.SrcQuality.SrcBest,
			ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore,
			item.region:position (), ARDOUR.PluginInfo (), ARDOUR.Track (), false
		)
		for id, route in pairs (track_ids ()) do
			if not before[id] then
				route:set_name (name)
				if COLORS[stem] then route:presentation_info_ptr ():set_color (COLORS[stem]) end
				for region in route:to_track ():playlist ():region_list ():iter () do
					region:to_audioregion ():set_scale_amplitude (item.audio:scale_amplitude ())
				end
				return true
			end
		end
		return false
	end

	local function mute (item)
		local whole = item.region:playlist ():to_statefuldestructible ()
		local state = item.region:to_statefuldestructible ()
		if state and not whole:isnil () then
			item.region:to_stateful ():clear_changes ()
			item.region:set_muted (true)
			Session:add_stateful_diff_command (state)
		end
	end

	local items = selected ()
	if #items == 0 then
		tell ("No audio region is selected; select one or more, then run this again.")
		return
	end
	local answer = LuaDialog.Dialog ("Separate with Unstir", {
		{ type = "dropdown", key = "stems", title = "Into", default = "Speech, music, effects",
			values = { ["Speech, music, effects"] = "film", ["Vocals, accompaniment"] = "song" } },
		{ type = "checkbox", key = "mute", title = "Mute the regions", default = true },
	}):run ()
	if not answer then return end

	local folder = Session:path () .. "/unstir/" .. os.date ("%Y%m%d-%H%M%S")
	if not os.execute ("mkdir -p " .. shell (folder)) then
		tell ("The folder " .. folder .. " cannot be made; free the session's folder.")
		return
	end
	local rate = math.floor (Session:nominal_sample_rate ())
	local window = LuaDialog.ProgressWindow ("Unstir", true)
	local problem, status
	for i, item in ipairs (items) do
		item.file = folder .. "/region " .. i .. ".wav"
		problem = write_region (item.file, item.audio, rate, function (share)
			window:progress (share, "reading " .. item.region:name ())
			return window:canceled ()
		end)
		if problem then
			problem = "The region " .. item.region:name () .. " " .. problem .. "."
			break
		end
	end
	if not problem then
		write_job (folder, items, answer.stems, rate)
		local program = params and params ().program or "unstir"
		os.execute (
			"(" .. shell (program) .. " worker " .. shell (folder .. "/job.txt") .. " >"
			.. shell (folder .. "/log.txt") .. " 2>&1; echo $? >" .. shell (folder .. "/exit") .. ") &"
		)
		status, problem = wait (folder, window)
	end
	for _, item in ipairs (items) do os.remove (item.file or "") end
	local stopped = window:canceled () or (status and status.state == "cancelled")
	window:done ()
	if stopped then return end
	if not problem and status.state ~= "done" then problem = status.error end
	if problem then
		tell (problem)
		return
	end

	Session:begin_reversible_command ("Separate Regions with Unstir")
	for i = 1, tonumber (status.outputs) do
		local key = "output_" .. i
		local item, stem = items[tonumber (status[key .. "_clip"])], status[key .. "_stem"]
		if not import (status[key .. "_file"], item.region:name () .. " " .. stem, stem, item) then
			problem = "Ardour did not import " .. status[key .. "_file"] .. "; import it by hand."
		end
	end
	if answer.mute and not problem then
		for _, item in ipairs (items) do mute (item) end
	end
	if not Session:abort_empty_reversible_command () then
		Session:commit_reversible_command (nil)
	end
	if problem then tell (problem) end
end end
