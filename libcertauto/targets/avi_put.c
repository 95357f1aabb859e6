/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate's object on an Avi controller: made, or written whole with another certificate in
 * it; and the way back, as it was before. */

#include "targets/avi_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "crypto/pem.h"

#define RESTORE_LIFE_S (24 * 3600) /* an old certificate that soon expires is not put back */
#define PART 60000                 /* of an object in one fact */
#define OBJECT_MAX ((size_t)4 << 20)

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const struct certauto__cert_info *leaf_of(const certauto_job *job)
{
	return certauto__certs_info(deployment_of(job)->chain, 0);
}

static const char *own_name(const certauto_job *job)
{
	return certauto__fact_own(job, "certificate");
}

/* ---- objects written as they were read ---- */

/* An object may be longer than a fact. */
void certauto__avi_keep(certauto_job *job, const certauto__exchange *x)
{
	size_t len;
	const char *object = certauto__exchange_answer(x, &len);
	int i;

	for (i = 0; len > 0; i++) {
		size_t part = len < PART ? len : PART;
		char name[32];

		snprintf(name, sizeof(name), ".object.%d", i);
		certauto__fact_printf(job, name, "%.*s", (int)part, object);
		object += part;
		len -= part;
	}
	for (; certauto__fact_nth(job, ".object", i) != NULL; i++)
		certauto__fact_nth_set(job, ".object", i, NULL);
}

int certauto__avi_kept(certauto__exchange *x, certauto_job *job,
	const struct certauto__rest_edit *edits, size_t n_edits)
{
	certauto__buffer object = CERTAUTO__BUFFER(OBJECT_MAX);
	certauto_error *err = certauto__job_error_of(job);
	const char *part;
	int i, rc;

	for (i = 0; (part = certauto__fact_nth(job, ".object", i)) != NULL; i++)
		certauto__buffer_text_add(&object, part);
	if ((rc = object.rc) < 0)
		certauto__error_nomem(err);
	else
		rc = certauto__rest_edit(&x->body, certauto__buffer_text(&object), object.len,
			edits, n_edits, err);
	certauto__buffer_free(&object);
	return rc;
}

/* ---- put ---- */

/* The key as a JSON text. */
static int key_json(certauto__buffer *out, const certauto__pkey *key, certauto_error *err)
{
	certauto__secret *pem = NULL;
	certauto__json w;
	int rc;

	out->secret = 1;
	if ((rc = certauto__pkey_format(&pem, key, err)) == 0) {
		certauto__json_start(&w, out, 0);
		certauto__json_text_len(&w, certauto__secret_text(pem), certauto__secret_len(pem));
		if ((rc = out->rc) < 0)
			certauto__error_nomem(err);
	}
	certauto__secret_free(pem);
	return rc;
}

static certauto__verdict put_new(certauto_job *job, certauto__exchange *x,
	const certauto__buffer *key, const certauto__buffer *cas)
{
	certauto__verdict verdict = certauto__avi_call(x, deployment_of(job)->target, "POST",
		CERTAUTO__AVI_CERT, NULL, NULL);
	certauto__json w;

	x->body.secret = 1;
	certauto__avi_body(&w, x);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "name", own_name(job));
	certauto__json_put_text(&w, "type", "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE");
	certauto__json_key(&w, "key");
	certauto__json_raw(&w, certauto__buffer_text(key));
	certauto__avi_put_pem(&w, leaf_of(job));
	if (cas->len > 0) {
		certauto__json_key(&w, "ca_certs");
		certauto__json_raw(&w, cas->data);
	}
	certauto__json_object_end(&w);
	return verdict;
}

/* The whole object as it was read, with another certificate. What was told of the key is not true
 * of a new one; without one the controller's own stays. */
static certauto__verdict put_over(certauto_job *job, certauto__exchange *x,
	const certauto__buffer *key, const certauto__buffer *pem, const certauto__buffer *cas)
{
	const struct certauto__rest_edit edits[] = {
		{"certificate.certificate", certauto__buffer_text(pem)},
		{"ca_certs", cas->len > 0 ? cas->data : NULL},
		{"key", key->data},
		{"key_params", NULL},
		{"key_passphrase", NULL},
	};
	certauto__verdict verdict = certauto__avi_call(x, certauto__avi_target(job), "PUT",
		CERTAUTO__AVI_CERT, certauto__fact_own(job, ".uuid"), NULL);

	x->body.secret = 1;
	if (certauto__avi_kept(x, job, edits, key->len > 0 ? 5 : 2) < 0)
		return CERTAUTO__FAILED;
	return verdict;
}

/* certificate: PEM; key NULL: the object's own stays. */
static certauto__verdict put_send(certauto_job *job, certauto__exchange *x, const char *certificate,
	const certauto__pkey *key, const char *ca)
{
	certauto__buffer key_text = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2),
			 pem = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2),
			 cas = CERTAUTO__BUFFER(64 * 1024);
	certauto__verdict verdict = CERTAUTO__FAILED;
	certauto_error *err = certauto__job_error_of(job);
	certauto__json w;

	if (ca != NULL)
		certauto__avi_put_cas(&cas, ca);
	certauto__json_start(&w, &pem, 0);
	certauto__json_text(&w, certificate);
	if (pem.rc < 0 || cas.rc < 0)
		certauto__error_nomem(err);
	else if (key != NULL && key_json(&key_text, key, err) < 0)
		;
	else if (certauto__fact_own(job, ".uuid") == NULL)
		verdict = put_new(job, x, &key_text, &cas);
	else
		verdict = put_over(job, x, &key_text, &pem, &cas);
	certauto__buffer_free(&key_text);
	certauto__buffer_free(&pem);
	certauto__buffer_free(&cas);
	return verdict;
}

certauto__verdict certauto__avi_put_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__cert_info *leaf = leaf_of(job);
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2);
	certauto__verdict verdict = CERTAUTO__FAILED;
	char ca[CERTAUTO__AVI_UUID];

	if (certauto__avi_is_stored(job))
		return CERTAUTO__NEXT;
	certauto__avi_touch(job);
	certauto__avi_node(ca, job, 1);
	if (certauto__pem_add(&pem, "CERTIFICATE", leaf->der, leaf->der_len) < 0)
		certauto__error_nomem(certauto__job_error_of(job));
	else
		verdict = put_send(job, x, pem.data, deployment_of(job)->key,
			ca[0] != '\0' ? ca : NULL);
	certauto__buffer_free(&pem);
	return verdict;
}

/* That it has changed, is there already, or no more: an earlier attempt whose answer was lost, or
 * somebody else. */
certauto__verdict certauto__avi_put_read(certauto_job *job, certauto__exchange *x)
{
	int is_put = certauto__text_equal(x->method, "PUT");
	const char *doing = is_put ? "updating the certificate" : "creating the certificate";

	if (certauto__avi_is_stale(x) || certauto__avi_is_taken(x) || (is_put && x->status == 404))
		return certauto__avi_look_again(job, x, own_name(job), doing);
	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(job, x, own_name(job), doing);
	if (is_put)
		return CERTAUTO__NEXT;
	if (certauto__avi_look(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".uuid") == NULL)
		return certauto__avi_look_again(job, x, own_name(job), doing);
	certauto__fact_set(job, "uuid", certauto__fact_own(job, ".uuid"));
	return CERTAUTO__NEXT;
}

/* ---- the way back of it ---- */

/* Why there is none; NULL: there is one. A key that the controller has made is there still. */
static const char *why_forward(const certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	const char *pem = certauto__fact_own(job, "old.pem");
	certauto__certs *certs = NULL;
	int64_t not_after;

	if (strcmp(deployment->key_type, "csr") != 0 &&
		(deployment->former_key == NULL ||
			!certauto__fact_is(job, "old.print", deployment->former)))
		return "has a key that only the controller had";
	if (pem == NULL || certauto__certs_parse(&certs, pem, strlen(pem), 0, NULL) < 0)
		return "is not told by it";
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
	char prints[2 * CERTAUTO__AVI_PRINT] = "";

	certauto__fact_set(job, "stays", "yes");
	if (deployment->chain != NULL)
		certauto__avi_prints(prints, leaf_of(job));
	if (!certauto__fact_is(job, "new", prints))
		return CERTAUTO__NEXT;
	certauto__error_clear(&x->error);
	certauto__error_set(&x->error, CERTAUTO_EROLLBACK, own_name(job),
		"the controller keeps the new certificate in \"%s\": the old one %s", own_name(job),
		why);
	return CERTAUTO__FAILED;
}

/* Every other time it looks; the other times it does what it has found then. */
certauto__verdict certauto__avi_put_undo(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "stays") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) % 2 == 1)
		return certauto__avi_get_certificate(job, x);
	if (certauto__fact_is(job, "old", "absent"))
		return certauto__avi_call(x, certauto__avi_target(job), "DELETE",
			CERTAUTO__AVI_CERT, certauto__fact_own(job, ".uuid"), NULL);
	return put_send(job, x, certauto__fact_own(job, "old.pem"), deployment_of(job)->former_key,
		certauto__fact_own(job, "old.ca"));
}

/* Only what is ours is taken back; where the certificate is the same as before, a link was mended:
 * that stays. */
static certauto__verdict put_undo_looked(certauto_job *job, certauto__exchange *x)
{
	const char *why;

	if (certauto__avi_is_no(x) || certauto__avi_look(job, x, &x->error) < 0)
		return CERTAUTO__FAILED;
	if (!certauto__avi_is_new(job) || certauto__avi_listed(certauto__fact_own(job, "new"),
				    certauto__fact_own(job, "old.print")))
		return CERTAUTO__NEXT;
	if (!certauto__fact_is(job, "old", "absent") && (why = why_forward(job)) != NULL)
		return stay_forward(job, x, why);
	return certauto__again(job, 0);
}

certauto__verdict certauto__avi_put_undo_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__step_attempts(job) % 2 == 1)
		return put_undo_looked(job, x);
	if (certauto__avi_is_stale(x) && certauto__step_attempts(job) < CERTAUTO__AVI_LOOKS)
		return certauto__again(job, 0);
	return certauto__avi_gone(job, x);
}

