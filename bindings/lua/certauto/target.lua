-- SPDX-License-Identifier: Apache-2.0
-- Targets: those that are built in, and those written in Lua.

local core = require "certauto.core"
local json = require "certauto.json"
local object = require "certauto.object"
local callback = require "certauto.callback"
local jobs = require "certauto.job"
local certs = require "certauto.cert"

core.ours()

local AGAIN, ECANCELED, EREFUSED =
	core.CERTAUTO_AGAIN, core.CERTAUTO_ECANCELED, core.CERTAUTO_EREFUSED
local OPERATIONS =
	{ "present", "cleanup", "observe", "stage", "swap", "save", "tidy", "undo", "csr" }

local wrap, raw, raw_or_nil, ms = object.wrap, object.raw, object.raw_or_nil, object.ms
local each, names_of, option_text = object.each, object.names_of, object.option_text
local keep, called, held_weakly = callback.keep, callback.called, callback.held_weakly
local start, verb = jobs.start, jobs.verb
local Key, Csr, Chain = certs.Key, certs.Csr, certs.Chain

local Target, Work = object.class "Target", object.class "Work"

local errors = 0

-- One call of an operation of a target written in Lua.
local function operate(cx, target, handle)
	local work = setmetatable({ _h = handle, _cx = cx }, Work)
	local ok, again, reason, code =
		called(cx, target[core.certauto_work_op(handle)], target, work)
	if not ok then
		errors = errors + 1
		local words = ("%s (error %d)"):format(tostring(again), errors)
		keep(cx, words, { raised = again })
		return core.certauto_work_fail(handle, ECANCELED, words)
	elseif not again and reason ~= nil then
		return core.certauto_work_fail(handle, code or EREFUSED, tostring(reason))
	elseif type(again) ~= "number" then
		return 0
	elseif again >= 0 then
		core.certauto_work_set_wait_ms(handle, math.floor(again * 1000))
	end
	return AGAIN
end

-- What C needs of a target written in Lua.
local function operations(cx, target)
	local weak, has = held_weakly(cx), {}
	for _, operation in ipairs(OPERATIONS) do
		if target[operation] then
			has[#has + 1] = operation
		end
	end
	local function call(handle)
		return weak.cx and operate(weak.cx, target, handle) or ECANCELED
	end
	local options = target.options and json.encode(target.options)
	return target.type or "lua", target.caps, options, has, call
end

-- What an operation of a target written in Lua is to do; good for as long as that runs.
--
-- A target is a table with `caps` (sum of certauto.TARGET_*), `type` (its name), `options` (a
-- list of tables with name, type, required, sensitive, default, help) and those of the functions
-- present, cleanup, observe, stage, swap, save, tidy, undo, csr that it needs, called as
-- target:op(work). None must block. It returns nothing when it is done, or a number of seconds
-- after which it is to be called again; it fails with nil, a reason and a code. What it raises is
-- raised again by what waits.

for _, field in ipairs { "op", "name", "challenge", "token", "value", "record" } do
	Work.properties[field] = function(self)
		return core["certauto_work_" .. field](self._h)
	end
end

-- Value of an option.
function Work.methods.option(self, name)
	return core.certauto_work_option(self._h, name)
end

-- The certificate to deploy, or the one that answers tls-alpn-01.
function Work.methods.chain(self)
	return wrap(Chain, self._cx, core.certauto_work_dup_chain(self._h))
end

-- Its key; certauto.ENOTFOUND if it is kept elsewhere.
function Work.methods.key(self)
	return wrap(Key, self._cx, core.certauto_work_dup_key(self._h))
end

-- Remembers a value for later operations, undo and a next process; never a secret. It is durable
-- when the operation is called again: return 0 after it.
function Work.methods.note(self, name, value)
	return core.certauto_work_note(self._h, name, value)
end

-- A value noted before.
function Work.methods.noted(self, name)
	return core.certauto_work_noted(self._h, name)
end

-- To be called again when a descriptor is ready for "r", "w" or "rw": return work:wait_fd(fd, "r").
function Work.methods.wait_fd(self, fd, what)
	local events = (what:find "r" and 1 or 0) + (what:find "w" and 2 or 0)
	local ok, text, code = core.certauto_work_set_wait_fd(self._h, fd, events)
	if not ok then
		return nil, text, code
	end
	return -1
end

-- The request the device has made, PEM or DER.
function Work.methods.set_csr(self, data)
	return core.certauto_work_set_csr(self._h, data)
end

local function is_argv(target, name)
	local h = target._h
	for i = 0, core.certauto_target_n_options(h) - 1 do
		if core.certauto_target_option_name(h, i) == name then
			return core.certauto_target_option_type(h, i) == "argv"
		end
	end
end

-- Sets options: text, numbers, booleans, lists.
function Target.methods.set(self, options)
	return each(names_of(options), function(name)
		local value = options[name]
		return core.certauto_target_set(self._h, name,
			option_text(name, value, type(value) == "table" and is_argv(self, name)))
	end)
end

-- Lowers safety: the device's TLS certificate is not verified.
function Target.methods.insecure_noverify(self)
	return core.certauto_target_insecure_noverify(self._h)
end

-- All options that are needed are there and fit together; no network.
function Target.methods.check(self)
	return core.certauto_target_check(self._h)
end

function Target.properties.type(self)
	return core.certauto_target_type(self._h)
end

-- What it can do: a sum of certauto.TARGET_*; can() asks for one of them.
function Target.properties.caps(self)
	return core.certauto_target_caps(self._h)
end

function Target.methods.can(self, cap)
	return math.floor(self.caps / cap) % 2 == 1
end

-- The options it takes, never their values; flags: a sum of certauto.OPTION_*.
function Target.properties.options(self)
	local h, found = self._h, {}
	for i = 0, core.certauto_target_n_options(h) - 1 do
		found[i + 1] = {
			name = core.certauto_target_option_name(h, i),
			type = core.certauto_target_option_type(h, i),
			flags = core.certauto_target_option_flags(h, i),
			default = core.certauto_target_option_default(h, i),
			help = core.certauto_target_option_help(h, i),
		}
	end
	return found
end

-- Puts chain and key there, proves by TLS handshake that they are served, takes everything back if
-- not. Key nil: the device has it.
verb(Target, "deploy", function(self, name, chain, key, timeout)
	return start(self._cx, nil, core.certauto_target_start_deploy(self._h, name,
		raw(Chain, chain), raw_or_nil(Key, key), ms(timeout)))
end)

-- Has the device renew now the certificate that it manages itself, and waits for it.
verb(Target, "renew", function(self, timeout)
	return start(self._cx, nil, core.certauto_target_start_renew(self._h, ms(timeout)))
end)

-- Logs in, checks rights and versions, changes nothing.
verb(Target, "test", function(self, timeout)
	return start(self._cx, nil, core.certauto_target_start_test(self._h, ms(timeout)))
end)

-- Answers one challenge until cleanup(); value: the key authorization.
verb(Target, "present", function(self, challenge, name, token, value, timeout)
	return start(self._cx, nil, core.certauto_target_start_present(self._h, challenge, name,
		token, value, ms(timeout)))
end)

-- Takes the answer away; its absence is success.
verb(Target, "cleanup", function(self, challenge, name, token, value, timeout)
	return start(self._cx, nil, core.certauto_target_start_cleanup(self._h, challenge, name,
		token, value, ms(timeout)))
end)

-- Lets the device make a key, which never leaves it, and gives a request for it.
verb(Target, "make_csr", function(self, name, names, key_type, timeout)
	return start(self._cx, function() return self:csr() end,
		core.certauto_target_start_make_csr(self._h, name, key_type or "rsa-2048", names,
			ms(timeout)))
end)

-- The request that was made last; certauto.ENOTFOUND if none was.
function Target.methods.csr(self)
	return wrap(Csr, self._cx, core.certauto_target_dup_csr(self._h))
end

-- What the administrator of the device types for an account with no more rights than are needed.
function Target.methods.recipe(self)
	return core.certauto_target_dup_recipe(self._h)
end

function Target.about(self)
	return self.type
end

return { Target = Target, operations = operations }
