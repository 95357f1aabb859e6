/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate into the managers' store, and from there to one endpoint after the other. Whoever
 * is given a certificate restarts: connections end, new ones are refused, a proxy answers in its
 * place; that is waited for before the next one has its turn. */

#include "targets/nsx_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "core/memory.h"

#define CRL_MS 60000       /* managers fetch the CRLs of a new certificate */
#define UNSURE_MS 3000     /* after that, what was not answered is asked for again */
#define CHAIN_MAX ((size_t)256 << 10)
#define VALIDATE_MAX 4096  /* of the words of a validation: more is not looked at */

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *own_name(const certauto_job *job)
{
	return certauto__fact_own(job, "name");
}

static int is_due(const certauto_job *job)
{
	return certauto__fact_own(job, ".due") != NULL;
}

/* ---- patience ---- */

/* It was refused for now: something else restarts, or a proxy answers for what is not there. In the
 * middle of that others than those expected may be presented: nobody talks to them. */
static int is_passing(const certauto__exchange *x)
{
	return x->rc == CERTAUTO_ENET || x->rc == CERTAUTO_ETIMEDOUT || x->rc == CERTAUTO_ETLS ||
		x->status == 409 || x->status == 429 || x->status >= 500;
}

static int is_patient(const certauto_job *job)
{
	return certauto__step_age_ms(job) < certauto__nsx_patience(job);
}

/* Where one was waited for in vain, and nobody has answered since, the others are not. */
static int is_patient_back(const certauto_job *job)
{
	return certauto__fact_own(job, ".dead") != NULL
		? certauto__step_age_ms(job) < UNSURE_MS : is_patient(job);
}

/* ---- a request that the managers have made: they have the key ---- */

enum { CSR_ID, CSR_PEM, CSR_NAME };

static int csr_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	certauto__req *req = NULL;
	int rc;

	if (row[CSR_ID] == NULL || row[CSR_PEM] == NULL)
		return 0;
	rc = certauto__req_parse(&req, row[CSR_PEM], strlen(row[CSR_PEM]), NULL);
	if (rc == 0 && certauto__certs_has_req(deployment_of(job)->chain, req)) {
		certauto__fact_set(job, ".csr", row[CSR_ID]);
		/* Somebody else's is somebody else's to remove. */
		certauto__fact_set(job, "csr", row[CSR_NAME] != NULL &&
			certauto__nsx_is_own(row[CSR_NAME], deployment_of(job))
			? row[CSR_ID] : NULL);
	}
	certauto__req_free(req);
	return rc == CERTAUTO_ENOMEM ? rc : 0;
}

certauto__verdict certauto__nsx_csr_find_ask(certauto_job *job, certauto__exchange *x)
{
	const char *cursor = certauto__fact_own(job, ".cursor");

	if (deployment_of(job)->key != NULL || !is_due(job) ||
		certauto__fact_own(job, "id") != NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_call_on(x, deployment_of(job)->target, "GET",
		cursor != NULL ? CERTAUTO__NSX_CSRS "?cursor=" : CERTAUTO__NSX_CSRS, cursor, "");
}

certauto__verdict certauto__nsx_csr_find_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"id", "pem_encoded", "display_name", NULL};
	int rc;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, NULL, "reading the requests");
	rc = certauto__nsx_page(job, x, fields, csr_row, job, certauto__job_error_of(job));
	if (rc != 0)
		return rc < 0 ? CERTAUTO__FAILED : certauto__again(job, 0);
	if (certauto__fact_own(job, ".csr") != NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_ENOTFOUND, deployment_of(job)->name,
		"let certauto make the key, or have the managers make a request and the "
		"certificate issued for it",
		"the managers have no request whose key is the certificate's");
}

/* At the end: the certificate has the key now. */
certauto__verdict certauto__nsx_csr_drop_ask(certauto_job *job, certauto__exchange *x)
{
	const char *csr = certauto__fact_own(job, "csr");

	if (csr == NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_call_on(
		x, deployment_of(job)->target, "DELETE", CERTAUTO__NSX_CSRS "/", csr, "");
}

certauto__verdict certauto__nsx_csr_drop_read(certauto_job *job, certauto__exchange *x)
{
	if (!certauto__nsx_is_no(x) || certauto__nsx_is_missing(x))
		return CERTAUTO__NEXT;
	return certauto__nsx_refused(job, x, NULL, "removing the request");
}

/* ---- import ---- */

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

int certauto__nsx_put_certificate(certauto_job *job, certauto__exchange *x, const char *chain)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto__json w;
	int rc = 0;

	x->body.secret = 1;
	certauto__nsx_body(&w, x);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "display_name", own_name(job));
	certauto__json_put_text(&w, "pem_encoded", chain);
	if (deployment->key != NULL)
		rc = put_key(&w, deployment->key, certauto__job_error_of(job));
	certauto__json_key(&w, "tags");
	certauto__json_array(&w);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "scope", "certauto");
	certauto__json_put_text(&w, "tag", deployment->name);
	certauto__json_object_end(&w);
	certauto__json_array_end(&w);
	certauto__json_object_end(&w);
	return rc;
}

/* The second time, after a refusal, it is looked whether an attempt whose answer was lost has done
 * it; the third time it is tried again, to be told why not. */
static int is_looking(const certauto_job *job)
{
	return certauto__fact_is(job, ".import", "look");
}

certauto__verdict certauto__nsx_import_ask(certauto_job *job, certauto__exchange *x)
{
	const char *csr = certauto__fact_own(job, ".csr");
	certauto__buffer chain = CERTAUTO__BUFFER(CHAIN_MAX);
	certauto__verdict verdict;

	if (!is_due(job) || certauto__fact_own(job, "id") != NULL)
		return CERTAUTO__NEXT;
	if (is_looking(job))
		return certauto__nsx_list(job, x);
	if (certauto__step_attempts(job) == 1)
		certauto__fact_set(job, ".import", NULL);
	certauto__nsx_touch(job);
	verdict = csr != NULL ? certauto__nsx_call_on(x, deployment_of(job)->target, "POST",
					CERTAUTO__NSX_CSRS "/", csr, "?action=import")
			      : certauto__nsx_call_on(x, deployment_of(job)->target, "POST",
					CERTAUTO__NSX_CERTIFICATES, NULL, "?action=import");
	if (certauto__nsx_chain(&chain, job, certauto__job_error_of(job)) < 0 ||
		certauto__nsx_put_certificate(job, x, certauto__buffer_text(&chain)) < 0)
		verdict = CERTAUTO__FAILED;
	certauto__buffer_free(&chain);
	return verdict;
}

/* A chain comes back as one object or as several, in any order: ours has the leaf and the key. */
static int import_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	char print[65];
	int rc;

	if (row[CERT_ID] == NULL || row[CERT_PEM] == NULL ||
		certauto__text_equal(row[CERT_KEY], "false"))
		return 0;
	rc = certauto__nsx_print(print, NULL, row[CERT_PEM]);
	if (rc > 0 && certauto__fact_is(job, "leaf", print))
		certauto__fact_set(job, "id", row[CERT_ID]);
	return rc < 0 ? rc : 0;
}

/* What the managers say when the certificate does not suit them is not always the reason. */
static certauto__verdict import_refused(certauto_job *job, const certauto__exchange *x)
{
	certauto_error error = {0};
	char doing[CERTAUTO__NSX_NAME + 64];

	snprintf(doing, sizeof(doing), "importing the certificate \"%s\"", own_name(job));
	certauto__nsx_tell(&error, x, deployment_of(job)->target, own_name(job), doing);
	if (certauto_error_advice(&error) == NULL)
		certauto__error_advise(&error,
			"the managers want a chain in order up to its root, a leaf with CA:FALSE "
			"and its key; a missing basicConstraints is told as a key that does not "
			"match");
	return certauto__fail_with(job, &error);
}

certauto__verdict certauto__nsx_import_read(certauto_job *job, certauto__exchange *x)
{
	int rc;

	if (certauto__nsx_is_no(x)) {
		if (certauto__fact_own(job, ".import") != NULL ||
			(x->status != 400 && x->status != 409))
			return import_refused(job, x);
		certauto__fact_set(job, ".import", "look");
		return certauto__again(job, 0);
	}
	certauto__fact_set(job, "id", NULL);
	rc = certauto__nsx_list_read(job, x, import_row, job, certauto__job_error_of(job));
	if (rc < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, "id") != NULL) {
		certauto__fact_set(job, ".cursor", NULL);
		certauto__save_now(job);
		certauto__progress(job, own_name(job), "%s: imported as %s (id %s)",
			deployment_of(job)->target->label, own_name(job),
			certauto__fact_own(job, "id"));
		return CERTAUTO__NEXT;
	}
	if (is_looking(job)) {
		if (rc == 0)
			certauto__fact_set(job, ".import", "again");
		return certauto__again(job, 0);
	}
	return certauto__nsx_stop(job, CERTAUTO_EPROTO, own_name(job), NULL,
		"the managers have not said under which id they have imported the certificate");
}

/* By name: which ids an import has given is not known if its answer never came, and with the leaf
 * there may be certificates of CAs. One time all pages are looked through, the next times what was
 * found is removed. */
static int back_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;

	if (row[CERT_ID] != NULL && certauto__text_equal(row[CERT_NAME], own_name(job)) &&
		row[CERT_TYPES] == NULL)
		certauto__device_list_add(job, ".back", row[CERT_ID]);
	return 0;
}

static int back_at(char id[CERTAUTO__NSX_ID], certauto_job *job)
{
	return certauto__nsx_value(id, CERTAUTO__NSX_ID, certauto__fact_own(job, ".back"),
		(int)certauto__fact_number(job, ".back.at", 0));
}

certauto__verdict certauto__nsx_import_undo(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__NSX_ID];

	if (own_name(job) == NULL)
		return CERTAUTO__NEXT;
	certauto__nsx_trust(job, certauto__fact_own(job, "pins"));
	if (certauto__step_attempts(job) == 1) {
		certauto__fact_set(job, ".cursor", NULL);
		certauto__fact_set(job, ".back", NULL);
		certauto__fact_set(job, ".back.at", NULL);
	}
	if (certauto__fact_own(job, ".back.at") == NULL)
		return certauto__nsx_list(job, x);
	if (!back_at(id, job))
		return CERTAUTO__NEXT;
	return certauto__nsx_call_on(
		x, certauto__nsx_target(job), "DELETE", CERTAUTO__NSX_CERTIFICATES "/", id,
		"");
}

certauto__verdict certauto__nsx_import_undo_read(certauto_job *job, certauto__exchange *x)
{
	int rc;

	if (is_passing(x) && !certauto__nsx_is_in_use(x) && is_patient_back(job))
		return certauto__nsx_later(job, certauto__step_attempts(job));
	if (certauto__fact_own(job, ".back.at") == NULL) {
		if (certauto__nsx_is_no(x))
			return certauto__fail_with(job, &x->error);
		rc = certauto__nsx_list_read(
			job, x, back_row, job, certauto__job_error_of(job));
		if (rc == 0)
			certauto__fact_set_number(job, ".back.at", 0);
		return rc < 0 ? CERTAUTO__FAILED : certauto__again(job, 0);
	}
	if (!certauto__nsx_is_in_use(x) && certauto__nsx_gone(job, x) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	certauto__fact_set_number(job, ".back.at", certauto__fact_number(job, ".back.at", 0) + 1);
	certauto__fact_set(job, "id", NULL);
	return certauto__again(job, 0);
}

/* ---- validate ---- */

certauto__verdict certauto__nsx_validate_ask(certauto_job *job, certauto__exchange *x)
{
	if (!is_due(job) || certauto__planning(job))
		return CERTAUTO__NEXT;
	return certauto__nsx_call_on(
		x, deployment_of(job)->target, "GET", CERTAUTO__NSX_CERTIFICATES "/",
		certauto__fact_own(job, "id"), certauto__fact_own(job, ".plain") != NULL
			? "?action=validate" : "?action=validate&usage=SERVER");
}

static int validate_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	certauto__buffer words = CERTAUTO__BUFFER(VALIDATE_MAX),
		shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);

	words.secret = 1;
	certauto__buffer_printf(&words, "%.*s", VALIDATE_MAX, row[1] != NULL ? row[1] : "");
	certauto__rest_hide(&words, certauto__nsx_target(job));
	certauto__text_escape(&shown, certauto__buffer_text(&words), words.len);
	certauto__fact_set(job, ".status", row[0]);
	certauto__fact_set(job, ".words", certauto__buffer_text(&shown));
	certauto__buffer_free(&words);
	certauto__buffer_free(&shown);
	return 0;
}

static certauto__verdict validate_refused(certauto_job *job)
{
	int is_crl = certauto__fact_is(job, ".status", "CRL_NOT_READY");

	return certauto__nsx_stop(job, CERTAUTO_EREFUSED, own_name(job),
		is_crl ? "see that the managers reach the CRL distribution points of the chain; or "
			 "turn off crl_checking_enabled in their security settings"
		       : "see the words of the managers, and ca_signed_only, crl_checking_enabled "
			 "and eku_checking_enabled in their security settings",
		"the managers do not accept the certificate \"%s\": %.40s (\"%s\")", own_name(job),
		certauto__fact_own(job, ".status"), certauto__fact_own(job, ".words"));
}

/* A manager that knows no validation tells what it thinks when the certificate is applied. */
certauto__verdict certauto__nsx_validate_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"status", "error_message", NULL};
	int64_t patience = certauto__nsx_patience(job) / 2;

	if (certauto__nsx_is_missing(x) || x->status == 405)
		return CERTAUTO__NEXT;
	/* The first releases know of no usage. */
	if (x->status == 400 && certauto__fact_own(job, ".plain") == NULL) {
		certauto__fact_set(job, ".plain", "yes");
		return certauto__again(job, 0);
	}
	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused_at(
			job, x, own_name(job), "validating the certificate");
	certauto__fact_set(job, ".status", NULL);
	if (certauto__rest_object(
		    x, fields, validate_row, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".status") == NULL || certauto__fact_is(job, ".status", "OK"))
		return CERTAUTO__NEXT;
	if (certauto__fact_is(job, ".status", "CRL_NOT_READY") &&
		certauto__step_age_ms(job) < (patience < CRL_MS ? patience : CRL_MS)) {
		certauto__device_waiting(
			job, own_name(job), "the managers are fetching the CRLs of the chain");
		return certauto__nsx_later(job, certauto__step_attempts(job));
	}
	return validate_refused(job);
}

/* ---- the virtual IP, where there is none ---- */

certauto__verdict certauto__nsx_vip_ask(certauto_job *job, certauto__exchange *x)
{
	const char *vip = certauto__fact_own(job, "vip.set");

	if (certauto__fact_own(job, ".unset") == NULL || !is_due(job))
		return CERTAUTO__NEXT;
	certauto__nsx_touch(job);
	return certauto__nsx_call_on(x, deployment_of(job)->target, "POST",
		strchr(vip, ':') != NULL
			? "/api/v1/cluster/api-virtual-ip?action=set_virtual_ip&ip6_address="
			: "/api/v1/cluster/api-virtual-ip?action=set_virtual_ip&ip_address=",
		vip, "");
}

certauto__verdict certauto__nsx_vip_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused_at(
			job, x, certauto__fact_own(job, "vip.set"), "setting the virtual IP");
	return CERTAUTO__NEXT;
}

certauto__verdict certauto__nsx_vip_undo(certauto_job *job, certauto__exchange *x)
{
	const char *vip = certauto__fact_own(job, "vip.set");

	if (vip == NULL)
		return CERTAUTO__NEXT;
	certauto__nsx_trust(job, certauto__fact_own(job, "pins"));
	return certauto__nsx_call(x, certauto__nsx_target(job), "POST",
		strchr(vip, ':') != NULL ? "/api/v1/cluster/api-virtual-ip?action=clear_virtual_ip6"
				 : "/api/v1/cluster/api-virtual-ip?action=clear_virtual_ip");
}

certauto__verdict certauto__nsx_vip_undo_read(certauto_job *job, certauto__exchange *x)
{
	return is_passing(x) && is_patient_back(job)
		? certauto__nsx_later(job, certauto__step_attempts(job))
		: certauto__nsx_gone(job, x);
}

/* ---- apply: a repetition is one endpoint, and has phases ----
 *
 *	door	where we talk to is there again, after a restart
 *	apply	the call
 *	leaf	the endpoint presents the new certificate
 *	health	and its API is there
 *
 * On the way back: look, what is presented; apply; leaf, the new one is not presented any more. */

static void phase_set(certauto_job *job, const char *phase)
{
	certauto__fact_set(job, ".phase", phase);
	certauto__fact_set_number(job, ".phase.at", certauto__step_age_ms(job));
	certauto__fact_set_number(job, ".phase.n", 0);
}

static int phase_is(const certauto_job *job, const char *phase)
{
	return certauto__fact_is(job, ".phase", phase);
}

static int64_t phase_ms(const certauto_job *job)
{
	return certauto__step_age_ms(job) - certauto__fact_number(job, ".phase.at", 0);
}

static certauto__verdict phase_next(certauto_job *job, const char *phase)
{
	phase_set(job, phase);
	return certauto__again(job, 0);
}

static certauto__verdict phase_again(certauto_job *job)
{
	int64_t n = certauto__fact_number(job, ".phase.n", 0) + 1;

	certauto__fact_set_number(job, ".phase.n", n);
	return certauto__nsx_later(job, n);
}

static const char *label_of(const certauto_job *job)
{
	return certauto__fact_nth(job, "label", certauto__index(job));
}

static certauto__verdict apply_call(certauto_job *job, certauto__exchange *x, const char *id)
{
	const certauto_target *target = certauto__nsx_target(job);
	int i = certauto__index(job), is_vip = certauto__nsx_is_vip(job, i);
	const char *node = certauto__fact_nth(job, "node", i);
	certauto__buffer at = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	int is_legacy = certauto__fact_is(job, "legacy", "yes");
	certauto__verdict verdict;

	/* The node's id: in front of the certificate's, or behind it. */
	certauto__buffer_text_add(&at, is_legacy ? "/api/v1/cluster/"
		: is_vip ? "?action=apply_certificate&service_type=MGMT_CLUSTER"
			 : "?action=apply_certificate&service_type=API&node_id=");
	if (!is_vip && node != NULL)
		certauto__rest_segment(&at, node);
	if (is_legacy)
		certauto__buffer_text_add(&at, is_vip
			? "api-certificate?action=set_cluster_certificate&certificate_id="
			: "/node/services/http?action=apply_certificate&certificate_id=");
	if (is_legacy)
		verdict = certauto__nsx_call_on(
			x, target, "POST", certauto__buffer_text(&at), id, "");
	else
		verdict = certauto__nsx_call_on(x, target, "POST", CERTAUTO__NSX_CERTIFICATES "/",
			id, certauto__buffer_text(&at));
	if (at.rc < 0)
		x->body.rc = at.rc; /* stops the sending */
	certauto__buffer_free(&at);
	return verdict;
}

/* Where the option url leads. */
static certauto__verdict door_call(certauto_job *job, certauto__exchange *x)
{
	const char *url = certauto__option_text(certauto__nsx_target(job), "url");
	certauto__buffer at = CERTAUTO__BUFFER(512);

	if (certauto__url_peer(url, &at, NULL) == 0)
		certauto__fact_set(job, ".door", certauto__buffer_text(&at));
	certauto__buffer_free(&at);
	return certauto__nsx_look(job, x, certauto__fact_own(job, ".door"));
}

certauto__verdict certauto__nsx_apply_ask(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (certauto__fact_nth(job, ".due", i) == NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1) {
		certauto__nsx_touch(job);
		certauto__fact_set(job, "legacy", certauto__nsx_is_legacy(job) ? "yes" : "no");
		phase_set(job, certauto__fact_own(job, ".restarted") != NULL ? "door" : "apply");
	}
	if (certauto__planning(job))
		return apply_call(job, x, certauto__fact_own(job, "id"));
	if (phase_is(job, "apply")) {
		certauto__nsx_trust(job, certauto__fact_own(job, "pins"));
		certauto__fact_nth_set(job, "sent", i, "yes");
		return apply_call(job, x, certauto__fact_own(job, "id"));
	}
	if (phase_is(job, "door"))
		return door_call(job, x);
	if (phase_is(job, "leaf"))
		return certauto__nsx_look(job, x, certauto__fact_nth(job, "at", i));
	return certauto__nsx_call_at(x, certauto__nsx_target(job), "GET",
		certauto__fact_nth(job, "at", i), "/api/v1/reverse-proxy/node/health");
}

static certauto__verdict apply_failed(certauto_job *job, const certauto__exchange *x)
{
	certauto__buffer state = CERTAUTO__BUFFER(8192);
	char doing[512];
	certauto_error error = {0};

	snprintf(doing, sizeof(doing), "applying the certificate at %.200s", label_of(job));
	certauto__nsx_tell(&error, x, deployment_of(job)->target, label_of(job), doing);
	certauto__buffer_text_add(&state, "at that moment: ");
	certauto__nsx_state(&state, job);
	certauto__error_add_subproblem(
		&error, label_of(job), NULL, certauto__buffer_text(&state));
	certauto__buffer_free(&state);
	return certauto__fail_with(job, &error);
}

static certauto__verdict applied(certauto_job *job, const certauto__exchange *x)
{
	if (x->rc == 0 && x->status >= 300 && x->status < 500) /* a no */
		certauto__fact_nth_set(job, "sent", certauto__index(job), NULL);
	if (x->rc == 0 && x->status < 300) {
		certauto__fact_set(job, ".restarted", "yes");
		certauto__fact_set(job, ".unsure", NULL);
		return phase_next(job, "leaf");
	}
	if (!is_passing(x) || !is_patient(job))
		return apply_failed(job, x);
	certauto__fact_set(job, ".restarted", "yes");
	if (x->rc == 0)
		return phase_again(job);
	certauto__fact_set(job, ".unsure", "yes");
	return phase_next(job, "leaf");
}

static certauto__verdict leaf_failed(certauto_job *job, const certauto__exchange *x,
	const char *seen)
{
	int i = certauto__index(job);
	certauto__buffer state = CERTAUTO__BUFFER(8192);
	certauto__verdict verdict;
	const char *why = x->rc < 0 ? certauto_error_message(&x->error) : seen;

	certauto__nsx_state(&state, job);
	verdict = certauto__nsx_stop(job, x->rc < 0 ? CERTAUTO_ENET : CERTAUTO_ENOTSERVED,
		label_of(job), "see how the node is, and run it again",
		"%s does not present the new certificate at %s: %s (at that moment: %s)",
		label_of(job),
		certauto__fact_nth(job, "at", i), why, certauto__buffer_text(&state));
	certauto__buffer_free(&state);
	return verdict;
}

/* An apply that was not answered, and had no effect, is asked for once more. */
static certauto__verdict leaf_read(certauto_job *job, const certauto__exchange *x)
{
	int i = certauto__index(job), is_seen;
	char seen[65] = "", text[256];

	is_seen = certauto__nsx_seen(seen, x);
	certauto__fact_nth_set(job, ".seen", i, is_seen ? seen : NULL);
	if (is_seen && certauto__fact_is(job, "leaf", seen)) {
		certauto__fact_nth_set(job, "sent", i, NULL);
		return phase_next(job, "health");
	}
	if (!is_patient(job))
		return leaf_failed(job, x, seen);
	if (is_seen && certauto__fact_own(job, ".unsure") != NULL &&
		phase_ms(job) >= certauto__nsx_patience(job) / 8)
		return phase_next(job, "door");
	snprintf(text, sizeof(text), "%.200s restarts with its new certificate", label_of(job));
	certauto__device_waiting(job, label_of(job), text);
	return phase_again(job);
}

/* Not all accounts, nor all releases, have a call for it: then the handshake is enough. */
static certauto__verdict health_read(certauto_job *job, const certauto__exchange *x)
{
	if (x->rc == 0 && x->status < 500 && x->status != 429)
		return CERTAUTO__NEXT;
	return is_patient(job) && is_passing(x) ? phase_again(job) : apply_failed(job, x);
}

certauto__verdict certauto__nsx_apply_read(certauto_job *job, certauto__exchange *x)
{
	char seen[65];

	if (phase_is(job, "apply"))
		return applied(job, x);
	if (phase_is(job, "leaf"))
		return leaf_read(job, x);
	if (phase_is(job, "health"))
		return health_read(job, x);
	/* If nobody comes to the door, the call will say why. */
	return certauto__nsx_seen(seen, x) || !is_patient(job) ? phase_next(job, "apply")
							       : phase_again(job);
}

/* ---- the way back ---- */

certauto__verdict certauto__nsx_apply_undo(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (certauto__fact_nth(job, "node", i) == NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1)
		phase_set(job, "look");
	if (!phase_is(job, "apply"))
		return certauto__nsx_look(job, x, certauto__fact_nth(job, "at", i));
	certauto__nsx_trust(job, certauto__fact_own(job, "pins"));
	return apply_call(job, x, certauto__fact_nth(job, "old", i));
}

static certauto__verdict back_failed(certauto_job *job, const certauto__exchange *x,
	const char *why)
{
	certauto__buffer state = CERTAUTO__BUFFER(8192);
	certauto__verdict verdict;

	if (x->rc < 0)
		certauto__fact_set(job, ".dead", "yes");
	certauto__nsx_state(&state, job);
	verdict = certauto__nsx_stop(job, CERTAUTO_EROLLBACK, label_of(job),
		"see how the node is, and run it again",
		"%s may still present the new certificate: %s (%s)", label_of(job),
		why != NULL ? why : x->error.message != NULL
			? certauto__device_unsigned(&x->error, certauto__nsx_target(job))
			: "no answer",
		certauto__buffer_text(&state));
	certauto__buffer_free(&state);
	return verdict;
}

/* 1: nothing is to be taken back at endpoint i, which presents that. What is neither of before nor
 * of ours is somebody else's. One that was told to change may be about to. */
static int is_back(const certauto_job *job, int i, const char *seen)
{
	if (certauto__text_equal(certauto__fact_nth(job, "was", i), seen))
		return certauto__fact_nth(job, "sent", i) == NULL || phase_is(job, "leaf") ||
			certauto__fact_nth(job, "old", i) == NULL;
	return !certauto__fact_is(job, "leaf", seen);
}

/* A VIP that was given its address by us loses it again. */
static int has_no_way(const certauto_job *job, int i)
{
	return certauto__fact_nth(job, "old", i) == NULL && certauto__nsx_is_vip(job, i) &&
		certauto__fact_own(job, "vip.set") != NULL;
}

static certauto__verdict back_looked(certauto_job *job, const certauto__exchange *x)
{
	int i = certauto__index(job), is_seen;
	char seen[65];

	is_seen = certauto__nsx_seen(seen, x);
	certauto__fact_nth_set(job, ".seen", i, is_seen ? seen : NULL);
	if (is_seen)
		certauto__fact_set(job, ".dead", NULL);
	if ((is_seen && is_back(job, i, seen)) || has_no_way(job, i))
		return CERTAUTO__NEXT;
	if (phase_ms(job) < UNSURE_MS && !is_seen)
		return phase_again(job);
	if (phase_is(job, "leaf"))
		return is_patient_back(job) ? phase_again(job) : back_failed(job, x, NULL);
	if (certauto__fact_nth(job, "old", i) == NULL)
		return back_failed(
			job, x, "what it presented before is not among the managers' certificates");
	return phase_next(job, "apply");
}

certauto__verdict certauto__nsx_apply_undo_read(certauto_job *job, certauto__exchange *x)
{
	if (!phase_is(job, "apply"))
		return back_looked(job, x);
	if (x->rc == 0 && x->status < 300)
		return phase_next(job, "leaf");
	if (is_passing(x) && is_patient_back(job))
		return x->rc < 0 ? phase_next(job, "look") : phase_again(job);
	return back_failed(job, x, NULL);
}
