-- SPDX-License-Identifier: Apache-2.0
-- The context: one loop that everything hangs on.

local core = require "certauto.core"
local json = require "certauto.json"
local object = require "certauto.object"
local callback = require "certauto.callback"
local jobs = require "certauto.job"
local certs = require "certauto.cert"
local accounts = require "certauto.account"
local targets = require "certauto.target"
local Store = require "certauto.store"
local Fleet = require "certauto.fleet"

core.ours()

local ECANCELED, EREFUSED = core.CERTAUTO_ECANCELED, core.CERTAUTO_EREFUSED

local wrap, raw, raw_or_nil, texts = object.wrap, object.raw, object.raw_or_nil, object.texts
local ms, known, list_of = object.ms, object.known, object.list_of
local configured, with_options = object.configured, object.with_options
local raise_loose, settle, keep = callback.raise_loose, callback.settle, callback.keep
local called, held_weakly = callback.called, callback.held_weakly
local slice, reap, operations = jobs.slice, jobs.reap, targets.operations
local Key, Csr, Chain = certs.Key, certs.Csr, certs.Chain
local Account, Target = accounts.Account, targets.Target
local mistake = core.mistake

local Context = object.class "Context"

local function event_of(cx, event)
	return {
		context = cx,
		job = cx._jobs[core.certauto_event_job(event)],
		type = core.certauto_event_type(event),
		level = core.certauto_event_level(event),
		object = core.certauto_event_object(event),
		step = core.certauto_event_step(event),
		text = core.certauto_event_text(event),
		n_done = core.certauto_event_n_done(event),
		n_steps = core.certauto_event_n_steps(event),
		until_at = known(core.certauto_event_until_at(event)),
	}
end

local function tell(cx, raw_event)
	local event = event_of(cx, raw_event)
	local ok, raised = called(cx, cx._on_event, event)
	if ok then
		return 0
	elseif event.job then
		event.job._raised = event.job._raised or { raised = raised }
	else
		cx._loose = cx._loose or { raised = raised }
	end
	return ECANCELED
end

-- Who is called with each event; nil is nobody. Calls that run the context are refused inside. What
-- it raises cancels the job concerned, and is raised again by what waits for that.
function Context.methods.on_event(self, call)
	if call ~= nil and type(call) ~= "function" then
		mistake(("a function is needed, not %s"):format(type(call)))
	end
	local weak = held_weakly(self)
	self._on_event = call
	return core.certauto_context_set_event_cb(self._h, call and function(event)
		return weak.cx and weak.cx._on_event and tell(weak.cx, event) or 0
	end)
end

function Context.methods.set_log_level(self, level)
	return core.certauto_context_set_log_level(self._h, level)
end

function Context.methods.set_user_agent(self, text)
	return core.certauto_context_set_user_agent(self._h, text)
end

-- Keeps the journals of all jobs there, so that a later run settles what this one left.
function Context.methods.use_store(self, store)
	return core.certauto_context_use_store(self._h, raw_or_nil(Store, store))
end

-- Works for so many seconds; 0 = what is ready, nil = until no job is left. Gives the number of
-- unfinished jobs, and a list of those that have ended. Raises what a callback has raised about
-- one of these.
function Context.methods.run(self, timeout)
	ms(timeout)
	local finish = timeout and core.now() + timeout
	local ended = {}
	while true do
		local unfinished, text, code, detail =
			core.certauto_context_run(self._h, slice(finish))
		raise_loose(self)
		if not unfinished then
			return nil, text, code, detail
		end
		for _, job in ipairs(reap(self)) do
			ended[#ended + 1] = job
			if job._raised or not job.closed then
				jobs.fate(job)
			end
		end
		if unfinished == 0 or finish and core.now() >= finish then
			return unfinished, ended
		end
	end
end

-- Cancels all jobs: each takes back what it has changed. Asked twice they leave at once.
function Context.methods.cancel(self)
	core.certauto_context_cancel(self._h)
end

-- Whether a call on it is under way.
function Context.properties.busy(self)
	return core.certauto_context_busy(self._h) ~= 0
end

-- One descriptor, readable when run(0) has work, timers included: for other loops.
function Context.methods.fileno(self)
	return core.certauto_context_fd(self._h)
end

-- Seconds to the next timer, for loops that cannot watch a descriptor; nil: there is none.
function Context.properties.wait_seconds(self)
	local wait_ms = core.certauto_context_wait_ms(self._h)
	return wait_ms >= 0 and wait_ms / 1000 or nil
end

-- Ends it. Jobs that run end without the network: what they have changed is settled by a later run,
-- if a store keeps it.
function Context.methods.close(self)
	local handle = rawget(self, "_h")
	if handle then
		self._h, self._on_event = nil, nil
		self._jobs, self._kept = {}, {}
		core.close(handle)
	end
end

-- A new key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096.
function Context.methods.key(self, kind)
	return wrap(Key, self, core.certauto_key_new(self._h, kind or "ecdsa-p256"))
end

-- A private key as PEM or DER, not encrypted.
function Context.methods.key_from(self, data)
	return wrap(Key, self, core.certauto_key_parse(self._h, data))
end

-- The same from a file that is closed to group and others.
function Context.methods.key_load(self, path)
	return wrap(Key, self, core.certauto_key_load(self._h, path))
end

local function signed(cx, sign, signing)
	local words = "the signer of the key"
	local ok, signature, reason, code = called(cx, sign, core.certauto_signing_alg(signing),
		core.certauto_signing_digest(signing))
	if not ok then
		keep(cx, words, { raised = signature })
		return ECANCELED
	elseif type(signature) ~= "string" then
		keep(cx, words, { reason = tostring(reason or "it gave no signature") })
		return code or EREFUSED
	end
	local done, why, failed = core.certauto_signing_set_signature(signing, signature)
	if not done then
		keep(cx, words, { reason = why })
		return failed
	end
	return 0
end

-- A key kept elsewhere; public: its SubjectPublicKeyInfo, DER. sign(alg, digest) gives the
-- signature: for ES256 and ES384 r and s joined, for RS256 the PKCS#1 v1.5 block; or nil, a reason
-- and a code.
function Context.methods.key_signer(self, public, sign)
	local weak = held_weakly(self)
	if type(sign) ~= "function" then
		mistake(("a function is needed, not %s"):format(type(sign)))
	end
	return wrap(Key, self, core.certauto_key_new_signer(self._h, public, function(signing)
		return weak.cx and signed(weak.cx, sign, signing) or ECANCELED
	end))
end

-- A request for names: DNS names, wildcards, addresses. subject: "CN=a, O=b".
function Context.methods.csr(self, key, names, subject)
	if names == nil then
		mistake "a name or a list of names is needed"
	elseif subject == nil then
		return wrap(Csr, self,
			settle(self, core.certauto_csr_new(self._h, raw(Key, key), names)))
	end
	return wrap(Csr, self,
		settle(self, core.certauto_csr_new_subject(self._h, raw(Key, key), subject, names)))
end

-- A request, PEM or DER.
function Context.methods.csr_from(self, data)
	return wrap(Csr, self, core.certauto_csr_parse(self._h, data))
end

-- Certificates, PEM, leaf first.
function Context.methods.chain_from(self, data)
	return wrap(Chain, self, core.certauto_chain_parse(self._h, data))
end

-- An account at a CA: its directory URL, "letsencrypt" or "letsencrypt-staging"; eab: key id and
-- MAC key; store: where the key and the URL are kept, under name.
function Context.methods.account(self, options)
	options = list_of(options)
	if options[1] == nil then
		mistake 'a CA is needed: account { "letsencrypt", ... }'
	end
	return configured(accounts.OPTIONS, options,
		wrap(Account, self, core.certauto_account_new(self._h, options[1])))
end

-- A target: { "haproxy", socket = ... }; in place of the type's name a table of functions may
-- stand: see target.lua.
function Context.methods.target(self, options)
	options = list_of(options)
	local kind = options[1]
	if kind == nil then
		mistake 'a type is needed: target { "haproxy", socket = ... }'
	end
	if type(kind) == "table" then
		return with_options(options, wrap(Target, self,
			core.certauto_target_new_ops(self._h, operations(self, kind))))
	end
	return with_options(options, wrap(Target, self, core.certauto_target_new(self._h, kind)))
end

-- Makes the `type` of a target written in Lua known, for target() and configurations.
function Context.methods.add_target(self, target)
	return core.certauto_context_add_target(self._h, operations(self, target))
end

-- The types target() knows.
function Context.properties.target_types(self)
	return texts(self._h, core.certauto_target_n_types, core.certauto_target_type_name)
end

-- Where accounts, certificates and journals are kept: { "files", directory = ... }.
function Context.methods.store(self, options)
	options = list_of(options)
	return with_options(options,
		wrap(Store, self, core.certauto_store_new(self._h, options[1] or "files")))
end

-- A configuration file, certauto.json(5).
function Context.methods.fleet(self, path)
	return wrap(Fleet, self, core.certauto_fleet_load(self._h, path))
end

-- The same from text, or as a table.
function Context.methods.fleet_from(self, config)
	if type(config) == "table" then
		config = json.encode(config)
	end
	return wrap(Fleet, self, core.certauto_fleet_parse(self._h, config))
end

return Context
