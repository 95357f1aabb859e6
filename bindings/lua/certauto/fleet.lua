-- SPDX-License-Identifier: Apache-2.0
-- Fleets: a configuration, and what is done with all of it.

local core = require "certauto.core"
local object = require "certauto.object"
local jobs = require "certauto.job"
local Store = require "certauto.store"
local targets = require "certauto.target"
local accounts = require "certauto.account"

core.ours()

local wrap, texts, ms, whole = object.wrap, object.texts, object.ms, object.whole
local list_of, check_names, decoded = object.list_of, object.check_names, object.decoded
local start, verb = jobs.start, jobs.verb
local Target, Account = targets.Target, accounts.Account

local Fleet = object.class "Fleet"

function Fleet.properties.certificates(self)
	return texts(self._h, core.certauto_fleet_n_certificates, core.certauto_fleet_certificate)
end

function Fleet.properties.accounts(self)
	return texts(self._h, core.certauto_fleet_n_accounts, core.certauto_fleet_account)
end

function Fleet.properties.targets(self)
	return texts(self._h, core.certauto_fleet_n_targets, core.certauto_fleet_target)
end

function Fleet.methods.account(self, name)
	return wrap(Account, self._cx, core.certauto_fleet_dup_account(self._h, name))
end

function Fleet.methods.target(self, name)
	return wrap(Target, self._cx, core.certauto_fleet_dup_target(self._h, name))
end

function Fleet.methods.store(self)
	return wrap(Store, self._cx, core.certauto_fleet_dup_store(self._h))
end

-- Renews also what would come due before a time, seconds since 1970 UTC; 0 = what is due.
function Fleet.methods.renew_before(self, at)
	return core.certauto_fleet_set_renew_before(self._h, whole(at))
end

-- What the last verb did: a list of tables with name, key, outcome ("done", "unchanged", "failed",
-- "later") and error.
function Fleet.methods.results(self)
	return decoded(core.certauto_fleet_dup_results(self._h))
end

-- State of certificates as the store has it, certauto-status(7); no names: all.
function Fleet.methods.status(self, names)
	return decoded(core.certauto_fleet_dup_status(self._h, names))
end

-- Names and options of a table such as { "shop", "mail", timeout = 60 }; no names: nil, for all.
local function names_and(options, allowed)
	local names
	options = check_names(list_of(options), allowed)
	if options[1] ~= nil then
		names = {}
		for i, one in ipairs(options) do
			names[i] = one
		end
	end
	return names, options
end

local function renew_flags(options)
	return options.force and core.CERTAUTO_FLEET_FORCE or 0
end

-- What renew, called the same way, would do now: name, key, action, why.
function Fleet.methods.plan(self, options)
	local names
	names, options = names_and(options, "force")
	return decoded(core.certauto_fleet_dup_plan(self._h, names, renew_flags(options)))
end

-- A verb about certificates: f(handle, names, options, timeout_ms) starts it.
local function fleet_verb(name, allowed, f)
	verb(Fleet, name, function(self, options)
		local names
		names, options = names_and(options, allowed)
		return start(self._cx, function() return self:results() end,
			f(self._h, names, options, ms(options.timeout)))
	end)
end

-- Does what is due: issues, renews, deploys, settles what was left; force renews what is named
-- whatever its age.
fleet_verb("renew", "force timeout", function(h, names, options, timeout)
	return core.certauto_fleet_start_renew(h, names, renew_flags(options), timeout)
end)

-- Deploys what is current again, without asking the CA.
fleet_verb("deploy", "timeout", function(h, names, _, timeout)
	return core.certauto_fleet_start_deploy(h, names, timeout)
end)

-- Revokes the current certificates; they count as due from then on. reason: certauto.REVOKE_*;
-- by_key: signed by the certificate's key, not by the account's.
fleet_verb("revoke", "reason by_key timeout", function(h, names, options, timeout)
	local flags = options.by_key and core.CERTAUTO_FLEET_BY_KEY or 0
	return core.certauto_fleet_start_revoke(h, names, options.reason or 0, flags, timeout)
end)

-- Logs in everywhere and changes nothing.
fleet_verb("test", "timeout", function(h, _, _, timeout)
	return core.certauto_fleet_start_test(h, timeout)
end)

-- Settles what crashed runs have left.
fleet_verb("gc", "timeout", function(h, _, _, timeout)
	return core.certauto_fleet_start_gc(h, timeout)
end)

return Fleet
