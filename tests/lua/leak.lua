-- Nothing grows: memory and descriptors after many rounds of all kinds of things.

local certauto = require "certauto"
local check = require "check"
local lab = require "client"

local ROUNDS, BATCHES = 40, 10

local function read(path)
	local file = assert(io.open(path))
	local text = file:read "*a"
	file:close()
	return text
end

local function status(name)
	return tonumber(read("/proc/self/status"):match("\n" .. name .. ":%s*(%d+)"))
end

local function descriptors()
	local pipe = assert(io.popen("ls /proc/" .. status "Pid" .. "/fd | wc -l"))
	local n = tonumber(pipe:read "*a")
	pipe:close()
	return n
end

local function collect()
	for _ = 1, 4 do
		collectgarbage()
	end
end

-- KiB: of Lua, of the process; descriptors.
local function measure()
	collect()
	return collectgarbage "count", status "VmRSS", descriptors()
end

-- Of things that are not closed: the collector finalizes them in any order.
local function objects()
	local cx = assert(certauto.context {})
	local key = assert(cx:key())
	local csr = assert(cx:csr(key, { "a.example.org", "b.example.org" }))
	local chain = assert(key:self_sign(csr, 1999999999))
	assert(chain:pem() and key:pem() and #csr.names == 2 and tostring(chain))
	assert(#cx:target("haproxy").options > 0)
	cx:key "nonsense"
	cx:csr_from "nonsense"
	cx:fleet_from "nonsense"
	cx:target { "files", nonsense = 1 }
	pcall(cx.key, cx, 5)
end

local function callbacks()
	local client = lab.client()
	local signer = assert(client.cx:key_signer(client.key:public(), function() error(client) end))
	client.cx:on_event(function(event) return client, event end)
	pcall(client.cx.csr, client.cx, signer, "a.example.org")
	assert(client.cx:add_target(lab.recorder()))
	local failing = assert(client.cx:target { {
		caps = certauto.TARGET_HTTP01, present = function() error(client) end,
	} })
	pcall(failing.present, failing, "http-01", "a.example.org", "token", "token.thumbprint")
	client:close()
end

local function jobs()
	local client = lab.client()
	assert(client:order():start())
	client.cx:run(0)
	client.cx:close()
end

-- What leaks grows with each batch; what is allocated once does not.
for name, round in pairs { objects = objects, callbacks = callbacks, jobs = jobs } do
	check.test("test_leak__nothing_grows_" .. name, function()
		local seen = {}
		local lua, rss, fds = measure()
		for _ = 1, BATCHES do
			for _ = 1, ROUNDS do
				round()
			end
			local lua_now, rss_now, fds_now = measure()
			if lua_now - lua < 1 and rss_now - rss < ROUNDS and fds_now <= fds then
				return
			end
			seen[#seen + 1] = ("%.1f KiB, %d KiB, %d"):format(lua_now, rss_now, fds_now)
			lua, rss, fds = lua_now, rss_now, fds_now
		end
		error("Lua, process, descriptors: " .. table.concat(seen, "; "))
	end)
end

-- The collector at work within each call, and finalizers within callbacks.
check.test("test_gc__at_any_time", function()
	local pause, speed = collectgarbage("setpause", 1), collectgarbage("setstepmul", 10000)
	for _ = 1, 3 do
		objects()
		callbacks()
		local client = lab.client()
		client.cx:on_event(function() collectgarbage "step" objects() end)
		assert(client:order():run(30))
		client:close()
	end
	collectgarbage("setpause", pause)
	collectgarbage("setstepmul", speed)
end)

check.done()
