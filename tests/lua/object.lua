-- Objects, their properties, their end; errors and mistakes. No network.

local certauto = require "certauto"
local core = require "certauto.core"
local json = require "certauto.json"
local check = require "check"
local test, equal, matches, fails, raises =
	check.test, check.equal, check.matches, check.fails, check.raises

test("test_module__has_codes_and_versions", function()
	equal(certauto.ENET, -9)
	equal(certauto.ERETRY_LATER, -16)
	equal(certauto.ORDER_VALID, 4)
	equal(certauto.error_name(certauto.ENET), "CERTAUTO_ENET")
	equal(certauto.error_text(certauto.ENET), "the network failed")
	equal(certauto.version(), certauto._VERSION)
	equal(certauto.version_number(), certauto.VERSION_NUMBER)
	equal(certauto.has "store:files", true)
	equal(certauto.has "target:none", false)
	equal(rawget(_G, "certauto"), nil, "a global")
end)

test("test_key__is_made_written_and_read", function()
	local cx = assert(certauto.context {})
	local key = assert(cx:key "ecdsa-p384")
	equal(key.type, "ecdsa-p384")
	equal(key.context, cx)
	local pem = assert(key:pem())
	matches(pem, "^%-%-%-%-%-BEGIN PRIVATE KEY")
	equal(assert(cx:key_from(pem)):public(), key:public())
	equal(tostring(key), "<certauto.Key ecdsa-p384>")
	fails(certauto.ENOTFOUND, cx:key_load "/nowhere/key.pem")
	cx:close()
end)

test("test_chain__has_its_properties", function()
	local cx = assert(certauto.context {})
	local key = assert(cx:key())
	local csr = assert(cx:csr(key, { "a.example", "b.example" }, "CN=a.example, O=Test"))
	equal(check.list(csr.names), "a.example b.example")
	equal(csr.common_name, "a.example")
	equal(assert(cx:csr(key, "a.example")).common_name, nil)
	equal(check.list(assert(cx:csr_from(csr:pem())).names), "a.example b.example")
	local chain = assert(key:self_sign(csr, 1999999999.5))
	equal(chain.not_after_at, 1999999999)
	equal(math.type and math.type(chain.not_after_at) or "integer", "integer")
	equal(chain.n_certs, 1)
	local details = assert(chain:details())
	equal(#details, 1)
	equal(details[1].sha256, chain.fingerprint)
	equal(details[1].self_signed, true)
	equal(#chain.fingerprint, 64)
	matches(chain.serial, "^%x+$")
	matches(chain.issuer, "Test")
	assert(chain.not_before_at <= os.time())
	equal(chain:pem(), chain:pem(certauto.CHAIN_LEAF))
	equal(assert(chain:pem(certauto.CHAIN_INTERMEDIATES)), "")
	equal(assert(cx:chain_from(chain:pem())).serial, chain.serial)
	assert(chain:check(key, { "a.example", "b.example" }))
	matches(fails(certauto.ECERT, chain:check(key, "a.example")), "b.example")
	cx:close()
end)

test("test_error__has_text_code_and_all_that_is_known", function()
	local cx = assert(certauto.context {})
	local text, detail = fails(certauto.EINVAL, cx:key "nonsense")
	matches(text, "nonsense.*ecdsa%-p256")
	equal(detail.name, "CERTAUTO_EINVAL")
	equal(detail.message, text)
	equal(detail.retry_at, nil)
	equal(#detail.subproblems, 0)
	fails(certauto.ENOTFOUND, cx:target { "hapoxy" })
	matches(fails(certauto.EINVAL, cx:target { "haproxy", sokcet = "/x" }), "sokcet")
	fails(certauto.ECERT, cx:chain_from "nonsense")
	fails(certauto.ECONFIG, cx:fleet_from "nonsense")
	fails(certauto.EINVAL, cx:set_log_level(9))
	local account = assert(cx:account { "letsencrypt" })
	fails(certauto.EINVAL, cx:account { "http://ca.example", agree_tos = true })
	local order = assert(account:order(assert(cx:csr(assert(cx:key()), "a.example"))))
	fails(certauto.ENOTFOUND, order:chain())
	fails(certauto.EUNSUPPORTED, order:use("dns-01", assert(cx:target { "files", webroot = "/tmp" })))
	assert(order:use("dns-persist-01", nil, "*.example"))
	cx:close()
end)

test("test_mistake__is_raised_where_the_program_stands", function()
	local cx = assert(certauto.context {})
	local key = assert(cx:key())
	local here = "^[^:]*object.lua:%d+: "
	local function mistaken(pattern, call)
		raises(here .. pattern, call)
	end
	mistaken("argument 2: text is needed, not number", function() local _ = cx:key(5) end)
	mistaken("argument 2: text without NUL", function() local _ = cx:key "a\0b" end)
	mistaken("a Key is needed, not <certauto.Context>", function() local _ = cx:csr(cx, "a") end)
	mistaken("a Key is needed, not nil", function() local _ = cx:csr(nil, "a") end)
	mistaken("a name or a list", function() local _ = cx:csr(key) end)
	mistaken("argument 3: a list of texts", function() local _ = cx:csr(key, { 1 }) end)
	mistaken("argument 3: a list of texts", function() local _ = cx:csr(key, 1) end)
	mistaken("a type is needed", function() local _ = cx:target {} end)
	mistaken("a CA is needed", function() local _ = cx:account { agree_tos = true } end)
	mistaken("there is no option colour", function() local _ = cx:account { "letsencrypt", colour = 1 } end)
	mistaken("the option socket is text", function()
		local _ = cx:target { "haproxy", socket = print }
	end)
	mistaken("the option probe is a list with a table at 2", function()
		local _ = cx:target { "haproxy", probe = { "127.0.0.1:443", {} } }
	end)
	mistaken("a timeout is a number", function() local _ = cx:run "soon" end)
	mistaken("a timeout is a number", function() local _ = cx:run(0 / 0) end)
	mistaken("a function is needed", function() local _ = cx:on_event(5) end)
	mistaken("argument 2: a whole number", function() local _ = cx:set_log_level(1.5) end)
	mistaken("argument 2: a whole number", function() local _ = cx:set_log_level(2 ^ 40) end)
	key:close()
	mistaken("this Key is closed", function() local _ = key.type end)
	cx:close()
	mistaken("this Context is closed", function() local _ = cx:key() end)
end)

test("test_core__takes_its_own_handles_only", function()
	local cx = assert(certauto.context {})
	for _, thing in ipairs { io.stdout, cx, "text", 5, print, cx._h, coroutine.create(function() end) } do
		raises("argument 1", core.certauto_key_type, thing)
	end
	raises("there is no object", core.certauto_key_type, nil)
	raises("a handle is needed", core.close, io.stdout)
	raises("a handle is needed", core.close, nil)
	local handle = assert(cx:key())._h
	core.close(handle)
	core.close(handle)
	raises("there is no object", core.certauto_key_type, handle)
	raises("expected", core.certauto_key_type)
	cx:close()
end)

test("test_close__in_any_order", function()
	local function objects()
		local cx = assert(certauto.context {})
		local key = assert(cx:key())
		local csr = assert(cx:csr(key, "a.example"))
		local account = assert(cx:account { "letsencrypt" })
		local target = assert(cx:target { "files", webroot = "/tmp" })
		return { cx, key, csr, account, assert(account:order(csr, { http01 = target })), target,
			assert(cx:store { directory = "/nowhere" }), assert(key:self_sign(csr, 1999999999)) }
	end
	local n = #objects()
	for first = 1, n do
		local things = objects()
		for i = 0, n - 1 do
			local thing = things[(first + i * 5) % n + 1]
			thing:close()
			thing:close()
			equal(thing.closed, true)
			matches(tostring(thing), "closed")
		end
	end
	-- Those that are left can still be read.
	local things = objects()
	things[1]:close()
	equal(things[2].type, "ecdsa-p256")
	fails(certauto.ECANCELED, things[2]:pem())
	objects()
	collectgarbage()
end)

test("test_close__by_the_end_of_a_block", function()
	local load = loadstring or load
	local block = load [[
		local cx = ...
		local key <close> = assert(cx:key())
		return key
	]]
	if not block then
		equal(_VERSION ~= "Lua 5.4", true, "has no <close>")
		return
	end
	local cx = assert(certauto.context {})
	equal(block(cx).closed, true)
	cx:close()
end)

test("test_target__values_of_all_kinds", function()
	local cx = assert(certauto.context {})
	assert((" " .. check.list(cx.target_types) .. " "):find " haproxy ")
	local target = assert(cx:target { "files", directory = "/tmp", challenge_check = false })
	assert(target:set {
		probe = { "127.0.0.1:443", "127.0.0.1:8443" }, reload = { "/bin/true", "a b", "c,d" },
		timeout_ms = 500,
	})
	assert(target:check())
	equal(target.type, "files")
	equal(target:can(certauto.TARGET_DEPLOY), true)
	equal(target:can(certauto.TARGET_DNS01), false)
	equal(assert(cx:target { "haproxy" }).options[1].name ~= nil, true)
	fails(certauto.EINVAL, assert(cx:target { "haproxy" }):check())
	fails(certauto.EUNSUPPORTED, target:recipe())
	fails(certauto.ENOTFOUND, target:csr())
	assert(assert(cx:target "haproxy"):insecure_noverify())
	cx:close()
end)

test("test_secrets__are_not_shown", function()
	local cx = assert(certauto.context {})
	local device = {
		type = "device", caps = certauto.TARGET_HTTP01, present = print,
		options = { { name = "password", type = "text", sensitive = true, help = "its password" } },
	}
	local target = assert(cx:target { device, password = "CANARY-1234" })
	equal(math.floor(target.options[1].flags / certauto.OPTION_SENSITIVE) % 2, 1)
	equal(tostring(target):find "CANARY", nil)
	cx:close()
end)

test("test_fleet__is_read_from_text_and_table", function()
	local cx = assert(certauto.context {})
	local fleet = assert(cx:fleet_from {
		state = "/nowhere",
		targets = { edge = { type = "files", webroot = "/tmp" } },
	})
	equal(check.list(fleet.targets), "edge")
	equal(#fleet.certificates + #fleet.accounts, 0)
	equal(assert(fleet:target "edge").type, "files")
	fails(certauto.ENOTFOUND, fleet:target "none")
	fails(certauto.ENOTFOUND, fleet:account "none")
	fails(certauto.ENOTFOUND, fleet:status "none")
	fails(certauto.EINVAL, fleet:renew_before(-1))
	assert(fleet:renew_before(os.time() + 0.5))
	assert(fleet:store())
	raises("there is no option forced", fleet.renew, fleet, { forced = true })
	cx:close()
end)

test("test_json__both_ways", function()
	local text = [[ {"a":[1,2.5,-3e2,[],{}],"b":"\"\\\/\b\f\n\r\t\u00e4\u20ac\ud83d\ude00",
		"c":true,"d":false,"e":null} ]]
	local value = json.decode(text)
	equal(value.a[1] + value.a[2] + value.a[3], 1 + 2.5 - 300)
	equal(value.b, '"\\/\b\f\n\r\t\195\164\226\130\172\240\159\152\128')
	equal(tostring(value.c) .. tostring(value.d) .. tostring(value.e), "truefalsenil")
	equal(json.encode(json.decode(json.encode(value))), json.encode(value))
	equal(json.encode { 1, "a\n", true, { x = 2 } }, '[1,"a\\u000a",true,{"x":2}]')
	for _, bad in ipairs { "", "{", "[1", "[1 2]", '"', '"\\u12"', "nul", "{1:2}", '{"a"}', "1 2" } do
		raises("not JSON", json.decode, bad)
	end
	raises("no JSON", json.encode, { print })
	raises("either a list", json.encode, { [3] = 1 })
end)

check.done()
