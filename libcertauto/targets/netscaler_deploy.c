/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate onto a NetScaler: looked at, its files stored under new names, the certificate-key
 * pair made from them or given them in place, which keeps its bindings; linked, bound, read back,
 * proved on the wire. Nothing is saved here, and no old file removed: netscaler_finish.c does both,
 * so that until then a reboot brings the old state back. */

#include "targets/netscaler_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "crypto/csr.h"
#include "crypto/pem.h"

#define REQUESTS_MAX 64 /* of signing requests, which are asked for one by one */

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const struct certauto__cert_info *leaf_of(const certauto_job *job)
{
	return certauto__certs_info(deployment_of(job)->chain, 0);
}

/* ---- facts ---- */

void certauto__netscaler_touch(certauto_job *job, int objects)
{
	certauto__fact_set(job, "wrote", "yes");
	if (objects)
		certauto__fact_set(job, "switch", "begun");
}

const char *certauto__netscaler_base(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	return slash != NULL ? slash + 1 : path;
}

int certauto__netscaler_is_no(const certauto__exchange *x)
{
	return x->rc < 0 || certauto__netscaler_code(x) != 0 || x->status >= 400;
}

certauto__verdict certauto__netscaler_refuse(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	char text[CERTAUTO__NS_NAME + 128];

	snprintf(text, sizeof(text), "%.100s %s", doing, object);
	return certauto__netscaler_refused(job, x, object, text);
}

const char *certauto__netscaler_shown(char out[CERTAUTO__NS_SHOWN], const char *text)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);

	if (text == NULL)
		text = "unknown";
	certauto__text_escape(&shown, text, strlen(text));
	snprintf(out, CERTAUTO__NS_SHOWN, "%s", certauto__buffer_text(&shown));
	certauto__buffer_free(&shown);
	return out;
}

/* ---- observe ---- */

/* Of an encrypted key the digest begins with a mark in the place of a digit: the same key in the
 * clear is another file. */
static void key_digest(char out[16], const certauto_job *job)
{
	snprintf(out, 16, "%s%.12s",
		certauto__option_flag(deployment_of(job)->target, "encrypt_key") ? "e" : "",
		leaf_of(job)->fingerprint);
}

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	char certkey[CERTAUTO__NS_NAME], file[CERTAUTO__NS_FILE];

	certauto__netscaler_certkey(certkey, deployment);
	/* Configured otherwise since the run was killed whose facts these are: what was noted is of
	 * another pair. */
	if (!certauto__fact_is(job, "certkey", certkey))
		certauto__fact_set(job, "switch", NULL);
	certauto__fact_set(job, "certkey", certkey);
	certauto__fact_nth_set(job, "node", 0, certkey);
	certauto__netscaler_file(file, certkey, leaf_of(job)->fingerprint, "crt");
	certauto__fact_set(job, "crt", file);
	certauto__fact_set(job, "stays", NULL);
	certauto__fact_set_number(job, "n.ca", certauto__netscaler_n_ca(deployment->chain));
	return certauto__netscaler_get(x, deployment->target, "sslcertkey", NULL,
		"attrs=certkey,cert,key,linkcertkeyname,serial,subject,issuer,inform,"
		"daystoexpiration,status");
}

static certauto__verdict refuse_taken(certauto_job *job)
{
	const char *certkey = certauto__fact_own(job, "certkey"),
		   *label = deployment_of(job)->target->label;
	char shown[CERTAUTO__NS_SHOWN];
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EREFUSED, certkey,
		"%s: the certkey name %s is taken by something else: its file %s is none of "
		"certauto's",
		label, certkey,
		certauto__netscaler_shown(shown, certauto__fact_own(job, "old.cert")));
	certauto__error_advise(&error,
		"if certauto is to renew that one from now on, set the option certkey of target "
		"\"%s\" to %s; otherwise choose another prefix",
		label, certkey);
	return certauto__fail_with(job, &error);
}

/* The name of the key's file; one that the device has made is called as it called it. */
static void observe_key(certauto_job *job)
{
	char file[CERTAUTO__NS_FILE], digest[16];

	if (deployment_of(job)->key != NULL) {
		key_digest(digest, job);
		certauto__netscaler_file(file, certauto__fact_own(job, "certkey"), digest, "key");
		certauto__fact_set(job, "key", file);
	} else if (certauto__fact_is(job, "crt", certauto__fact_own(job, ".cert"))) {
		certauto__fact_set(job, "key", certauto__fact_own(job, ".key"));
	}
}

static int is_stored(const certauto_job *job)
{
	const char *serial = certauto__fact_own(job, ".serial");

	return certauto__fact_nth(job, ".have", 0) != NULL &&
		certauto__fact_is(job, "crt", certauto__fact_own(job, ".cert")) &&
		certauto__fact_is(job, "key", certauto__fact_own(job, ".key")) &&
		(serial == NULL || certauto__netscaler_is_serial(serial, leaf_of(job)->serial));
}

static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	const char *cert;

	if (certauto__netscaler_is_no(x))
		return certauto__netscaler_refused(job, x, deployment->target->label,
			"listing the certkeys");
	certauto__fact_set(job, ".cert", NULL);
	certauto__fact_set(job, ".key", NULL);
	certauto__fact_set(job, ".serial", NULL);
	if (certauto__netscaler_chain_observe(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	certauto__netscaler_node_note(job);
	cert = certauto__fact_own(job, ".cert");
	if (cert != NULL && !certauto__option_is_set(deployment->target, "certkey") &&
		!certauto__netscaler_is_own_file(cert, certauto__fact_own(job, "certkey")))
		return refuse_taken(job);
	observe_key(job);
	return CERTAUTO__NEXT;
}

/* ---- a key that the device has made: its request tells which file it is in ---- */

static certauto__verdict requests_ask(certauto_job *job, certauto__exchange *x)
{
	if (deployment_of(job)->key != NULL || is_stored(job))
		return CERTAUTO__NEXT;
	certauto__fact_set_number(job, ".n.request", 0);
	certauto__fact_set_number(job, ".n.own", 0);
	return certauto__netscaler_file_list(x, deployment_of(job)->target);
}

/* Named as those of the certificate-key pair they come first, before those that were made with the
 * prefix under another name: of that prefix others may have made more than are looked at. */
static int requests_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	const char *prefix = certauto__option_text(deployment_of(job)->target, "prefix"),
		   *dot = row[0] != NULL ? strrchr(row[0], '.') : NULL, *former;
	int n = (int)certauto__fact_number(job, ".n.request", 0),
	    n_own = (int)certauto__fact_number(job, ".n.own", 0), at = n;

	if (dot == NULL || strcmp(dot, ".csr") != 0)
		return 0;
	if (certauto__netscaler_is_own_file(row[0], certauto__fact_own(job, "certkey"))) {
		if ((at = n_own) == REQUESTS_MAX)
			return 0;
		former = certauto__fact_nth(job, ".request", at);
		if (n < REQUESTS_MAX && former != NULL)
			certauto__fact_nth_set(job, ".request", n, former);
		certauto__fact_set_number(job, ".n.own", n_own + 1);
	} else if (n == REQUESTS_MAX || !certauto__text_starts(row[0], prefix) ||
		row[0][strlen(prefix)] != '-') {
		return 0;
	}
	certauto__fact_nth_set(job, ".request", at, row[0]);
	certauto__fact_set_number(job, ".n.request", n < REQUESTS_MAX ? n + 1 : n);
	return 0;
}

static certauto__verdict requests_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"filename", NULL};

	if (certauto__netscaler_rows(x, "systemfile", fields, requests_row, job,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

static int request_each(certauto_job *job)
{
	return (int)certauto__fact_number(job, ".n.request", 0);
}

static certauto__verdict request_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "key") != NULL)
		return CERTAUTO__NEXT;
	return certauto__netscaler_file_get(x, deployment_of(job)->target,
		certauto__fact_nth(job, ".request", certauto__index(job)));
}

/* What is no request, or has gone in the meantime, is not the one. */
static certauto__verdict request_read(certauto_job *job, certauto__exchange *x)
{
	const char *name = certauto__fact_nth(job, ".request", certauto__index(job));
	certauto__buffer content = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	certauto__req *req = NULL;

	if (certauto__netscaler_file_content(&content, x) == 0 &&
		certauto__req_parse(&req, content.data, content.len, NULL) == 0 &&
		certauto__certs_has_spki(deployment_of(job)->chain, req->spki.data, req->spki.len))
		certauto__fact_printf(job, "key", "%.*skey",
			(int)(strrchr(name, '.') + 1 - name), name);
	certauto__req_free(req);
	certauto__buffer_free(&content);
	return CERTAUTO__NEXT;
}

/* ---- ready: everything on our side that would stop us later ---- */

static certauto__verdict fail_key(certauto_job *job, int code, const char *why, const char *advice)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto_error error = {0};

	certauto__error_set(&error, code, deployment->name, "%s: the private key of \"%s\" %s",
		deployment->target->label, deployment->name, why);
	certauto__error_advise(&error, "%s", advice);
	return certauto__fail_with(job, &error);
}

static certauto__verdict ready_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	(void)x;
	if (deployment->n_keys > 1 && certauto__option_is_set(deployment->target, "certkey"))
		return certauto__fail(job, CERTAUTO_ECONFIG, deployment->name,
			"%s: the option certkey names one pair, and \"%s\" has %d keys",
			deployment->target->label, deployment->name, deployment->n_keys);
	if (is_stored(job))
		return CERTAUTO__NEXT;
	if (deployment->key == NULL && certauto__fact_own(job, "key") == NULL)
		return fail_key(job, CERTAUTO_ENOTFOUND,
			"is not on the device: no request there has the certificate's key",
			"let the device make key and request (certauto csr --target) and issue the "
			"certificate for that request");
	if (deployment->key == NULL)
		return CERTAUTO__NEXT;
	if (certauto__pkey_is_signer(deployment->key))
		return fail_key(job, CERTAUTO_EUNSUPPORTED, "is kept elsewhere",
			"let certauto or the device make the key");
	if (certauto__target_may_take_key(deployment->target, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

/* ---- files: the key, the certificate, then those of missing intermediates ---- */

enum { FILE_KEY, FILE_CERT, FILE_CA };

static int files_each(certauto_job *job)
{
	return FILE_CA + (int)certauto__fact_number(job, "n.ca", 0);
}

/* NULL: there is none to be stored. */
static const char *file_name(char out[CERTAUTO__NS_NAME + 8], const certauto_job *job)
{
	int i = certauto__index(job), ca = i - FILE_CA + 1;
	const char *name = i == FILE_KEY ? certauto__fact_own(job, "key")
					 : certauto__fact_own(job, "crt");

	if (i >= FILE_CA)
		name = certauto__fact_nth(job, "make", ca);
	if (name == NULL)
		return NULL;
	snprintf(out, CERTAUTO__NS_NAME + 8, "%s%s", name, i >= FILE_CA ? ".crt" : "");
	return out;
}

static int is_file_due(const certauto_job *job)
{
	int i = certauto__index(job);

	if (i >= FILE_CA)
		return certauto__fact_nth(job, ".have", i - FILE_CA + 1) == NULL;
	return !is_stored(job) && (i == FILE_CERT || deployment_of(job)->key != NULL);
}

static int key_content(certauto__buffer *out, certauto__buffer *passphrase,
	const struct certauto__deployment *deployment, certauto_error *err)
{
	certauto__secret *pem = NULL;
	int rc;

	out->secret = 1;
	if (certauto__option_flag(deployment->target, "encrypt_key"))
		return certauto__pkey_format_encrypted(out, passphrase, deployment->key, err);
	if ((rc = certauto__pkey_format(&pem, deployment->key, err)) == 0 &&
		certauto__buffer_add(out, certauto__secret_data(pem), certauto__secret_len(pem)) <
			0)
		rc = certauto__error_nomem(err);
	certauto__secret_free(pem);
	return rc;
}

static int file_content(certauto__buffer *out, const certauto_job *job, certauto_error *err)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto__buffer passphrase = CERTAUTO__BUFFER(256);
	const struct certauto__cert_info *cert;
	int i = certauto__index(job), rc;

	if (i == FILE_KEY) {
		rc = key_content(out, &passphrase, deployment, err);
		certauto__buffer_free(&passphrase);
		return rc;
	}
	cert = certauto__certs_info(deployment->chain, (size_t)(i - FILE_CERT));
	if (certauto__pem_add(out, "CERTIFICATE", cert->der, cert->der_len) < 0)
		return certauto__error_nomem(err);
	return 0;
}

static certauto__verdict file_send(certauto_job *job, certauto__exchange *x, const char *name)
{
	certauto__buffer content = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2);
	certauto__verdict verdict = CERTAUTO__FAILED;

	if (file_content(&content, job, certauto__job_error_of(job)) == 0)
		verdict = certauto__netscaler_file_post(x, deployment_of(job)->target, name,
			&content);
	certauto__buffer_free(&content);
	return verdict;
}

/* Stored; if such a file is there, it is read: an earlier attempt may have had its answer lost. */
enum { FILE_STORE = 1, FILE_COMPARE };

static certauto__verdict files_ask(certauto_job *job, certauto__exchange *x)
{
	char buffer[CERTAUTO__NS_NAME + 8];
	const char *name = file_name(buffer, job);

	if (!is_file_due(job))
		return CERTAUTO__NEXT;
	certauto__netscaler_touch(job, 0);
	certauto__fact_nth_set(job, "foreign", certauto__index(job), NULL);
	if (certauto__step_attempts(job) == FILE_COMPARE)
		return certauto__netscaler_file_get(x, deployment_of(job)->target, name);
	return file_send(job, x, name);
}

/* 1: the file there is the wanted one. */
static int file_is_right(const certauto_job *job, const certauto__exchange *x)
{
	certauto__buffer have = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2),
			 want = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2);
	int is_right = 0;

	if (certauto__netscaler_file_content(&have, x) == 0 && file_content(&want, job, NULL) == 0)
		is_right = have.len == want.len && memcmp(have.data, want.data, want.len) == 0;
	certauto__buffer_free(&have);
	certauto__buffer_free(&want);
	return is_right;
}

/* What the device said is told when it is known that the file is somebody else's. */
static certauto__verdict file_exists(certauto_job *job, const certauto__exchange *x,
	const char *name)
{
	certauto_error error = {0};

	certauto__netscaler_tell(&error, x, deployment_of(job)->target, name, "storing the file");
	certauto__fact_set(job, ".refused", certauto_error_message(&error));
	certauto__error_clear(&error);
	return certauto__again(job, 0);
}

static certauto__verdict files_read(certauto_job *job, certauto__exchange *x)
{
	char buffer[CERTAUTO__NS_NAME + 8];
	const char *name = file_name(buffer, job);

	if (certauto__step_attempts(job) == FILE_COMPARE) {
		if (file_is_right(job, x))
			return CERTAUTO__NEXT;
		certauto__fact_nth_set(job, "foreign", certauto__index(job), "yes");
		return certauto__fail(job, CERTAUTO_EREFUSED, name,
			"%s: %s is there with another content, and is not overwritten",
			certauto__fact_own(job, ".refused"), name);
	}
	if (!certauto__netscaler_is_no(x))
		return CERTAUTO__NEXT;
	if (x->status == 409 || certauto__netscaler_code(x) == CERTAUTO__NS_EXISTS)
		return file_exists(job, x, name);
	return certauto__netscaler_refuse(job, x, name, "storing the file");
}

/* 1: the file is not to be removed: it is somebody else's, was in use before, or is for good. */
static int file_stays(const certauto_job *job, const char *name)
{
	int i = certauto__index(job);

	if (certauto__fact_own(job, "stays") != NULL ||
		certauto__fact_nth(job, "foreign", i) != NULL)
		return 1;
	if (i >= FILE_CA)
		return certauto__fact_nth(job, "kept", i - FILE_CA + 1) != NULL;
	return certauto__text_equal(
			certauto__netscaler_base(certauto__fact_own(job, "old.cert")), name) ||
		certauto__text_equal(
			certauto__netscaler_base(certauto__fact_own(job, "old.key")), name);
}

static certauto__verdict files_undo(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = deployment_of(job)->target;
	char buffer[CERTAUTO__NS_NAME + 8];
	const char *name = file_name(buffer, job);

	if (name == NULL || file_stays(job, name))
		return CERTAUTO__NEXT;
	if (certauto__netscaler_stuck(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	return certauto__step_attempts(job) == 1 ? certauto__netscaler_file_get(x, target, name)
						 : certauto__netscaler_file_delete(x, target, name);
}

/* Who may not store may not remove either, and need not. */
static certauto__verdict files_undo_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__step_attempts(job) > 1)
		return certauto__netscaler_gone(job, x);
	if (certauto__netscaler_code(x) == CERTAUTO__NS_NO_FILE ||
		(x->rc == 0 && x->status == 404))
		return CERTAUTO__NEXT;
	return certauto__again(job, 0);
}

/* ---- role: just before objects change ---- */

static certauto__verdict role_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "wrote") == NULL && !certauto__netscaler_bind_due(job) &&
		!certauto__netscaler_link_due(job))
		return CERTAUTO__NEXT;
	return certauto__netscaler_role_ask(job, x);
}

/* ---- put ---- */

enum { PUT_SEND = 1, PUT_LOOK };

static certauto__verdict put_send(certauto_job *job, certauto__exchange *x, int is_update)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2),
			 passphrase = CERTAUTO__BUFFER(256);
	const char *inform = certauto__fact_own(job, "old.inform");
	certauto__verdict verdict = CERTAUTO__FAILED;
	certauto__json w;

	passphrase.secret = 1;
	if (deployment->key != NULL &&
		key_content(&pem, &passphrase, deployment, certauto__job_error_of(job)) < 0)
		goto out;
	certauto__netscaler_certkey_begin(&w, x, deployment->target, is_update ? "update" : NULL,
		certauto__fact_own(job, "certkey"));
	x->body.secret = 1;
	certauto__netscaler_put_file(&w, deployment->target, "cert",
		certauto__fact_own(job, "crt"));
	certauto__netscaler_put_file(&w, deployment->target, "key",
		certauto__fact_own(job, "key"));
	if (is_update && inform != NULL && strcmp(inform, "PEM") != 0)
		certauto__json_put_text(&w, "inform", "PEM");
	certauto__netscaler_put_passphrase(&w, &passphrase);
	if (is_update && !certauto__option_flag(deployment->target, "domain_check"))
		certauto__json_put_bool(&w, "nodomaincheck", 1);
	verdict = certauto__netscaler_end(&w);
out:
	certauto__buffer_free(&pem);
	certauto__buffer_free(&passphrase);
	return verdict;
}

static certauto__verdict put_ask(certauto_job *job, certauto__exchange *x)
{
	const char *certkey = certauto__fact_own(job, "certkey");

	if (is_stored(job))
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == PUT_LOOK)
		return certauto__netscaler_get(x, deployment_of(job)->target, "sslcertkey", certkey,
			NULL);
	certauto__netscaler_touch(job, 1);
	return put_send(job, x, certauto__fact_nth(job, ".have", 0) != NULL);
}

/* It was absent a moment ago: what exists now is from an attempt whose answer was lost, or has just
 * been made by somebody else. */
static certauto__verdict put_read(certauto_job *job, certauto__exchange *x)
{
	const char *certkey = certauto__fact_own(job, "certkey");

	if (certauto__step_attempts(job) == PUT_LOOK) {
		if (certauto__netscaler_look(job, x, certauto__job_error_of(job)) < 0)
			return CERTAUTO__FAILED;
		if (certauto__fact_is(job, ".look.cert", certauto__fact_own(job, "crt")))
			return CERTAUTO__NEXT;
		return certauto__fail(job, CERTAUTO_EREFUSED, certkey,
			"%s: the certkey name %s has just been taken by something else",
			deployment_of(job)->target->label, certkey);
	}
	if (!certauto__netscaler_is_no(x))
		return CERTAUTO__NEXT;
	if (certauto__netscaler_code(x) == CERTAUTO__NS_EXISTS)
		return certauto__again(job, 0);
	return certauto__netscaler_refuse(job, x, certkey,
		certauto__fact_nth(job, ".have", 0) != NULL ? "updating the certkey"
								 : "adding the certkey");
}

/* ---- verify: what the device says it has now ---- */

static certauto__verdict verify_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "switch") == NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, deployment_of(job)->target, "sslcertkey",
		certauto__fact_own(job, "certkey"), NULL);
}

static certauto__verdict verify_read(certauto_job *job, certauto__exchange *x)
{
	const char *certkey = certauto__fact_own(job, "certkey"), *serial;
	char shown[CERTAUTO__NS_SHOWN];

	if (certauto__netscaler_moved(job))
		return certauto__goto(job, "observe");
	if (certauto__netscaler_look(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	serial = certauto__fact_own(job, ".look.serial");
	if (certauto__fact_own(job, ".look") == NULL ||
		!certauto__fact_is(job, ".look.cert", certauto__fact_own(job, "crt")) ||
		(serial != NULL && !certauto__netscaler_is_serial(serial, leaf_of(job)->serial)))
		return certauto__fail(job, CERTAUTO_EREFUSED, certkey,
			"%s: read back, the certkey %s is not the new certificate: serial %s "
			"instead of %s",
			deployment_of(job)->target->label, certkey,
			certauto__netscaler_shown(shown, serial), leaf_of(job)->serial);
	/* An update may drop the link: then it is made again. */
	if (!certauto__fact_is(job, ".look.link", certauto__fact_nth(job, "node", 1)))
		return certauto__goto(job, "observe");
	return CERTAUTO__NEXT;
}

/* ---- end: what the finish has to do ---- */

static int supersede(certauto_job *job, const char *file)
{
	char entry[512];

	if (file == NULL)
		return 0;
	snprintf(entry, sizeof(entry), "file:%s", file);
	return certauto__list_add_text(&deployment_of(job)->superseded, entry);
}

/* Of what others have made, the files are left where they are. */
static int supersede_old(certauto_job *job, const char *fact, const char *now)
{
	const char *file = certauto__netscaler_base(certauto__fact_own(job, fact));
	char request[CERTAUTO__NS_FILE];
	int rc;

	if (file == NULL || certauto__text_equal(file, now) ||
		!certauto__netscaler_is_own_file(file, certauto__fact_own(job, "certkey")))
		return 0;
	if ((rc = supersede(job, file)) < 0 || deployment_of(job)->key != NULL ||
		strcmp(fact, "old.key") != 0)
		return rc;
	snprintf(request, sizeof(request), "%.*scsr", (int)(strlen(file) - 3), file);
	return supersede(job, request);
}

/* The files of intermediates that were found under another name after all. */
static int supersede_cas(certauto_job *job)
{
	const char *make;
	char file[CERTAUTO__NS_NAME + 8];
	int i, rc = 0;

	for (i = 1; rc == 0 && i <= (int)certauto__fact_number(job, "n.ca", 0); i++) {
		make = certauto__fact_nth(job, "make", i);
		if (make == NULL ||
			certauto__text_equal(make, certauto__fact_nth(job, "node", i)))
			continue;
		snprintf(file, sizeof(file), "%s.crt", make);
		rc = supersede(job, file);
	}
	return rc;
}

static certauto__verdict end_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__list *superseded = &deployment_of(job)->superseded;
	int rc;

	(void)x;
	if (certauto__fact_own(job, "wrote") == NULL) {
		/* What nobody needs is removed when there is something to do, or to mend. */
		if (!deployment_of(job)->recovering)
			certauto__list_free(superseded);
		return CERTAUTO__NEXT;
	}
	if ((rc = certauto__list_add_text(superseded, "save")) < 0 ||
		(rc = supersede_old(job, "old.cert", certauto__fact_own(job, "crt"))) < 0 ||
		(rc = supersede_old(job, "old.key", certauto__fact_own(job, "key"))) < 0 ||
		(rc = supersede_cas(job)) < 0) {
		certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	return CERTAUTO__NEXT;
}

static const struct certauto__step netscaler_deploy_steps[] = {
	{.name = "observe",
		.ask = observe_ask,
		.read = observe_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "bound",
		.ask = certauto__netscaler_bound_ask,
		.read = certauto__netscaler_bound_read,
		.each = certauto__netscaler_vserver_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "sni",
		.ask = certauto__netscaler_sni_ask,
		.read = certauto__netscaler_sni_read,
		.each = certauto__netscaler_vserver_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "requests",
		.ask = requests_ask,
		.read = requests_read,
		.flags = CERTAUTO__READS},
	{.name = "request",
		.ask = request_ask,
		.read = request_read,
		.each = request_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "ready", .ask = ready_ask, .flags = CERTAUTO__READS},
	{.name = "files",
		.ask = files_ask,
		.read = files_read,
		.undo = files_undo,
		.undo_read = files_undo_read,
		.each = files_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "ca",
		.ask = certauto__netscaler_ca_ask,
		.read = certauto__netscaler_ca_read,
		.undo = certauto__netscaler_ca_undo,
		.undo_read = certauto__netscaler_ca_undo_read,
		.each = certauto__netscaler_ca_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "role",
		.ask = role_ask,
		.read = certauto__netscaler_role_read,
		.flags = CERTAUTO__READS},
	{.name = "unlink-ca",
		.ask = certauto__netscaler_chain_unlink_ask,
		.read = certauto__netscaler_unlink_read,
		.undo = certauto__netscaler_link_undo,
		.undo_read = certauto__netscaler_link_undo_read,
		.each = certauto__netscaler_link_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "link-ca",
		.ask = certauto__netscaler_chain_link_ask,
		.read = certauto__netscaler_link_read,
		.undo = certauto__netscaler_link_undo,
		.undo_read = certauto__netscaler_link_undo_read,
		.each = certauto__netscaler_link_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "unlink",
		.ask = certauto__netscaler_unlink_ask,
		.read = certauto__netscaler_unlink_read,
		.undo = certauto__netscaler_link_undo,
		.undo_read = certauto__netscaler_link_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "put",
		.ask = put_ask,
		.read = put_read,
		.undo = certauto__netscaler_link_undo,
		.undo_read = certauto__netscaler_link_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "link",
		.ask = certauto__netscaler_link_ask,
		.read = certauto__netscaler_link_read,
		.undo = certauto__netscaler_link_undo,
		.undo_read = certauto__netscaler_link_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "bind",
		.ask = certauto__netscaler_bind_ask,
		.read = certauto__netscaler_bind_read,
		.undo = certauto__netscaler_bind_undo,
		.undo_read = certauto__netscaler_bind_undo_read,
		.each = certauto__netscaler_bind_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "verify", .ask = verify_ask, .read = verify_read, .flags = CERTAUTO__READS},
	CERTAUTO__STEP_PROVE,
	{.name = "end", .ask = end_ask, .flags = CERTAUTO__COMMIT},
};

const struct certauto__table certauto__netscaler_deploy = {
	.name = "netscaler-deploy",
	.steps = netscaler_deploy_steps,
	.n_steps = sizeof(netscaler_deploy_steps) / sizeof(netscaler_deploy_steps[0]),
};
