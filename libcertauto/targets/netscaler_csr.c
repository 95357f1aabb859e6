/* SPDX-License-Identifier: Apache-2.0 */
/* A key that the device makes and keeps, and the signing request for it. Both are files next to
 * each other that are called alike, as those of a certificate; the deployment finds the key by the
 * request, and when it is over, the files that no certificate needs are removed.
 *
 * Facts: "key.file", "csr.file", their names; "csr", the request. */

#include "targets/netscaler_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#define NAME_RANDOM 6     /* bytes: the 12 digits of a file's name */
#define COMMON_NAME_MAX 63
#define REQUEST_MAX ((size_t)64 << 10)

#define OUTPUT_EXISTS 1642
#define TOO_LONG 1106

/* ---- the files ---- */

/* By chance: nothing is known yet that they could be named after. Noted once. */
static int name_files(certauto_job *job)
{
	const struct certauto__deployment deployment = {
		.target = (certauto_target *)certauto__netscaler_target(job),
		.name = (char *)certauto__fact(job, "name"),
		.key_type = (char *)certauto__fact(job, "key"),
		.n_keys = 1,
	};
	char certkey[CERTAUTO__NS_NAME], file[CERTAUTO__NS_FILE], digits[2 * NAME_RANDOM + 1];

	if (certauto__fact_own(job, "csr.file") != NULL &&
		certauto__fact_own(job, "key.file") != NULL)
		return 0;
	if (certauto__random_hex(digits, NAME_RANDOM, certauto__job_error_of(job)) < 0)
		return CERTAUTO_EIO;
	certauto__netscaler_certkey(certkey, &deployment);
	certauto__netscaler_file(file, certkey, digits, "key");
	certauto__fact_set(job, "key.file", file);
	certauto__netscaler_file(file, certkey, digits, "csr");
	certauto__fact_set(job, "csr.file", file);
	return 0;
}

static void put_file(certauto__json *w, const char *member, const certauto_job *job,
	const char *fact)
{
	certauto__netscaler_put_file(
		w, certauto__netscaler_target(job), member, certauto__fact_own(job, fact));
}

static certauto__verdict file_undo(certauto_job *job, certauto__exchange *x, const char *fact)
{
	const char *file = certauto__fact_own(job, fact);

	return file == NULL ? CERTAUTO__NEXT
			    : certauto__netscaler_file_delete(
				      x, certauto__netscaler_target(job), file);
}

/* The names are ours alone: that one exists says that an attempt worked whose answer was lost. A
 * definite no leaves nothing to take back, for which a right may be missing as well. */
static certauto__verdict made_read(certauto_job *job, const certauto__exchange *x,
	const char *fact, const char *doing)
{
	int code = certauto__netscaler_code(x);

	if (code == CERTAUTO__NS_DONE || code == CERTAUTO__NS_EXISTS || code == OUTPUT_EXISTS)
		return CERTAUTO__NEXT;
	certauto__netscaler_refused(job, x, certauto__fact_own(job, fact), doing);
	certauto__fact_set(job, fact, NULL);
	return CERTAUTO__FAILED;
}

/* ---- key ---- */

static certauto__verdict key_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__netscaler_target(job);
	const char *type = certauto__fact(job, "key");
	certauto_error *err = certauto__job_error_of(job);
	certauto__json w;
	char curve[8];
	int is_rsa;

	if (certauto__target_able(target, CERTAUTO_TARGET_CSR, err) < 0 ||
		certauto__key_type_check(type, err) < 0 || name_files(job) < 0)
		return CERTAUTO__FAILED;
	is_rsa = certauto__text_starts(type, "rsa-");
	certauto__netscaler_post(&w, x, target, is_rsa ? "sslrsakey" : "sslecdsakey", "create");
	put_file(&w, "keyfile", job, "key.file");
	if (is_rsa) {
		certauto__json_key(&w, "bits");
		certauto__json_raw(&w, type + strlen("rsa-"));
	} else {
		(void)snprintf(curve, sizeof(curve), "P_%s", type + strlen("ecdsa-p"));
		certauto__json_put_text(&w, "curve", curve);
	}
	return certauto__netscaler_end(&w);
}

static certauto__verdict key_read(certauto_job *job, certauto__exchange *x)
{
	return made_read(job, x, "key.file", "making the key");
}

static certauto__verdict key_undo(certauto_job *job, certauto__exchange *x)
{
	return file_undo(job, x, "key.file");
}

/* ---- request ---- */

/* "DNS:a DNS:b IP:192.0.2.1" */
static void put_names(certauto__json *w, const certauto__list *names)
{
	certauto__buffer text = CERTAUTO__BUFFER(REQUEST_MAX);
	size_t i;

	for (i = 0; i < names->n; i++)
		certauto__buffer_printf(&text, "%s%s:%s", i > 0 ? " " : "",
			certauto__ip_check(names->items[i]) ? "IP" : "DNS", names->items[i]);
	certauto__json_put_text(w, "subjectaltname", certauto__buffer_text(&text));
	if (text.rc < 0)
		w->out->rc = text.rc;
	certauto__buffer_free(&text);
}

/* The device takes neither a wildcard nor an address as common name. */
static const char *common_name(const certauto__list *names)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (names->items[i][0] != '*' && strlen(names->items[i]) <= COMMON_NAME_MAX &&
			!certauto__ip_check(names->items[i]))
			return names->items[i];
	return NULL;
}

/* The device wants a country, a state and an organisation in every request. An ACME CA puts none of
 * them into the certificate, so that nobody need be asked for them: XX is a country that ISO 3166
 * will never give away. */
static certauto__verdict request_ask(certauto_job *job, certauto__exchange *x)
{
	const char *list = certauto__fact(job, "names"), *cn;
	certauto__list names = {0};
	certauto__verdict verdict;
	certauto__json w;

	if (certauto__list_split(&names, list != NULL ? list : "", ',') < 0) {
		certauto__list_free(&names);
		certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	cn = common_name(&names);
	certauto__netscaler_post(&w, x, certauto__netscaler_target(job), "sslcertreq", "create");
	put_file(&w, "reqfile", job, "csr.file");
	put_file(&w, "keyfile", job, "key.file");
	put_names(&w, &names);
	certauto__json_put_text(&w, "countryname", "XX");
	certauto__json_put_text(&w, "statename", "none");
	certauto__json_put_text(&w, "organizationname", "certauto");
	if (cn != NULL)
		certauto__json_put_text(&w, "commonname", cn);
	certauto__json_put_text(&w, "digestmethod", "SHA256");
	verdict = certauto__netscaler_end(&w);
	certauto__list_free(&names);
	return verdict;
}

static certauto__verdict request_read(certauto_job *job, certauto__exchange *x)
{
	const char *doing = "making the request";
	certauto_error error = {0};

	if (certauto__netscaler_code(x) != TOO_LONG)
		return made_read(job, x, "csr.file", doing);
	certauto__netscaler_tell(&error, x, certauto__netscaler_target(job),
		certauto__fact(job, "name"), doing);
	certauto__error_advise(&error,
		"the device takes only so many bytes of names in a request it makes, 127 in most "
		"releases: divide the names among several certificates, or let certauto make the "
		"key and the request");
	return certauto__fail_with(job, &error);
}

static certauto__verdict request_undo(certauto_job *job, certauto__exchange *x)
{
	return file_undo(job, x, "csr.file");
}

/* ---- fetch ---- */

static certauto__verdict fetch_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__planning(job))
		return CERTAUTO__NEXT; /* it is not made */
	return certauto__netscaler_file_get(
		x, certauto__netscaler_target(job), certauto__fact_own(job, "csr.file"));
}

/* What an order of these names can be finalized with. */
static int request_check(const certauto_job *job, const certauto__req *req, certauto_error *err)
{
	const certauto__list *has = certauto__req_names(req);
	certauto__list wanted = {0};
	size_t i = 0;
	int rc;

	if ((rc = certauto__list_split(&wanted, certauto__fact(job, "names"), ',')) < 0) {
		certauto__error_nomem(err);
	} else {
		while (i < wanted.n && certauto__list_has(has, wanted.items[i]))
			i++;
		if (i < wanted.n || has->n != wanted.n)
			rc = certauto__error_set(err, CERTAUTO_EPROTO,
				certauto__fact_own(job, "csr.file"),
				"the request %s, which the device made, is for %zu names, not for "
				"the %zu that it was to be for",
				certauto__fact_own(job, "csr.file"), has->n, wanted.n);
	}
	certauto__list_free(&wanted);
	return rc;
}

static certauto__verdict fetch_read(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer data = CERTAUTO__BUFFER(REQUEST_MAX), pem = CERTAUTO__BUFFER(REQUEST_MAX);
	certauto_error *err = certauto__job_error_of(job);
	certauto__req *req = NULL;
	int rc;

	if (certauto__netscaler_code(x) != CERTAUTO__NS_DONE)
		return certauto__netscaler_refused(
			job, x, certauto__fact_own(job, "csr.file"), "fetching the request");
	if ((rc = certauto__netscaler_file_content(&data, x)) < 0 ||
		(rc = certauto__req_parse(&req, certauto__buffer_text(&data), data.len, err)) < 0 ||
		(rc = request_check(job, req, err)) < 0)
		goto out;
	if ((rc = certauto__req_format(&pem, req)) < 0)
		certauto__error_nomem(err);
	else
		certauto__fact_set(job, "csr", pem.data);
out:
	certauto__req_free(req);
	certauto__buffer_free(&data);
	certauto__buffer_free(&pem);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static const struct certauto__step netscaler_csr_steps[] = {
	{.name = "key", .ask = key_ask, .read = key_read, .undo = key_undo,
		.undo_read = certauto__netscaler_gone, .flags = CERTAUTO__ERRORS},
	{.name = "request", .ask = request_ask, .read = request_read, .undo = request_undo,
		.undo_read = certauto__netscaler_gone, .flags = CERTAUTO__ERRORS},
	{.name = "fetch", .ask = fetch_ask, .read = fetch_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
};

const struct certauto__table certauto__netscaler_csr = {
	.name = "netscaler-csr",
	.steps = netscaler_csr_steps,
	.n_steps = sizeof(netscaler_csr_steps) / sizeof(netscaler_csr_steps[0]),
};
