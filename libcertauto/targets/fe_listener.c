/* SPDX-License-Identifier: Apache-2.0 */
/* The places where a certificate is used: the default one of a listener, or its list for SNI. That
 * list is written as a whole, and the service refuses one with a name twice: ours takes the place
 * of what is there for the same names and the same kind of key. */

#include "targets/fe_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#define SNI "sni:"
#define DEFAULT_REF "default_tls_container_ref"
#define SNI_REFS "sni_container_refs"

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

/* ---- entries ---- */

int certauto__fe_listener_each(certauto_job *job)
{
	return (int)certauto__option_list(certauto__fe_target(job), "listener")->n;
}

static const char *entry_of(const certauto_job *job, int j)
{
	return certauto__option_list(certauto__fe_target(job), "listener")->items[j];
}

static int is_sni(const char *entry)
{
	return certauto__text_starts(entry, SNI);
}

static const char *id_of(const char *entry)
{
	return entry + (is_sni(entry) ? strlen(SNI) : 0);
}

int certauto__fe_is_sni(const certauto_job *job, int j)
{
	return is_sni(entry_of(job, j));
}

/* ---- a listener ---- */

enum { ROW_ID, ROW_PROTOCOL, ROW_DEFAULT, ROW_SNI };

struct look {
	certauto_job *job;
	const char *entry;
};

static int listener_row(void *arg, const char *const *row)
{
	const struct look *look = arg;

	certauto__fact_set(look->job, ".refs", is_sni(look->entry) ? row[ROW_SNI]
								   : row[ROW_DEFAULT]);
	certauto__fact_set(look->job, ".protocol", row[ROW_PROTOCOL]);
	return 0;
}

/* What is at the place of an entry now: ".refs"; and ".protocol". */
static int see_place(certauto_job *job, const certauto__exchange *x, const char *entry,
	certauto_error *err)
{
	static const char *const fields[] = {"listener.id", "listener.protocol",
		"listener." DEFAULT_REF, "listener." SNI_REFS "[]", NULL};
	struct look look = {job, entry};

	certauto__fact_set(job, ".refs", NULL);
	return certauto__rest_object(x, fields, listener_row, &look, err);
}

static certauto__verdict get_listener(certauto_job *job, certauto__exchange *x, const char *entry)
{
	return certauto__fe_elb(job, x, "GET", CERTAUTO__FE_LISTENERS, id_of(entry), NULL);
}

/* refs with commas: the default one, or the list for SNI. */
static certauto__verdict put_listener(certauto_job *job, certauto__exchange *x, const char *entry,
	const char *refs)
{
	certauto__verdict verdict = certauto__fe_elb(
		job, x, "PUT", CERTAUTO__FE_LISTENERS, id_of(entry), NULL);
	char id[CERTAUTO__FE_ID];
	certauto__json w;

	certauto__fe_body(&w, x);
	certauto__json_object(&w);
	certauto__json_key(&w, "listener");
	certauto__json_object(&w);
	if (is_sni(entry)) {
		certauto__json_key(&w, SNI_REFS);
		certauto__json_array(&w);
		while (certauto__device_item(id, sizeof(id), &refs))
			certauto__json_text(&w, id);
		certauto__json_array_end(&w);
	} else {
		certauto__json_put_text(&w, DEFAULT_REF, refs);
	}
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	return verdict;
}

/* ---- observe ---- */

certauto__verdict certauto__fe_listener_ask(certauto_job *job, certauto__exchange *x)
{
	return get_listener(job, x, entry_of(job, certauto__index(job)));
}

static int is_no_api(certauto_job *job, const certauto__exchange *x)
{
	return certauto__fe_is_unknown(x) && certauto__index(job) == 0 &&
		!certauto__fe_is_v2(job) &&
		strcmp(certauto__option_text(certauto__fe_target(job), "elb_api"), "auto") == 0;
}

int certauto__fe_serves_tls(const char *protocol)
{
	return protocol == NULL || strcmp(protocol, "HTTPS") == 0 ||
		strcmp(protocol, "TERMINATED_HTTPS") == 0 || strcmp(protocol, "TLS") == 0;
}

certauto__verdict certauto__fe_listener_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);
	const char *entry = entry_of(job, j), *id = id_of(entry), *protocol;

	if (is_no_api(job, x)) {
		certauto__fact_set(job, "api", "v2.0");
		return certauto__again(job, 0);
	}
	if (x->status == 404)
		return certauto__fe_stop(job, CERTAUTO_ENOTFOUND, id,
			"name existing ones as option listener, by their ids, and the project they "
			"are in; listeners of shared load balancers may need elb_api v2.0",
			"there is no listener \"%s\" in the project", id);
	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(job, x, id, "reading the listener");
	if (see_place(job, x, entry, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	certauto__fact_nth_set(job, ".refs", j, certauto__fact_own(job, ".refs"));
	protocol = certauto__fact_own(job, ".protocol");
	if (!certauto__fe_serves_tls(protocol))
		return certauto__fe_stop(job, CERTAUTO_EREFUSED, id,
			"name listeners of the protocol HTTPS (TERMINATED_HTTPS of shared load "
			"balancers)",
			"the listener \"%s\" serves no certificate: its protocol is %.60s", id,
			protocol);
	return CERTAUTO__NEXT;
}

/* What is there is noted once, as what was in the object; of another entry, the option having
 * changed, anew; and so is what others have put there before ours was, or in its place. */
void certauto__fe_note_places(certauto_job *job)
{
	const char *id = certauto__fact_own(job, ".id"), *refs, *entry;
	int j, is_there;

	for (j = 0; j < certauto__fe_listener_each(job); j++) {
		entry = entry_of(job, j);
		refs = certauto__fact_nth(job, ".refs", j);
		is_there = certauto__device_listed(refs, id);
		if (certauto__fact_own(job, "switch") == NULL || !is_there ||
			!certauto__text_equal(certauto__fact_nth(job, "listener", j), entry)) {
			certauto__fact_nth_set(job, "bound", j, is_there ? "yes" : NULL);
			certauto__fact_nth_set(
				job, "out", j, is_there || is_sni(entry) ? NULL : refs);
		}
		certauto__fact_nth_set(job, "listener", j, entry);
		certauto__fact_nth_set(job, ".due", j, is_there ? NULL : "yes");
	}
}

/* ---- what else is there ---- */

static int is_due(const certauto_job *job)
{
	return certauto__fact_nth(job, ".due", certauto__index(job)) != NULL;
}

certauto__verdict certauto__fe_others_ask(certauto_job *job, certauto__exchange *x)
{
	const char *refs = certauto__fact_nth(job, ".refs", certauto__index(job));
	certauto__buffer query = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	char id[CERTAUTO__FE_ID];
	certauto__verdict verdict;

	if (!is_due(job) || refs == NULL)
		return CERTAUTO__NEXT;
	while (certauto__device_item(id, sizeof(id), &refs))
		certauto__fe_arg(&query, "id", id);
	verdict = certauto__fe_elb(job, x, "GET", CERTAUTO__FE_CERTIFICATES, NULL,
		certauto__buffer_text(&query));
	if (query.rc < 0)
		x->body.rc = query.rc; /* stops the sending */
	certauto__buffer_free(&query);
	return verdict;
}

/* Names of a certificate, as its member "domain" tells them: how many of them ours has too, and one
 * that it has not. */
static int shared_names(const certauto__list *ours, const char *domain, char missing[256])
{
	char name[256];
	size_t i;
	int n = 0;

	missing[0] = '\0';
	while (certauto__device_item(name, sizeof(name), &domain)) {
		for (i = 0; i < ours->n && !certauto__name_match(ours->items[i], name); i++)
			;
		if (i == ours->n)
			snprintf(missing, 256, "%s", name);
		for (i = 0; i < ours->n && !certauto__text_equal_nocase(ours->items[i], name); i++)
			;
		n += i < ours->n;
	}
	return n;
}

enum { OTHER_ID, OTHER_NAME, OTHER_DESCRIPTION, OTHER_PEM, OTHER_DOMAIN };

/* 1: it is in the way of ours, or of no more use; 0: it may stay beside it; or a code. */
static int is_in_place(certauto_job *job, const char *const *row, int is_ours, certauto_error *err)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	char missing[256], print[CERTAUTO__FE_PRINT];
	const char *family;
	int rc, n = shared_names(&deployment->names, row[OTHER_DOMAIN], missing);

	if (is_ours)
		return 1;
	if ((rc = certauto__fe_print(print, &family, row[OTHER_PEM])) < 0)
		return rc;
	if (n == 0 || strcmp(family, certauto__deployment_family(deployment)) != 0)
		return 0;
	if (missing[0] == '\0')
		return 1;
	certauto__error_set(err, CERTAUTO_EREFUSED, row[OTHER_ID],
		"the certificate \"%s\" in the listener's list for SNI is in the way: it has names "
		"of the new one, and %s besides",
		row[OTHER_NAME] != NULL ? row[OTHER_NAME] : row[OTHER_ID], missing);
	certauto__device_sign(err, deployment->target);
	return certauto__error_advise(err, "take it out of the list, or add that name to \"%s\"",
		deployment->name);
}

struct others {
	certauto_job *job;
	certauto_error *err;
};

static int others_row(void *arg, const char *const *row)
{
	const struct others *others = arg;
	certauto_job *job = others->job;
	int j = certauto__index(job), is_ours, rc;
	char out[32];

	if (!certauto__device_listed(certauto__fact_nth(job, ".refs", j), row[OTHER_ID]))
		return 0;
	is_ours = certauto__fe_is_own(
		deployment_of(job), row[OTHER_NAME], row[OTHER_DESCRIPTION]);
	if (is_ours)
		certauto__device_list_add(job, "older", row[OTHER_ID]);
	if (!certauto__fe_is_sni(job, j))
		return 0;
	if ((rc = is_in_place(job, row, is_ours, others->err)) <= 0)
		return rc;
	snprintf(out, sizeof(out), "out.%d", j);
	certauto__device_list_add(job, out, row[OTHER_ID]);
	return 0;
}

certauto__verdict certauto__fe_others_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {
		"id", "name", "description", "certificate", "domain", NULL};
	struct others others = {job, certauto__job_error_of(job)};
	char marker[CERTAUTO__FE_ID];

	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(job, x, id_of(entry_of(job, certauto__index(job))),
			"reading the certificates of the listener");
	return certauto__fe_rows(
			x, "certificates", fields, others_row, &others, marker, others.err) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- who else uses it ---- */

/* A name that the certificate in the object has and the new one has not: 1, 0, or a code. */
static int lost_name(certauto_job *job, char lost[256])
{
	const char *pem = certauto__fact_own(job, ".pem");
	certauto__certs *certs = NULL;
	const certauto__list *names;
	size_t i;
	int rc = pem != NULL ? certauto__certs_parse(&certs, pem, strlen(pem), 0, NULL) : 0;

	lost[0] = '\0';
	names = certs != NULL ? certauto__certs_info(certs, 0)->names : NULL;
	for (i = 0; names != NULL && i < names->n && lost[0] == '\0'; i++)
		(void)shared_names(&deployment_of(job)->names, names->items[i], lost);
	certauto__certs_free(certs);
	return rc == CERTAUTO_ENOMEM ? certauto__error_nomem(certauto__job_error_of(job))
				     : lost[0] != '\0';
}

/* First those that have it as default, then those for SNI. */
certauto__verdict certauto__fe_shared_ask(certauto_job *job, certauto__exchange *x)
{
	const char *id = certauto__fact_own(job, ".id");
	certauto__buffer query = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;
	char lost[256];
	int rc;

	if (id == NULL || certauto__fe_is_new(job))
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1) {
		if ((rc = lost_name(job, lost)) <= 0)
			return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
		certauto__fact_set(job, ".wider", lost);
		certauto__fact_set(job, ".users", NULL);
	}
	certauto__fe_arg(
		&query, certauto__step_attempts(job) == 1 ? DEFAULT_REF : SNI_REFS, id);
	verdict = certauto__fe_elb(job, x, "GET", CERTAUTO__FE_LISTENERS, NULL,
		certauto__buffer_text(&query));
	certauto__buffer_free(&query);
	return verdict;
}

enum { USER_ID, USER_NAME, USER_DEFAULT, USER_SNI };

static int shared_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	const char *id = certauto__fact_own(job, ".id");
	int j;

	if (!certauto__text_equal(row[USER_DEFAULT], id) &&
		!certauto__device_listed(row[USER_SNI], id))
		return 0;
	for (j = 0; j < certauto__fe_listener_each(job); j++) {
		if (certauto__text_equal(id_of(entry_of(job, j)), row[USER_ID]))
			return 0;
	}
	certauto__device_list_add(job, ".users", row[USER_ID]);
	return 0;
}

/* Its name may be that of another installation's: what nobody has pointed at and certauto has not
 * put there is not taken away from listeners that need it. */
static certauto__verdict shared_told(certauto_job *job, const char *users)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	const char *name = certauto__fact_own(job, "certificate"),
		*wider = certauto__fact_own(job, ".wider");

	if (certauto__option_text(deployment->target, "certificate") == NULL &&
		!certauto__fact_is(job, ".print", deployment->former))
		return certauto__fe_stop(job, CERTAUTO_EREFUSED, name,
			"set another prefix; or, if it is to be taken over, option certificate to "
			"its name",
			"the certificate \"%s\" is not the one that was deployed from here, and "
			"other listeners use it for the name %s: %s", name, wider, users);
	certauto__warn(job, name, "other listeners use \"%s\" too, and lose the name %s: %s", name,
		wider, users);
	return CERTAUTO__NEXT;
}

/* Who may not list them goes without. */
certauto__verdict certauto__fe_shared_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {
		"id", "name", DEFAULT_REF, SNI_REFS "[]", NULL};
	char marker[CERTAUTO__FE_ID];
	const char *users;

	if (!certauto__fe_is_no(x) && certauto__fe_rows(x, "listeners", fields, shared_row, job,
				       marker, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__step_attempts(job) == 1)
		return certauto__again(job, 0);
	users = certauto__fact_own(job, ".users");
	return users != NULL ? shared_told(job, users) : CERTAUTO__NEXT;
}

/* ---- bind ---- */

/* The place as it was just read, with what is in out replaced by what is in in. */
static certauto__verdict put_swapped(certauto_job *job, certauto__exchange *x, const char *entry,
	const char *in, const char *out)
{
	certauto__buffer list = CERTAUTO__BUFFER(64 * 1024);
	certauto__verdict verdict;

	certauto__device_list_swap(&list, certauto__fact_own(job, ".refs"), in, out);
	verdict = put_listener(job, x, entry, certauto__buffer_text(&list));
	if (list.rc < 0)
		x->body.rc = list.rc; /* stops the sending */
	certauto__buffer_free(&list);
	return verdict;
}

/* A list is read once more before it is written, for others may have changed it. */
certauto__verdict certauto__fe_bind_ask(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);
	const char *entry = entry_of(job, j), *id = certauto__fact_own(job, "id");

	if (!is_due(job))
		return CERTAUTO__NEXT;
	certauto__fe_touch(job);
	if (!is_sni(entry) || certauto__planning(job))
		return put_listener(job, x, entry, id);
	if (certauto__step_attempts(job) % 2 == 1)
		return get_listener(job, x, entry);
	return put_swapped(job, x, entry, id, certauto__fact_nth(job, "out", j));
}

certauto__verdict certauto__fe_bind_read(certauto_job *job, certauto__exchange *x)
{
	static const char doing[] = "binding the certificate to the listener";
	const char *entry = entry_of(job, certauto__index(job));
	int is_put = certauto__text_equal(x->method, "PUT");

	if (is_put && certauto__fe_is_busy(x))
		return certauto__fe_busy(job, x, id_of(entry), doing);
	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(job, x, id_of(entry),
			is_put ? doing : "reading the listener");
	if (is_put)
		return CERTAUTO__NEXT;
	if (see_place(job, x, entry, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return certauto__again(job, 0);
}

/* ---- the way back ---- */

/* Every other time it looks. Ours goes, and what it took the place of comes back; what others have
 * done there stays. */
certauto__verdict certauto__fe_bind_undo(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);
	const char *entry = certauto__fact_nth(job, "listener", j),
		   *out = certauto__fact_nth(job, "out", j);

	if (entry == NULL || certauto__fact_nth(job, "bound", j) != NULL ||
		certauto__fact_own(job, "id") == NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) % 2 == 1)
		return get_listener(job, x, entry);
	return put_swapped(job, x, entry, out, certauto__fact_own(job, "id"));
}

certauto__verdict certauto__fe_bind_undo_read(certauto_job *job, certauto__exchange *x)
{
	const char *entry = certauto__fact_nth(job, "listener", certauto__index(job)),
		   *id = certauto__fact_own(job, "id");

	if (certauto__step_attempts(job) % 2 == 0) {
		if (x->rc == 0 && certauto__fe_is_busy(x))
			return certauto__fe_busy(job, x, id_of(entry), "restoring the listener");
		return certauto__fe_gone(job, x);
	}
	if (x->rc == 0 && x->status == 404)
		return CERTAUTO__NEXT;
	if (certauto__fe_is_no(x) || see_place(job, x, entry, &x->error) < 0)
		return CERTAUTO__FAILED;
	return certauto__device_listed(certauto__fact_own(job, ".refs"), id)
		? certauto__again(job, 0) : CERTAUTO__NEXT;
}

/* ---- read back ---- */

certauto__verdict certauto__fe_bound_ask(certauto_job *job, certauto__exchange *x)
{
	if (!is_due(job) || certauto__planning(job))
		return CERTAUTO__NEXT;
	return certauto__fe_listener_ask(job, x);
}

certauto__verdict certauto__fe_bound_read(certauto_job *job, certauto__exchange *x)
{
	const char *entry = entry_of(job, certauto__index(job)), *id = id_of(entry);

	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(job, x, id, "reading back the listener");
	if (see_place(job, x, entry, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__device_listed(
		    certauto__fact_own(job, ".refs"), certauto__fact_own(job, "id")))
		return CERTAUTO__NEXT;
	return certauto__fe_stop(job, CERTAUTO_EREFUSED, id, NULL,
		"read back, the listener \"%s\" does not use the new certificate", id);
}
