-- SPDX-License-Identifier: Apache-2.0
-- Jobs, which are what was started, and the verbs that start them.

local core = require "certauto.core"
local object = require "certauto.object"
local callback = require "certauto.callback"

core.ours()

local AGAIN, ETIMEDOUT, EBUSY = core.CERTAUTO_AGAIN, core.CERTAUTO_ETIMEDOUT, core.CERTAUTO_EBUSY
local FOREVER = -1
local SLICE_S = 0.1 -- how long Ctrl-C may have to wait

local failure, wrap, ms = object.failure, object.wrap, object.ms
local raise_loose, settle = callback.raise_loose, callback.settle

local Job = object.class "Job"

-- The job for a handle that a call gave; value() is what it is good for when it has ended well.
local function start(cx, value, handle, ...)
	local job, message, code, detail = wrap(Job, cx, handle, ...)
	if not job then
		return nil, message, code, detail
	end
	job._value = value
	job.id = core.certauto_job_id(handle)
	cx._jobs[job.id] = job
	return job
end

-- The jobs that have ended since; they are not needed here any more.
local function reap(cx)
	local ended = {}
	while true do
		local id = core.certauto_context_next_done(cx._h)
		if id == 0 then
			return ended
		end
		ended[#ended + 1] = cx._jobs[id]
		cx._jobs[id] = nil
	end
end

local function running(handle)
	return core.certauto_job_result(handle) == AGAIN
end

-- Milliseconds of the next slice of a wait that ends at `finish`.
local function slice(finish)
	local left = finish and math.max(0, finish - core.now()) or SLICE_S
	return math.ceil(math.min(left, SLICE_S) * 1000)
end

-- Runs the context until the job has ended: true, or nil and why it did not. In slices: a debug
-- hook, by which Lua programs are interrupted, comes to its turn in between.
local function turn(job, timeout)
	local cx, handle = job._cx, job._h
	local finish = timeout and core.now() + timeout
	while running(handle) do
		local ok, text, code, detail = core.certauto_job_wait(handle, slice(finish))
		raise_loose(cx)
		if not ok and code ~= ETIMEDOUT and running(handle) then
			return nil, text, code, detail
		elseif finish and core.now() >= finish and running(handle) then
			return failure(ETIMEDOUT, "still running after %g s", timeout)
		end
	end
	-- If it was the last, sessions are closed, which takes some seconds at most.
	core.certauto_job_wait(handle, FOREVER)
	if not cx.closed then
		reap(cx)
	end
	return true
end

-- How a job that has ended did: true, or why it failed. What callbacks have raised is raised again.
local function fate(job)
	if job._raised then
		error(job._raised.raised, 0)
	end
	local detail = core.certauto_job_error(job._h)
	if detail then
		return settle(job._cx, nil, detail.text, detail.code, detail)
	end
	return true
end

-- The same; if it went well what it was good for.
local function outcome(job)
	local ok, text, code, detail = fate(job)
	if not ok then
		return nil, text, code, detail
	end
	if job._value then
		return job._value()
	end
	return true
end

local function take_back(job)
	core.certauto_job_cancel(job._h)
	local ok, raised = pcall(turn, job)
	if not ok then
		core.certauto_job_cancel(job._h) -- interrupted again: at once
		error(raised, 0)
	end
end

-- A blocking verb: its job is not left behind, whatever happens.
local function run(cx, begin, ...)
	if cx._depth > 0 then
		return failure(EBUSY, "this call runs the context: not inside one of its callbacks")
	end
	local job, message, number, more = begin(...)
	if not job then
		return nil, message, number, more
	end
	local ok, ended, text, code, detail = pcall(turn, job)
	if not ok then
		take_back(job)
		error(ended, 0)
	elseif not ended then
		take_back(job)
		return nil, text, code, detail
	end
	return outcome(job)
end

-- A verb in its two forms: NAME waits until it is done, start_NAME gives the job.
local function verb(kind, name, begin)
	kind.methods["start_" .. name] = begin
	kind.methods[name] = function(self, ...)
		return run(self._cx, begin, self, ...)
	end
end

function Job.properties.name(self)
	return core.certauto_job_name(self._h)
end

-- Whether it has ended, well or not.
function Job.properties.done(self)
	return not running(self._h)
end

-- A table with why it failed; nil while it runs or when it went well.
function Job.properties.error(self)
	return core.certauto_job_error(self._h)
end

-- What the blocking verb would have given; while it runs: nil, a text, certauto.AGAIN.
function Job.methods.result(self)
	if running(self._h) then
		return failure(AGAIN, "still running")
	end
	return outcome(self)
end

-- Runs the context until this job has ended; its result. certauto.ETIMEDOUT: it still runs.
function Job.methods.wait(self, timeout)
	if self._cx._depth > 0 then
		return failure(EBUSY, "this call runs the context: not inside one of its callbacks")
	end
	ms(timeout)
	local ended, text, code, detail = turn(self, timeout)
	if not ended then
		return nil, text, code, detail
	end
	return outcome(self)
end

-- Ends it; what it has changed is taken back. Asked twice it leaves at once.
function Job.methods.cancel(self)
	core.certauto_job_cancel(self._h)
end

-- The handle is needed until the job has ended.
function Job.methods.close(self)
	self._h = nil
end

function Job.about(self)
	return ("%d %q %s"):format(self.id, self.name, self.done and "done" or "running")
end

return {
	Job = Job, start = start, run = run, verb = verb, reap = reap, slice = slice, fate = fate,
}
