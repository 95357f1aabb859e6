-- What each state of host.c runs; it leaves a context, a job that runs and a callback behind.

local lab = require "client"

local client = lab.client()
local events = 0
assert(client.cx:on_event(function() events = events + 1 end))
local chain = assert(client:order():run(30))
assert(chain:check(client.key, "www.example.org") and events > 3)
client.shows.slow = true
left = left or {}
left[#left + 1] = { client, assert(client:order():start()), chain }
client.cx:run(0.01)
