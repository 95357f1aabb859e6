-- What is called back: events, signers, targets written in Lua; and what these raise.

local certauto = require "certauto"
local core = require "certauto.core"
local check = require "check"
local lab = require "client"
local hsm = require "hsm"
local ENV, test, equal, matches, fails, raises =
	check.ENV, check.test, check.equal, check.matches, check.fails, check.raises

local CHALLENGE = { "http-01", "www.example.org", "token", "token.thumbprint" }
local unpack = table.unpack or unpack

local function with_client(name, body, server)
	test(name, function()
		local client = lab.client(server)
		body(client, client.cx)
		client:close()
	end)
end

-- ---- events ----

with_client("test_event__tells_what_goes_on", function(client, cx)
	local events = {}
	assert(cx:on_event(function(event)
		events[#events + 1] = event
	end))
	assert(cx:set_log_level(certauto.LOG_DEBUG))
	local job = assert(client:order():start(30))
	assert(job:wait())
	local done = events[#events]
	equal(done.type, certauto.EVENT_DONE)
	equal(done.job, job)
	equal(done.text, "done")
	equal(done.context, cx)
	assert(done.n_done <= done.n_steps)
	local n = #events
	assert(cx:on_event(nil))
	assert(client:order():run(30))
	equal(#events, n)
end)

for _, how in ipairs { "run", "wait", "context" } do
	with_client("test_event__what_it_raises_is_raised_again_" .. how, function(client, cx)
		local enough = { "enough" }
		assert(cx:on_event(function(event)
			if event.type == certauto.EVENT_STEP then
				error(enough)
			end
		end))
		local order = client:order()
		local ok, raised = pcall(function()
			if how == "run" then
				return order:run(30)
			elseif how == "wait" then
				return assert(order:start(30)):wait(30)
			end
			assert(order:start(30))
			return cx:run(30)
		end)
		equal(ok, false)
		equal(raised, enough)
		-- The context is as good as before.
		assert(cx:on_event(nil))
		assert(client:order():run(30))
	end)
end

with_client("test_event__only_the_job_concerned_is_cancelled", function(client, cx)
	local good = assert(client:order("good.example.org"):start(30))
	local other = assert(client:order("other.example.org"):start(30))
	assert(cx:on_event(function(event)
		if event.job == other then
			error "stop"
		end
	end))
	equal(check.list(assert(good:wait()).names), "good.example.org")
	raises("stop", other.wait, other)
	equal(other.error.code, certauto.ECANCELED)
end)

with_client("test_event__calls_that_run_the_context_are_busy_inside", function(client, cx)
	local caught = 0
	assert(cx:on_event(function(event)
		fails(certauto.EBUSY, cx:run(0))
		fails(certauto.EBUSY, client:order():run())
		fails(certauto.EBUSY, event.job:wait(0))
		caught = caught + 1
	end))
	assert(client:order():run(30))
	assert(caught > 3)
end)

test("test_event__the_context_may_be_closed_inside", function()
	for _, how in ipairs { "run", "context" } do
		local client = lab.client()
		assert(client.cx:on_event(function() client.cx:close() end))
		if how == "run" then
			fails(certauto.ECANCELED, client:order():run(30))
		else
			assert(client:order():start(30))
			fails(certauto.ECANCELED, client.cx:run(30))
		end
		equal(client.cx.closed, true)
	end
end)

with_client("test_event__objects_may_be_closed_and_collected_inside", function(client, cx)
	local job = assert(client:order():start(30))
	assert(cx:on_event(function(event)
		client.account:close()
		client.web:close()
		client.key:close()
		event.job:close()
		collectgarbage()
	end))
	while not job.closed do
		assert(cx:run(0.01))
	end
	equal(cx:run(30), 0)
end)

with_client("test_event__jobs_may_be_cancelled_inside", function(client, cx)
	assert(cx:on_event(function(event) event.job:cancel() end))
	fails(certauto.ECANCELED, client:order():run(30))
end)

test("test_event__a_context_and_its_callback_are_collected", function()
	local gone = setmetatable({}, { __mode = "v" })
	do
		local client = lab.client()
		gone.cx = client.cx
		client.cx:on_event(function() return client end)
		assert(client:order():start())
		client.cx:run(0)
	end
	collectgarbage()
	collectgarbage()
	equal(gone.cx, nil)
end)

with_client("test_event__must_not_yield", function(client, cx)
	assert(cx:on_event(function() coroutine.yield() end))
	local worker = coroutine.create(function() return client:order():run(30) end)
	local ok, raised = coroutine.resume(worker)
	equal(ok, false)
	matches(tostring(raised), "yield")
	assert(cx:on_event(nil))
end)

with_client("test_raw_event__is_empty_after_its_callback", function(client, cx)
	local kept, stop = nil, {}
	core.certauto_context_set_event_cb(cx._h, function(event)
		kept = event
		assert(core.certauto_event_type(event) ~= 0)
		error(stop)
	end)
	local ok, raised = pcall(core.certauto_order_run, client:order()._h, 30000)
	equal(ok, false)
	equal(raised, stop)
	raises("gone", core.certauto_event_type, kept)
	assert(cx:on_event(nil))
end)

-- ---- signers ----

with_client("test_signer__for_the_account_and_for_the_certificate", function(client, cx)
	local key = assert(cx:key_signer(hsm.public_key_der(), hsm.sign))
	equal(key.type, "ecdsa-p256")
	fails(certauto.EUNSUPPORTED, key:pem())
	local chain = assert(client:order(nil, { key = key }):run(30))
	assert(chain:check(key, "www.example.org"))
	-- At another CA: none takes the key of an account for a certificate.
	local account = assert(cx:account { ENV.LIMITED, ca_file = ENV.CA_FILE, agree_tos = true, key = key })
	assert(account:register(30))
end)

with_client("test_signer__what_it_raises_is_raised_again", function(_, cx)
	local gone = { "the HSM is gone" }
	local key = assert(cx:key_signer(hsm.public_key_der(), function() error(gone) end))
	equal(raises(nil, cx.csr, cx, key, "www.example.org"), gone)
	local account = assert(cx:account { ENV.SERVER, ca_file = ENV.CA_FILE, agree_tos = true, key = key })
	equal(raises(nil, account.register, account, 30), gone)
end)

with_client("test_signer__its_reason_is_told", function(_, cx)
	local function reason(...)
		local answers = { ... }
		local key = assert(cx:key_signer(hsm.public_key_der(), function()
			return unpack(answers, 1, 3)
		end))
		return cx:csr(key, "www.example.org")
	end
	matches(fails(certauto.EAUTH, reason(nil, "wrong PIN", certauto.EAUTH)), "signer.*wrong PIN")
	matches(fails(certauto.EREFUSED, reason(nil, "wrong PIN")), "wrong PIN")
	fails(certauto.EREFUSED, reason())
	local _, text = reason "short"
	matches(text, "signer")
	raises("a function", cx.key_signer, cx, hsm.public_key_der(), 5)
	fails(certauto.EINVAL, cx:key_signer("no key", hsm.sign))
end)

-- ---- targets written in Lua ----

test("test_lua_target__as_a_type_of_its_own", function()
	local cx = assert(certauto.context {})
	local shows = lab.recorder()
	shows.options = {
		{ name = "where", type = "text", required = true, help = "what it is called" },
		{ name = "slow", type = "number", default = "0", help = "calls before it is done" },
	}
	local calls, present = 0, shows.present
	function shows:present(work)
		calls = calls + 1
		equal(work:option "where", "here")
		equal(work.op .. " " .. work.name .. " " .. work.challenge, "present www.example.org http-01")
		if calls <= tonumber(work:option "slow") then
			return 0.001
		end
		return present(self, work)
	end
	assert(cx:add_target(shows))
	fails(certauto.EINVAL, cx:add_target(shows))
	local target = assert(cx:target { "recorder", where = "here", slow = 3, challenge_check = false })
	assert(target:present(unpack(CHALLENGE)))
	equal(shows.shown.token, "token.thumbprint")
	assert(target:cleanup(unpack(CHALLENGE)))
	equal(shows.shown.token, nil)
	equal(calls, 4)
	fails(certauto.EUNSUPPORTED, target:renew(5))
	fails(certauto.EUNSUPPORTED, target:make_csr("shop", "www.example.org"))
	cx:close()
end)

for _, when in ipairs { "order", "present" } do
	with_client("test_lua_target__its_errors_" .. when, function(client, cx)
		local function run(present)
			local target = assert(cx:target {
				{ caps = certauto.TARGET_HTTP01, present = present, cleanup = function() end },
			})
			if when == "present" then
				return target:present(unpack(CHALLENGE))
			end
			local csr = assert(cx:csr(client.key, "www.example.org"))
			return assert(client.account:order(csr, { http01 = target })):run(30)
		end
		local mine = setmetatable({}, { __tostring = function() return "mine" end })
		equal(raises(nil, run, function() error(mine) end), mine)
		equal(client.account.url ~= nil, when == "order")
		raises("attempt to", run, function() return nil + 1 end)
		local _, text, code = run(function() return nil, "no right to do that", certauto.EPERM end)
		matches(text, "no right to do that")
		equal(code, when == "present" and certauto.EPERM or code)
		matches(select(2, run(function() return false, "not today" end)), "not today")
	end)
end

with_client("test_lua_target__its_error_is_raised_by_who_runs_the_context", function(client, cx)
	local mine = {}
	function client.shows.present()
		error(mine)
	end
	local job = assert(client:order():start(30))
	equal(raises(nil, cx.run, cx), mine)
	equal(job.done, true)
	equal(raises(nil, job.result, job), mine)
end)

-- Has certificates in a table.
local function balancer(fail)
	local target = { type = "balancer", caps = certauto.TARGET_DEPLOY, ops = {}, objects = {} }
	local function done(self, work)
		self.ops[#self.ops + 1] = work.op
		if work.op == fail then
			return nil, work.op .. " is refused", certauto.EREFUSED
		end
	end
	function target:observe(work)
		if not work:noted "old" then
			assert(work:note("old", self.bound or "none"))
			return 0
		end
		return done(self, work)
	end
	function target:stage(work)
		local name = work.name .. "-" .. assert(work:chain()).serial
		if not work:noted "new" then
			assert(work:note("new", name))
			return 0
		end
		self.objects[name] = assert(work:chain()):pem() .. assert(assert(work:key()):pem())
		return done(self, work)
	end
	function target:swap(work)
		self.bound = work:noted "new"
		return done(self, work)
	end
	target.save, target.tidy = done, done
	function target:undo(work)
		self.ops[#self.ops + 1] = work.op
		self.bound = work:noted "old" ~= "none" and work:noted "old" or nil
		self.objects[work:noted "new"] = nil
	end
	return target
end

with_client("test_lua_target__deploys_and_takes_back", function(client, cx)
	local csr = assert(cx:csr(client.key, "www.example.org"))
	local chain = assert(client.key:self_sign(csr, 1999999999))
	local lb = balancer()
	assert(assert(cx:target { lb, probe = false }):deploy("shop", chain, client.key, 20))
	equal(check.list(lb.ops), "observe stage swap save tidy")
	equal(lb.bound, "shop-" .. chain.serial)
	equal(lb.objects[lb.bound], chain:pem() .. client.key:pem())
	local broken = balancer "swap"
	local target = assert(cx:target { broken, probe = false })
	matches(fails(certauto.EREFUSED, target:deploy("shop", chain, client.key, 20)), "swap is refused")
	equal(broken.ops[#broken.ops], "undo")
	equal(broken.bound, nil)
	equal(next(broken.objects), nil)
end)

with_client("test_lua_target__makes_a_request", function(client, cx)
	local wanted = assert(cx:csr(client.key, "www.example.org"))
	local device = {
		caps = certauto.TARGET_CSR + certauto.TARGET_DEPLOY,
		csr = function(_, work) assert(work:set_csr(wanted:pem())) end,
	}
	local target = assert(cx:target { device, probe = false })
	local made = assert(target:make_csr("shop", "www.example.org", "ecdsa-p256", 5))
	equal(made:pem(), wanted:pem())
	equal(target:csr():pem(), made:pem())
end)

with_client("test_lua_target__waits_for_a_descriptor", function(_, cx)
	local calls, other = 0, assert(certauto.context {})
	local device = {
		caps = certauto.TARGET_HTTP01,
		present = function(_, work)
			calls = calls + 1
			if calls == 1 then
				return work:wait_fd(1, "w")
			end
		end,
	}
	assert(assert(cx:target { device, challenge_check = false }):present(unpack(CHALLENGE)))
	equal(calls, 2)
	other:close()
end)

with_client("test_work__is_gone_after_its_operation", function(_, cx)
	local kept
	local device = { caps = certauto.TARGET_HTTP01, present = function(_, work) kept = work end }
	assert(assert(cx:target { device, challenge_check = false }):present(unpack(CHALLENGE)))
	raises("gone", function() return kept.name end)
	raises("gone", function() return kept:note("a", "b") end)
end)

check.done()
