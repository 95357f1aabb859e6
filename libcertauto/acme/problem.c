/* SPDX-License-Identifier: Apache-2.0 */
/* Problem documents read, and told to people: which of our codes a problem type is, and what can be
 * done about it. Whether and when something is tried again is decided in peer.c. */
#include "acme/problem.h"

#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define PROBLEM_URN "urn:ietf:params:acme:error:"
#define PROBLEM_SUBPROBLEMS_MAX 1000 /* as many as an order may have names */

/* RFC 8555 6.7, what later RFCs added, and agreementRequired, which Pebble 2.4 says for
 * userActionRequired. Other types are EREFUSED without advice: the detail has to be enough. */
static const struct {
	const char *kind;
	int code;
	int final;      /* a person has to act first: asking again does not help */
	const char *advice;
} problem_kinds[] = {
	{"accountDoesNotExist", CERTAUTO_EAUTH, 1,
		"the CA does not know this account: check that the server is the one it was made "
		"at; to begin with a new account, move the old one's files out of the store"},
	{"agreementRequired", CERTAUTO_EINVAL, 1,
		"read the CA's terms of service, then set agree_tos"},
	{"badCSR", CERTAUTO_EREFUSED, 1,
		"the CA does not take this request: try another key type, or other names"},
	{"badNonce", CERTAUTO_EPROTO, 0,
		"the CA refuses its own nonces: try again later"},
	{"badPublicKey", CERTAUTO_EREFUSED, 1,
		"the CA does not take this key: try another key type"},
	{"badSignatureAlgorithm", CERTAUTO_EREFUSED, 0,
		"the CA does not take this kind of account key: use ecdsa-p256 or rsa-2048"},
	{"caa", CERTAUTO_ECHALLENGE, 1,
		"a CAA record of the domain does not let this CA issue: ask who keeps its DNS"},
	{"connection", CERTAUTO_ECHALLENGE, 0,
		"the CA could not connect: for http-01 port 80 of the name must be reachable from "
		"the internet"},
	{"dns", CERTAUTO_ECHALLENGE, 0,
		"the CA could not look the name up: check that it is in public DNS and that its "
		"servers answer"},
	{"externalAccountRequired", CERTAUTO_EAUTH, 1,
		"the CA takes only accounts bound to one of its customers: give the key id and the "
		"MAC key it has told you"},
	{"incorrectResponse", CERTAUTO_ECHALLENGE, 0,
		"something else answered in place of the token: check where the name leads"},
	{"invalidContact", CERTAUTO_EINVAL, 1,
		"correct the contact address"},
	{"invalidProfile", CERTAUTO_EREFUSED, 1,
		"choose a profile the CA offers"},
	{"malformed", CERTAUTO_EREFUSED, 1, NULL},
	{"rateLimited", CERTAUTO_ERETRY_LATER, 0,
		"wait until the time told; asking earlier does not help"},
	{"rejectedIdentifier", CERTAUTO_EREFUSED, 1,
		"the CA will not issue for this name: leave it out"},
	{"serverInternal", CERTAUTO_EREFUSED, 0,
		"the CA has a fault of its own: try again later"},
	{"tls", CERTAUTO_ECHALLENGE, 0,
		"the CA met a TLS error at the name's server"},
	{"unauthorized", CERTAUTO_EAUTH, 1,
		"the account may not do this: it may be deactivated, or the order may belong to "
		"another one"},
	{"unsupportedContact", CERTAUTO_EINVAL, 1,
		"use a contact of the form mailto:someone@example.org"},
	{"unsupportedIdentifier", CERTAUTO_EREFUSED, 1,
		"the CA does not issue for this kind of name: leave it out"},
	{"userActionRequired", CERTAUTO_EPERM, 1,
		"a person has to act at the CA's web site first"},
};

void certauto__problem_free(struct certauto__problem *problem)
{
	size_t i;

	for (i = 0; i < problem->n_subproblems; i++) {
		certauto__free(problem->subproblems[i].name);
		certauto__free(problem->subproblems[i].problem);
		certauto__free(problem->subproblems[i].detail);
	}
	certauto__free(problem->subproblems);
	certauto__free(problem->type);
	certauto__free(problem->detail);
	certauto__free(problem->instance);
	memset(problem, 0, sizeof(*problem));
}

/* ---- reading ---- */

/* The subproblem a value belongs to: index of its array item, `above` levels up. */
static int problem_sub(struct certauto__problem *problem, const certauto__json_value *value,
	size_t above, struct certauto__subproblem **out)
{
	struct certauto__subproblem *list;
	size_t i;

	if (value->n_parts <= above) /* a key that only looks like a path */
		return CERTAUTO_EPROTO;
	if ((i = value->indexes[value->n_parts - 1 - above]) >= PROBLEM_SUBPROBLEMS_MAX)
		return CERTAUTO_EPROTO;
	if (i >= problem->n_subproblems) {
		list = certauto__realloc(problem->subproblems, (i + 1) * sizeof(*list));
		if (list == NULL)
			return CERTAUTO_ENOMEM;
		memset(&list[problem->n_subproblems], 0,
			(i + 1 - problem->n_subproblems) * sizeof(*list));
		problem->subproblems = list;
		problem->n_subproblems = i + 1;
	}
	*out = &problem->subproblems[i];
	return 0;
}

static int problem_sub_member(
	struct certauto__problem *problem, const char *member, const certauto__json_value *value)
{
	struct certauto__subproblem *sub;
	int is_value = strcmp(member, "identifier.value") == 0, rc;

	if (!is_value && strcmp(member, "type") != 0 && strcmp(member, "detail") != 0)
		return 0;
	if ((rc = problem_sub(problem, value, is_value ? 2 : 1, &sub)) < 0)
		return rc;
	if (is_value)
		return certauto__json_copy(value, &sub->name);
	return certauto__json_copy(value, *member == 't' ? &sub->problem : &sub->detail);
}

int certauto__problem_member(
	struct certauto__problem *problem, const char *member, const certauto__json_value *value)
{
	static const char subs[] = "subproblems[].";

	if (*member == '\0' && value->type != CERTAUTO__JSON_OBJECT &&
	    value->type != CERTAUTO__JSON_OBJECT_END)
		return value->type == CERTAUTO__JSON_NULL ? 0 : CERTAUTO_EPROTO;
	problem->present = 1;
	if (strcmp(member, "type") == 0)
		return certauto__json_copy(value, &problem->type);
	if (strcmp(member, "detail") == 0)
		return certauto__json_copy(value, &problem->detail);
	if (strcmp(member, "instance") == 0)
		return certauto__json_copy(value, &problem->instance);
	/* Some CAs write it as a string; the status of the answer itself is as good. */
	if (strcmp(member, "status") == 0 && value->type == CERTAUTO__JSON_NUMBER)
		return certauto__json_int(value, 0, 999, &problem->status);
	if (strncmp(member, subs, sizeof(subs) - 1) == 0)
		return problem_sub_member(problem, member + sizeof(subs) - 1, value);
	return 0;
}

static int problem_body_value(void *arg, const certauto__json_value *value)
{
	return certauto__problem_member(arg, value->path, value);
}

int certauto__problem_parse(struct certauto__problem *problem, const char *what, const void *data,
	size_t len, certauto_error *err)
{
	int rc;

	if ((rc = certauto__json_read(what, data, len, &certauto__json_limits_acme,
			problem_body_value, problem, err)) < 0)
		certauto__problem_free(problem);
	return rc;
}

/* ---- telling ---- */

const char *certauto__problem_kind(const struct certauto__problem *problem)
{
	const char *type = problem->type != NULL ? problem->type : "";

	return certauto__text_starts(type, PROBLEM_URN) ? type + sizeof(PROBLEM_URN) - 1 : type;
}

int certauto__problem_is_final(const char *type)
{
	size_t i;

	if (type == NULL || !certauto__text_starts(type, PROBLEM_URN))
		return 0;
	for (i = 0; i < sizeof(problem_kinds) / sizeof(problem_kinds[0]); i++)
		if (strcmp(type + sizeof(PROBLEM_URN) - 1, problem_kinds[i].kind) == 0)
			return problem_kinds[i].final;
	return 0;
}

int certauto__problem_is(const struct certauto__problem *problem, const char *kind)
{
	return certauto__text_starts(problem->type != NULL ? problem->type : "", PROBLEM_URN) &&
		strcmp(certauto__problem_kind(problem), kind) == 0;
}

static int problem_escape(certauto__buffer *out, const char *text)
{
	return text != NULL ? certauto__text_escape(out, text, strlen(text)) : 0;
}

int certauto__problem_detail(certauto__buffer *out, const struct certauto__problem *problem)
{
	return problem_escape(out, problem->detail);
}

static void problem_tell_subproblems(certauto_error *err, const struct certauto__problem *problem)
{
	certauto__buffer name = CERTAUTO__BUFFER(4096), type = CERTAUTO__BUFFER(4096);
	certauto__buffer detail = CERTAUTO__BUFFER(4096);
	const struct certauto__subproblem *sub;
	size_t i;

	for (i = 0; i < problem->n_subproblems; i++) {
		sub = &problem->subproblems[i];
		certauto__buffer_clear(&name);
		certauto__buffer_clear(&type);
		certauto__buffer_clear(&detail);
		if (problem_escape(&name, sub->name) < 0 ||
		    problem_escape(&type, sub->problem) < 0 ||
		    problem_escape(&detail, sub->detail) < 0 ||
		    certauto__error_add_subproblem(err, sub->name != NULL ? name.data : NULL,
				sub->problem != NULL ? type.data : NULL,
				sub->detail != NULL ? detail.data : NULL) < 0)
			break; /* short of memory: the main reason is told all the same */
	}
	certauto__buffer_free(&name);
	certauto__buffer_free(&type);
	certauto__buffer_free(&detail);
}

static void problem_advise(
	certauto_error *err, const struct certauto__problem *problem, const char *advice)
{
	certauto__buffer instance = CERTAUTO__BUFFER(4096);

	if (problem->instance != NULL && problem_escape(&instance, problem->instance) == 0)
		certauto__error_advise(err, "%s%ssee %s", advice != NULL ? advice : "",
			advice != NULL ? "; " : "", instance.data);
	else if (advice != NULL)
		certauto__error_advise(err, "%s", advice);
	certauto__buffer_free(&instance);
}

int certauto__problem_tell(certauto_error *err, int code, const char *object,
	const struct certauto__problem *problem, const char *what)
{
	certauto__buffer detail = CERTAUTO__BUFFER(4096), type = CERTAUTO__BUFFER(4096);
	const char *advice = NULL;
	size_t i;

	for (i = 0; i < sizeof(problem_kinds) / sizeof(problem_kinds[0]); i++) {
		if (!certauto__problem_is(problem, problem_kinds[i].kind))
			continue;
		advice = problem_kinds[i].advice;
		if (code == 0)
			code = problem_kinds[i].code;
		else if (code == CERTAUTO_ECHALLENGE && problem_kinds[i].code == CERTAUTO_EAUTH)
			advice = "something else answered the CA: check where the name leads";
	}
	if (code == 0)
		code = CERTAUTO_EREFUSED;
	if (problem_escape(&detail, problem->detail) < 0 ||
	    problem_escape(&type, certauto__problem_kind(problem)) < 0) {
		certauto__error_set(err, code, object, "%s", what);
		goto out;
	}
	certauto__error_set(err, code, object, "%s: %s%s%s%s%s%s", what,
		detail.len != 0 ? "\"" : "", detail.len != 0 ? detail.data : "no reason given",
		detail.len != 0 ? "\"" : "", type.len != 0 ? " (" : "",
		certauto__buffer_text(&type), type.len != 0 ? ")" : "");
	problem_advise(err, problem, advice);
	if (problem->type != NULL) {
		certauto__buffer_clear(&type);
		if (problem_escape(&type, problem->type) == 0)
			certauto__error_set_problem(err, type.data);
	}
	if (err != NULL)
		err->status = (int)problem->status;
	problem_tell_subproblems(err, problem);
out:
	certauto__buffer_free(&detail);
	certauto__buffer_free(&type);
	return code;
}
