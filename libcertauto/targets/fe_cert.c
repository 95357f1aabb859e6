/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate's object on the load balancers: found among those of its name, made, or given
 * another certificate and key; and the way back, as it was before. */

#include "targets/fe_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"

#define RESTORE_LIFE_S (24 * 3600) /* an old certificate that soon expires is not put back */
#define LET_GO_MS 250              /* between two looks whether it is used */
#define PEM_NOTED 60000            /* what is longer does not fit into a fact */
#define DOMAINS_MAX 100            /* names that the member "domain" takes */
#define DESCRIPTION "certauto"

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *own_name(const certauto_job *job)
{
	return certauto__fact_own(job, "certificate");
}

/* ---- whose it is ---- */

int certauto__fe_print(char out[CERTAUTO__FE_PRINT], const char **family, const char *pem)
{
	certauto__certs *certs = NULL;
	const struct certauto__cert_info *leaf;
	int rc = pem != NULL ? certauto__certs_parse(&certs, pem, strlen(pem), 0, NULL) : 0;

	out[0] = '\0';
	if (family != NULL)
		*family = "";
	if (certs != NULL) {
		leaf = certauto__certs_info(certs, 0);
		memcpy(out, leaf->fingerprint, CERTAUTO__FE_PRINT);
		if (family != NULL)
			*family = certauto__text_starts(leaf->key_type, "rsa") ? "rsa" : "ecdsa";
	}
	certauto__certs_free(certs);
	return rc == CERTAUTO_ENOMEM ? rc : 0;
}

/* The stem, or one that was made for a single certificate. */
static int is_of(const char *name, const char *stem)
{
	size_t len = strlen(stem);

	if (!certauto__text_starts(name, stem))
		return 0;
	return name[len] == '\0' || (name[len] == '-' && name[len + 1] != '\0' &&
		name[len + 1 + strspn(name + len + 1, "0123456789abcdef")] == '\0');
}

/* What others have made is theirs, whatever it is called. With another type of key, too, if the
 * certificate has one key. */
int certauto__fe_is_own(const struct certauto__deployment *deployment, const char *name,
	const char *description)
{
	const char *prefix = certauto__option_text(deployment->target, "prefix");
	const char *const *type;
	char stem[CERTAUTO__FE_NAME];

	if (name == NULL || !certauto__text_equal(description, DESCRIPTION))
		return 0;
	certauto__fe_certificate(stem, deployment, NULL);
	if (is_of(name, stem))
		return 1;
	for (type = certauto__key_types(); *type != NULL; type++) {
		snprintf(stem, sizeof(stem), "%s-%s-%s", prefix, deployment->name, *type);
		if (is_of(name, stem))
			return deployment->n_keys <= 1 ||
				strcmp(*type, deployment->key_type) == 0;
	}
	return 0;
}

int certauto__fe_is_new(const certauto_job *job)
{
	return certauto__fact_own(job, ".id") != NULL &&
		certauto__fact_is(job, "new", certauto__fact_own(job, ".print"));
}

/* ---- found by name ---- */

certauto__verdict certauto__fe_list(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer query = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	/* A fact that there was no memory for: nothing is sent, the job fails by itself. */
	certauto__fe_arg(&query, "name", own_name(job) != NULL ? own_name(job) : "");
	verdict = certauto__fe_elb(job, x, "GET", CERTAUTO__FE_CERTIFICATES, NULL,
		certauto__buffer_text(&query));
	if (query.rc < 0)
		x->body.rc = query.rc; /* stops the sending */
	certauto__buffer_free(&query);
	return verdict;
}

enum { ROW_ID, ROW_NAME, ROW_TYPE, ROW_PEM, ROW_DOMAIN };

enum { RANK_NONE, RANK_NAMED, RANK_NEW, RANK_NOTED, RANK_USED };

struct look {
	certauto_job *job;
	int rank;
};

static int is_used(certauto_job *job, const char *id)
{
	int j;

	for (j = 0; j < certauto__fe_listener_each(job); j++) {
		if (certauto__device_listed(certauto__fact_nth(job, ".refs", j), id))
			return 1;
	}
	return 0;
}

static int rank_of(certauto_job *job, const char *id, const char *print)
{
	if (certauto__undoing(job) == 0 && is_used(job, id))
		return RANK_USED;
	if (certauto__fact_is(job, "id", id))
		return RANK_NOTED;
	return certauto__fact_is(job, "new", print) ? RANK_NEW : RANK_NAMED;
}

/* Whatever the service makes of a filter. */
static int is_candidate(const certauto_job *job, const char *const *row)
{
	return row[ROW_ID] != NULL && certauto__text_equal(row[ROW_NAME], own_name(job)) &&
		!certauto__text_equal(row[ROW_TYPE], "client");
}

static int look_row(void *arg, const char *const *row)
{
	struct look *look = arg;
	certauto_job *job = look->job;
	char print[CERTAUTO__FE_PRINT];
	int rc, rank;

	if (!is_candidate(job, row))
		return 0;
	if ((rc = certauto__fe_print(print, NULL, row[ROW_PEM])) < 0)
		return rc;
	if (certauto__fact_is(job, "new", print))
		certauto__device_list_add(job, ".ours", row[ROW_ID]);
	rank = rank_of(job, row[ROW_ID], print);
	if (rank == RANK_NAMED)
		certauto__device_list_add(job, ".others", row[ROW_ID]);
	if (rank <= look->rank)
		return 0;
	look->rank = rank;
	certauto__fact_set(job, ".id", row[ROW_ID]);
	certauto__fact_set(job, ".print", print);
	certauto__fact_set(job, ".pem", row[ROW_PEM] != NULL && strlen(row[ROW_PEM]) < PEM_NOTED
		? row[ROW_PEM] : NULL);
	certauto__fact_set(job, ".domain", row[ROW_DOMAIN]);
	return 0;
}

int certauto__fe_see(certauto_job *job, const certauto__exchange *x, certauto_error *err)
{
	static const char *const fields[] = {
		"id", "name", "type", "certificate", "domain", NULL};
	struct look look = {.job = job, .rank = RANK_NONE};
	char marker[CERTAUTO__FE_ID];
	const char *others;
	int rc;

	certauto__fact_set(job, ".id", NULL);
	certauto__fact_set(job, ".ours", NULL);
	certauto__fact_set(job, ".others", NULL);
	rc = certauto__fe_rows(x, "certificates", fields, look_row, &look, marker, err);
	/* One alone, or one that something speaks for, leaves no doubt. */
	others = certauto__fact_own(job, ".others");
	if (look.rank != RANK_NAMED || others == NULL || strchr(others, ',') == NULL)
		certauto__fact_set(job, ".others", NULL);
	return rc;
}

/* ---- put ---- */

/* Names with commas: what a client must ask for to get it by SNI. Addresses are none. */
static void put_domain(certauto__json *w, certauto_job *job, const certauto__list *names)
{
	certauto__buffer domain = CERTAUTO__BUFFER(16 * 1024);
	size_t i, n = 0, max = certauto__fact_own(job, ".single") != NULL ? 1 : DOMAINS_MAX;

	for (i = 0; i < names->n && n < max; i++) {
		if (certauto__ip_check(names->items[i]))
			continue;
		certauto__buffer_printf(&domain, "%s%s", n++ > 0 ? "," : "", names->items[i]);
	}
	if (domain.len > 0)
		certauto__json_put_text(w, "domain", domain.data);
	if (domain.rc < 0)
		w->out->rc = domain.rc; /* stops the sending */
	certauto__buffer_free(&domain);
}

static int put_key(certauto__json *w, const certauto__pkey *key, certauto_error *err)
{
	certauto__secret *pem = NULL;
	int rc = certauto__pkey_format(&pem, key, err);

	if (rc == 0) {
		certauto__json_key(w, "private_key");
		certauto__json_text_len(w, certauto__secret_text(pem), certauto__secret_len(pem));
	}
	certauto__secret_free(pem);
	return rc;
}

/* v2.0 takes a certificate's members as they are, v3 in an object. */
static void put_begin(certauto__json *w, certauto_job *job, certauto__exchange *x)
{
	x->body.secret = 1;
	certauto__fe_body(w, x);
	certauto__json_object(w);
	if (!certauto__fe_is_v2(job)) {
		certauto__json_key(w, "certificate");
		certauto__json_object(w);
	}
}

static void put_end(certauto__json *w, const certauto_job *job)
{
	certauto__json_object_end(w);
	if (!certauto__fe_is_v2(job))
		certauto__json_object_end(w);
}

static certauto__verdict put_send(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	const char *id = certauto__fact_own(job, ".id");
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	certauto_error *err = certauto__job_error_of(job);
	certauto__verdict verdict = certauto__fe_elb(job, x, id != NULL ? "PUT" : "POST",
		CERTAUTO__FE_CERTIFICATES, id, NULL);
	certauto__json w;

	put_begin(&w, job, x);
	if (id == NULL) {
		certauto__json_put_text(&w, "name", own_name(job));
		certauto__json_put_text(&w, "description", DESCRIPTION);
		certauto__json_put_text(&w, "type", "server");
	}
	put_domain(&w, job, &deployment->names);
	if (certauto__certs_format(&pem, deployment->chain, CERTAUTO__PART_FULL) < 0) {
		certauto__error_nomem(err);
		verdict = CERTAUTO__FAILED;
	} else {
		certauto__json_put_text(&w, "certificate", pem.data);
		if (put_key(&w, deployment->key, err) < 0)
			verdict = CERTAUTO__FAILED;
	}
	put_end(&w, job);
	certauto__buffer_free(&pem);
	return verdict;
}

certauto__verdict certauto__fe_put_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fe_is_new(job))
		return CERTAUTO__NEXT;
	certauto__fe_touch(job);
	return put_send(job, x);
}

static int id_row(void *arg, const char *const *row)
{
	certauto__fact_set(arg, "id", row[0] != NULL ? row[0] : row[1]);
	return 0;
}

/* It takes one name for a certificate only. */
static int is_single(certauto_job *job, const certauto__exchange *x)
{
	char code[CERTAUTO__FE_CODE];

	return x->status >= 400 && certauto__fact_own(job, ".single") == NULL &&
		deployment_of(job)->names.n > 1 &&
		(strcmp(certauto__fe_code(x, code), "ELB.8909") == 0 ||
			certauto__fe_says(x, "several domains"));
}

static certauto__verdict put_single(certauto_job *job)
{
	int j;

	certauto__fact_set(job, ".single", "yes");
	for (j = 0; j < certauto__fe_listener_each(job); j++) {
		if (!certauto__fe_is_sni(job, j))
			continue;
		certauto__warn(job, own_name(job),
			"the load balancers take one name for a certificate only: it is served by "
			"SNI for %s",
			deployment_of(job)->names.items[0]);
		break;
	}
	return certauto__again(job, 0);
}

/* A POST may have been made before, its answer lost: which one counts is seen when all are read
 * back. */
certauto__verdict certauto__fe_put_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"certificate.id", "id", NULL};
	int is_put = certauto__text_equal(x->method, "PUT");
	const char *doing = is_put ? "updating the certificate" : "creating the certificate";

	if (is_single(job, x))
		return put_single(job);
	if (is_put && x->status == 404)
		return certauto__fe_look_again(job, x, own_name(job), doing);
	if (is_put && certauto__fe_is_busy(x))
		return certauto__fe_busy(job, x, own_name(job), doing);
	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(job, x, own_name(job), doing);
	if (!is_put && certauto__rest_object(
			x, fields, id_row, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return certauto__fact_own(job, "id") != NULL ? CERTAUTO__NEXT
		: certauto__fe_look_again(job, x, own_name(job), doing);
}

/* ---- the way back of it ---- */

/* Why there is none; NULL: there is one. */
static const char *why_forward(const certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	const char *pem = certauto__fact_own(job, "old.pem");
	certauto__certs *certs = NULL;
	int64_t not_after;

	if (deployment->former_key == NULL ||
		!certauto__fact_is(job, "old.print", deployment->former))
		return "has a key that is not known here";
	if (pem == NULL || certauto__certs_parse(&certs, pem, strlen(pem), 0, NULL) < 0)
		return "cannot be read";
	not_after = certauto__certs_info(certs, 0)->not_after;
	certauto__certs_free(certs);
	return not_after < certauto__clock_now() + RESTORE_LIFE_S
		? "has expired or is about to" : NULL;
}

/* What is served is left as it is. For a run that brings another certificate that is how it finds
 * things. */
static certauto__verdict stay_forward(certauto_job *job, certauto__exchange *x, const char *why)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	certauto__fact_set(job, "stays", "yes");
	if (deployment->chain == NULL ||
		!certauto__fact_is(
			job, "new", certauto__certs_info(deployment->chain, 0)->fingerprint))
		return CERTAUTO__NEXT;
	certauto__error_clear(&x->error);
	certauto__error_set(&x->error, CERTAUTO_EROLLBACK, own_name(job),
		"the load balancers keep the new certificate in \"%s\": the old one %s",
		own_name(job), why);
	return CERTAUTO__FAILED;
}

static certauto__verdict put_back(certauto_job *job, certauto__exchange *x)
{
	const char *domain = certauto__fact_own(job, "old.domain");
	certauto__verdict verdict = certauto__fe_elb(job, x, "PUT", CERTAUTO__FE_CERTIFICATES,
		certauto__fact_own(job, ".id"), NULL);
	certauto__json w;

	put_begin(&w, job, x);
	if (domain != NULL)
		certauto__json_put_text(&w, "domain", domain);
	certauto__json_put_text(&w, "certificate", certauto__fact_own(job, "old.pem"));
	if (put_key(&w, deployment_of(job)->former_key, certauto__job_error_of(job)) < 0)
		verdict = CERTAUTO__FAILED;
	put_end(&w, job);
	return verdict;
}

/* Every other time it looks; the other times it does what it has found then. */
certauto__verdict certauto__fe_put_undo(certauto_job *job, certauto__exchange *x)
{
	const char *ours = certauto__fact_own(job, ".ours");
	char id[CERTAUTO__FE_ID] = "";

	if (certauto__fact_own(job, "stays") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) % 2 == 1)
		return certauto__fe_list(job, x);
	if (!certauto__fact_is(job, "old", "absent"))
		return put_back(job, x);
	certauto__device_item(id, sizeof(id), &ours);
	return certauto__fe_elb(job, x, "DELETE", CERTAUTO__FE_CERTIFICATES, id, NULL);
}

/* Only what is ours is taken back. */
static certauto__verdict put_undo_looked(certauto_job *job, certauto__exchange *x)
{
	int is_absent = certauto__fact_is(job, "old", "absent");
	const char *why;

	if (certauto__fe_is_no(x) || certauto__fe_see(job, x, &x->error) < 0)
		return CERTAUTO__FAILED;
	if (is_absent ? certauto__fact_own(job, ".ours") == NULL
		      : !certauto__fe_is_new(job) ||
				certauto__fact_is(
					job, "old.print", certauto__fact_own(job, ".print")))
		return CERTAUTO__NEXT;
	if (!is_absent && (why = why_forward(job)) != NULL)
		return stay_forward(job, x, why);
	return certauto__again(job, 0);
}

/* The balancers may not have let go of it yet. What others have come to use meanwhile must stay. */
static certauto__verdict put_undo_used(certauto_job *job)
{
	if (certauto__step_attempts(job) < CERTAUTO__FE_LOOKS)
		return certauto__again(job, LET_GO_MS);
	certauto__warn(job, own_name(job),
		"the certificate \"%s\" stays on the ELB: another listener uses it by now",
		own_name(job));
	return CERTAUTO__NEXT;
}

certauto__verdict certauto__fe_put_undo_read(certauto_job *job, certauto__exchange *x)
{
	int is_delete = certauto__text_equal(x->method, "DELETE");
	certauto__verdict verdict;

	if (certauto__step_attempts(job) % 2 == 1)
		return put_undo_looked(job, x);
	if (x->rc == 0 && certauto__fe_is_busy(x))
		return certauto__fe_busy(job, x, own_name(job), "restoring the certificate");
	if (certauto__fe_is_in_use(x))
		return put_undo_used(job);
	verdict = certauto__fe_gone(job, x);
	/* There may be another one. */
	return verdict == CERTAUTO__NEXT && is_delete &&
			certauto__step_attempts(job) < CERTAUTO__FE_LOOKS
		? certauto__again(job, 0) : verdict;
}
