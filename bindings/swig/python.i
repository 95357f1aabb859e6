/* SPDX-License-Identifier: Apache-2.0 */
/* How the C interface crosses into Python, for the extension module _certauto. All of it keeps to
 * Python's limited API of 3.8, so that one build can serve later versions (-DPy_LIMITED_API).
 *
 * The interpreter lock is held in all calls but those that may take long. Such a call is put on a
 * list while the lock is still held: another thread that uses the same context then is told that
 * it is busy, where the library itself could see that only a moment later. */

%include "target.i"

%{
#include <string.h>
#include <unistd.h>

/* ---- calls without the interpreter lock ---- */

struct inside {
	certauto_context *cx;
	const char *thread;     /* that is inside: threads are told apart by the address of here */
	pid_t pid;              /* in a child, the threads of its parent are not inside */
	struct inside *next;
};

static __thread char here;
static struct inside *insides;  /* guarded by the interpreter lock */

static PyObject *error_maker;   /* makes an exception: set by the package */

/* What a callback has raised, until the call that it was called by returns. */
static __thread PyObject *raised_type, *raised_value, *raised_traceback;

static void inside_begin(struct inside *in, certauto_context *cx)
{
	in->cx = cx;
	in->thread = &here;
	in->pid = getpid();
	in->next = insides;
	insides = in;
}

static void inside_end(const struct inside *in)
{
	struct inside **at = &insides;

	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
}

static int is_busy(const certauto_context *cx)
{
	const struct inside *in;

	for (in = insides; in != NULL; in = in->next)
		if (in->cx == cx && in->thread != &here && in->pid == getpid())
			return 1;
	return 0;
}

/* ---- errors ---- */

static PyObject *text_or_none(const char *text)
{
	if (text == NULL)
		Py_RETURN_NONE;
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *subproblem(const certauto_error *error, size_t i)
{
	return Py_BuildValue("(NNN)", text_or_none(certauto_error_subproblem_name(error, i)),
		text_or_none(certauto_error_subproblem_problem(error, i)),
		text_or_none(certauto_error_subproblem_detail(error, i)));
}

static PyObject *subproblems(const certauto_error *error)
{
	size_t i, n = certauto_error_n_subproblems(error);
	PyObject *all = PyTuple_New((Py_ssize_t)n), *one;

	for (i = 0; all != NULL && i < n; i++) {
		if ((one = subproblem(error, i)) == NULL) {
			Py_DECREF(all);
			return NULL;
		}
		PyTuple_SetItem(all, (Py_ssize_t)i, one);
	}
	return all;
}

/* The exception for an error, whose detail may be missing; NULL with an exception if it cannot be
 * made. */
static PyObject *error_object(int code, const certauto_error *error, const char *message)
{
	PyObject *args, *made;

	if (error != NULL)
		message = certauto_error_message(error);
	else if (message == NULL)
		message = certauto_error_text(code);
	args = Py_BuildValue("(iNNNNiLN)", code, text_or_none(message),
		text_or_none(certauto_error_object(error)),
		text_or_none(certauto_error_advice(error)),
		text_or_none(certauto_error_problem(error)), certauto_error_status(error),
		(long long)certauto_error_retry_at(error), subproblems(error));
	if (args == NULL)
		return NULL;
	made = PyObject_CallObject(error_maker != NULL ? error_maker : PyExc_RuntimeError, args);
	Py_DECREF(args);
	return made;
}

static void raise_error(int code, const certauto_error *error, const char *message)
{
	PyObject *exception = error_object(code, error, message);

	if (exception == NULL)
		return;
	PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	Py_DECREF(exception);
}

static void raise_busy(void)
{
	raise_error(CERTAUTO_EBUSY, NULL, "another thread is inside the context");
}

/* ---- before and after each call ---- */

/* Reads a property: of a handle that is there, while no other thread changes it. */
static int may_read(const certauto_context *cx)
{
	if (cx == NULL)
		PyErr_SetString(PyExc_ValueError, "there is no object: its handle is None");
	else if (is_busy(cx))
		raise_busy();
	else
		return 1;
	return 0;
}

static int may_call(const certauto_context *cx)
{
	if (!is_busy(cx))
		return 1;
	raise_busy();
	return 0;
}

static int is_there(const void *borrowed)
{
	if (borrowed == NULL)
		PyErr_SetString(PyExc_ValueError, "this object is gone: its callback has returned");
	return borrowed != NULL;
}

/* What a callback raised comes first: it is why the call failed. */
static int went_well(const certauto_context *cx, int rc)
{
	if (raised_type != NULL) {
		PyErr_Restore(raised_type, raised_value, raised_traceback);
		raised_type = raised_value = raised_traceback = NULL;
		return 0;
	}
	if (rc >= 0)
		return 1;
	raise_error(rc, certauto_context_error(cx), NULL);
	return 0;
}

/* ---- callbacks ---- */

/* The object of a callback must not be used later: its wrapper is emptied. */
static void forget(PyObject *wrapper)
{
	void *ptr;

	if (wrapper != NULL)
		(void)SWIG_ConvertPtr(wrapper, &ptr, NULL, SWIG_POINTER_CLEAR);
	Py_XDECREF(wrapper);
}

/* Keeps the first exception for the call that is under way. */
static int callback_failed(void)
{
	if (raised_type == NULL)
		PyErr_Fetch(&raised_type, &raised_value, &raised_traceback);
	else
		PyErr_WriteUnraisable(NULL);
	return CERTAUTO_ECANCELED;
}

static int callback_answer(PyObject *answer)
{
	long rc = 0;

	if (answer == NULL)
		return callback_failed();
	if (answer != Py_None)
		rc = PyLong_AsLong(answer);
	Py_DECREF(answer);
	if (rc == -1 && PyErr_Occurred() != NULL)
		return callback_failed();
	return (int)rc;
}

static int callback(void *object, swig_type_info *type, PyObject *callable)
{
	PyGILState_STATE lock = PyGILState_Ensure();
	PyObject *wrapper = SWIG_NewPointerObj(object, type, SWIG_POINTER_NOSHADOW), *answer = NULL;
	int rc;

	if (wrapper != NULL)
		answer = PyObject_CallFunctionObjArgs(callable, wrapper, NULL);
	rc = callback_answer(answer);
	forget(wrapper);
	PyGILState_Release(lock);
	return rc;
}

static int certauto_event_cb_python(const certauto_event *event, void *payload)
{
	return callback((void *)event, SWIGTYPE_p_certauto_event, payload);
}

static int certauto_sign_cb_python(certauto_signing *signing, void *payload)
{
	return callback(signing, SWIGTYPE_p_certauto_signing, payload);
}

static void free_cb_python(void *payload)
{
	PyGILState_STATE lock = PyGILState_Ensure();
	PyObject *type, *value, *traceback;

	/* It may be called while an exception is on its way. */
	PyErr_Fetch(&type, &value, &traceback);
	Py_DECREF((PyObject *)payload);
	PyErr_Restore(type, value, traceback);
	PyGILState_Release(lock);
}

/* ---- targets written in Python ---- */

static int work_cb_python(certauto_work *work, void *payload)
{
	return callback(work, SWIGTYPE_p_certauto_work, ((struct own_target *)payload)->call);
}

static void own_target_free(void *payload)
{
	free_cb_python(((struct own_target *)payload)->call);
	free(payload);
}

static struct own_target *python_target_new(const char *name, int caps, const char *options_json,
	const char *const *names, size_t n_names, PyObject *call)
{
	struct own_target *target =
		own_target_new(name, caps, options_json, names, n_names, work_cb_python, call);

	if (target != NULL)
		Py_INCREF(call);
	return target;
}

static int certauto_python_target_new(certauto_target **out, certauto_context *cx, const char *name,
	int caps, const char *options_json, const char *const *names, size_t n_names,
	PyObject *call)
{
	struct own_target *target =
		python_target_new(name, caps, options_json, names, n_names, call);

	if (target == NULL)
		return CERTAUTO_ENOMEM;
	return certauto_target_new_ops(out, cx, &target->ops, target, own_target_free);
}

static int certauto_python_add_target(certauto_context *cx, const char *name, int caps,
	const char *options_json, const char *const *names, size_t n_names, PyObject *call)
{
	struct own_target *target =
		python_target_new(name, caps, options_json, names, n_names, call);

	if (target == NULL)
		return CERTAUTO_ENOMEM;
	return certauto_context_add_target(cx, &target->ops, target, own_target_free);
}

/* ---- values ---- */

/* The first output is the result, a second makes a pair of it. Takes over both. */
static PyObject *add_output(PyObject *result, PyObject *more)
{
	PyObject *both;

	if (more == NULL || result == NULL || result == Py_None) {
		Py_XDECREF(result);
		return more;
	}
	both = PyTuple_Pack(2, result, more);
	Py_DECREF(result);
	Py_DECREF(more);
	return both;
}

/* The context of an object, which the object keeps alive: so the wrapper keeps that of the
 * object. */
static PyObject *context_of(certauto_context *cx, PyObject *owner)
{
	PyObject *wrapper, *done;

	if (cx == NULL)
		Py_RETURN_NONE;
	wrapper = SWIG_NewPointerObj(cx, SWIGTYPE_p_certauto_context, SWIG_POINTER_NOSHADOW);
	if (wrapper == NULL)
		return NULL;
	if ((done = PyObject_CallMethod(wrapper, "append", "O", owner)) == NULL)
		Py_CLEAR(wrapper);
	Py_XDECREF(done);
	return wrapper;
}

/* New reference to the bytes of what is given as bytes, text, or a buffer. */
static PyObject *bytes_of(PyObject *given)
{
	if (PyUnicode_Check(given))
		return PyUnicode_AsUTF8String(given);
	if (given == Py_None || PyLong_Check(given) || PyList_Check(given) || PyTuple_Check(given)) {
		PyErr_SetString(PyExc_TypeError, "bytes or text is needed");
		return NULL;
	}
	return PyBytes_FromObject(given);
}

/* Texts as C has them; *held, a tuple of bytes, keeps them. None gives NULL, a lone text is a list
 * of one. */
static PyObject *texts_encode(PyObject *given)
{
	PyObject *texts, *all, *one;
	Py_ssize_t i, n;

	if ((texts = PyUnicode_Check(given) ? PyTuple_Pack(1, given) : PySequence_Tuple(given)) ==
		NULL)
		return NULL;
	n = PyTuple_Size(texts);
	all = PyTuple_New(n);
	for (i = 0; all != NULL && i < n; i++) {
		if ((one = PyUnicode_AsUTF8String(PyTuple_GetItem(texts, i))) == NULL) {
			Py_CLEAR(all);
			break;
		}
		PyTuple_SetItem(all, i, one);
	}
	Py_DECREF(texts);
	return all;
}

/* The bytes of a text, which must have no NUL in it; *held keeps them. None gives NULL. */
static int text_of(char **out, PyObject **held, PyObject *given)
{
	*out = NULL;
	if (given == Py_None)
		return 1;
	if (!PyUnicode_Check(given)) {
		PyErr_SetString(PyExc_TypeError, "text is needed");
		return 0;
	}
	if ((*held = PyUnicode_AsUTF8String(given)) == NULL)
		return 0;
	return PyBytes_AsStringAndSize(*held, out, NULL) == 0;
}

static int texts_of(const char *const **out, size_t *n_out, PyObject **held, PyObject *given)
{
	const char **list;
	size_t i, n;

	if (given == Py_None)
		return 1;
	if ((*held = texts_encode(given)) == NULL)
		return 0;
	n = (size_t)PyTuple_Size(*held);
	if ((list = malloc((n + 1) * sizeof(*list))) == NULL) {
		(void)PyErr_NoMemory();
		return 0;
	}
	*out = list; /* freed by the caller, whatever comes */
	*n_out = n;
	for (i = 0; i < n; i++)
		if (PyBytes_AsStringAndSize(
			    PyTuple_GetItem(*held, (Py_ssize_t)i), (char **)&list[i], NULL) < 0)
			return 0;
	return 1;
}
%}

/* ---- how a call is made ---- */

%define %certauto_property(FUNCTION, CX)
%exception FUNCTION %{
	if (!may_read(CX))
		SWIG_fail;
	$action
%}
%enddef

%define %certauto_checked(FUNCTION, CX)
%exception FUNCTION %{
	{
		certauto_context *cx = CX;

		if (!may_call(cx))
			SWIG_fail;
		$action
		if (!went_well(cx, result))
			SWIG_fail;
	}
%}
%enddef

%define %certauto_blocks(FUNCTION, CX)
%exception FUNCTION %{
	{
		certauto_context *cx = CX;
		struct inside in;
		PyThreadState *state;
		int well;

		if (!may_call(cx))
			SWIG_fail;
		inside_begin(&in, cx);
		state = PyEval_SaveThread();
		$action
		PyEval_RestoreThread(state);
		well = went_well(cx, result);
		inside_end(&in);
		if (!well)
			SWIG_fail;
	}
%}
%enddef

%define %certauto_borrowed(FUNCTION, OBJECT)
%exception FUNCTION %{
	if (!is_there(OBJECT))
		SWIG_fail;
	$action
%}
%enddef

%define %certauto_borrowed_checked(FUNCTION, OBJECT)
%exception FUNCTION %{
	if (!is_there(OBJECT))
		SWIG_fail;
	$action
	if (!went_well(NULL, result))
		SWIG_fail;
%}
%enddef

/* ---- results ---- */

%typemap(out) int CERTAUTO_RC {
	(void)$1;
	Py_INCREF(Py_None);
	$result = Py_None;
}
%apply int { int CERTAUTO_COUNT };

%typemap(out) const certauto_error * {
	$result = $1 != NULL ? error_object(certauto_error_code($1), $1, NULL) : NULL;
	if ($1 == NULL) {
		Py_INCREF(Py_None);
		$result = Py_None;
	}
}

/* A borrowed handle could be kept longer than it lives: a job is told by its id. */
%typemap(out) certauto_job *certauto_event_job {
	$result = PyLong_FromLongLong($1 != NULL ? (long long)certauto_job_id($1) : 0);
}

/* arg1 may be emptied by then. */
%typemap(out, noblock=1) certauto_context * {
	$result = context_of($1, swig_obj[0]);
}

/* ---- outputs ---- */

%typemap(in, numinputs=0, noblock=1) SWIGTYPE **out ($*1_ltype temp = NULL) {
	$1 = &temp;
}
%typemap(argout, noblock=1) SWIGTYPE **out {
	if (*$1 == NULL) {
		Py_INCREF(Py_None);
		$result = add_output($result, Py_None);
	} else {
		$result = add_output($result, SWIG_NewPointerObj(*$1, $*1_descriptor,
			SWIG_POINTER_OWN | SWIG_POINTER_NOSHADOW));
		*$1 = NULL;
	}
	if ($result == NULL)
		SWIG_fail;
}
/* Made, and yet the call fails: a callback has raised. */
%typemap(freearg, noblock=1) SWIGTYPE **out {
	if (*$1 != NULL)
		Py_XDECREF(SWIG_NewPointerObj(*$1, $*1_descriptor,
			SWIG_POINTER_OWN | SWIG_POINTER_NOSHADOW));
}
%apply SWIGTYPE **out { SWIGTYPE **key_out, SWIGTYPE **chain_out };

%typemap(in, numinputs=0, noblock=1) (unsigned char **out, size_t *out_len)
	(unsigned char *temp = NULL, size_t temp_len = 0) {
	$1 = &temp;
	$2 = &temp_len;
}
%typemap(argout, noblock=1) (unsigned char **out, size_t *out_len) {
	$result = add_output($result,
		PyBytes_FromStringAndSize((const char *)*$1, (Py_ssize_t)*$2));
	if ($result == NULL)
		SWIG_fail;
}
%typemap(freearg, noblock=1) (unsigned char **out, size_t *out_len) {
	certauto_mem_free(*$1);
}

%typemap(in, numinputs=0, noblock=1) char **out (char *temp = NULL) {
	$1 = &temp;
}
%typemap(argout, noblock=1) char **out {
	$result = add_output($result, text_or_none(*$1));
	if ($result == NULL)
		SWIG_fail;
}
%typemap(freearg, noblock=1) char **out {
	certauto_mem_free(*$1);
}

/* The digest of a signing: the length comes with the pointer that is the result. */
%typemap(out) const unsigned char *certauto_signing_digest {
	$result = NULL;
}
%typemap(in, numinputs=0, noblock=1) size_t *out_len (size_t temp = 0) {
	$1 = &temp;
}
%typemap(argout, noblock=1) size_t *out_len {
	$result = PyBytes_FromStringAndSize((const char *)result, (Py_ssize_t)*$1);
}

/* ---- inputs ---- */

%typemap(in) const char * (PyObject *held = NULL) {
	char *text;

	if (!text_of(&text, &held, $input))
		SWIG_fail;
	$1 = text;
}
%typemap(freearg, noblock=1) const char * {
	Py_XDECREF(held$argnum);
}

%typemap(in) (const unsigned char *data, size_t data_len) (PyObject *held = NULL) {
	char *bytes = NULL;
	Py_ssize_t len = 0;

	if ((held = bytes_of($input)) == NULL || PyBytes_AsStringAndSize(held, &bytes, &len) < 0)
		SWIG_fail;
	$1 = (unsigned char *)bytes;
	$2 = (size_t)len;
}
%typemap(freearg, noblock=1) (const unsigned char *data, size_t data_len) {
	Py_XDECREF(held$argnum);
}

%typemap(in) (const char *const *names, size_t n_names) (PyObject *held = NULL) {
	$1 = NULL;
	$2 = 0;
	if (!texts_of((const char *const **)&$1, &$2, &held, $input))
		SWIG_fail;
}
%typemap(freearg, noblock=1) (const char *const *names, size_t n_names) {
	free((void *)$1);
	Py_XDECREF(held$argnum);
}

%define %certauto_callback(TYPE)
%typemap(in) (TYPE cb, void *payload, certauto_free_cb free_cb) {
	if ($input == Py_None) {
		$1 = NULL;
		$2 = NULL;
		$3 = NULL;
	} else if (!PyCallable_Check($input)) {
		PyErr_SetString(PyExc_TypeError, "a callable is needed");
		SWIG_fail;
	} else {
		$1 = TYPE##_python;
		$2 = $input;
		$3 = free_cb_python;
	}
}
/* It is the last of all arguments, and taken from here on. */
%typemap(check, noblock=1) (TYPE cb, void *payload, certauto_free_cb free_cb) {
	if ($2 != NULL)
		Py_INCREF((PyObject *)$2);
}
%enddef
%certauto_callback(certauto_event_cb)
%certauto_callback(certauto_sign_cb)

%typemap(in, noblock=1) PyObject *call {
	if (!PyCallable_Check($input)) {
		PyErr_SetString(PyExc_TypeError, "a callable is needed");
		SWIG_fail;
	}
	$1 = $input;
}

/* ---- the end of a handle ---- */

/* Emptied, not only given up: it cannot be freed twice, nor used after. */
%define %certauto_last_use(TYPE, IS_BUSY)
%typemap(in) TYPE *self (void *ptr = NULL) {
	if (!SWIG_IsOK(SWIG_ConvertPtr($input, &ptr, $descriptor, 0)))
		SWIG_exception_fail(SWIG_TypeError, "$symname: a handle of another kind");
	$1 = ($ltype)ptr;
	if (IS_BUSY) {
		raise_busy();
		SWIG_fail;
	}
	(void)SWIG_ConvertPtr($input, &ptr, $descriptor, SWIG_POINTER_CLEAR | SWIG_POINTER_DISOWN);
}
%enddef
%certauto_last_use(SWIGTYPE, 0)
%certauto_last_use(struct certauto_context, is_busy($1))

/* What its callbacks raise has nobody to go to. */
%exception ~certauto_context %{
	$action
	if (!went_well(NULL, 0))
		PyErr_WriteUnraisable(NULL);
%}

/* ---- what C programs write as a table of functions ---- */

%rename(certauto_target_new_ops) certauto_python_target_new;
%rename(certauto_context_add_target) certauto_python_add_target;
%apply int CERTAUTO_RC { int certauto_python_target_new, int certauto_python_add_target };
%certauto_checked(certauto_python_target_new, arg2)
%certauto_checked(certauto_python_add_target, arg1)
%feature("docstring") certauto_python_target_new
"certauto_target_new_ops(cx, name, caps, options_json, operations, call) -> _Target

New target run by call(work), which answers like a C operation: None or 0 done, 1 call again.
operations lists those that it has."
%feature("docstring") certauto_python_add_target
"certauto_context_add_target(cx, name, caps, options_json, operations, call) -> None

Makes a type known to cx, for certauto_target_new() and configurations. Otherwise as
certauto_target_new_ops()."
int certauto_python_target_new(certauto_target **out, certauto_context *cx, const char *name,
	int caps, const char *options_json, const char *const *names, size_t n_names,
	PyObject *call);
int certauto_python_add_target(certauto_context *cx, const char *name, int caps,
	const char *options_json, const char *const *names, size_t n_names, PyObject *call);

/* ---- how exceptions are made ---- */

%feature("docstring") on_error
"on_error(make) -> None

Sets what makes an exception: make(code, message, object, advice, problem, status, retry_at,
subproblems), each subproblem a tuple of name, problem type and detail."
%inline %{
static void on_error(PyObject *call)
{
	Py_INCREF(call);
	Py_XDECREF(error_maker);
	error_maker = call;
}
%}

/* An error is an exception whose attributes these are. */
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
