/* SPDX-License-Identifier: Apache-2.0 */
/* The proof: a certificate counts as deployed when a TLS handshake, as a client would make it,
 * shows it. One repetition of the step is one address; all are asked for the key type of the new
 * leaf, for a listener with two certificates serves the other one to clients that ask for it. */

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "jobs/target.h"

#define PROVE_DELAY_MS 20 /* doubled after each look */
#define PROVE_DELAY_MAX_MS 1000
#define PROVE_HANDSHAKE_MS 10000
#define PROVE_SHOWN 16 /* hex digits of a fingerprint: enough to compare by eye */

/* A wildcard has no name of its own to ask for. */
#define PROVE_WILDCARD_LABEL "certauto-probe"

static int prove_is_off(const struct certauto__deployment *deployment)
{
	const certauto__list *probe = certauto__option_list(deployment->target, "probe");

	return probe->n == 1 && certauto__text_equal(probe->items[0], "no");
}

int certauto__prove_each(certauto_job *job)
{
	const struct certauto__deployment *deployment = certauto__job_env(job);
	const certauto__list *probe = certauto__option_list(deployment->target, "probe");

	return (int)(probe->n > 0 ? probe->n : deployment->names.n);
}

static void prove_name(certauto__buffer *out, const char *name)
{
	if (certauto__text_starts(name, "*."))
		certauto__buffer_printf(out, "%s%s", PROVE_WILDCARD_LABEL, name + 1);
	else if (strchr(name, ':') != NULL)
		certauto__buffer_printf(out, "[%s]", name); /* IPv6 */
	else
		certauto__buffer_text_add(out, name);
}

/* Name and address of this repetition, as volatile facts: the exchange borrows them. A
 * configured address is asked for the first name, since it may serve but one; without one, each
 * name is asked where it is. */
static int prove_point(certauto_job *job, const struct certauto__deployment *deployment)
{
	const certauto__list *probe = certauto__option_list(deployment->target, "probe");
	size_t i = (size_t)certauto__index(job);
	certauto__buffer name = CERTAUTO__BUFFER(512);
	char address[CERTAUTO__ADDRESS];
	int rc;

	prove_name(&name, deployment->names.items[probe->n > 0 ? 0 : i]);
	rc = certauto__address_format(address,
		probe->n > 0 ? probe->items[i] : certauto__buffer_text(&name), 443);
	if (rc == 0) {
		certauto__fact_set(job, ".probe.name", certauto__buffer_text(&name));
		certauto__fact_set(job, ".probe.address", address);
	}
	if (name.rc < 0 || certauto__fact_own(job, ".probe.name") == NULL ||
		certauto__fact_own(job, ".probe.address") == NULL)
		rc = rc < 0 ? rc : CERTAUTO_ENOMEM;
	certauto__buffer_free(&name);
	return rc;
}

static void prove_unproved(struct certauto__deployment *deployment)
{
	deployment->proof = CERTAUTO__PROOF_UNPROVED;
}

static void prove_served(struct certauto__deployment *deployment)
{
	if (deployment->proof == CERTAUTO__PROOF_NONE)
		deployment->proof = CERTAUTO__PROOF_SERVED;
}

static certauto__verdict prove_switched_off(certauto_job *job,
	struct certauto__deployment *deployment)
{
	prove_unproved(deployment);
	if (certauto__index(job) == 0)
		certauto__warn(job, deployment->target->label,
			"probe=no: nobody has looked whether the new certificate is served");
	return CERTAUTO__NEXT;
}

/* How a listener is asked. An older libcurl has but one means to ask for a key type, a TLS 1.2
 * cipher list; a listener that refuses it has no such certificate, or speaks TLS 1.3 only. If it
 * refuses the other type too it is the latter, and shows what it likes best to a client that
 * does not care. */
static int prove_way_is(const certauto_job *job, const char *way)
{
	return certauto__text_equal(certauto__fact_own(job, ".probe.way"), way);
}

static const char *prove_key(const certauto_job *job, const struct certauto__deployment *deployment)
{
	const char *family = certauto__deployment_family(deployment);

	if (prove_way_is(job, "any"))
		return NULL;
	if (prove_way_is(job, "other"))
		return certauto__text_equal(family, "rsa") ? "ecdsa" : "rsa";
	return family;
}

certauto__verdict certauto__prove_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = certauto__job_env(job);
	certauto__verdict verdict;
	int rc;

	if (certauto__planning(job))
		return CERTAUTO__NEXT; /* it cannot be served yet */
	if (certauto__step_attempts(job) == 1) {
		certauto__fact_set(job, ".probe.way", NULL);
		if (certauto__index(job) == 0)
			deployment->proof = CERTAUTO__PROOF_NONE;
	}
	if (prove_is_off(deployment))
		return prove_switched_off(job, deployment);
	rc = deployment->names.n > 0 ? prove_point(job, deployment) : CERTAUTO_EINVAL;
	if (rc < 0)
		return certauto__fail(job, rc, deployment->target->label, "%s: %s",
			deployment->target->label,
			rc == CERTAUTO_EINVAL ? "there is no name to make a TLS handshake for"
					      : certauto_error_text(rc));
	verdict = certauto__ask_probe(x, certauto__fact_own(job, ".probe.name"),
		certauto__fact_own(job, ".probe.address"), prove_key(job, deployment));
	x->timeout_ms = PROVE_HANDSHAKE_MS;
	return verdict;
}

static int64_t prove_patience(const struct certauto__deployment *deployment)
{
	int64_t own = deployment->target->row->patience_ms;
	int64_t option = certauto__option_number(deployment->target, "timeout_ms");

	return own > 0 && own < option ? own : option;
}

/* Again, if there is patience left for it: first at once, then in growing steps. */
static int prove_again(certauto_job *job, const struct certauto__deployment *deployment,
	certauto__verdict *verdict)
{
	int64_t left = prove_patience(deployment) - certauto__step_age_ms(job);
	int64_t attempts = certauto__step_attempts(job), delay = PROVE_DELAY_MAX_MS;

	if (left <= 0)
		return 0;
	if (attempts < 7)
		delay = (int64_t)PROVE_DELAY_MS << (attempts - 1);
	*verdict = certauto__again(job, delay < left ? delay : left);
	return 1;
}

static certauto__verdict prove_failed(certauto_job *job,
	const struct certauto__deployment *deployment, const char *seen)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(deployment->chain, 0);
	const char *address = certauto__fact_own(job, ".probe.address");
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_ENOTSERVED, address,
		"%s: %s does not serve the new %s certificate for \"%s\" (SHA-256 %.*s..., serial "
		"%s): %s",
		deployment->target->label, address, certauto__deployment_family(deployment),
		certauto__fact_own(job, ".probe.name"), PROVE_SHOWN, leaf->fingerprint,
		leaf->serial, seen);
	certauto__error_advise(&error,
		"see that the listener at %s uses what was deployed; if clients reach it "
		"elsewhere, set the option probe of target \"%s\" to that host:port",
		address, deployment->target->label);
	return certauto__fail_with(job, &error);
}

/* Some TLS listener answered, with another certificate. */
static certauto__verdict prove_other(certauto_job *job, struct certauto__deployment *deployment,
	const certauto__certs *shown)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(shown, 0);
	const char *family = certauto__deployment_family(deployment), *address;
	certauto__verdict verdict;
	char seen[1024];

	address = certauto__fact_own(job, ".probe.address");
	if (prove_way_is(job, "any") && !certauto__text_starts(leaf->key_type, family)) {
		prove_unproved(deployment);
		certauto__warn(job, address,
			"%s speaks TLS 1.3 only and shows its %s certificate; this libcurl cannot "
			"ask for the %s one, which is deployed and not proved",
			address, leaf->key_type, family);
		return CERTAUTO__NEXT;
	}
	certauto__fact_set(job, ".probe.way", NULL);
	if (prove_again(job, deployment, &verdict))
		return verdict;
	snprintf(seen, sizeof(seen), "it shows SHA-256 %.*s..., serial %s, issued by %s",
		PROVE_SHOWN, leaf->fingerprint, leaf->serial, leaf->issuer);
	return prove_failed(job, deployment, seen);
}

/* No certificate came: asked another way at once, or the first way again later. */
static certauto__verdict prove_refused(certauto_job *job, struct certauto__deployment *deployment,
	const certauto__exchange *x)
{
	certauto__verdict verdict;

	if (x->rc == CERTAUTO_ETLS && !certauto__http_probe_tls13() && !prove_way_is(job, "any")) {
		certauto__fact_set(job, ".probe.way", prove_way_is(job, "other") ? "any" : "other");
		return certauto__again(job, 0);
	}
	certauto__fact_set(job, ".probe.way", NULL);
	if (prove_again(job, deployment, &verdict))
		return verdict;
	return prove_failed(job, deployment, certauto_error_message(&x->error));
}

certauto__verdict certauto__prove_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = certauto__job_env(job);
	const unsigned char *der = NULL;
	certauto__certs *shown = NULL;
	certauto__verdict verdict;
	size_t der_len = 0;
	char fingerprint[65];

	if (x->transfer != NULL && x->rc == 0)
		der = certauto__transfer_leaf(x->transfer, &der_len);
	if (der == NULL)
		return prove_refused(job, deployment, x);
	certauto__sha256_hex(fingerprint, der, der_len);
	if (certauto__text_equal(fingerprint,
		    certauto__certs_info(deployment->chain, 0)->fingerprint)) {
		prove_served(deployment);
		return CERTAUTO__NEXT;
	}
	if (certauto__certs_parse(&shown, der, der_len, 1, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	verdict = prove_other(job, deployment, shown);
	certauto__certs_free(shown);
	return verdict;
}
