/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes and the detail behind them. An error must get through when memory is short: then the
 * code stands and the message is the code's own static text. */

#include "core/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define MESSAGE_MAX 2048      /* bytes, with the NUL */
#define SUBPROBLEMS_MAX 1000  /* as many as a certificate may have names */

const char *certauto_error_name(int code)
{
	switch (code) {
#define ERROR_NAME(name, value, class_name, text)                                                  \
	case CERTAUTO_##name:                                                                      \
		return "CERTAUTO_" #name;
		CERTAUTO_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
	case CERTAUTO_OK:
		return "CERTAUTO_OK";
	case CERTAUTO_AGAIN:
		return "CERTAUTO_AGAIN";
	default:
		return "CERTAUTO_UNKNOWN";
	}
}

const char *certauto_error_text(int code)
{
	switch (code) {
#define ERROR_TEXT(name, value, class_name, text)                                                  \
	case CERTAUTO_##name:                                                                      \
		return text;
		CERTAUTO_ERROR_MAP(ERROR_TEXT)
#undef ERROR_TEXT
	case CERTAUTO_OK:
		return "no error";
	case CERTAUTO_AGAIN:
		return "still running";
	default:
		return "unknown error";
	}
}

int certauto_error_code(const certauto_error *error)
{
	return error != NULL ? error->code : 0;
}

const char *certauto_error_message(const certauto_error *error)
{
	if (error == NULL)
		return NULL;
	return error->message != NULL ? error->message : certauto_error_text(error->code);
}

const char *certauto_error_object(const certauto_error *error)
{
	return error != NULL ? error->object : NULL;
}

const char *certauto_error_problem(const certauto_error *error)
{
	return error != NULL ? error->problem : NULL;
}

const char *certauto_error_advice(const certauto_error *error)
{
	return error != NULL ? error->advice : NULL;
}

int certauto_error_status(const certauto_error *error)
{
	return error != NULL ? error->status : 0;
}

int64_t certauto_error_retry_at(const certauto_error *error)
{
	return error != NULL ? error->retry_at : 0;
}

size_t certauto_error_n_subproblems(const certauto_error *error)
{
	return error != NULL ? error->n_subproblems : 0;
}

/* Past the end everything is unknown. */
static const struct certauto__subproblem *error_subproblem(const certauto_error *error, size_t i)
{
	static const struct certauto__subproblem none = {NULL, NULL, NULL};

	return error != NULL && i < error->n_subproblems ? &error->subproblems[i] : &none;
}

const char *certauto_error_subproblem_name(const certauto_error *error, size_t i)
{
	return error_subproblem(error, i)->name;
}

const char *certauto_error_subproblem_problem(const certauto_error *error, size_t i)
{
	return error_subproblem(error, i)->problem;
}

const char *certauto_error_subproblem_detail(const certauto_error *error, size_t i)
{
	return error_subproblem(error, i)->detail;
}

/* Formats into memory of its own; NULL when there is none. What is too long is cut, not in the
 * middle of a UTF-8 sequence. Whatever others have put into it, whoever prints or logs a message
 * does so unchanged: it is one line, and no terminal obeys it. */
static char *error_format(const char *format, va_list args)
{
	static const char dots[] = "...";
	char text[MESSAGE_MAX];
	size_t cut = sizeof(text) - sizeof(dots);
	int len;

	len = vsnprintf(text, sizeof(text), format, args);
	if (len < 0)
		return NULL;
	if ((size_t)len >= sizeof(text)) {
		while (cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80)
			cut--;
		memcpy(text + cut, dots, sizeof(dots));
	}
	certauto__text_clean(text);
	return certauto__strdup(text);
}

int certauto__error_set(certauto_error *err, int code, const char *object, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	certauto__error_vset(err, code, object, format, args);
	va_end(args);
	return code;
}

/* Returns the code it was given also where an earlier error stays: what the caller did failed for
 * that reason, whatever is told about it. */
int certauto__error_vset(certauto_error *err, int code, const char *object, const char *format,
	va_list args)
{
	if (err == NULL || err->code != 0 || code == 0)
		return code;
	err->code = code;
	err->message = error_format(format, args);
	err->object = certauto__strdup(object);
	certauto__text_clean(err->object);
	return code;
}

int certauto__error_advise(certauto_error *err, const char *format, ...)
{
	va_list args;
	char *advice;

	if (err == NULL)
		return CERTAUTO_EINVAL;
	va_start(args, format);
	advice = error_format(format, args);
	va_end(args);
	certauto__free(err->advice);
	err->advice = advice;
	return err->code;
}

int certauto__error_prefix(certauto_error *err, const char *format, ...)
{
	char what[MESSAGE_MAX], *message = NULL;
	size_t what_len;
	va_list args;

	if (err == NULL)
		return CERTAUTO_EINVAL;
	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	certauto__text_clean(what);
	what_len = strlen(what);
	if (err->message != NULL)
		message = certauto__alloc(what_len + 2 + strlen(err->message) + 1);
	if (message == NULL) /* the message without its place is better than none */
		return err->code;
	memcpy(message, what, what_len);
	memcpy(message + what_len, ": ", 2);
	memcpy(message + what_len + 2, err->message, strlen(err->message) + 1);
	certauto__free(err->message);
	err->message = message;
	return err->code;
}

int certauto__error_nomem(certauto_error *err)
{
	return certauto__error_set(err, CERTAUTO_ENOMEM, NULL, "%s",
		certauto_error_text(CERTAUTO_ENOMEM));
}

static int error_from_errno(int saved_errno)
{
	switch (saved_errno) {
	case ENOENT:
	case ENOTDIR:
		return CERTAUTO_ENOTFOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return CERTAUTO_EPERM;
	case EBUSY:
	case ETXTBSY:
	case EAGAIN:
		return CERTAUTO_EBUSY;
	case ENOMEM:
		return CERTAUTO_ENOMEM;
	case ETIMEDOUT:
		return CERTAUTO_ETIMEDOUT;
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return CERTAUTO_ENET;
	default:
		return CERTAUTO_EIO;
	}
}

/* strerror() speaks the language of the host process's locale; our messages are English. */
int certauto__error_errno(certauto_error *err, int saved_errno, const char *object,
	const char *doing)
{
	const char *reason = strerrordesc_np(saved_errno);
	int code = error_from_errno(saved_errno);

	if (reason == NULL)
		return certauto__error_set(err, code, object, "%s: error %d", doing, saved_errno);
	return certauto__error_set(err, code, object, "%s: %s", doing, reason);
}

static void subproblem_free(struct certauto__subproblem *sub)
{
	certauto__free(sub->name);
	certauto__free(sub->problem);
	certauto__free(sub->detail);
	memset(sub, 0, sizeof(*sub));
}

static int subproblem_set(struct certauto__subproblem *sub, const char *name, const char *problem,
	const char *detail)
{
	sub->name = certauto__strdup(name);
	sub->problem = certauto__strdup(problem);
	sub->detail = certauto__strdup(detail);
	certauto__text_clean(sub->name);
	certauto__text_clean(sub->problem);
	certauto__text_clean(sub->detail);
	if ((name == NULL || sub->name != NULL) && (problem == NULL || sub->problem != NULL) &&
	    (detail == NULL || sub->detail != NULL))
		return 0;
	subproblem_free(sub);
	return CERTAUTO_ENOMEM;
}

int certauto__error_add_subproblem(certauto_error *err, const char *name, const char *problem,
	const char *detail)
{
	struct certauto__subproblem *list, sub;
	int rc;

	if (err == NULL)
		return 0;
	if (err->n_subproblems == SUBPROBLEMS_MAX)
		return CERTAUTO_EPROTO;
	if ((rc = subproblem_set(&sub, name, problem, detail)) < 0)
		return rc;
	list = certauto__realloc(err->subproblems, (err->n_subproblems + 1) * sizeof(*list));
	if (list == NULL) {
		subproblem_free(&sub);
		return CERTAUTO_ENOMEM;
	}
	list[err->n_subproblems++] = sub;
	err->subproblems = list;
	return 0;
}

void certauto__error_set_problem(certauto_error *err, const char *problem)
{
	if (err == NULL)
		return;
	certauto__free(err->problem);
	err->problem = certauto__strdup(problem);
	certauto__text_clean(err->problem);
}

/* What memory does not suffice for is left out; the code always arrives. */
int certauto__error_copy(certauto_error *to, const certauto_error *from)
{
	const struct certauto__subproblem *sub;
	size_t i;

	if (from == NULL)
		return 0;
	if (to == NULL || to == from)
		return from->code;
	certauto__error_clear(to);
	to->code = from->code;
	to->message = certauto__strdup(from->message);
	to->object = certauto__strdup(from->object);
	to->problem = certauto__strdup(from->problem);
	to->advice = certauto__strdup(from->advice);
	to->status = from->status;
	to->retry_at = from->retry_at;
	for (i = 0; i < from->n_subproblems; i++) {
		sub = &from->subproblems[i];
		if (certauto__error_add_subproblem(to, sub->name, sub->problem, sub->detail) < 0)
			break;
	}
	return from->code;
}

void certauto__error_move(certauto_error *to, certauto_error *from)
{
	if (from == NULL || to == from)
		return;
	if (to == NULL) {
		certauto__error_clear(from);
		return;
	}
	certauto__error_clear(to);
	*to = *from;
	memset(from, 0, sizeof(*from));
}

void certauto__error_clear(certauto_error *err)
{
	size_t i;

	if (err == NULL)
		return;
	for (i = 0; i < err->n_subproblems; i++)
		subproblem_free(&err->subproblems[i]);
	certauto__free(err->subproblems);
	certauto__free(err->message);
	certauto__free(err->object);
	certauto__free(err->problem);
	certauto__free(err->advice);
	memset(err, 0, sizeof(*err));
}
