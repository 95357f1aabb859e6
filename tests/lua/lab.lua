-- From nothing to a served certificate, with servers that are not ours: Pebble and HAProxy. Prints
-- the fingerprints of what should be served.

local certauto = require "certauto"
local check = require "check"
local ENV, test, equal, matches, fails = check.ENV, check.test, check.equal, check.matches, check.fails

local function context()
	local cx = assert(certauto.context { user_agent = "lua-test/1" })
	local lb = assert(cx:target {
		"haproxy", socket = ENV.SOCKET, crt = ENV.CRT, map = ENV.MAP, probe = ENV.PROBE,
		challenge_check = ENV.CHECK,
	})
	local account = assert(cx:account {
		ENV.PEBBLE, ca_file = ENV.PEBBLE_CA_FILE, agree_tos = true,
		contact = { "mailto:ops@example.org" },
	})
	return cx, lb, account
end

test("test_issue_and_deploy__is_served", function()
	local cx, lb, account = context()
	assert(lb:test(20))
	local key = assert(cx:key())
	local order = assert(account:order(assert(cx:csr(key, { ENV.NAME }))))
	assert(order:use("http-01", lb))
	local chain = assert(order:run(60))
	assert(lb:deploy("lua", chain, key, 60))
	print("served " .. chain.fingerprint)
	cx:close()
end)

test("test_present__from_outside", function()
	local cx, lb = context()
	for _, verb in ipairs { "present", "cleanup", "cleanup" } do
		assert(lb[verb](lb, "http-01", ENV.NAME, "tok-en", "tok-en.thumb", 20))
	end
	cx:close()
end)

test("test_deploy__what_does_not_fit_is_refused", function()
	local cx, lb = context()
	local key = assert(cx:key())
	local chain = assert(key:self_sign(assert(cx:csr(key, ENV.NAME)), os.time() + 86400))
	fails(certauto.EINVAL, lb:deploy("lua", chain, assert(cx:key()), 20))
	assert(lb:set { socket = ENV.MAP .. ".none" })
	local text, detail = fails(certauto.ENOTFOUND, lb:test(5))
	matches(text, "none")
	assert(detail.object)
	cx:close()
end)

test("test_fleet__does_what_the_command_does", function()
	local cx = assert(certauto.context {})
	local fleet = assert(cx:fleet(ENV.CONFIG))
	equal(check.list(fleet.certificates), "shop")
	equal(check.list(fleet.accounts) .. " " .. check.list(fleet.targets), "test edge")
	equal(assert(fleet:plan())[1].action, "issue")
	equal(assert(fleet:plan { "shop", force = true })[1].action, "issue")
	assert(fleet:test(30))
	local done = assert(fleet:renew { timeout = 60 })
	equal(done[1].name .. " " .. done[1].key .. " " .. done[1].outcome, "shop ecdsa-p256 done")
	equal(done[1].error, nil)
	local first = assert(fleet:status()).certificates[1].lineages[1].issued
	equal(assert(fleet:renew "shop")[1].outcome, "unchanged")
	equal(assert(fleet:renew { "shop", force = true })[1].outcome, "done")
	local chain, key = assert(fleet:store()):load("shop")
	assert(chain.fingerprint ~= first.fingerprint_sha256)
	equal(key.type, "ecdsa-p256")
	assert(chain:check(key, chain.names))
	equal(assert(fleet:deploy { "shop", timeout = 60 })[1].outcome, "done")
	equal(assert(fleet:target "edge").type, "haproxy")
	assert(assert(fleet:account "test").url)
	assert(assert(fleet:start_gc { timeout = 30 }):wait())
	print("served " .. chain.fingerprint)
	assert(fleet:revoke { "shop", reason = certauto.REVOKE_SUPERSEDED, timeout = 60 })
	assert(assert(fleet:plan())[1].action ~= "nothing")
	fails(certauto.ENOTFOUND, fleet:renew "nobody")
	cx:close()
end)

check.done()
