-- What most tests need: a context, an account at a CA, a target that answers challenges.

local certauto = require "certauto"
local check = require "check"
local ENV = check.ENV

-- Answers http-01 in a table; when it is slow, it never gets done with that.
local function recorder()
	local target = { type = "recorder", caps = certauto.TARGET_HTTP01, shown = {}, ops = {} }
	function target:present(work)
		self.shown[work.token] = work.value
		self.ops[#self.ops + 1] = "present"
		return self.slow and 0.005 or nil
	end
	function target:cleanup(work)
		self.shown[work.token] = nil
		self.ops[#self.ops + 1] = "cleanup"
	end
	return target
end

local Client = {}
Client.__index = Client

local function client(server)
	local cx = assert(certauto.context {})
	local shows = recorder()
	return setmetatable({
		cx = cx,
		shows = shows,
		web = assert(cx:target { shows, challenge_check = false }),
		account = assert(cx:account {
			server or ENV.SERVER, ca_file = ENV.CA_FILE, agree_tos = true,
			contact = "mailto:ops@example.org",
		}),
		key = assert(cx:key()),
	}, Client)
end

function Client:order(names, options)
	options = options or {}
	options.http01 = self.web
	local csr = assert(self.cx:csr(options.key or self.key, names or "www.example.org"))
	options.key = nil
	return assert(self.account:order(csr, options))
end

-- Runs the context until done() says so.
function Client:run_until(done)
	for _ = 1, 3000 do
		if done() then
			return
		end
		assert(self.cx:run(0.01))
	end
	error("waited in vain", 2)
end

function Client:close()
	check.equal(next(self.shows.shown), nil, "answers left")
	self.cx:close()
end

return { client = client, recorder = recorder }
