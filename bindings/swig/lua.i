/* SPDX-License-Identifier: Apache-2.0 */
/* How the C interface crosses into Lua (5.1 to 5.4), for the module certauto.core that certauto.lua
 * is written upon.
 *
 * A checked call gives its outputs, or true if it has none; on failure nil, a text, the code and a
 * table with all that is known. What only a mistake in the program can cause is raised.
 *
 * Lua leaves functions by longjmp: nothing may be raised while the library is on the stack. So each
 * callback runs in a protected call, on the coroutine that the library was called from, and what it
 * raises waits there until the library has returned. */

%include "target.i"

%begin %{
#define _POSIX_C_SOURCE 199309L /* clock_gettime() */
%}

%{
#include <limits.h>
#include <stdint.h>
#include <time.h>

/* ---- a call of the library ---- */

struct call {
	lua_State *L;           /* the coroutine that makes it */
	certauto_context *cx;   /* its context; NULL when that was closed inside */
	int raised;             /* where on L's stack what a callback has raised is, 0 = nothing */
	struct call *outer;     /* that this one was made inside of */
};

/* The innermost. It is the thread's, not the interpreter's: a host may use several of both. */
static __thread struct call *calls;

static void call_begin(struct call *call, lua_State *L, certauto_context *cx)
{
	call->L = L;
	call->cx = cx;
	call->raised = 0;
	call->outer = calls;
	calls = call;
}

/* 0 with what a callback has raised on top of the stack, to be raised again. */
static int call_end(const struct call *call)
{
	calls = call->outer;
	if (call->raised != 0)
		lua_pushvalue(call->L, call->raised);
	return call->raised == 0;
}

/* ---- mistakes ---- */

/* Where the registry has the sources of this package, as the names of a table. */
static char ours_key;

/* ours(): the file that calls it is of this package. */
static int ours(lua_State *L)
{
	lua_Debug at;

	lua_pushlightuserdata(L, &ours_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (lua_getstack(L, 1, &at) && lua_getinfo(L, "S", &at)) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, at.source);
	}
	return 0;
}

static int is_ours(lua_State *L, int level)
{
	lua_Debug at;
	int found;

	if (!lua_getstack(L, level, &at) || !lua_getinfo(L, "S", &at))
		return 0;
	if (strcmp(at.what, "tail") == 0)
		return 1;       /* 5.1: a caller that is not there any more */
	lua_pushlightuserdata(L, &ours_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_getfield(L, -1, at.source);
	found = lua_toboolean(L, -1);
	lua_pop(L, 2);
	return found;
}

/* A text for lua_error(). The line to blame is the first that is not of this package. */
static void push_mistake(lua_State *L, const char *text)
{
	int level = 1;

	while (is_ours(L, level))
		level++;
	luaL_where(L, level);
	lua_pushstring(L, text);
	lua_concat(L, 2);
}

/* Always 0. */
static int wrong(lua_State *L, int index, const char *wanted)
{
	push_mistake(L, lua_pushfstring(L, "argument %d: %s is needed, not %s", index, wanted,
		luaL_typename(L, index)));
	return 0;
}

/* ---- values ---- */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

static void push_integer(lua_State *L, int64_t value)
{
#if LUA_VERSION_NUM >= 503
	lua_pushinteger(L, (lua_Integer)value);
#else
	lua_pushnumber(L, (lua_Number)value);
#endif
}

/* A whole number from least on, of which a double has all digits. */
static int integer_of(int64_t *out, lua_State *L, int index, double least, double most)
{
	lua_Number value;

	if (lua_type(L, index) != LUA_TNUMBER)
		return wrong(L, index, "a number");
	value = lua_tonumber(L, index);
	if (!(value >= least && value <= most) || value != (lua_Number)(int64_t)value)
		return wrong(L, index, "a whole number that fits");
	*out = (int64_t)value;
	return 1;
}

/* nil gives NULL. C has texts end at a NUL, so there is none inside. */
static int text_of(const char **out, lua_State *L, int index)
{
	size_t len;

	*out = NULL;
	if (lua_isnil(L, index))
		return 1;
	if (lua_type(L, index) != LUA_TSTRING)
		return wrong(L, index, "text");
	*out = lua_tolstring(L, index, &len);
	return strlen(*out) == len ? 1 : wrong(L, index, "text without NUL");
}

/* Adds up what the texts of a list take, each with its NUL. */
static int texts_measure(size_t *size, lua_State *L, int index, size_t n)
{
	const char *text;
	size_t i;

	*size = 0;
	for (i = 1; i <= n; i++) {
		lua_rawgeti(L, index, (int)i);
		if (lua_type(L, -1) != LUA_TSTRING || !text_of(&text, L, lua_gettop(L)))
			return wrong(L, index, "a list of texts");
		*size += strlen(text) + 1;
		lua_pop(L, 1);
	}
	return 1;
}

/* Texts as C has them; nil gives NULL, a lone text is a list of one. They are copied to where the
 * stack keeps them for the call: a callback may change the list. */
static int texts_of(const char *const **out, size_t *n_out, lua_State *L, int index)
{
	const char **list, *text;
	char *copy;
	size_t i, n, size;

	if (lua_isnil(L, index))
		return 1;
	if (lua_type(L, index) == LUA_TSTRING) {
		lua_createtable(L, 1, 0);
		lua_pushvalue(L, index);
		lua_rawseti(L, -2, 1);
		lua_replace(L, index);
	} else if (!lua_istable(L, index)) {
		return wrong(L, index, "a list of texts");
	}
	n = lua_rawlen(L, index);
	if (!texts_measure(&size, L, index, n))
		return 0;
	list = lua_newuserdata(L, n * sizeof(*list) + size + 1);
	copy = (char *)(list + n);
	for (i = 0; i < n; i++) {
		lua_rawgeti(L, index, (int)i + 1);
		text = lua_tolstring(L, -1, &size);
		list[i] = memcpy(copy, text, size + 1);
		copy += size + 1;
		lua_pop(L, 1);
	}
	*out = list;
	*n_out = n;
	return 1;
}

/* nil gives NULL. Any userdata may be given here, also one of others. */
static int handle_of(void **out, lua_State *L, int index, const swig_type_info *type)
{
	const swig_lua_userdata *handle = lua_touserdata(L, index);

	*out = NULL;
	if (lua_isnil(L, index))
		return 1;
	if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) < sizeof(*handle) ||
		handle->type != type)
		return wrong(L, index, type->str);
	*out = handle->ptr;
	return 1;
}

/* ---- errors ---- */

static void set_text(lua_State *L, const char *name, const char *text)
{
	lua_pushstring(L, text);        /* nil for NULL */
	lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, int64_t value)
{
	if (value == 0)
		return;
	push_integer(L, value);
	lua_setfield(L, -2, name);
}

static void push_subproblems(lua_State *L, const certauto_error *error)
{
	size_t i, n = certauto_error_n_subproblems(error);

	lua_createtable(L, (int)n, 0);
	for (i = 0; i < n; i++) {
		lua_createtable(L, 0, 3);
		set_text(L, "name", certauto_error_subproblem_name(error, i));
		set_text(L, "problem", certauto_error_subproblem_problem(error, i));
		set_text(L, "detail", certauto_error_subproblem_detail(error, i));
		lua_rawseti(L, -2, (int)i + 1);
	}
}

/* A table with all that is known of an error, which may be no more than its code. */
static void push_error(lua_State *L, int code, const certauto_error *error)
{
	const char *advice = certauto_error_advice(error);
	const char *message =
		error != NULL ? certauto_error_message(error) : certauto_error_text(code);

	lua_createtable(L, 0, 10);
	set_number(L, "code", code);
	set_text(L, "name", certauto_error_name(code));
	set_text(L, "message", message);
	if (advice != NULL)
		message = lua_pushfstring(L, "%s (%s)", message, advice);
	else
		lua_pushstring(L, message);
	lua_setfield(L, -2, "text");
	set_text(L, "object", certauto_error_object(error));
	set_text(L, "advice", advice);
	set_text(L, "problem", certauto_error_problem(error));
	set_number(L, "status", certauto_error_status(error));
	set_number(L, "retry_at", certauto_error_retry_at(error));
	push_subproblems(L, error);
	lua_setfield(L, -2, "subproblems");
}

/* nil, text, code, table; their number. */
static int push_failure(lua_State *L, int code, const certauto_context *cx)
{
	lua_pushnil(L);
	push_error(L, code, cx != NULL ? certauto_context_error(cx) : NULL);
	lua_getfield(L, -1, "text");
	lua_insert(L, -2);
	push_integer(L, code);
	lua_insert(L, -2);
	return 4;
}

/* ---- callbacks ---- */

struct callback {
	void *object;
	swig_type_info *type;
	int function;           /* where the registry has it */
	int answer;
};

/* It is there before anything runs: to make it could fail, where that must not be. */
static char callback_run_key;

/* Takes a pointer to struct callback. */
static int callback_run(lua_State *L)
{
	struct callback *cb = lua_touserdata(L, 1);
	swig_lua_userdata *wrapper;
	int failed;

	SWIG_NewPointerObj(L, cb->object, cb->type, 0);
	wrapper = lua_touserdata(L, 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, cb->function);
	lua_pushvalue(L, 2);
	failed = lua_pcall(L, 1, 1, 0);
	wrapper->ptr = NULL;    /* the object must not be used later */
	if (failed)
		return lua_error(L);
	cb->answer = (int)lua_tonumber(L, -1);
	return 0;
}

static int callback(void *object, swig_type_info *type, void *payload)
{
	struct callback cb = { object, type, (int)(intptr_t)payload, 0 };
	struct call *call = calls;

	if (call == NULL)
		return CERTAUTO_ECANCELED;
	lua_pushlightuserdata(call->L, &callback_run_key);
	lua_rawget(call->L, LUA_REGISTRYINDEX);
	lua_pushlightuserdata(call->L, &cb);
	if (lua_pcall(call->L, 1, 0, 0) == 0)
		return cb.answer;
	if (call->raised == 0)
		call->raised = lua_gettop(call->L);
	else
		lua_pop(call->L, 1);    /* the first one counts */
	return CERTAUTO_ECANCELED;
}

static int certauto_event_cb_lua(const certauto_event *event, void *payload)
{
	return callback((void *)event, SWIGTYPE_p_certauto_event, payload);
}

static int certauto_sign_cb_lua(certauto_signing *signing, void *payload)
{
	return callback(signing, SWIGTYPE_p_certauto_signing, payload);
}

static int work_cb_lua(certauto_work *work, void *payload)
{
	return callback(work, SWIGTYPE_p_certauto_work, ((struct own_target *)payload)->call);
}

/* The registry keeps the function until it is released; this goes as payload. */
static void *function_keep(lua_State *L, int index)
{
	lua_pushvalue(L, index);
	return (void *)(intptr_t)luaL_ref(L, LUA_REGISTRYINDEX);
}

static void free_cb_lua(void *payload)
{
	if (calls != NULL)
		luaL_unref(calls->L, LUA_REGISTRYINDEX, (int)(intptr_t)payload);
}

static void own_target_free(void *payload)
{
	free_cb_lua(((struct own_target *)payload)->call);
	free(payload);
}

static int certauto_lua_target_new(certauto_target **out, certauto_context *cx, const char *name,
	int caps, const char *options_json, const char *const *names, size_t n_names, void *call)
{
	struct own_target *target =
		own_target_new(name, caps, options_json, names, n_names, work_cb_lua, call);

	if (target == NULL) {
		free_cb_lua(call);
		return CERTAUTO_ENOMEM;
	}
	return certauto_target_new_ops(out, cx, &target->ops, target, own_target_free);
}

static int certauto_lua_add_target(certauto_context *cx, const char *name, int caps,
	const char *options_json, const char *const *names, size_t n_names, void *call)
{
	struct own_target *target =
		own_target_new(name, caps, options_json, names, n_names, work_cb_lua, call);

	if (target == NULL) {
		free_cb_lua(call);
		return CERTAUTO_ENOMEM;
	}
	return certauto_context_add_target(cx, &target->ops, target, own_target_free);
}

/* ---- the end of a handle ---- */

/* The metamethod __gc of all handles. Emptied, they may be closed and collected after. What a
 * callback raises here has nobody to go to. */
static int handle_free(lua_State *L)
{
	swig_lua_userdata *handle = lua_touserdata(L, 1);
	struct call call, *outer;

	lua_settop(L, 1);
	for (outer = calls; outer != NULL && handle->own; outer = outer->outer)
		if (outer->cx == handle->ptr)
			outer->cx = NULL;
	call_begin(&call, L, NULL);
	(void)SWIG_Lua_class_destruct(L);
	(void)call_end(&call);
	handle->ptr = NULL;
	handle->own = 0;
	return 0;
}

/* close(handle): not only when the collector comes to it. */
static int handle_close(lua_State *L)
{
	if (lua_type(L, 1) != LUA_TUSERDATA || !luaL_getmetafield(L, 1, "__gc") ||
		lua_tocfunction(L, -1) != handle_free) {
		(void)wrong(L, 1, "a handle");
		return lua_error(L);
	}
	return handle_free(L);
}

/* mistake(text) raises it where the caller of the package stands. */
static int mistake(lua_State *L)
{
	push_mistake(L, luaL_checkstring(L, 1));
	return lua_error(L);
}

/* now(): seconds of a clock that nobody sets. */
static int now(lua_State *L)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	lua_pushnumber(L, (lua_Number)at.tv_sec + (lua_Number)at.tv_nsec / 1e9);
	return 1;
}

static void install(lua_State *L)
{
	size_t i;

	lua_pushlightuserdata(L, &ours_key);
	lua_newtable(L);
	lua_rawset(L, LUA_REGISTRYINDEX);
	lua_pushlightuserdata(L, &callback_run_key);
	lua_pushcfunction(L, callback_run);
	lua_rawset(L, LUA_REGISTRYINDEX);
	for (i = 0; i < swig_module.size; i++) {
		swig_lua_class *class = swig_types[i]->clientdata;

		if (class == NULL || class->destructor == NULL)
			continue;
		SWIG_Lua_get_class_metatable(L, class->fqname);
		lua_pushliteral(L, "__gc");
		lua_pushcfunction(L, handle_free);
		lua_rawset(L, -3);
		lua_pop(L, 1);
	}
}
%}

%init %{
	install(L);
%}

/* As `require "certauto.core"` looks for it. */
%wrapper %{
SWIGEXPORT int SWIG_init(lua_State *L);
SWIGEXPORT int luaopen_certauto_core(lua_State *L);
SWIGEXPORT int luaopen_certauto_core(lua_State *L)
{
	return SWIG_init(L);
}
%}

%native(close) int handle_close(lua_State *L);
%native(mistake) int mistake(lua_State *L);
%native(ours) int ours(lua_State *L);
%native(now) int now(lua_State *L);

/* ---- how a call is made ---- */

%define %certauto_property(FUNCTION, CX)
%exception FUNCTION %{
	{
		struct call call;

		call_begin(&call, L, CX);
		if (call.cx == NULL) {
			calls = call.outer;
			push_mistake(L, "there is no object: its handle is nil or closed");
			SWIG_fail;
		}
		$action
		if (!call_end(&call))
			SWIG_fail;
	}
%}
%enddef

%define %certauto_checked(FUNCTION, CX)
%exception FUNCTION %{
	{
		struct call call;

		call_begin(&call, L, CX);
		$action
		if (!call_end(&call))
			SWIG_fail;
		if (result < 0)
			SWIG_arg += push_failure(L, result, call.cx);
	}
%}
%enddef

/* Lua has no lock that such a call would have to let go of. */
%define %certauto_blocks(FUNCTION, CX)
%certauto_checked(FUNCTION, CX)
%enddef

%define %certauto_borrowed(FUNCTION, OBJECT)
%exception FUNCTION %{
	if (OBJECT == NULL) {
		push_mistake(L, "this object is gone: its callback has returned");
		SWIG_fail;
	}
	$action
%}
%enddef

%define %certauto_borrowed_checked(FUNCTION, OBJECT)
%exception FUNCTION %{
	if (OBJECT == NULL) {
		push_mistake(L, "this object is gone: its callback has returned");
		SWIG_fail;
	}
	$action
	if (result < 0)
		SWIG_arg += push_failure(L, result, NULL);
%}
%enddef

/* ---- results ---- */

%typemap(out, noblock=1) int, unsigned, size_t, int64_t {
	push_integer(L, (int64_t)$1);
	SWIG_arg++;
}

/* A failure was pushed already; without outputs it is true that it went well. */
%typemap(out, noblock=1) int CERTAUTO_RC ""
%typemap(ret, noblock=1) int CERTAUTO_RC {
	if (SWIG_arg == 0) {
		lua_pushboolean(L, 1);
		SWIG_arg++;
	}
}
%typemap(out, noblock=1) int CERTAUTO_COUNT {
	if ($1 >= 0) {
		push_integer(L, $1);
		SWIG_arg++;
	}
}

%typemap(out, noblock=1) const char * {
	lua_pushstring(L, $1);
	SWIG_arg++;
}

%typemap(out, noblock=1) const certauto_error * {
	if ($1 != NULL)
		push_error(L, certauto_error_code($1), $1);
	else
		lua_pushnil(L);
	SWIG_arg++;
}

/* A borrowed handle could be kept longer than it lives: a job is told by its id. */
%typemap(out, noblock=1) certauto_job *certauto_event_job {
	push_integer(L, $1 != NULL ? certauto_job_id($1) : 0);
	SWIG_arg++;
}

/* The same holds for a context. Each object of certauto.lua knows its own. */
%rename("$ignore", regextarget=1, fullname=1)
	"^certauto_(job|key|csr|chain|store|account|target|order|fleet)_context$";

/* ---- outputs ---- */

%typemap(in, numinputs=0, noblock=1) SWIGTYPE **out ($*1_ltype temp = NULL) {
	$1 = &temp;
}
%typemap(argout, noblock=1) SWIGTYPE **out {
	if (result >= 0) {
		if (*$1 != NULL)
			SWIG_NewPointerObj(L, *$1, $*1_descriptor, 1);
		else
			lua_pushnil(L);
		*$1 = NULL;
		SWIG_arg++;
	}
}
/* Made, and yet the call fails: a callback has raised. The collector frees it. */
%typemap(freearg, noblock=1) SWIGTYPE **out {
	if (*$1 != NULL) {
		SWIG_NewPointerObj(L, *$1, $*1_descriptor, 1);
		lua_pop(L, 1);
	}
}
%apply SWIGTYPE **out { SWIGTYPE **key_out, SWIGTYPE **chain_out };

%typemap(in, numinputs=0, noblock=1) (unsigned char **out, size_t *out_len)
	(unsigned char *temp = NULL, size_t temp_len = 0) {
	$1 = &temp;
	$2 = &temp_len;
}
%typemap(argout, noblock=1) (unsigned char **out, size_t *out_len) {
	if (result >= 0) {
		lua_pushlstring(L, (const char *)*$1, *$2);
		SWIG_arg++;
	}
}
%typemap(freearg, noblock=1) (unsigned char **out, size_t *out_len) {
	certauto_mem_free(*$1);
}

%typemap(in, numinputs=0, noblock=1) char **out (char *temp = NULL) {
	$1 = &temp;
}
%typemap(argout, noblock=1) char **out {
	if (result >= 0) {
		lua_pushstring(L, *$1);
		SWIG_arg++;
	}
}
%typemap(freearg, noblock=1) char **out {
	certauto_mem_free(*$1);
}

/* The digest of a signing: the length comes with the pointer that is the result. */
%typemap(out, noblock=1) const unsigned char *certauto_signing_digest ""
%typemap(in, numinputs=0, noblock=1) size_t *out_len (size_t temp = 0) {
	$1 = &temp;
}
%typemap(argout, noblock=1) size_t *out_len {
	lua_pushlstring(L, (const char *)result, *$1);
	SWIG_arg++;
}

/* ---- inputs ---- */

%typemap(in, noblock=1) SWIGTYPE * (void *handle = NULL) {
	if (!handle_of(&handle, L, $input, $descriptor))
		SWIG_fail;
	$1 = handle;
}

%define %certauto_integer(TYPE, LEAST, MOST)
%typemap(in, noblock=1) TYPE (int64_t number) {
	if (!integer_of(&number, L, $input, LEAST, MOST))
		SWIG_fail;
	$1 = (TYPE)number;
}
%enddef
%certauto_integer(int, INT_MIN, INT_MAX)
%certauto_integer(size_t, 0, 9007199254740992.0)
%certauto_integer(int64_t, -9007199254740992.0, 9007199254740992.0)

%typemap(in, noblock=1) const char * (const char *text = NULL) {
	if (!text_of(&text, L, $input))
		SWIG_fail;
	$1 = (char *)text;
}

%typemap(in, noblock=1) (const unsigned char *data, size_t data_len) {
	if (lua_type(L, $input) != LUA_TSTRING) {
		(void)wrong(L, $input, "a string");
		SWIG_fail;
	}
	$1 = (unsigned char *)lua_tolstring(L, $input, &$2);
}

%typemap(in, noblock=1) (const char *const *names, size_t n_names) {
	$1 = NULL;
	$2 = 0;
	if (!texts_of((const char *const **)&$1, &$2, L, $input))
		SWIG_fail;
}

/* A function is the last of all arguments: from here on nothing fails before the library has it. */
%define %certauto_callback(TYPE)
%typemap(in, noblock=1) (TYPE cb, void *payload, certauto_free_cb free_cb) {
	if (!lua_isnil(L, $input) && !lua_isfunction(L, $input)) {
		(void)wrong(L, $input, "a function");
		SWIG_fail;
	}
	$1 = lua_isnil(L, $input) ? NULL : TYPE##_lua;
	$2 = $1 != NULL ? function_keep(L, $input) : NULL;
	$3 = $1 != NULL ? free_cb_lua : NULL;
}
%enddef
%certauto_callback(certauto_event_cb)
%certauto_callback(certauto_sign_cb)

%typemap(in, noblock=1) void *call {
	if (!lua_isfunction(L, $input)) {
		(void)wrong(L, $input, "a function");
		SWIG_fail;
	}
	$1 = function_keep(L, $input);
}

/* ---- what C programs write as a table of functions ---- */

%rename(certauto_target_new_ops) certauto_lua_target_new;
%rename(certauto_context_add_target) certauto_lua_add_target;
%apply int CERTAUTO_RC { int certauto_lua_target_new, int certauto_lua_add_target };
%certauto_checked(certauto_lua_target_new, arg2)
%certauto_checked(certauto_lua_add_target, arg1)
int certauto_lua_target_new(certauto_target **out, certauto_context *cx, const char *name,
	int caps, const char *options_json, const char *const *names, size_t n_names, void *call);
int certauto_lua_add_target(certauto_context *cx, const char *name, int caps,
	const char *options_json, const char *const *names, size_t n_names, void *call);

/* An error is a table whose fields these are. */
%ignore certauto_error_code;
%ignore certauto_error_message;
%ignore certauto_error_object;
%ignore certauto_error_problem;
%ignore certauto_error_advice;
%ignore certauto_error_status;
%ignore certauto_error_retry_at;
%ignore certauto_error_n_subproblems;
%ignore certauto_error_subproblem_name;
%ignore certauto_error_subproblem_problem;
%ignore certauto_error_subproblem_detail;
