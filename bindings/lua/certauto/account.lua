-- SPDX-License-Identifier: Apache-2.0
-- Accounts at a CA, and the orders made with them.

local core = require "certauto.core"
local object = require "certauto.object"
local jobs = require "certauto.job"
local certs = require "certauto.cert"
local targets = require "certauto.target"
local Store = require "certauto.store"

core.ours()

local wrap, raw, raw_or_nil, texts = object.wrap, object.raw, object.raw_or_nil, object.texts
local ms, whole, known, list_of = object.ms, object.whole, object.known, object.list_of
local each, check_names, configured = object.each, object.check_names, object.configured
local start, run, verb = jobs.start, jobs.run, jobs.verb
local Key, Csr, Chain = certs.Key, certs.Csr, certs.Chain
local Target = targets.Target

local Account, Order = object.class "Account", object.class "Order"

-- The functions of core insist on the number of their arguments.
local function plain(set)
	return function(h, value)
		return set(h, value)
	end
end

local function account_eab(account, eab)
	return core.certauto_account_set_eab(account, eab[1], eab[2])
end

-- How each option of an account is set, in this order.
local ACCOUNT = {
	{ "key", function(h, key) return core.certauto_account_set_key(h, raw(Key, key)) end },
	{ "key_type", plain(core.certauto_account_set_key_type) },
	{ "contact", function(h, contact)
		return each(list_of(contact), function(uri)
			return core.certauto_account_add_contact(h, uri)
		end)
	end },
	{ "agree_tos", function(h, agree)
		return core.certauto_account_set_agree_tos(h, agree and 1 or 0)
	end },
	{ "eab", account_eab },
	{ "eab_alg", plain(core.certauto_account_set_eab_alg) },
	{ "ca_file", plain(core.certauto_account_set_ca_file) },
	{ "allow_hosts", function(h, hosts)
		return each(list_of(hosts), function(host)
			return core.certauto_account_allow_host(h, host)
		end)
	end },
	{ "name", plain(core.certauto_account_set_name) },
	{ "store", function(h, store)
		return core.certauto_account_use_store(h, raw(Store, store))
	end },
}

-- How each option of an order is set.
local ORDER = {
	{ "http01", function(h, target)
		return core.certauto_order_use(h, "http-01", raw(Target, target))
	end },
	{ "dns01", function(h, target)
		return core.certauto_order_use(h, "dns-01", raw(Target, target))
	end },
	{ "tlsalpn01", function(h, target)
		return core.certauto_order_use(h, "tls-alpn-01", raw(Target, target))
	end },
	{ "profile", function(h, profile, options)
		return core.certauto_order_set_profile(h, profile,
			options.profile_required == false and 0 or 1)
	end },
	{ "profile_required", function() return true end },
	{ "preferred_chain", plain(core.certauto_order_set_preferred_chain) },
	{ "replaces", function(h, chain)
		return core.certauto_order_set_replaces(h, raw(Chain, chain))
	end },
	{ "not_before_at", function(h, at, options)
		return core.certauto_order_set_validity(h, whole(at),
			whole(options.not_after_at or 0))
	end },
	{ "not_after_at", function(h, at, options)
		return core.certauto_order_set_validity(h, whole(options.not_before_at or 0),
			whole(at))
	end },
}

-- An order for the names in csr. Options: the targets http01, dns01, tlsalpn01; profile,
-- profile_required, preferred_chain, replaces, not_before_at, not_after_at.
function Account.methods.order(self, csr, options)
	return configured(ORDER, options or {},
		wrap(Order, self._cx, core.certauto_order_new(self._h, raw(Csr, csr))))
end

-- Finds the account by its key, else creates it. Orders do so by themselves.
verb(Account, "register", function(self, timeout)
	return start(self._cx, nil, core.certauto_account_start_register(self._h, ms(timeout)))
end)

-- Reads the account at the CA: status, contacts.
verb(Account, "fetch", function(self, timeout)
	return start(self._cx, nil, core.certauto_account_start_fetch(self._h, ms(timeout)))
end)

-- Replaces the contacts at the CA by those that were given, here and before.
verb(Account, "update", function(self, contact, timeout)
	local ok, text, code, detail = each(list_of(contact), function(uri)
		return core.certauto_account_add_contact(self._h, uri)
	end)
	if not ok then
		return nil, text, code, detail
	end
	return start(self._cx, nil, core.certauto_account_start_update(self._h, ms(timeout)))
end)

-- Replaces the account's key; without one, it is made and kept in the account's store.
verb(Account, "rotate_key", function(self, key, timeout)
	return start(self._cx, nil, core.certauto_account_start_rotate_key(self._h,
		raw_or_nil(Key, key), ms(timeout)))
end)

-- Deactivates the account for good; its certificates stay valid.
verb(Account, "deactivate", function(self, timeout)
	return start(self._cx, nil, core.certauto_account_start_deactivate(self._h, ms(timeout)))
end)

-- URLs of the account's orders, where the CA keeps a list of them.
verb(Account, "fetch_orders", function(self, timeout)
	return start(self._cx, function() return self.orders end,
		core.certauto_account_start_fetch_orders(self._h, ms(timeout)))
end)

-- Revokes a certificate; options: key (the certificate's own, to sign with in place of the
-- account's), reason (certauto.REVOKE_*), timeout.
verb(Account, "revoke", function(self, chain, options)
	options = check_names(options or {}, "key reason timeout")
	return start(self._cx, nil, core.certauto_account_start_revoke(self._h, raw(Chain, chain),
		raw_or_nil(Key, options.key), options.reason or 0, ms(options.timeout)))
end)

-- Asks the CA when the certificate should be renewed; gives what `renewal` is then.
verb(Account, "fetch_renewal", function(self, chain, timeout)
	return start(self._cx, function() return self.renewal end,
		core.certauto_account_start_fetch_renewal(self._h, raw(Chain, chain), ms(timeout)))
end)

function Account.properties.renewal(self)
	return {
		start_at = known(core.certauto_account_renewal_start_at(self._h)),
		end_at = known(core.certauto_account_renewal_end_at(self._h)),
		check_at = known(core.certauto_account_renewal_check_at(self._h)),
		explanation_url = core.certauto_account_renewal_explanation_url(self._h),
	}
end

for _, field in ipairs { "server", "url", "status", "terms_url" } do
	Account.properties[field] = function(self)
		return core["certauto_account_" .. field](self._h)
	end
end

function Account.properties.contacts(self)
	return texts(self._h, core.certauto_account_n_contacts, core.certauto_account_contact)
end

function Account.properties.orders(self)
	return texts(self._h, core.certauto_account_n_orders, core.certauto_account_order)
end

function Account.properties.profiles(self)
	return texts(self._h, core.certauto_account_n_profiles, core.certauto_account_profile)
end

function Account.about(self)
	return self.server
end

-- Lets a target answer a type of challenge, "http-01", "dns-01", "dns-account-01", "dns-persist-01"
-- or "tls-alpn-01": for all names, or those like "*.example.org".
function Order.methods.use(self, challenge, target, pattern)
	if pattern == nil then
		return core.certauto_order_use(self._h, challenge, raw_or_nil(Target, target))
	end
	return core.certauto_order_use_for(self._h, pattern, challenge, raw_or_nil(Target, target))
end

-- The issued certificate; certauto.ENOTFOUND before.
function Order.methods.chain(self)
	return wrap(Chain, self._cx, core.certauto_order_dup_chain(self._h))
end

-- Issues: start() gives the job, run() the chain.
function Order.methods.start(self, timeout)
	return start(self._cx, function() return self:chain() end,
		core.certauto_order_start(self._h, ms(timeout)))
end

function Order.methods.run(self, timeout)
	return run(self._cx, self.start, self, timeout)
end

-- certauto.ORDER_*, as last seen.
function Order.properties.status(self)
	return core.certauto_order_status(self._h)
end

function Order.properties.url(self)
	return core.certauto_order_url(self._h)
end

function Order.properties.names(self)
	return texts(self._h, core.certauto_order_n_names, core.certauto_order_name)
end

-- What became of each name: certauto.NAME_*; and why, for those that have failed.
function Order.properties.name_status(self)
	local found = {}
	for i, name in ipairs(self.names) do
		found[name] = core.certauto_order_name_status(self._h, i - 1)
	end
	return found
end

function Order.properties.name_errors(self)
	local found = {}
	for i, name in ipairs(self.names) do
		found[name] = core.certauto_order_name_error(self._h, i - 1)
	end
	return found
end

Order.about = Csr.about

return { Account = Account, Order = Order, OPTIONS = ACCOUNT }
