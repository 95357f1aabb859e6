-- From the top of the sources: luarocks make bindings/lua/certauto-0.1.0-1.rockspec
rockspec_format = "3.0"
package = "certauto"
version = "0.1.0-1"
description = {
	summary = "Certificates by ACME, challenges answered and certificates deployed on load balancers",
	detailed = "The Lua face of libcertauto, which must be installed. To build it needs SWIG and Python.",
	license = "Apache-2.0",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1, < 5.5" }
external_dependencies = {
	CERTAUTO = { header = "certauto.h", library = "certauto" },
}
source = { url = "." }
build = {
	type = "make",
	build_target = "rock",
	install_target = "install-rock",
	build_variables = {
		LUA_INCDIR = "$(LUA_INCDIR)",
		CERTAUTO_INCDIR = "$(CERTAUTO_INCDIR)",
		CERTAUTO_LIBDIR = "$(CERTAUTO_LIBDIR)",
		CFLAGS = "$(CFLAGS)",
	},
	install_variables = {
		LUADIR = "$(LUADIR)",
		LIBDIR = "$(LIBDIR)",
	},
}
