/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_ERROR_H
#define CERTAUTO_CORE_ERROR_H

/* The detail behind an error code. Internal calls that can fail with something worth explaining
 * take a `certauto_error *err` as last parameter; NULL is fine everywhere. The first error is the
 * reason: setting an error that is already set replaces it only through certauto__error_clear(). */

#include <stdarg.h>

#include <certauto/error.h>

struct certauto__subproblem {
	char *name;
	char *problem;
	char *detail;
};

struct certauto_error {
	int code;
	char *message;
	char *object;
	char *problem;
	char *advice;
	int status;
	int64_t retry_at;
	struct certauto__subproblem *subproblems;
	size_t n_subproblems;
};

/* Sets code and message and returns the code, so that `return certauto__error_set(...)` reads
 * well. object: what was acted on, or NULL. When memory is short the code stands, with a static
 * text. */
int certauto__error_set(certauto_error *err, int code, const char *object, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int certauto__error_vset(certauto_error *err, int code, const char *object, const char *format,
	va_list args);
/* What a person can do; returns the error's code, so that a function may end with it. Where nobody
 * wants to know (err NULL) the code is lost, but not that there was an error: CERTAUTO_EINVAL. The
 * same holds for certauto__error_prefix(). */
int certauto__error_advise(certauto_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Puts "what: " in front of the message; returns the code. */
int certauto__error_prefix(certauto_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int certauto__error_nomem(certauto_error *err);          /* CERTAUTO_ENOMEM */
/* From errno: EIO, ENOTFOUND (ENOENT), EPERM (EACCES, EPERM) ... "doing: strerror". */
int certauto__error_errno(certauto_error *err, int saved_errno, const char *object,
	const char *doing);
int certauto__error_add_subproblem(certauto_error *err, const char *name, const char *problem,
	const char *detail);
void certauto__error_set_problem(certauto_error *err, const char *problem);
int certauto__error_copy(certauto_error *to, const certauto_error *from); /* returns from's code */
void certauto__error_move(certauto_error *to, certauto_error *from); /* from is clear afterwards */
void certauto__error_clear(certauto_error *err); /* frees what it holds; may be used again */

#endif
