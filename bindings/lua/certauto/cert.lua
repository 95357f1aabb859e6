-- SPDX-License-Identifier: Apache-2.0
-- Keys, signing requests, certificates.

local core = require "certauto.core"
local object = require "certauto.object"
local callback = require "certauto.callback"

core.ours()

local wrap, raw, texts, whole = object.wrap, object.raw, object.texts, object.whole
local settle = callback.settle

local Key, Csr, Chain = object.class "Key", object.class "Csr", object.class "Chain"

function Key.properties.type(self)
	return core.certauto_key_type(self._h)
end

-- The private key, PKCS#8, not encrypted: a secret. certauto.EUNSUPPORTED if it is kept elsewhere.
function Key.methods.pem(self)
	return core.certauto_key_format(self._h)
end

-- The public half, SubjectPublicKeyInfo, DER.
function Key.methods.public(self)
	return core.certauto_key_format_public(self._h)
end

-- A certificate for csr signed by this key itself, valid from now on.
function Key.methods.self_sign(self, csr, not_after_at)
	return wrap(Chain, self._cx, settle(self._cx,
		core.certauto_chain_new_self_signed(self._h, raw(Csr, csr), whole(not_after_at))))
end

function Key.about(self)
	return self.type
end

function Csr.methods.pem(self)
	return core.certauto_csr_format(self._h)
end

function Csr.properties.names(self)
	return texts(self._h, core.certauto_csr_n_names, core.certauto_csr_name)
end

function Csr.properties.common_name(self)
	return core.certauto_csr_common_name(self._h)
end

function Csr.about(self)
	return table.concat(self.names, ", ")
end

-- PEM without blank lines; part: certauto.CHAIN_LEAF, CHAIN_INTERMEDIATES or CHAIN_FULL.
function Chain.methods.pem(self, part)
	return core.certauto_chain_format(self._h, part or core.CERTAUTO_CHAIN_FULL)
end

-- What must hold before it replaces another: it belongs to key, has these names, is valid now, and
-- each certificate signs the one before. certauto.ECERT if not.
function Chain.methods.check(self, key, names)
	return core.certauto_chain_check(self._h, raw(Key, key), names)
end

function Chain.properties.names(self)
	return texts(self._h, core.certauto_chain_n_names, core.certauto_chain_name)
end

-- How many certificates it has.
function Chain.properties.n_certs(self)
	return core.certauto_chain_n_certs(self._h)
end

-- What there is to know of each certificate, leaf first: a list of tables.
function Chain.methods.details(self)
	return object.decoded(core.certauto_chain_dup_details(self._h))
end

-- Those of the leaf; times in seconds since 1970 UTC.
for _, field in ipairs { "serial", "fingerprint", "issuer", "not_before_at", "not_after_at" } do
	Chain.properties[field] = function(self)
		return core["certauto_chain_" .. field](self._h)
	end
end

Chain.about = Csr.about

return { Key = Key, Csr = Csr, Chain = Chain }
