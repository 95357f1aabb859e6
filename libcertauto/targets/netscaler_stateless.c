/* SPDX-License-Identifier: Apache-2.0 */
/* challenge_mode stateless: the answer to a challenge is its token, a dot and the thumbprint of the
 * account's key (RFC 8555 8.1), so one policy answers whatever an account is asked. It stays, and
 * an issuance writes nothing to the device: whether it works is seen by asking as the CA would. */

#include "targets/netscaler_present.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

int certauto__netscaler_stateless(const certauto_job *job)
{
	return certauto__text_equal(
		certauto__option_text(certauto__netscaler_target(job), "challenge_mode"),
		"stateless");
}

static const char *thumbprint_of(const certauto_job *job)
{
	const char *dot = strchr(certauto__netscaler_value(job), '.');

	return dot != NULL ? dot + 1 : "";
}

/* What the names begin with, of whatever account. */
static void stem_of(char out[CERTAUTO__NS_NAME], const certauto_target *target)
{
	snprintf(out, CERTAUTO__NS_NAME, "%.64s-stateless-",
		certauto__option_text(target, "prefix"));
}

int certauto__netscaler_stateless_is(const char *object, const certauto_target *target)
{
	char stem[CERTAUTO__NS_NAME];

	stem_of(stem, target);
	return certauto__text_starts(object, stem);
}

void certauto__netscaler_stateless_name(char out[CERTAUTO__NS_NAME], const certauto_job *job)
{
	const char *thumbprint = thumbprint_of(job);
	char digest[65];
	size_t len;

	stem_of(out, certauto__netscaler_target(job));
	len = strlen(out);
	certauto__sha256_hex(digest, thumbprint, strlen(thumbprint));
	snprintf(out + len, CERTAUTO__NS_NAME - len, "%.8s", digest);
}

void certauto__netscaler_stateless_rule(certauto__buffer *out)
{
	certauto__buffer_text_add(out,
		"HTTP.REQ.URL.PATH.STARTSWITH(\"" CERTAUTO__NETSCALER_CHALLENGES "\")");
}

/* The end of the connection ends the body. What the client has sent comes back to it: nosniff, and
 * no browser takes it for anything but text. */
void certauto__netscaler_stateless_answer(certauto__buffer *out, const certauto_job *job)
{
	certauto__buffer_printf(out,
		"\"" CERTAUTO__NETSCALER_HEAD
		"X-Content-Type-Options: nosniff\\r\\nConnection: close\\r\\n\\r\\n\" + "
		"HTTP.REQ.URL.PATH.AFTER_STR(\"" CERTAUTO__NETSCALER_CHALLENGES "\") + \".%s\"",
		thumbprint_of(job));
}

certauto__verdict certauto__netscaler_stateless_other(certauto_job *job, const char *object)
{
	const certauto_target *target = certauto__netscaler_target(job);
	certauto_error error = {0};
	char own[CERTAUTO__NS_NAME];

	certauto__netscaler_stateless_name(own, job);
	certauto__error_set(&error, CERTAUTO_EREFUSED, object,
		"%s: the policy %s answers all challenges there for another ACME account; that of "
		"this account would be %s",
		target->label, object, own);
	certauto__error_advise(&error,
		"if no other certauto uses that account any more (it was the staging one, or its "
		"key was changed), unbind the policy and remove it and the action of that name; "
		"else set challenge_mode to policy here");
	return certauto__fail_with(job, &error);
}

/* One look: how long the whole way may take is for the check at the end. */
certauto__verdict certauto__netscaler_stateless_read(certauto_job *job, certauto__exchange *x)
{
	const char *value = certauto__netscaler_value(job), *body;
	size_t len;

	body = certauto__exchange_answer(x, &len);
	if (x->rc == 0 && x->status == 200 && len == strlen(value) && memcmp(body, value, len) == 0)
		certauto__fact_set(job, ".answered", "yes");
	return CERTAUTO__NEXT;
}

/* A run that is killed before this leaves it unsaved: then it is gone with the device's next
 * reboot, and the next issuance puts it there again. */
certauto__verdict certauto__netscaler_stateless_save(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__netscaler_target(job);
	certauto__json w;

	if (!certauto__netscaler_stateless(job) || certauto__fact_own(job, ".answered") != NULL ||
		!certauto__option_flag(target, "save"))
		return CERTAUTO__NEXT;
	certauto__netscaler_post(&w, x, target, "nsconfig", "save");
	return certauto__netscaler_end(&w);
}
