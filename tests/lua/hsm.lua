-- Stands for an HSM: signs by the command openssl, with a key that the harness has made.

local check = require "check"

local hsm = {}

local function read(path)
	local file = assert(io.open(path, "rb"))
	local text = file:read "*a"
	file:close()
	return text
end

-- SubjectPublicKeyInfo.
function hsm.public_key_der()
	return read(check.ENV.SPKI_FILE)
end

-- An integer of a DER signature as 32 bytes, and where the next is.
local function integer(der, at)
	local n = der:byte(at + 1)
	local bytes = der:sub(at + 2, at + 1 + n):gsub("^%z+", "")
	return ("\0"):rep(32 - #bytes) .. bytes, at + 2 + n
end

function hsm.sign(alg, digest)
	check.equal(alg, "ES256")
	check.equal(#digest, 32)
	local path = os.tmpname()
	local file = assert(io.open(path, "wb"))
	file:write(digest)
	file:close()
	local pipe = assert(io.popen("openssl pkeyutl -sign -inkey " .. check.ENV.KEY_FILE .. " -in " .. path))
	local der = pipe:read "*a"
	pipe:close()
	os.remove(path)
	local r, next_at = integer(der, 3)
	return r .. integer(der, next_at)
end

return hsm
