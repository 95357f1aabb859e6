/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate for virtual servers of the NSX load balancer, through the policy API. There a
 * certificate is never changed: each is an object of its own, and virtual servers are written anew
 * with its path wherever the path of the one before stands. */

#include "targets/nsx_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"

#define VS "/policy/api/v1/infra/lb-virtual-servers/"
#define PATH "/infra/certificates/"
#define BINDING "client_ssl_profile_binding"
#define LOOKS 6            /* at one virtual server that others change all the time, and writes */
#define PART 60000         /* of an object in one fact */
#define REF_MAX 1024
#define OBJECT_MAX ((size_t)4 << 20)

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *option_of(const certauto_job *job)
{
	return certauto__fact_nth(job, "server", certauto__index(job));
}

static int is_sni(const certauto_job *job)
{
	return certauto__text_starts(option_of(job), "sni:");
}

static const char *vs_of(const certauto_job *job)
{
	return option_of(job) + (is_sni(job) ? strlen("sni:") : 0);
}

static int vs_each(certauto_job *job)
{
	return (int)certauto__fact_number(job, "n", 0);
}

static certauto__verdict vs_call(certauto__exchange *x, const certauto_job *job, const char *method)
{
	return certauto__nsx_call_on(
		x, certauto__nsx_target(job), method, VS, vs_of(job), "");
}

/* ---- a look at a virtual server ---- */

/* It may be longer than a fact. */
static void keep(certauto_job *job, const certauto__exchange *x)
{
	size_t len, part;
	const char *object = certauto__exchange_answer(x, &len);
	char name[32];
	int i;

	for (i = 0; len > 0; i++) {
		part = len < PART ? len : PART;
		snprintf(name, sizeof(name), ".object.%d", i);
		certauto__fact_printf(job, name, "%.*s", (int)part, object);
		object += part;
		len -= part;
	}
	for (; certauto__fact_nth(job, ".object", i) != NULL; i++)
		certauto__fact_nth_set(job, ".object", i, NULL);
}

enum { VS_DEFAULT, VS_SNI, VS_PROTECTION };

static int vs_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;

	certauto__fact_set(job, ".default", row[VS_DEFAULT]);
	certauto__fact_set(job, ".sni", row[VS_SNI]);
	certauto__fact_set(job, ".protection", row[VS_PROTECTION]);
	return 0;
}

static int look(certauto_job *job, const certauto__exchange *x, certauto_error *err)
{
	static const char *const fields[] = {
		BINDING ".default_certificate_path", BINDING ".sni_certificate_paths[]",
		"_protection", NULL};

	certauto__fact_set(job, ".default", NULL);
	certauto__fact_set(job, ".sni", NULL);
	certauto__fact_set(job, ".protection", NULL);
	keep(job, x);
	return certauto__rest_object(x, fields, vs_row, job, err);
}

static int is_bound(const certauto_job *job)
{
	const char *path = certauto__fact_own(job, "path");

	return is_sni(job) ? certauto__device_listed(certauto__fact_own(job, ".sni"), path)
			   : certauto__fact_is(job, ".default", path);
}

/* What ours takes the place of: the default whatever it is; of those for SNI one of ours. */
static void note_old(certauto_job *job)
{
	const char *list = certauto__fact_own(job, ".sni");
	int j = certauto__index(job);
	char path[CERTAUTO__NSX_NAME];

	if (is_bound(job))
		return;
	if (!is_sni(job)) {
		certauto__fact_nth_set(job, "old", j, certauto__fact_own(job, ".default"));
		return;
	}
	certauto__fact_nth_set(job, "old", j, "");
	while (certauto__device_item(path, sizeof(path), &list)) {
		if (certauto__text_starts(path, PATH) &&
			certauto__nsx_is_own(path + strlen(PATH), deployment_of(job)))
			certauto__fact_nth_set(job, "old", j, path);
	}
}

/* Each keeps its number until a run has got to its end, whatever the option has by then. */
static void server_add(certauto_job *job, const char *server)
{
	int j = 0, n = vs_each(job);

	while (j < n && !certauto__text_equal(certauto__fact_nth(job, "server", j), server))
		j++;
	if (j == n)
		certauto__fact_set_number(job, "n", n + 1);
	certauto__fact_nth_set(job, "server", j, server);
	certauto__fact_nth_set(job, ".out", j, NULL);
}

static certauto__verdict begin_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto__list *servers = certauto__option_list(
		certauto__nsx_target(job), "virtual_server");
	size_t i;
	int j;

	(void)x;
	certauto__nsx_begin(job);
	certauto__fact_printf(job, "path", "%s%s", PATH, certauto__fact_own(job, "name"));
	certauto__fact_set(job, ".due", NULL);
	for (j = 0; j < vs_each(job); j++) {
		certauto__fact_nth_set(job, ".out", j, "yes");
		certauto__fact_nth_set(job, ".due", j, NULL);
	}
	for (i = 0; i < servers->n; i++)
		server_add(job, servers->items[i]);
	return CERTAUTO__NEXT;
}

/* As it is for this account. */
static int is_protected(const certauto_job *job)
{
	return certauto__fact_is(job, ".protection", "PROTECTED") ||
		(certauto__fact_is(job, ".protection", "REQUIRE_OVERRIDE") &&
			!certauto__option_flag(certauto__nsx_target(job), "allow_overwrite"));
}

static certauto__verdict vs_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__nsx_is_out(job, certauto__index(job)) ? CERTAUTO__NEXT
							       : vs_call(x, job, "GET");
}

/* After a look. */
static certauto__verdict check_binding(certauto_job *job)
{
	if (certauto__fact_own(job, ".default") != NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_EREFUSED, vs_of(job),
		"give it a client SSL profile and any default certificate first",
		"the virtual server \"%s\" does not speak TLS: it has no client SSL binding",
		vs_of(job));
}

static certauto__verdict vs_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);

	if (certauto__nsx_is_missing(x))
		return certauto__nsx_stop(job, CERTAUTO_ENOTFOUND, vs_of(job),
			"name existing ones, by their ids, as option virtual_server",
			"there is no virtual server \"%s\"", vs_of(job));
	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused_at(
			job, x, vs_of(job), "reading the virtual server");
	if (look(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (check_binding(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (!is_bound(job) && !is_sni(job) &&
		certauto__nsx_check_keys(job, "a virtual server has by default") != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (!is_bound(job) && is_protected(job))
		return certauto__nsx_stop(job, CERTAUTO_EPERM, vs_of(job),
			"have whoever keeps it (NCP, Terraform) give it the certificate; or set "
			"allow_overwrite, if that one does not write it back",
			"the virtual server \"%s\" is protected: another program has made it",
			vs_of(job));
	note_old(job);
	certauto__fact_nth_set(job, ".due", j, is_bound(job) ? NULL : "yes");
	if (!is_bound(job))
		certauto__fact_set(job, ".due", "yes");
	return CERTAUTO__NEXT;
}

/* ---- the certificate ---- */

static int is_looking(const certauto_job *job)
{
	return certauto__fact_is(job, ".import", "look");
}

static certauto__verdict certificate_call(certauto__exchange *x, const certauto_job *job,
	const char *method)
{
	return certauto__nsx_call_on(x, certauto__nsx_target(job), method,
		CERTAUTO__NSX_POLICY "/", certauto__fact_own(job, "name"), "");
}

static certauto__verdict put_check(certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	if (deployment->key == NULL || certauto__pkey_is_signer(deployment->key))
		return certauto__nsx_stop(job, CERTAUTO_EUNSUPPORTED, deployment->name,
			"let certauto make the key",
			"the private key of \"%s\" is not here: virtual servers need it",
			deployment->name);
	return certauto__target_may_take_key(
		       deployment->target, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static certauto__verdict put_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto__certs *chain = deployment_of(job)->chain;
	certauto__buffer pem = CERTAUTO__BUFFER(OBJECT_MAX);
	certauto__verdict verdict;

	if (certauto__fact_own(job, ".due") == NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1) {
		certauto__fact_set(job, ".import", NULL);
		if ((verdict = put_check(job)) != CERTAUTO__NEXT)
			return verdict;
	}
	if (is_looking(job))
		return certificate_call(x, job, "GET");
	certauto__nsx_touch(job);
	verdict = certificate_call(x, job, "PUT");
	if (certauto__certs_format(&pem, chain, CERTAUTO__PART_FULL) < 0)
		x->body.rc = pem.rc;
	else if (certauto__nsx_put_certificate(job, x, certauto__buffer_text(&pem)) < 0)
		verdict = CERTAUTO__FAILED;
	certauto__buffer_free(&pem);
	return verdict;
}

static int put_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	char print[65];
	int rc = row[0] != NULL ? certauto__nsx_print(print, NULL, row[0]) : 0;

	if (rc > 0 && certauto__fact_is(job, "leaf", print))
		certauto__fact_set(job, "id", certauto__fact_own(job, "name"));
	return rc < 0 ? rc : 0;
}

/* One of that name that is there already is left as it is by a PUT, or refused: it is ours, for it
 * is named after the leaf. */
static certauto__verdict put_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"pem_encoded", NULL};
	const char *name = certauto__fact_own(job, "name");

	if (certauto__nsx_is_no(x) && is_looking(job)) {
		certauto__fact_set(job, ".import", "again");
		return certauto__again(job, 0);
	}
	if ((x->status == 400 || x->status == 409) && certauto__fact_own(job, ".import") == NULL) {
		certauto__fact_set(job, ".import", "look");
		return certauto__again(job, 0);
	}
	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused_at(job, x, name, "storing the certificate");
	certauto__fact_set(job, "id", NULL);
	if (certauto__rest_object(x, fields, put_row, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, "id") != NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_EREFUSED, name,
		"remove it, or set another name_prefix",
		"the certificate \"%s\" is there already, with another content", name);
}

static certauto__verdict put_undo(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "name") == NULL)
		return CERTAUTO__NEXT;
	return certificate_call(x, job, "DELETE");
}

/* What somebody has come to use stays. */
static certauto__verdict put_undo_read(certauto_job *job, certauto__exchange *x)
{
	return certauto__nsx_is_in_use(x) ? CERTAUTO__NEXT : certauto__nsx_gone(job, x);
}

/* ---- bind ---- */

/* The list for SNI with path added, or without it, as JSON. */
static void put_sni(certauto__buffer *out, const char *list, const char *path, int adds)
{
	char one[REF_MAX];
	certauto__json w;

	certauto__json_start(&w, out, 0);
	certauto__json_array(&w);
	while (certauto__device_item(one, sizeof(one), &list)) {
		if (one[0] == '\0')
			out->rc = CERTAUTO_EPROTO; /* it would be lost */
		if (strcmp(one, path) != 0)
			certauto__json_text(&w, one);
	}
	if (adds)
		certauto__json_text(&w, path);
	certauto__json_array_end(&w);
}

/* The object as it was read, with from replaced by to wherever it stands; either may be "": then
 * the other one is taken away from the list for SNI, or added to it. */
static int put_body(certauto_job *job, certauto__exchange *x, const char *from, const char *to)
{
	certauto__buffer object = CERTAUTO__BUFFER(OBJECT_MAX), list = CERTAUTO__BUFFER(OBJECT_MAX);
	certauto_error *err = certauto__job_error_of(job);
	struct certauto__rest_edit edit = {BINDING ".sni_certificate_paths", NULL};
	const char *part;
	size_t n;
	int i, rc;

	for (i = 0; (part = certauto__fact_nth(job, ".object", i)) != NULL; i++)
		certauto__buffer_text_add(&object, part);
	if (*from == '\0' || *to == '\0')
		put_sni(&list, certauto__fact_own(job, ".sni"), *to != '\0' ? to : from,
			*to != '\0');
	edit.json = certauto__buffer_text(&list);
	if ((rc = object.rc) < 0 || (rc = list.rc) < 0)
		certauto__error_set(err, rc, vs_of(job), "%s", certauto_error_text(rc));
	else if (list.len > 0)
		rc = certauto__rest_edit(&x->body, certauto__buffer_text(&object), object.len,
			&edit, 1, err);
	else
		rc = certauto__rest_swap(&x->body, certauto__buffer_text(&object), object.len, from,
			to, &n, err);
	certauto__buffer_free(&object);
	certauto__buffer_free(&list);
	return rc;
}

/* Every other time it is read whole; the other times it is written. */
static certauto__verdict get_or_put(certauto_job *job, certauto__exchange *x, const char *from,
	const char *to)
{
	int is_put = certauto__step_attempts(job) % 2 == 0 || certauto__planning(job);
	certauto__verdict verdict = vs_call(x, job, is_put ? "PUT" : "GET");

	if (is_put && !certauto__planning(job) && put_body(job, x, from, to) < 0)
		return CERTAUTO__FAILED;
	return verdict;
}

static certauto__verdict bind_ask(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);

	if (certauto__fact_nth(job, ".due", j) == NULL)
		return CERTAUTO__NEXT;
	return get_or_put(
		job, x, certauto__fact_nth(job, "old", j), certauto__fact_own(job, "path"));
}

/* After the write it is read once more: releases have lost what they did not know. */
static certauto__verdict bind_read(certauto_job *job, certauto__exchange *x)
{
	int is_put = certauto__step_attempts(job) % 2 == 0;

	if (certauto__nsx_is_stale(x) && certauto__step_attempts(job) < LOOKS)
		return certauto__again(job, 0);
	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused_at(job, x, vs_of(job),
			is_put ? "writing the virtual server" : "reading the virtual server");
	if (is_put)
		return certauto__again(job, 0);
	if (look(job, x, certauto__job_error_of(job)) < 0 || check_binding(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (is_bound(job))
		return CERTAUTO__NEXT;
	note_old(job);
	if (certauto__step_attempts(job) < LOOKS)
		return certauto__again(job, 0);
	return certauto__nsx_stop(job, CERTAUTO_EREFUSED, vs_of(job),
		"see whether somebody else, or another release's rule, changes it",
		"read back, the virtual server \"%s\" does not have the certificate that was "
		"written",
		vs_of(job));
}

static certauto__verdict bind_undo(certauto_job *job, certauto__exchange *x)
{
	const char *old = certauto__fact_nth(job, "old", certauto__index(job)),
		   *path = certauto__fact_own(job, "path");

	if (old == NULL || path == NULL || option_of(job) == NULL)
		return CERTAUTO__NEXT;
	return get_or_put(job, x, path, old);
}

/* Only where ours is, and what others have done there stays. */
static certauto__verdict bind_undo_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__step_attempts(job) % 2 == 0) {
		if (certauto__nsx_is_stale(x) && certauto__step_attempts(job) < LOOKS)
			return certauto__again(job, 0);
		return certauto__nsx_gone(job, x);
	}
	if (certauto__nsx_is_missing(x))
		return CERTAUTO__NEXT;
	if (certauto__nsx_is_no(x))
		return certauto__fail_with(job, &x->error);
	if (look(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return is_bound(job) ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

/* ---- what is left over ---- */

enum { OLD_ID, OLD_CREATED };

static int older_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;

	if (row[OLD_ID] != NULL && !certauto__fact_is(job, "name", row[OLD_ID]) &&
		certauto__nsx_is_own(row[OLD_ID], deployment_of(job)))
		certauto__nsx_older(job, row[OLD_ID], row[OLD_CREATED]);
	return 0;
}

static certauto__verdict older_ask(certauto_job *job, certauto__exchange *x)
{
	const char *cursor = certauto__fact_own(job, ".cursor");

	if (certauto__fact_own(job, "switch") == NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	if (cursor == NULL) {
		certauto__fact_set(job, "tidy", NULL);
		certauto__fact_set(job, ".older", NULL);
	}
	return certauto__nsx_call_on(x, certauto__nsx_target(job), "GET", cursor != NULL
		? CERTAUTO__NSX_POLICY "?page_size=200&cursor="
		: CERTAUTO__NSX_POLICY "?page_size=200", cursor, "");
}

static certauto__verdict older_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"id", "_create_time", NULL};
	int rc;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, NULL, "reading the certificates");
	rc = certauto__nsx_page(job, x, fields, older_row, job, certauto__job_error_of(job));
	if (rc < 0)
		return CERTAUTO__FAILED;
	return rc > 0 ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

static const struct certauto__step nsx_lb_steps[] = {
	{.name = "begin", .ask = begin_ask, .flags = CERTAUTO__READS},
	{.name = "virtual-server",
		.ask = vs_ask,
		.read = vs_read,
		.each = vs_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "put",
		.ask = put_ask,
		.read = put_read,
		.undo = put_undo,
		.undo_read = put_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "bind",
		.ask = bind_ask,
		.read = bind_read,
		.undo = bind_undo,
		.undo_read = bind_undo_read,
		.each = vs_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "older",
		.ask = older_ask,
		.read = older_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	CERTAUTO__STEP_PROVE,
	{.name = "end", .ask = certauto__nsx_end_ask, .flags = CERTAUTO__COMMIT},
	{.name = "tidy",
		.ask = certauto__nsx_tidy_ask,
		.read = certauto__nsx_tidy_read,
		.each = certauto__nsx_tidy_each,
		.flags = CERTAUTO__OWED | CERTAUTO__ERRORS},
};

const struct certauto__table certauto__nsx_lb = {
	.name = "nsx-lb",
	.steps = nsx_lb_steps,
	.n_steps = sizeof(nsx_lb_steps) / sizeof(nsx_lb_steps[0]),
};
