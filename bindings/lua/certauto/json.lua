-- SPDX-License-Identifier: Apache-2.0
-- JSON, as far as certauto needs it: configurations and options go in, results come out.

local json = {}

-- ---- reading ----

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local WORDS = { ["true"] = true, ["false"] = false }

local function utf8(code)
	if code < 0x80 then
		return string.char(code)
	elseif code < 0x800 then
		return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
	elseif code < 0x10000 then
		return string.char(0xE0 + math.floor(code / 4096),
			0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
	end
	return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
		0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local function fail(at)
	error("not JSON at byte " .. at, 0)
end

-- What follows the backslash at `at`, and where the text goes on.
local function read_escape(text, at)
	local letter = text:sub(at + 1, at + 1)
	if letter ~= "u" then
		return ESCAPES[letter] or letter, at + 2
	end
	local code = tonumber(text:match("^%x%x%x%x", at + 2) or fail(at), 16)
	local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 6)
	if code >= 0xD800 and code < 0xDC00 and low then
		code = 0x10000 + (code - 0xD800) * 1024 + tonumber(low, 16) - 0xDC00
		return utf8(code), at + 12
	end
	return utf8(code), at + 6
end

-- The text whose opening quote is at `at`.
local function read_text(text, at)
	local parts = {}
	at = at + 1
	while true do
		local stop = text:find('["\\]', at) or fail(at)
		parts[#parts + 1] = text:sub(at, stop - 1)
		if text:sub(stop, stop) == '"' then
			return table.concat(parts), stop + 1
		end
		parts[#parts + 1], at = read_escape(text, stop)
	end
end

local read

-- What is between brackets: entry(at) reads one and says where it ends.
local function read_entries(text, at, close, entry)
	at = text:match("^%s*()", at + 1)
	if text:sub(at, at) == close then
		return at + 1
	end
	while true do
		local mark
		mark, at = text:match("^%s*([,%]}])%s*()", entry(at))
		if mark == close then
			return at
		elseif mark ~= "," then
			fail(at or #text)
		end
	end
end

local function read_array(text, at)
	local array, n = {}, 0
	return array, read_entries(text, at, "]", function(from)
		n = n + 1
		array[n], from = read(text, from)
		return from
	end)
end

local function read_object(text, at)
	local object = {}
	return object, read_entries(text, at, "}", function(from)
		local name
		if text:sub(from, from) ~= '"' then
			fail(from)
		end
		name, from = read_text(text, from)
		object[name], from = read(text, text:match("^%s*:()", from) or fail(from))
		return from
	end)
end

function read(text, at)
	at = text:match("^%s*()", at)
	local first = text:sub(at, at)
	if first == '"' then
		return read_text(text, at)
	elseif first == "{" then
		return read_object(text, at)
	elseif first == "[" then
		return read_array(text, at)
	end
	local word = text:match("^[%w.+-]+", at) or fail(at)
	local value = WORDS[word]
	if value == nil and word ~= "null" then
		value = tonumber(word) or fail(at)
	end
	return value, at + #word
end

-- The value that a text stands for; null is nil.
function json.decode(text)
	local value, at = read(text, 1)
	if text:find("%S", at) then
		fail(at)
	end
	return value
end

-- ---- writing ----

local write

local function write_text(text)
	return '"' .. text:gsub('[%c"\\]', function(letter)
		return ("\\u%04x"):format(letter:byte())
	end) .. '"'
end

local function write_array(array)
	local parts = {}
	for i, value in ipairs(array) do
		parts[i] = write(value)
	end
	return "[" .. table.concat(parts, ",") .. "]"
end

local function write_object(object)
	local parts = {}
	for name, value in pairs(object) do
		if type(name) ~= "string" then
			error("a table is either a list or has names", 0)
		end
		parts[#parts + 1] = write_text(name) .. ":" .. write(value)
	end
	table.sort(parts)
	return "{" .. table.concat(parts, ",") .. "}"
end

function write(value)
	local kind = type(value)
	if kind == "table" then
		return #value > 0 and write_array(value) or write_object(value)
	elseif kind == "string" then
		return write_text(value)
	elseif kind == "number" then
		return value % 1 == 0 and ("%.0f"):format(value) or ("%.17g"):format(value)
	elseif kind == "boolean" then
		return tostring(value)
	end
	error("a " .. kind .. " is no JSON", 0)
end

-- The text of a value. A table with a first element is a list, others are objects.
json.encode = write

return json
