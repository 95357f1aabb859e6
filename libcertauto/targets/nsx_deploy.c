/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate onto the managers of an NSX cluster and its virtual IP: what is presented is looked
 * at, the certificate imported, applied at one endpoint after the other, each of which restarts and
 * is waited for; read back, proved on the wire. What it has replaced is removed at the end. */

#include "targets/nsx_deploy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "targets/device.h"

#define PAGE "page_size=200" /* certificates of a page: an answer has its limit */
#define PAGES_MAX 500
#define OWED 3
#define UNDO_MS 600000 /* whoever is given back a certificate restarts, one after the other */

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

const struct certauto__cert_info *certauto__nsx_leaf(const certauto_job *job)
{
	return certauto__certs_info(deployment_of(job)->chain, 0);
}

/* ---- facts ---- */

int certauto__nsx_value(char *out, size_t size, const char *list, int i)
{
	size_t len;

	for (; list != NULL; list = *list != '\0' ? list + 1 : NULL, i--) {
		len = strcspn(list, ",");
		if (i == 0) {
			/* What is too long is nothing: cut, it would be another's. */
			(void)snprintf(out, size, "%.*s", len < size ? (int)len : 0, list);
			return 1;
		}
		list += len;
	}
	return 0;
}

void certauto__nsx_begin(certauto_job *job)
{
	/* What is owed outlives the end of a run, as long as it is the same certificate. */
	static const char *const facts[] = {"id", "csr", "tidy", "switch", "pins", "vip.set"};
	const char *leaf = certauto__nsx_leaf(job)->fingerprint;
	int is_same = certauto__fact_is(job, "leaf", leaf);
	int is_open = is_same && certauto__fact_own(job, "switch") != NULL;
	char name[CERTAUTO__NSX_NAME];
	size_t i = is_same ? OWED : 0;
	int k;

	for (; !is_open && i < sizeof(facts) / sizeof(facts[0]); i++)
		certauto__fact_set(job, facts[i], NULL);
	for (k = 0; !is_open && k < certauto__nsx_endpoints(job); k++) {
		certauto__fact_nth_set(job, "was", k, NULL);
		certauto__fact_nth_set(job, "old", k, NULL);
		certauto__fact_nth_set(job, "sent", k, NULL);
	}
	if (!is_open)
		certauto__fact_set_number(job, "n", 0);
	certauto__nsx_certificate(name, deployment_of(job));
	certauto__fact_set(job, "leaf", leaf);
	certauto__fact_set(job, "name", name);
}

void certauto__nsx_touch(certauto_job *job)
{
	certauto__fact_set(job, "switch", "begun");
}

/* ---- errors ---- */

certauto__verdict certauto__nsx_stop(certauto_job *job, int code, const char *object,
	const char *advice, const char *format, ...)
{
	certauto__verdict verdict;
	va_list args;

	va_start(args, format);
	verdict = certauto__device_stop(
		job, certauto__nsx_target(job), code, object, advice, format, args);
	va_end(args);
	return verdict;
}

certauto__verdict certauto__nsx_refused_at(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	char text[CERTAUTO__NSX_NAME + 128];

	snprintf(text, sizeof(text), "%.100s \"%s\"", doing, object);
	return certauto__nsx_refused(job, x, object, text);
}

/* ---- calls ---- */

certauto__verdict certauto__nsx_call_on(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *base, const char *id, const char *behind)
{
	certauto__buffer path = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	certauto__buffer_text_add(&path, base);
	if (id != NULL && base[strlen(base) - 1] == '/')
		certauto__rest_segment(&path, id);
	else if (id != NULL)
		certauto__url_escape(&path, id);
	certauto__buffer_text_add(&path, behind);
	verdict = certauto__nsx_call(x, target, method, certauto__buffer_text(&path));
	if (path.rc < 0)
		x->body.rc = path.rc; /* stops the sending */
	certauto__buffer_free(&path);
	return verdict;
}

/* ---- the certificates that are there ---- */

int certauto__nsx_print(char out[65], int *is_ca_out, const char *pem)
{
	certauto__certs *certs = NULL;
	int rc = certauto__certs_parse(&certs, pem, strlen(pem), 0, NULL);

	if (rc == 0)
		memcpy(out, certauto__certs_info(certs, 0)->fingerprint, 65);
	if (rc == 0 && is_ca_out != NULL)
		*is_ca_out = certauto__certs_info(certs, 0)->is_ca;
	certauto__certs_free(certs);
	return rc == CERTAUTO_ENOMEM ? rc : rc == 0;
}

static const char *const cert_fields[] = {"id", "display_name", "pem_encoded", "has_private_key",
	"used_by[].service_types[]", "used_by[].node_id", "_create_time", NULL};

struct look {
	certauto_job *job;
	const char *const *row;
	certauto__certs *certs;
	const struct certauto__cert_info *info;
};

/* As the manager says, which is not the wire: of two objects with the same certificate it tells
 * which one. */
static int is_used_at(const struct look *look, int i)
{
	if (certauto__nsx_is_vip(look->job, i))
		return certauto__device_listed(look->row[CERT_TYPES], "MGMT_CLUSTER");
	return certauto__device_listed(look->row[CERT_TYPES], "API") &&
		certauto__device_listed(
			look->row[CERT_NODES], certauto__fact_nth(look->job, "node", i));
}

static int add_pin(const struct look *look)
{
	certauto__buffer pin = CERTAUTO__BUFFER(128);
	const char *pins = certauto__fact_own(look->job, "pins");
	int rc = certauto__certs_pin(&pin, look->certs);

	if (rc == 0 && (pins == NULL || strstr(pins, pin.data) == NULL))
		certauto__fact_printf(look->job, "pins", "%s%s%s", pins != NULL ? pins : "",
			pins != NULL ? ";" : "", pin.data);
	certauto__buffer_free(&pin);
	return rc;
}

/* What is presented now, at whichever endpoints: that is what is applied again if it must be. */
static int see_presented(const struct look *look)
{
	certauto_job *job = look->job;
	int i, n = certauto__nsx_endpoints(job), is_used, is_there = 0, is_ours;
	const char *seen;

	is_ours = certauto__fact_is(job, "leaf", look->info->fingerprint);
	for (i = 0; i < n; i++) {
		seen = certauto__fact_nth(job, ".seen", i);
		is_used = is_used_at(look, i);
		if (seen != NULL ? !certauto__text_equal(seen, look->info->fingerprint) : !is_used)
			continue;
		is_there = 1;
		if (is_ours || (!is_used && certauto__fact_nth(job, ".old", i) != NULL))
			continue;
		certauto__fact_nth_set(job, ".old", i, look->row[CERT_ID]);
	}
	return is_there ? add_pin(look) : 0;
}

/* The same certificate may be there more than once: the one noted, the one in use, the first. The
 * first releases do not say which ones have a key. */
static void see_ours(const struct look *look)
{
	certauto_job *job = look->job;

	if (!certauto__fact_is(job, "leaf", look->info->fingerprint) ||
		certauto__text_equal(look->row[CERT_KEY], "false"))
		return;
	if (certauto__fact_own(job, ".id") == NULL || look->row[CERT_TYPES] != NULL ||
		certauto__fact_is(job, "id", look->row[CERT_ID]))
		certauto__fact_set(job, ".id", look->row[CERT_ID]);
}

/* The managers may know the root that the CA has not sent. */
static void see_root(const struct look *look)
{
	const struct certauto__deployment *deployment = deployment_of(look->job);
	const struct certauto__cert_info *last = certauto__certs_info(
		deployment->chain, certauto__certs_n(deployment->chain) - 1);

	if (look->info->is_ca && strcmp(look->info->issuer, look->info->subject) == 0 &&
		strcmp(look->info->subject, last->issuer) == 0 && last->aki != NULL &&
		certauto__text_equal(look->info->ski, last->aki) &&
		certauto__certs_n(look->certs) == 1)
		certauto__fact_set(look->job, ".root", look->row[CERT_PEM]);
}

static int observe_row(void *arg, const char *const *row)
{
	struct look look = {.job = arg, .row = row};
	int rc;

	if (row[CERT_ID] == NULL || row[CERT_PEM] == NULL)
		return 0;
	rc = certauto__certs_parse(&look.certs, row[CERT_PEM], strlen(row[CERT_PEM]), 0, NULL);
	if (rc < 0)
		return rc == CERTAUTO_ENOMEM ? rc : 0; /* what we cannot read is not ours */
	look.info = certauto__certs_info(look.certs, 0);
	see_root(&look);
	see_ours(&look);
	rc = see_presented(&look);
	certauto__certs_free(look.certs);
	return rc;
}

certauto__verdict certauto__nsx_list(certauto_job *job, certauto__exchange *x)
{
	const char *cursor = certauto__fact_own(job, ".cursor");

	return certauto__nsx_call_on(x, certauto__nsx_target(job), "GET", cursor != NULL
		? CERTAUTO__NSX_CERTIFICATES "?" PAGE "&cursor="
		: CERTAUTO__NSX_CERTIFICATES "?" PAGE, cursor, "");
}

int certauto__nsx_page(certauto_job *job, const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, certauto_error *err)
{
	char *cursor = NULL;
	int rc = certauto__nsx_rows(x, fields, cb, arg, &cursor, err);

	if (cursor != NULL && certauto__step_attempts(job) >= PAGES_MAX)
		rc = certauto__error_set(err, CERTAUTO_EPROTO, certauto__buffer_text(&x->url),
			"a list of the managers has more than %d pages", PAGES_MAX);
	certauto__fact_set(job, ".cursor", rc == 0 ? cursor : NULL);
	rc = rc == 0 ? cursor != NULL : rc;
	certauto__free(cursor);
	return rc;
}

int certauto__nsx_list_read(certauto_job *job, const certauto__exchange *x,
	certauto__rest_row_cb cb, void *arg, certauto_error *err)
{
	return certauto__nsx_page(job, x, cert_fields, cb, arg, err);
}

/* ---- observe ---- */

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	int i;

	if (certauto__fact_own(job, ".cursor") == NULL) {
		certauto__fact_set(job, ".id", NULL);
		certauto__fact_set(job, ".root", NULL);
		for (i = 0; i < certauto__nsx_endpoints(job); i++)
			certauto__fact_nth_set(job, ".old", i, NULL);
	}
	return certauto__nsx_list(job, x);
}

/* What was presented is noted once: a run that goes on where another was killed sees its changes.
 * What others have put there since is noted anew: that is to go back. */
static void note_at(certauto_job *job, int i)
{
	const char *seen = certauto__fact_nth(job, ".seen", i),
		   *old = certauto__fact_nth(job, ".old", i);

	certauto__fact_nth_set(job, ".due", i, NULL);
	if (certauto__nsx_is_out(job, i) || certauto__fact_is(job, "leaf", seen))
		return;
	certauto__fact_nth_set(job, ".due", i, "yes");
	certauto__fact_set(job, ".due", "yes");
	certauto__fact_nth_set(job, "was", i, seen);
	if (old != NULL)
		certauto__fact_nth_set(job, "old", i, old);
}

static void note(certauto_job *job)
{
	int i;

	certauto__fact_set(job, ".due", NULL);
	for (i = 0; i < certauto__nsx_endpoints(job); i++)
		note_at(job, i);
	certauto__fact_set(job, "id", certauto__fact_own(job, ".id"));
}

static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	const certauto__certs *chain = deployment_of(job)->chain;
	struct look ours = {.job = job};
	int rc;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, NULL, "reading the certificates");
	rc = certauto__nsx_list_read(job, x, observe_row, job, certauto__job_error_of(job));
	if (rc != 0)
		return rc < 0 ? CERTAUTO__FAILED : certauto__again(job, 0);
	note(job);
	if (certauto__fact_own(job, ".due") == NULL)
		return CERTAUTO__NEXT;
	if (certauto__certs_parse(&ours.certs, certauto__certs_info(chain, 0)->der,
		    certauto__certs_info(chain, 0)->der_len, 1, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	rc = add_pin(&ours);
	certauto__certs_free(ours.certs);
	return rc < 0 ? certauto__fail(job, rc, NULL, "%s", certauto_error_text(rc))
		      : CERTAUTO__NEXT;
}

/* ---- verify: what the managers say now ---- */

static int verify_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	struct look look = {.job = job, .row = row};
	char print[65];
	int i, rc, is_ca = 0;

	if (row[CERT_ID] == NULL || row[CERT_PEM] == NULL || row[CERT_NAME] == NULL)
		return 0;
	if (certauto__fact_is(job, "id", row[CERT_ID])) {
		for (i = 0; i < certauto__nsx_endpoints(job); i++)
			certauto__fact_nth_set(
				job, ".used", i, is_used_at(&look, i) ? "yes" : NULL);
		return 0;
	}
	if (!certauto__nsx_is_own(row[CERT_NAME], deployment_of(job)) || row[CERT_TYPES] != NULL)
		return 0;
	if ((rc = certauto__nsx_print(print, &is_ca, row[CERT_PEM])) <= 0)
		return rc; /* what we cannot read is not ours */
	if (is_ca)
		certauto__nsx_twin(job, row[CERT_ID], print,
			certauto__fact_is(job, "name", row[CERT_NAME]));
	/* Once more the same: an import whose answer was lost. */
	else if (certauto__fact_is(job, "leaf", print))
		certauto__device_list_add(job, "tidy", row[CERT_ID]);
	else
		certauto__nsx_older(job, row[CERT_ID], row[CERT_CREATED]);
	return 0;
}

static certauto__verdict verify_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "switch") == NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	if (certauto__fact_own(job, ".cursor") == NULL) {
		certauto__fact_set(job, "tidy", NULL);
		certauto__fact_set(job, ".older", NULL);
		certauto__fact_set(job, ".twins", NULL);
		certauto__fact_set(job, ".now", NULL);
	}
	return certauto__nsx_list(job, x);
}

static certauto__verdict verify_read(certauto_job *job, certauto__exchange *x)
{
	int i, rc;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, NULL, "reading back the certificates");
	rc = certauto__nsx_list_read(job, x, verify_row, job, certauto__job_error_of(job));
	if (rc != 0)
		return rc < 0 ? CERTAUTO__FAILED : certauto__again(job, 0);
	for (i = 0; i < certauto__nsx_endpoints(job); i++) {
		if (certauto__fact_nth(job, ".used", i) == NULL && !certauto__nsx_is_out(job, i))
			certauto__warn(job, certauto__fact_own(job, "name"),
				"the managers do not say that \"%s\" is in use at %s",
				certauto__fact_own(job, "name"),
				certauto__fact_nth(job, "label", i));
	}
	return CERTAUTO__NEXT;
}

/* ---- proof: of each endpoint, or as the option probe says ---- */

static int has_probe(const certauto_job *job)
{
	return certauto__option_list(certauto__nsx_target(job), "probe")->n > 0;
}

static int prove_each(certauto_job *job)
{
	if (has_probe(job))
		return certauto__prove_each(job);
	return certauto__planning(job) ? 0 : certauto__nsx_endpoints(job);
}

static certauto__verdict prove_failed(certauto_job *job)
{
	certauto__buffer state = CERTAUTO__BUFFER(8192);
	certauto__verdict verdict;

	deployment_of(job)->proof = CERTAUTO__PROOF_NONE;
	certauto__nsx_state(&state, job);
	verdict = certauto__nsx_stop(job, CERTAUTO_ENOTSERVED, certauto__fact_own(job, ".wrong"),
		"see how these nodes are, and run it again",
		"not all serve the new certificate (SHA-256 %.16s...): %s",
		certauto__fact_own(job, "leaf"), certauto__buffer_text(&state));
	certauto__buffer_free(&state);
	return verdict;
}

/* All are looked at before it is said which ones do not serve it. */
static certauto__verdict prove_next(certauto_job *job)
{
	return certauto__index(job) + 1 < certauto__nsx_endpoints(job) ||
			certauto__fact_own(job, ".wrong") == NULL
		? CERTAUTO__NEXT : prove_failed(job);
}

static certauto__verdict prove_ask(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (has_probe(job))
		return certauto__prove_ask(job, x);
	if (i == 0 && certauto__step_attempts(job) == 1) {
		certauto__fact_set(job, ".wrong", NULL);
		deployment_of(job)->proof = CERTAUTO__PROOF_SERVED;
	}
	/* What nobody has changed was seen a moment ago. */
	if (certauto__fact_own(job, "switch") == NULL)
		return CERTAUTO__NEXT;
	if (certauto__nsx_is_out(job, i))
		return prove_next(job);
	return certauto__nsx_look(job, x, certauto__fact_nth(job, "at", i));
}

static certauto__verdict prove_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job), is_seen;
	char seen[65];

	if (has_probe(job))
		return certauto__prove_read(job, x);
	is_seen = certauto__nsx_seen(seen, x);
	certauto__fact_nth_set(job, ".seen", i, is_seen ? seen : NULL);
	if (!is_seen || !certauto__fact_is(job, "leaf", seen)) {
		if (certauto__step_age_ms(job) < certauto__nsx_patience(job) / 4)
			return certauto__nsx_later(job, certauto__step_attempts(job));
		certauto__device_list_add(job, ".wrong", certauto__fact_nth(job, "label", i));
	}
	return prove_next(job);
}

/* ---- those that an earlier run had, and this one has not ---- */

static certauto__verdict left_ask(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (!certauto__nsx_is_out(job, i) || certauto__fact_nth(job, "was", i) == NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_look(job, x, certauto__fact_nth(job, "at", i));
}

/* The way back ends with this run: who was given the certificate keeps it, which must be told. */
static certauto__verdict left_read(certauto_job *job, certauto__exchange *x)
{
	const char *label = certauto__fact_nth(job, "label", certauto__index(job));
	char seen[65];

	if (!certauto__nsx_seen(seen, x))
		certauto__warn(job, label, "%s does not answer: an earlier run, which did not get "
			"to its end, may have given it this certificate, and it is left alone now",
			label);
	else if (certauto__fact_is(job, "leaf", seen))
		certauto__warn(job, label, "%s has this certificate from an earlier run, which did "
			"not get to its end, and is left alone now: it keeps it", label);
	return CERTAUTO__NEXT;
}

static const struct certauto__step nsx_deploy_steps[] = {
	{.name = "cluster",
		.ask = certauto__nsx_cluster_ask,
		.read = certauto__nsx_cluster_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "virtual-ip",
		.ask = certauto__nsx_virtual_ask,
		.read = certauto__nsx_virtual_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "look",
		.ask = certauto__nsx_look_ask,
		.read = certauto__nsx_look_read,
		.each = certauto__nsx_endpoints,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "observe",
		.ask = observe_ask,
		.read = observe_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "security",
		.ask = certauto__nsx_security_ask,
		.read = certauto__nsx_security_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
	{.name = "preflight", .ask = certauto__nsx_preflight, .flags = CERTAUTO__READS},
	{.name = "request",
		.ask = certauto__nsx_csr_find_ask,
		.read = certauto__nsx_csr_find_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "import",
		.ask = certauto__nsx_import_ask,
		.read = certauto__nsx_import_read,
		.undo = certauto__nsx_import_undo,
		.undo_read = certauto__nsx_import_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "validate",
		.ask = certauto__nsx_validate_ask,
		.read = certauto__nsx_validate_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "set-virtual-ip",
		.ask = certauto__nsx_vip_ask,
		.read = certauto__nsx_vip_read,
		.undo = certauto__nsx_vip_undo,
		.undo_read = certauto__nsx_vip_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "apply",
		.ask = certauto__nsx_apply_ask,
		.read = certauto__nsx_apply_read,
		.undo = certauto__nsx_apply_undo,
		.undo_read = certauto__nsx_apply_undo_read,
		.each = certauto__nsx_endpoints,
		.flags = CERTAUTO__ERRORS | CERTAUTO__ANYHOW},
	{.name = "verify",
		.ask = verify_ask,
		.read = verify_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "prove",
		.ask = prove_ask,
		.read = prove_read,
		.each = prove_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "left",
		.ask = left_ask,
		.read = left_read,
		.each = certauto__nsx_endpoints,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "end", .ask = certauto__nsx_end_ask, .flags = CERTAUTO__COMMIT},
	{.name = "tidy",
		.ask = certauto__nsx_tidy_ask,
		.read = certauto__nsx_tidy_read,
		.each = certauto__nsx_tidy_each,
		.flags = CERTAUTO__OWED | CERTAUTO__ERRORS},
	{.name = "drop-request",
		.ask = certauto__nsx_csr_drop_ask,
		.read = certauto__nsx_csr_drop_read,
		.flags = CERTAUTO__OWED | CERTAUTO__ERRORS},
};

const struct certauto__table certauto__nsx_deploy = {
	.name = "nsx-deploy",
	.steps = nsx_deploy_steps,
	.n_steps = sizeof(nsx_deploy_steps) / sizeof(nsx_deploy_steps[0]),
	.undo_ms = UNDO_MS,
};
