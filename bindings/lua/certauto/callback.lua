-- SPDX-License-Identifier: Apache-2.0
-- Functions of the program that the library calls: what they raise waits until it has returned.

local core = require "certauto.core"

core.ours()

local KEPT_MAX = 16

local callback = {}

-- Raises what a callback has raised when no job could be told for it.
function callback.raise_loose(cx)
	local loose = cx._loose
	if loose then
		cx._loose = nil
		error(loose.raised, 0)
	end
end

-- Keeps what a signer or a target came to, for the one whose error has these words in it.
function callback.keep(cx, words, entry)
	entry.words = words
	table.insert(cx._kept, entry)
	if #cx._kept > KEPT_MAX then
		table.remove(cx._kept, 1)
	end
end

local function has_words(detail, words)
	if detail.message:find(words, 1, true) then
		return true
	end
	for _, sub in ipairs(detail.subproblems) do
		if (sub.detail or ""):find(words, 1, true) then
			return true
		end
	end
end

-- The results of a call in which callbacks may have run: what one has raised is raised again, what
-- one has given as its reason is told.
function callback.settle(cx, first, text, code, detail)
	callback.raise_loose(cx)
	if first ~= nil or not detail then
		return first, text, code, detail
	end
	for i = #cx._kept, 1, -1 do
		local entry = cx._kept[i]
		if has_words(detail, entry.words) then
			if not entry.reason then
				error(entry.raised, 0)
			end
			detail.message = detail.message .. ": " .. entry.reason
			text = text .. ": " .. entry.reason
			break
		end
	end
	return nil, text, code, detail
end

-- Calls a function of the program's; `depth` says that calls that run the context are refused.
function callback.called(cx, call, ...)
	local function leave(...)
		cx._depth = cx._depth - 1
		return ...
	end
	cx._depth = cx._depth + 1
	return leave(pcall(call, ...))
end

-- Functions that C holds do not hold the context: the collector could not see that circle.
function callback.held_weakly(cx)
	return setmetatable({ cx = cx }, { __mode = "v" })
end

return callback
