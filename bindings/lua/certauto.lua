-- SPDX-License-Identifier: Apache-2.0
-- certauto: a load balancer always serves a valid certificate. See docs/lua.md.
--
--	local cx = certauto.context {}
--	local lb = assert(cx:target { "haproxy", socket = "/run/haproxy.sock", crt = "/etc/a.pem" })
--	local account = assert(cx:account { "letsencrypt", agree_tos = true })
--	local key = assert(cx:key())
--	local order = assert(account:order(assert(cx:csr(key, "shop.example")), { http01 = lb }))
--	local chain = assert(order:run(300))
--	assert(lb:deploy("shop", chain, key, 120))
--
-- What fails gives nil, a text for people, a code such as certauto.ENET, and a table with all that
-- is known. What only a mistake in the program can cause is raised.

local core = require "certauto.core"
local object = require "certauto.object"
local Context = require "certauto.context"

core.ours()

local certauto = { _VERSION = core.CERTAUTO_VERSION }

-- certauto.ENET, certauto.ORDER_VALID and so on.
for name, value in pairs(core) do
	local short = name:match "^CERTAUTO_(.+)"
	if short then
		certauto[short] = value
	end
end

-- A loop with its connections, jobs and settings. Options: user_agent, log_level, on_event.
function certauto.context(options)
	options = object.check_names(options or {}, "user_agent log_level on_event")
	local handle, text, code, detail = core.certauto_context_new()
	if not handle then
		return nil, text, code, detail
	end
	-- _jobs: those that have not ended; _kept: what callbacks came to; _depth: how many run.
	local cx = setmetatable({ _h = handle, _jobs = {}, _kept = {}, _depth = 0 }, Context)
	cx._cx = cx
	for _, name in ipairs(object.names_of(options)) do
		local set = cx[name] or cx["set_" .. name]
		local ok
		ok, text, code, detail = set(cx, options[name])
		if not ok then
			return nil, text, code, detail
		end
	end
	return cx
end

-- Version of the library that is running.
certauto.version = core.certauto_version
certauto.version_number = core.certauto_version_number

-- Whether a feature is built in: "target:haproxy", "store:files", "http2".
function certauto.has(feature)
	return core.certauto_version_has(feature) ~= 0
end

-- "CERTAUTO_ENET" for certauto.ENET, and a line of English for it.
certauto.error_name = core.certauto_error_name
certauto.error_text = core.certauto_error_text

return certauto
