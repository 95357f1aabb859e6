-- A program that is interrupted while it waits for a certificate. Argument: how it waits.

local certauto = require "certauto"
local lab = require "client"

local client = lab.client()
local present = client.shows.present
function client.shows:present(work)
	local first = #self.ops == 0
	present(self, work)
	if first then
		io.write "presenting\n"
		io.stdout:flush()
	end
	return 0.05
end

local order = client:order()
local ok, raised = pcall(function()
	if arg[1] == "run" then
		return order:run()
	end
	assert(order:start())
	return client.cx:run()
end)
if arg[1] == "context" then
	client.cx:cancel()
	client.cx:run()
end
print(ok, raised, order.status == certauto.ORDER_VALID)
print(client.shows.ops[#client.shows.ops], next(client.shows.shown))
client:close()
