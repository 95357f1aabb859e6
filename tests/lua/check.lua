-- A handful of checks, for the files of this folder: each runs its tests and ends with
-- check.done(). Tests are named test_thing__what_holds, as elsewhere.

local check = {}
local failed, passed = 0, 0

function check.equal(is, should, what)
	if is ~= should then
		error(("%s: is %s, should be %s"):format(what or "value", tostring(is), tostring(should)), 2)
	end
	return is
end

function check.matches(text, pattern)
	if type(text) ~= "string" or not text:find(pattern) then
		error(("%s does not match %s"):format(tostring(text), pattern), 2)
	end
	return text
end

-- The call must give nil, a text, this code; what else it gave.
function check.fails(code, ...)
	local first, text, given, detail = ...
	if first ~= nil or given ~= code or type(text) ~= "string" then
		error(("gave %s, %s, %s; code should be %d"):format(tostring(first), tostring(text),
			tostring(given), code), 2)
	end
	check.equal(detail.code, code, "code in the table")
	return text, detail
end

-- What call(...) raises.
function check.raises(pattern, call, ...)
	local ok, raised = pcall(call, ...)
	if ok then
		error("nothing was raised", 2)
	elseif pattern and not tostring(raised):find(pattern) then
		error(("raised %s, should match %s"):format(tostring(raised), pattern), 2)
	end
	return raised
end

-- The texts of a list, joined.
function check.list(list)
	return table.concat(list, " ")
end

function check.test(name, test)
	local ok, raised = xpcall(test, function(raised)
		return debug.traceback(tostring(raised), 2)
	end)
	if ok then
		passed = passed + 1
	else
		failed = failed + 1
		print("FAILED " .. name .. "\n" .. raised)
	end
end

function check.done()
	collectgarbage()
	collectgarbage()
	print(("%d passed, %d failed"):format(passed, failed))
	os.exit(failed == 0 and passed > 0 and 0 or 1, true)
end

-- What the harness says: ENV.SERVER and so on.
check.ENV = setmetatable({}, {
	__index = function(_, name)
		return os.getenv("CERTAUTO_TEST_" .. name) or error("the harness did not set " .. name, 2)
	end,
})

return check
