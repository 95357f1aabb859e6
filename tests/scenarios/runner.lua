-- One run of a scenario through the Lua package; see runner.c for what it takes and prints.

local certauto = require "certauto"
local json = require "certauto.json"

local SETTINGS, TARGET = {}, {}
for _, word in ipairs { select(2, ...) } do
	local name, value = word:match "^([^=]+)=(.*)$"
	SETTINGS[name] = value
	local option = name:match "^option%.(.+)$"
	if option then
		TARGET[option] = value
	end
end
local TIMEOUT = tonumber(SETTINGS.timeout)

-- One thing that came out.
local function say(...)
	local fields = { ... }
	for i = 1, select("#", ...) do
		fields[i] = tostring(fields[i] == nil and "" or fields[i])
	end
	io.stdout:write(table.concat(fields, "\t"), "\n")
end

local function names()
	local found = {}
	for name in (SETTINGS.names or ""):gmatch "[^,]+" do
		found[#found + 1] = name
	end
	return found
end

-- ---- callbacks ----

-- A target written here: its answers are shown to nobody.
local own = {
	caps = certauto.TARGET_HTTP01,
	type = "own",
	options = { { name = "where", type = "text", help = "where it is shown" } },
}

function own:present(work)
	say("present", work.name, work.challenge, work:option "where")
	if work:option "where" == "nowhere" then
		return nil, "no right to show it", certauto.EPERM
	end
end

function own:cleanup(work)
	say("cleanup", work.name, work.challenge)
end

local function refuse_to_sign(alg, digest)
	say("sign", alg, #digest)
	return nil, "wrong PIN", certauto.EAUTH
end

local REFUSED = {}
local cancels = ({ once = 1, twice = 2 })[SETTINGS.cancel] or 0

local function on_event(event)
	local about = event.object or event.job.name
	if event.type == certauto.EVENT_STEP then
		say("step", about, event.step, event.text)
	elseif event.type == certauto.EVENT_WARNING then
		say("warning", about, event.text)
	elseif event.type == certauto.EVENT_DONE then
		say("done", about)
	end
	while event.type == certauto.EVENT_WAIT and cancels > 0 do
		cancels = cancels - 1
		event.context:cancel()
	end
	if event.type == certauto.EVENT_STEP and SETTINGS.refuse then
		SETTINGS.refuse = nil
		error(REFUSED)
	end
end

-- ---- by hand ----

-- The order, the target that answers, the key; or nil and so on.
local function make_order(cx)
	local kid, hmac = (SETTINGS.eab or ""):match "^(.-):(.*)$"
	local account, text, code, detail = cx:account {
		SETTINGS.server, ca_file = SETTINGS.ca_file, agree_tos = SETTINGS.agree_tos ~= nil,
		eab = kid and { kid, hmac },
	}
	if not account then
		return nil, text, code, detail
	end
	TARGET[1] = SETTINGS.type == "own" and own or SETTINGS.type
	local target = assert(cx:target(TARGET))
	local key = assert(cx:key())
	if SETTINGS.key == "signer" then
		key = assert(cx:key_signer(key:public(), refuse_to_sign))
	end
	local csr
	csr, text, code, detail = cx:csr(key, names())
	if not csr then
		return nil, text, code, detail
	end
	local order = assert(account:order(csr, { http01 = target, profile = SETTINGS.profile }))
	return order, target, key
end

local function say_order(order)
	local words = { [0] = "open", "valid", "invalid" }
	local status, errors = order.name_status, order.name_errors
	say("order", order.status)
	for _, name in ipairs(order.names) do
		local fields = { name, words[status[name]], errors[name] and errors[name].name }
		say("name", (table.unpack or unpack)(fields, 1, #fields))
	end
end

local function run_order(cx)
	local order, target, key, detail = make_order(cx)
	if not order then
		return nil, target, key, detail
	end
	local results = { pcall(order.run, order, TIMEOUT) }
	say_order(order)
	if not results[1] then
		error(results[2], 0)
	end
	local chain = results[2]
	if not chain then
		return nil, results[3], results[4], results[5]
	end
	say("chain", chain.fingerprint)
	for _, name in ipairs(chain.names) do
		say("issued", name)
	end
	if SETTINGS.deploy then
		return target:deploy(SETTINGS.deploy, chain, key, TIMEOUT)
	end
	return true
end

-- ---- by a configuration ----

local function run_fleet(cx)
	local fleet, text, code, detail = cx:fleet(SETTINGS.config)
	if not fleet then
		return nil, text, code, detail
	end
	local options = names()
	options.timeout = TIMEOUT
	options.force = SETTINGS.verb == "renew" and SETTINGS.force ~= nil or nil
	options.reason = SETTINGS.verb == "revoke" and certauto.REVOKE_SUPERSEDED or nil
	local results = { fleet[SETTINGS.verb](fleet, options) }
	say("results", json.encode(fleet:results()))
	return (table.unpack or unpack)(results, 1, 4)
end

-- ---- how it ended ----

local function say_error(detail)
	say("result", detail.name)
	for _, field in ipairs { "message", "object", "problem", "advice" } do
		say(field, detail[field])
	end
	say("status", detail.status or 0)
	say("retry_at", detail.retry_at or 0)
	for _, sub in ipairs(detail.subproblems or {}) do
		say("subproblem", sub.name, sub.problem, sub.detail)
	end
end

local cx = assert(certauto.context { on_event = on_event })
local well, done, text, _, detail = pcall(({ order = run_order, fleet = run_fleet })[...], cx)
if not well and done == REFUSED then
	-- What a callback raises comes out of the call as it is.
	done, detail = nil, { name = "CERTAUTO_ECANCELED", message = "refused" }
elseif not well then
	error(done, 0)
end
if done then
	say("result", "CERTAUTO_OK")
else
	say_error(detail or { name = "?", message = text })
end
cx:close()
os.exit(done and 0 or 1)
