/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates as objects of an Avi controller, and the chain they make: which intermediates it has
 * already, under whatever name, which are to be made, and which nobody needs any more. One that
 * others have made is used and never removed. */

#include "targets/avi_deploy.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "crypto/pem.h"

#define CA_TYPE "SSL_CERTIFICATE_TYPE_CA"
#define SERIAL_BYTES 32 /* RFC 5280 4.1.2.2 allows 20 */
#define SERIAL "serial-"
#define CHAIN_MAX 10    /* of links that are followed: they might go in a circle */

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static int n_ca(const certauto_job *job)
{
	return (int)certauto__fact_number(job, "n.ca", 0);
}

/* ---- what tells a certificate ---- */

/* The controller writes serial numbers in decimal; we have them in hexadecimal. */
static void serial_hex(char out[CERTAUTO__AVI_PRINT], const char *decimal)
{
	unsigned char bytes[SERIAL_BYTES] = {0};
	size_t len = strlen(SERIAL), i;
	unsigned carry;

	for (; isdigit((unsigned char)*decimal); decimal++) {
		for (carry = (unsigned)(*decimal - '0'), i = SERIAL_BYTES; i-- > 0; carry >>= 8) {
			carry += bytes[i] * 10U;
			bytes[i] = (unsigned char)carry;
		}
	}
	snprintf(out, CERTAUTO__AVI_PRINT, SERIAL);
	for (i = 0; i < 2 * SERIAL_BYTES; i++) {
		unsigned digit = i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15U;

		if (digit != 0 || len > strlen(SERIAL))
			out[len++] = "0123456789abcdef"[digit];
	}
	out[len] = '\0';
}

/* *certs_out: NULL where the controller does not tell it; the caller's. */
static int print_of(char out[CERTAUTO__AVI_PRINT], certauto__certs **certs_out, const char *pem,
	const char *serial)
{
	int rc = CERTAUTO_ENOTFOUND;

	*certs_out = NULL;
	if (pem != NULL)
		rc = certauto__certs_parse(certs_out, pem, strlen(pem), 0, NULL);
	if (rc == CERTAUTO_ENOMEM)
		return rc;
	if (rc == 0)
		snprintf(out, CERTAUTO__AVI_PRINT, "%s",
			certauto__certs_info(*certs_out, 0)->fingerprint);
	else
		serial_hex(out, serial != NULL ? serial : "");
	return 0;
}

int certauto__avi_print(char out[CERTAUTO__AVI_PRINT], const char *pem, const char *serial)
{
	certauto__certs *certs;
	int rc = print_of(out, &certs, pem, serial);

	certauto__certs_free(certs);
	return rc;
}

void certauto__avi_prints(char out[2 * CERTAUTO__AVI_PRINT],
	const struct certauto__cert_info *cert)
{
	snprintf(out, 2 * CERTAUTO__AVI_PRINT, "%s,%s%s", cert->fingerprint, SERIAL,
		cert->serial + strspn(cert->serial, "0"));
}

/* ---- links ---- */

int certauto__avi_n_ca(const certauto__certs *chain)
{
	size_t n = certauto__certs_n(chain);
	const struct certauto__cert_info *last = certauto__certs_info(chain, n - 1);

	if (n > 1 && certauto__text_equal(last->subject, last->issuer))
		n--;
	return (int)n - 1;
}

void certauto__avi_node(char out[CERTAUTO__AVI_UUID], const certauto_job *job, int i)
{
	const char *same = i <= n_ca(job) ? certauto__fact_nth(job, ".same", i) : NULL;

	certauto__avi_item(out, CERTAUTO__AVI_UUID, &same);
}

int certauto__avi_is_linked(const certauto_job *job)
{
	const char *ca = certauto__fact_own(job, ".ca");
	char uuid[CERTAUTO__AVI_UUID];

	while (certauto__avi_item(uuid, sizeof(uuid), &ca)) {
		if (certauto__avi_listed(certauto__fact_nth(job, ".same", 1), uuid) ||
			certauto__avi_listed(certauto__fact_own(job, ".twins"), uuid))
			return 1;
	}
	return n_ca(job) == 0;
}

void certauto__avi_put_cas(certauto__buffer *out, const char *uuids)
{
	char uuid[CERTAUTO__AVI_UUID];
	certauto__json w;

	certauto__json_start(&w, out, 0);
	certauto__json_array(&w);
	while (certauto__avi_item(uuid, sizeof(uuid), &uuids)) {
		certauto__json_object(&w);
		certauto__avi_put_ref(&w, "ca_ref", CERTAUTO__AVI_CERT, uuid);
		certauto__json_object_end(&w);
	}
	certauto__json_array_end(&w);
}

void certauto__avi_put_pem(certauto__json *w, const struct certauto__cert_info *cert)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2);

	certauto__pem_add(&pem, "CERTIFICATE", cert->der, cert->der_len);
	certauto__json_key(w, "certificate");
	certauto__json_object(w);
	certauto__json_put_text(w, "certificate", certauto__buffer_text(&pem));
	certauto__json_object_end(w);
	if (pem.rc < 0)
		w->out->rc = pem.rc; /* stops the sending */
	certauto__buffer_free(&pem);
}

/* ---- all CA objects ---- */

certauto__verdict certauto__avi_cas_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer query = CERTAUTO__BUFFER(1024);
	certauto__verdict verdict;
	int i;

	if (n_ca(job) == 0 && certauto__fact_own(job, "old.ca") == NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1) {
		for (i = 1; i <= n_ca(job); i++)
			certauto__fact_nth_set(job, ".same", i, NULL);
		certauto__fact_set(job, ".own", NULL);
		certauto__fact_set(job, ".twins", NULL);
		certauto__fact_set(job, ".seen", NULL);
	}
	certauto__avi_arg(&query, "type", CA_TYPE);
	certauto__avi_arg(&query, "fields", "name,type,certificate,ca_certs");
	certauto__buffer_printf(&query, "&page_size=%d&page=%lld", CERTAUTO__AVI_PAGE,
		(long long)certauto__step_attempts(job));
	verdict = certauto__avi_call(x, deployment_of(job)->target, "GET", CERTAUTO__AVI_CERT, NULL,
		certauto__buffer_text(&query));
	if (query.rc < 0)
		x->body.rc = query.rc; /* stops the sending */
	certauto__buffer_free(&query);
	return verdict;
}

enum { ROW_NAME, ROW_UUID, ROW_TYPE, ROW_PEM, ROW_SERIAL, ROW_CA };

static void see_node(certauto_job *job, int i, const char *print, const char *uuid)
{
	char prints[2 * CERTAUTO__AVI_PRINT], name[32];

	certauto__avi_prints(
		prints, certauto__certs_info(deployment_of(job)->chain, (size_t)i));
	if (!certauto__avi_listed(prints, print))
		return;
	snprintf(name, sizeof(name), ".same.%d", i);
	certauto__avi_list_add(job, name, uuid);
}

/* The leaf's issuer may have several certificates for one key, signed by others. A controller that
 * links by itself takes any of them. */
static void see_twin(certauto_job *job, const certauto__certs *certs, const char *uuid)
{
	const struct certauto__cert_info *issuer =
		certauto__certs_info(deployment_of(job)->chain, 1);
	const struct certauto__cert_info *ca =
		certs != NULL ? certauto__certs_info(certs, 0) : NULL;

	if (ca != NULL && issuer != NULL && ca->ski != NULL &&
		certauto__text_equal(ca->ski, issuer->ski) &&
		certauto__text_equal(ca->subject, issuer->subject))
		certauto__avi_list_add(job, ".twins", uuid);
}

/* One of ours is noted with what it is linked to: "UUID>UUID". */
static void see_own(certauto_job *job, const char *const *row)
{
	char above[CERTAUTO__AVI_UUID] = "", entry[2 * CERTAUTO__AVI_UUID];

	if (!certauto__avi_is_own_ca(row[ROW_NAME], deployment_of(job)->target))
		return;
	if (row[ROW_CA] != NULL)
		certauto__rest_id(above, row[ROW_CA]);
	snprintf(entry, sizeof(entry), "%s>%s", row[ROW_UUID], above);
	certauto__avi_list_add(job, ".own", entry);
}

static int cas_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	char print[CERTAUTO__AVI_PRINT];
	certauto__certs *certs;
	int i, rc;

	certauto__fact_set_number(job, ".seen", certauto__fact_number(job, ".seen", 0) + 1);
	if (row[ROW_NAME] == NULL || row[ROW_UUID] == NULL ||
		(row[ROW_TYPE] != NULL && strcmp(row[ROW_TYPE], CA_TYPE) != 0))
		return 0;
	if ((rc = print_of(print, &certs, row[ROW_PEM], row[ROW_SERIAL])) < 0)
		return rc;
	for (i = 1; i <= n_ca(job); i++)
		see_node(job, i, print, row[ROW_UUID]);
	see_twin(job, certs, row[ROW_UUID]);
	certauto__certs_free(certs);
	see_own(job, row);
	return 0;
}

/* The controller may give smaller pages than it was asked for: what it counts tells the end. A page
 * that is not there any more was behind the last one. */
certauto__verdict certauto__avi_cas_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"name", "uuid", "type", "certificate.certificate",
		"certificate.serial_number", "ca_certs[].ca_ref", NULL};
	int64_t before = certauto__fact_number(job, ".seen", 0), seen, total = 0;

	if (x->status == 404 && certauto__step_attempts(job) > 1)
		return CERTAUTO__NEXT;
	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, deployment_of(job)->target->label,
			"listing the CA certificates");
	if (certauto__rest_rows(x, fields, cas_row, job, &total, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	seen = certauto__fact_number(job, ".seen", 0);
	return seen > before && seen < total ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

/* ---- making those that are missing ---- */

int certauto__avi_ca_each(certauto_job *job)
{
	return n_ca(job);
}

certauto__verdict certauto__avi_ca_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = deployment_of(job)->target;
	int i = n_ca(job) - certauto__index(job);
	const struct certauto__cert_info *ca =
		certauto__certs_info(deployment_of(job)->chain, (size_t)i);
	char name[CERTAUTO__AVI_NAME], above[CERTAUTO__AVI_UUID];
	certauto__buffer cas = CERTAUTO__BUFFER(4096);
	certauto__verdict verdict;
	certauto__json w;

	if (certauto__fact_nth(job, ".same", i) != NULL)
		return CERTAUTO__NEXT;
	certauto__avi_ca(name, target, ca);
	certauto__fact_nth_set(job, "make", certauto__index(job), name);
	certauto__avi_touch(job);
	verdict = certauto__avi_call(x, target, "POST", CERTAUTO__AVI_CERT, NULL, NULL);
	certauto__avi_body(&w, x);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "name", name);
	certauto__json_put_text(&w, "type", CA_TYPE);
	certauto__avi_put_pem(&w, ca);
	certauto__avi_node(above, job, i + 1);
	if (above[0] != '\0') {
		certauto__avi_put_cas(&cas, above);
		certauto__json_key(&w, "ca_certs");
		certauto__json_raw(&w, certauto__buffer_text(&cas));
	}
	certauto__json_object_end(&w);
	certauto__buffer_free(&cas);
	return verdict;
}

static int made_row(void *arg, const char *const *row)
{
	if (row[0] != NULL)
		snprintf(arg, CERTAUTO__AVI_UUID, "%s", row[0]);
	return 0;
}

/* That the name is taken may mean that the answer to an earlier attempt was lost, or that another
 * process was faster: the list shows it. */
certauto__verdict certauto__avi_ca_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", NULL};
	const char *name = certauto__fact_nth(job, "make", certauto__index(job));
	char uuid[CERTAUTO__AVI_UUID] = "";

	if (certauto__avi_is_no(x) && !certauto__avi_is_taken(x))
		return certauto__avi_refused_at(job, x, name, "adding the CA certificate");
	if (!certauto__avi_is_no(x) && certauto__rest_rows(x, fields, made_row, uuid, NULL,
				       certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (uuid[0] == '\0')
		return certauto__avi_look_again(job, x, name, "adding the CA certificate");
	certauto__fact_nth_set(job, ".same", n_ca(job) - certauto__index(job), uuid);
	return CERTAUTO__NEXT;
}

/* ---- and back ---- */

/* It looks, for the answer with the UUID may have been lost; then it removes what it has found.
 * What the certificate needs that could not be put back stays. */
certauto__verdict certauto__avi_ca_undo(certauto_job *job, certauto__exchange *x)
{
	const char *name = certauto__fact_nth(job, "make", certauto__index(job));

	if (name == NULL || certauto__fact_own(job, "stays") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1)
		return certauto__avi_get(x, certauto__avi_target(job), CERTAUTO__AVI_CERT,
			"name", name, "name");
	return certauto__avi_call(x, certauto__avi_target(job), "DELETE", CERTAUTO__AVI_CERT,
		certauto__fact_own(job, ".made"), NULL);
}

certauto__verdict certauto__avi_ca_undo_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", NULL};
	char uuid[CERTAUTO__AVI_UUID] = "";

	if (certauto__step_attempts(job) > 1)
		return certauto__avi_is_in_use(x) ? CERTAUTO__NEXT : certauto__avi_gone(job, x);
	if (certauto__avi_is_no(x) ||
		certauto__rest_rows(x, fields, made_row, uuid, NULL, &x->error) < 0)
		return CERTAUTO__FAILED;
	certauto__fact_set(job, ".made", uuid);
	return uuid[0] != '\0' ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

/* ---- those nobody needs any more ---- */

static int is_node(const certauto_job *job, const char *uuid)
{
	int i;

	for (i = 1; i <= n_ca(job); i++) {
		if (certauto__avi_listed(certauto__fact_nth(job, ".same", i), uuid))
			return 1;
	}
	return 0;
}

/* What one of ours is linked to, in place of it. 0: it is none of ours. */
static int above_own(char uuid[CERTAUTO__AVI_UUID], const certauto_job *job)
{
	const char *own = certauto__fact_own(job, ".own");
	char entry[2 * CERTAUTO__AVI_UUID];
	size_t len = strlen(uuid);

	while (certauto__avi_item(entry, sizeof(entry), &own)) {
		if (strncmp(entry, uuid, len) != 0 || entry[len] != '>')
			continue;
		snprintf(uuid, CERTAUTO__AVI_UUID, "%s", entry + len + 1);
		return 1;
	}
	return 0;
}

void certauto__avi_chain_tidy(certauto_job *job)
{
	const char *ca = certauto__fact_own(job, "old.ca");
	char uuid[CERTAUTO__AVI_UUID], at[CERTAUTO__AVI_UUID];
	int i;

	certauto__avi_item(uuid, sizeof(uuid), &ca);
	for (i = 0; i < CHAIN_MAX && uuid[0] != '\0' && !is_node(job, uuid); i++) {
		snprintf(at, sizeof(at), "%s", uuid);
		if (!above_own(uuid, job))
			return;
		certauto__avi_list_add(job, "tidy", at);
	}
}
