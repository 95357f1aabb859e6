-- SPDX-License-Identifier: Apache-2.0
-- What all objects of this package have in common, and how values cross into C.

local core = require "certauto.core"
local json = require "certauto.json"

core.ours()

local mistake = core.mistake
local FOREVER = -1

local object = {}

-- ---- objects ----

-- A kind of object: a table with a handle `_h` of the C library and the context `_cx` it was made
-- from. Methods are called; properties are read like fields.
function object.class(name)
	local methods, properties = {}, {}
	local kind = { name = name, methods = methods, properties = properties }

	function kind.__index(self, field)
		local method = methods[field]
		if method then
			return method
		end
		local property = properties[field]
		if property then
			return property(self)
		elseif field == "_h" then
			mistake(("this %s is closed"):format(name))
		end
	end
	function kind.__tostring(self)
		local about = properties.closed(self) and "closed"
			or kind.about and kind.about(self)
		return ("<certauto.%s%s>"):format(name, about and " " .. about or "")
	end
	function kind.__close(self)
		self:close()
	end

	-- Gives the object up at once; others that need it keep it. Inside a callback the library
	-- may be at work on it: the collector frees it then.
	function methods.close(self)
		local handle = rawget(self, "_h")
		self._h = nil
		if handle and self._cx._depth == 0 then
			core.close(handle)
		end
	end
	function properties.closed(self)
		return rawget(self, "_h") == nil
	end
	function properties.context(self)
		return self._cx
	end
	return kind
end

-- The object for a handle that a call gave, or what else it gave.
function object.wrap(kind, cx, handle, ...)
	if handle == nil then
		return nil, ...
	end
	return setmetatable({ _h = handle, _cx = cx }, kind)
end

-- The handle of an object that must be of this kind.
function object.raw(kind, thing)
	if getmetatable(thing) ~= kind then
		local given = type(thing) == "table" and tostring(thing) or type(thing)
		mistake(("a %s is needed, not %s"):format(kind.name, given))
	end
	return thing._h
end

function object.raw_or_nil(kind, thing)
	return thing ~= nil and object.raw(kind, thing) or nil
end

-- ---- values ----

-- nil and so on, as calls of the library give it.
function object.failure(code, message, ...)
	local text = message:format(...)
	local detail = {
		code = code, name = core.certauto_error_name(code), message = text, text = text,
		subproblems = {},
	}
	return nil, text, code, detail
end

-- A timeout for C. nil is without limit.
function object.ms(seconds)
	if seconds == nil then
		return FOREVER
	elseif type(seconds) ~= "number" or not (seconds >= 0) then
		mistake(("a timeout is a number of seconds, not %s"):format(tostring(seconds)))
	end
	return math.max(1, math.floor(math.min(seconds * 1000, 0x7FFFFFFF)))
end

-- A time may have a fraction, which C does not know.
function object.whole(number)
	return type(number) == "number" and math.floor(number) or number
end

-- Of times of which 0 says that nothing is known.
function object.known(number)
	return number ~= 0 and number or nil
end

-- A lone value is a list of one; nil is an empty list.
function object.list_of(value)
	return type(value) == "table" and value or { value }
end

-- The names an object has.
function object.texts(handle, count, item)
	local found = {}
	for i = 1, count(handle) do
		found[i] = item(handle, i - 1)
	end
	return found
end

-- An option's value in the string form that all languages share.
function object.option_text(name, value, argv)
	if type(value) == "boolean" then
		return value and "yes" or "no"
	elseif type(value) == "number" and value % 1 == 0 then
		return ("%.0f"):format(value)
	elseif type(value) == "table" and argv then
		return json.encode(value)
	elseif type(value) == "table" then
		for i, item in ipairs(value) do
			if type(item) ~= "string" and type(item) ~= "number" then
				mistake(("the option %s is a list with a %s at %d: text is needed"):format(
					name, type(item), i))
			end
		end
		return table.concat(value, ",")
	elseif type(value) ~= "string" then
		mistake(("the option %s is text, a number, a boolean or a list, not %s"):format(name,
			tostring(value)))
	end
	return value
end

-- The names in a table of options, in an order that is always the same.
function object.names_of(options)
	local names = {}
	for name in pairs(options) do
		if type(name) == "string" then
			names[#names + 1] = name
		end
	end
	table.sort(names)
	return names
end

-- Options of a call in a table: of these names only.
function object.check_names(options, allowed)
	if type(options) ~= "table" then
		mistake(("a table of options is needed, not %s"):format(type(options)))
	end
	for _, name in ipairs(object.names_of(options)) do
		if not (" " .. allowed .. " "):find(" " .. name .. " ", 1, true) then
			mistake(("there is no option %s; there are: %s"):format(name, allowed))
		end
	end
	return options
end

-- Calls step() for each value; what the first that fails gives, else true.
function object.each(values, step)
	for _, value in ipairs(values) do
		local ok, message, code, detail = step(value)
		if not ok then
			return nil, message, code, detail
		end
	end
	return true
end

-- The value of the JSON that a call gave, or what else it gave.
function object.decoded(text, ...)
	if text == nil then
		return nil, ...
	end
	return json.decode(text)
end

-- ---- options ----

-- The object that a call gave, with its options set; or what else the call gave. setters: a list of
-- { name, set(handle, value, options) }, in whose order they are set; there are no others.
function object.configured(setters, options, made, ...)
	local allowed = {}
	if not made then
		return nil, ...
	end
	for i, setter in ipairs(setters) do
		allowed[i] = setter[1]
	end
	object.check_names(options, table.concat(allowed, " "))
	local ok, text, code, detail = object.each(setters, function(setter)
		local value = options[setter[1]]
		return value == nil or setter[2](made._h, value, options)
	end)
	if not ok then
		return nil, text, code, detail
	end
	return made
end

-- The same for an object that knows its options itself.
function object.with_options(options, made, ...)
	if not made then
		return nil, ...
	end
	local ok, text, code, detail = made:set(options)
	if not ok then
		return nil, text, code, detail
	end
	return made
end

return object
