-- SPDX-License-Identifier: Apache-2.0
-- Stores: where accounts, certificates and journals are kept.

local core = require "certauto.core"
local object = require "certauto.object"
local certs = require "certauto.cert"

core.ours()

local wrap, ms = object.wrap, object.ms
local each, names_of, option_text = object.each, object.names_of, object.option_text
local Key, Chain = certs.Key, certs.Chain

local Store = object.class "Store"

-- Sets options, such as the directory of files.
function Store.methods.set(self, options)
	return each(names_of(options), function(name)
		return core.certauto_store_set(self._h, name, option_text(name, options[name]))
	end)
end

-- The current certificate of a lineage, and its key: nil where that is kept elsewhere.
function Store.methods.load(self, name, key_type, timeout)
	local key, chain, code, detail = core.certauto_store_load(self._h, name,
		key_type or "ecdsa-p256", ms(timeout))
	if type(chain) == "string" then
		return nil, chain, code, detail
	end
	return wrap(Chain, self._cx, chain), wrap(Key, self._cx, key)
end

return Store
