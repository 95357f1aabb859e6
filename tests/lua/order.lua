-- Orders, accounts and jobs against a simulated CA, which finds each name good but bad.example.org.

local certauto = require "certauto"
local check = require "check"
local lab = require "client"
local ENV, test, equal, matches, fails = check.ENV, check.test, check.equal, check.matches, check.fails

local URN = "urn:ietf:params:acme:error:"

-- A test with a client.
local function with_client(name, body, server)
	test(name, function()
		local client = lab.client(server)
		body(client, client.cx)
		client:close()
	end)
end

with_client("test_run__gives_the_chain", function(client)
	local order = client:order { "www.example.org", "mail.example.org" }
	equal(order.status, certauto.ORDER_NEW)
	equal(order.url, nil)
	local chain = assert(order:run(30))
	equal(#chain.names, 2)
	equal(chain.n_certs, 2)
	equal(order.status, certauto.ORDER_VALID)
	equal(order.name_status["mail.example.org"], certauto.NAME_VALID)
	equal(next(order.name_errors), nil)
	equal(order:chain().fingerprint, chain.fingerprint)
	assert(chain:check(client.key, order.names))
	matches(order.url, "^https://")
	matches(client.account.url, "^https://")
	equal(check.list(client.shows.ops), "present present cleanup cleanup")
end)

with_client("test_error__challenge_has_a_subproblem_for_each_name", function(client)
	local order = client:order { "good.example.org", "bad.example.org" }
	local text, detail = fails(certauto.ECHALLENGE, order:run(30))
	matches(text, "bad%.example%.org")
	equal(#detail.subproblems, 1)
	local sub = detail.subproblems[1]
	equal(sub.name, "bad.example.org")
	equal(sub.problem:sub(1, #URN), URN)
	assert(sub.detail)
	equal(order.name_status["bad.example.org"], certauto.NAME_INVALID)
	assert(order.name_errors["bad.example.org"].message)
	equal(order.name_errors["good.example.org"], nil)
end)

with_client("test_error__retry_later_has_a_time", function(client)
	local _, detail = fails(certauto.ERETRY_LATER, client:order():run(30))
	assert(detail.retry_at > os.time() + 3500 and detail.retry_at < os.time() + 3700)
	equal(detail.status, 429)
	equal(detail.problem, URN .. "rateLimited")
	assert(detail.object)
end, ENV.LIMITED)

with_client("test_account__all_its_verbs", function(client, cx)
	local account = client.account
	assert(account:register(30))
	assert(account:fetch(30))
	equal(account.status, "valid")
	equal(check.list(account.contacts), "mailto:ops@example.org")
	equal(account.server, ENV.SERVER)
	equal(#account.profiles, 1)
	assert(account.terms_url)
	assert(account:update("mailto:other@example.org", 30))
	matches(check.list(account.contacts), "other@example.org")
	local chain = assert(client:order():run(30))
	equal(#assert(account:fetch_orders(30)), 1)
	local window = assert(account:fetch_renewal(chain, 30))
	assert(chain.not_before_at < window.start_at and window.end_at < chain.not_after_at)
	assert(account:rotate_key(assert(cx:key "ecdsa-p384"), 30))
	matches(fails(certauto.EINVAL, account:revoke(chain, { reason = 99 })), "key compromise")
	assert(account:revoke(chain, { reason = certauto.REVOKE_SUPERSEDED, timeout = 30 }))
	assert(account:deactivate(30))
	equal(account.status, "deactivated")
end)

with_client("test_account__is_kept_in_a_store", function(_, cx)
	local folder = os.tmpname()
	os.remove(folder)
	local store = assert(cx:store { "files", directory = folder })
	assert(cx:use_store(store))
	local function register()
		local account = assert(cx:account {
			ENV.SERVER, ca_file = ENV.CA_FILE, agree_tos = true, store = store, name = "one",
			key_type = "ecdsa-p384", allow_hosts = "other.example:8443",
		})
		assert(account:register(30))
		return account.url
	end
	equal(register(), register())
	fails(certauto.ENOTFOUND, store:load("nobody"))
	os.execute("rm -r " .. folder)
end)

with_client("test_order__options_arrive", function(client)
	local chain = assert(client:order(nil, { profile = "short" }):run(30))
	assert(chain.not_after_at - chain.not_before_at < 7 * 86400)
	assert(client:order(nil, { replaces = chain, preferred_chain = "shortest" }):run(30))
	matches(fails(certauto.EREFUSED, client:order(nil, { profile = "long" }):run(30)), "short")
	assert(client:order(nil, { profile = "long", profile_required = false }):run(30))
	matches(fails(certauto.EREFUSED, client:order(nil, { not_after_at = os.time() + 86400 }):run(30)),
		"notAfter")
end)

-- ---- jobs ----

with_client("test_job__result_while_it_runs_and_after", function(client, cx)
	local job = assert(client:order():start(30))
	fails(certauto.AGAIN, job:result())
	equal(job.done, false)
	equal(job.error, nil)
	matches(job.name, "www.example.org")
	client:run_until(function() return job.done end)
	equal(check.list(assert(job:result()).names), "www.example.org")
	equal(assert(job:wait(0)).serial, assert(job:result()).serial)
	equal(cx:run(), 0)
end)

with_client("test_job__context_run_drives_all_and_tells_who_has_ended", function(client, cx)
	local jobs, seen = {}, 0
	for i = 1, 10 do
		jobs[i] = assert(client:order("n" .. i .. ".example.org"):start())
	end
	repeat
		local unfinished, ended = assert(cx:run(20))
		for _, job in ipairs(ended) do
			equal(job.error, nil)
			seen = seen + 1
		end
	until unfinished == 0
	equal(seen, 10)
	equal(check.list(assert(jobs[7]:result()).names), "n7.example.org")
end)

with_client("test_job__a_closed_one_goes_on", function(client, cx)
	local order = client:order()
	assert(order:start(30)):close()
	equal(cx:run(30), 0)
	equal(order.status, certauto.ORDER_VALID)
end)

with_client("test_job__wait_tells_when_it_still_runs", function(client, cx)
	client.shows.slow = true
	local job = assert(client:order():start(60))
	matches(fails(certauto.ETIMEDOUT, job:wait(0.05)), "still running")
	equal(job.done, false)
	job:cancel()
	fails(certauto.ECANCELED, job:wait(30))
	equal(job.error.code, certauto.ECANCELED)
	equal(cx.busy, false)
end)

with_client("test_job__its_deadline_ends_it", function(client)
	client.shows.slow = true
	fails(certauto.ETIMEDOUT, client:order():run(0.15))
end)

with_client("test_cancel__takes_back_what_was_shown", function(client, cx)
	client.shows.slow = true
	local job = assert(client:order():start(60))
	client:run_until(function() return next(client.shows.shown) end)
	assert(cx.wait_seconds <= 0.005)
	cx:cancel()
	fails(certauto.ECANCELED, job:wait(30))
	equal(client.shows.ops[#client.shows.ops], "cleanup")
end)

test("test_close__ends_what_runs", function()
	local client = lab.client()
	client.shows.slow = true
	local job = assert(client:order():start(60))
	assert(client.cx:run(0.02))
	client.cx:close()
	equal(job.done, true)
	fails(certauto.ECANCELED, job:result())
	fails(certauto.ECANCELED, job:wait(1))
	fails(certauto.ECANCELED, client.account:start_register())
end)

-- ---- coroutines ----

with_client("test_coroutine__each_waits_for_its_own_job", function(client, cx)
	local function issue(name)
		local job = assert(client:order(name):start(30))
		while not job.done do
			coroutine.yield()
		end
		return assert(job:result())
	end
	local workers, issued = {}, 0
	for i = 1, 5 do
		workers[coroutine.create(issue)] = "c" .. i .. ".example.org"
	end
	local first = true
	while next(workers) do
		for worker, name in pairs(workers) do
			local ok, chain = assert(coroutine.resume(worker, first and name or nil))
			if ok and chain then
				equal(chain.names[1], name)
				workers[worker] = nil
				issued = issued + 1
			end
		end
		first = false
		assert(cx:run(0.05))
	end
	equal(issued, 5)
	assert(cx:fileno() >= 0)
end)

with_client("test_coroutine__callbacks_run_on_the_one_that_calls", function(client, cx)
	local seen, main = {}, coroutine.running()
	assert(cx:on_event(function()
		seen[coroutine.running() or "main"] = true
	end))
	local worker
	worker = coroutine.create(function()
		return assert(client:order():run(30))
	end)
	local _, chain = assert(coroutine.resume(worker))
	equal(chain.n_certs, 2)
	equal(seen[worker], true)
	equal(seen[main or "main"], nil)
	assert(client:order():run(30))
	equal(seen[main or "main"], true)
end)

check.done()
