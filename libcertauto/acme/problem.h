/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_PROBLEM_H
#define CERTAUTO_ACME_PROBLEM_H

/* Problem documents (RFC 7807, RFC 8555 6.7): what the CA says when it says no. They are a body of
 * their own, and a member of orders and challenges. */

#include "core/buffer.h"
#include "core/error.h"
#include "json/reader.h"

struct certauto__problem {
	int present;
	char *type;           /* a URN; unknown ones are kept */
	char *detail;
	char *instance;       /* where a person has to go */
	int64_t status;       /* 0 when the document has none */
	struct certauto__subproblem *subproblems;
	size_t n_subproblems;
};

/* Frees what it holds; it may be used again. */
void certauto__problem_free(struct certauto__problem *problem);
/* Takes one value of a document. member: its path below the problem ("" is the problem itself,
 * "type", "subproblems[].detail"). Unknown members are passed over. */
int certauto__problem_member(struct certauto__problem *problem, const char *member,
	const certauto__json_value *value);
/* A whole body. A missing member is no error, a document that is none is CERTAUTO_EPROTO. */
int certauto__problem_parse(struct certauto__problem *problem, const char *what, const void *data,
	size_t len, certauto_error *err);

/* "rateLimited" for urn:ietf:params:acme:error:rateLimited; the whole type for other ones; "". */
const char *certauto__problem_kind(const struct certauto__problem *problem);
int certauto__problem_is(const struct certauto__problem *problem, const char *kind);
/* Fills err: code (0 = as the type says), message "what: "detail" (kind)", type, advice, status,
 * subproblems. The CA's texts are escaped and cut. Returns the code. */
int certauto__problem_tell(certauto_error *err, int code, const char *object,
	const struct certauto__problem *problem, const char *what);
/* 1 if a failure of that type (the URN of an error; NULL: unknown) will not go away by asking
 * again: a person has to act first. */
int certauto__problem_is_final(const char *type);
/* The detail fit to be shown; *out is empty when there is none. */
int certauto__problem_detail(certauto__buffer *out, const struct certauto__problem *problem);

#endif
