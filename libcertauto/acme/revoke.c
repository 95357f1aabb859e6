/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation (RFC 8555 7.6). To say it twice does no harm, so a lost answer is simply asked for
 * again: that the certificate is revoked already is as good as a yes. */
#include <certauto/account.h>

#include <string.h>

#include "acme/peer.h"
#include "json/writer.h"

#define PAYLOAD_MAX (128 * 1024) /* a certificate has 64 KiB at most */

/* Of RFC 5280 5.3.1 those a subscriber may give: the others say that a CA was compromised, that
 * the certificate is on hold, or are not in use. */
static int is_reason(int reason)
{
	switch (reason) {
	case CERTAUTO_REVOKE_UNSPECIFIED:
	case CERTAUTO_REVOKE_KEY_COMPROMISE:
	case CERTAUTO_REVOKE_AFFILIATION_CHANGED:
	case CERTAUTO_REVOKE_SUPERSEDED:
	case CERTAUTO_REVOKE_CESSATION_OF_OPERATION:
		return 1;
	default:
		return 0;
	}
}

/* What can be known to fail before anything is sent. */
static certauto__verdict check_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__revocation *revocation = certauto__job_env(job);
	const char *serial = certauto__certs_info(revocation->certs, 0)->serial;

	(void)x;
	if (!is_reason(revocation->reason))
		return certauto__fail(job, CERTAUTO_EINVAL, serial,
			"%d is not a reason to revoke a certificate; there are 0 (unspecified), "
			"1 (key compromise), 3 (affiliation changed), 4 (superseded), "
			"5 (cessation of operation)",
			revocation->reason);
	if (revocation->key != NULL &&
	    !certauto__certs_has_key(revocation->certs, revocation->key))
		return certauto__fail(job, CERTAUTO_EINVAL, serial,
			"the key is not that of the certificate %s", serial);
	return CERTAUTO__NEXT;
}

/* An account that would have to be made first has issued nothing. */
static certauto__verdict no_account(certauto_job *job, const certauto_account *account)
{
	certauto_error *err = certauto__job_error_of(job);

	certauto__error_set(err, CERTAUTO_EAUTH, account->server,
		"there is no account \"%s\" at %s that could revoke the certificate",
		account->name, account->server);
	certauto__error_advise(
		err, "use the account it was issued to, or revoke it by its own key");
	return CERTAUTO__FAILED;
}

static certauto__verdict account_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__revocation *revocation = certauto__job_env(job);
	const certauto_account *account = certauto__acme_of(job)->account;

	if (revocation->key != NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	if (account->url == NULL && account->pkey == NULL)
		return no_account(job, account);
	return certauto__acme_find_ask(job, x);
}

static certauto__verdict revoke_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__revocation *revocation = certauto__job_env(job);
	const struct certauto__cert_info *leaf = certauto__certs_info(revocation->certs, 0);
	const struct certauto__acme *acme = certauto__acme_of(job);
	certauto__buffer payload = CERTAUTO__BUFFER(PAYLOAD_MAX);
	certauto__buffer der = CERTAUTO__BUFFER(PAYLOAD_MAX);
	certauto__verdict verdict;
	certauto__json w;

	if (acme->directory.revoke_cert == NULL && !certauto__planning(job))
		return certauto__fail(job, CERTAUTO_EUNSUPPORTED, acme->account->server,
			"%s does not revoke certificates over ACME", acme->account->server);
	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	payload.rc = certauto__base64url_encode(&der, leaf->der, leaf->der_len);
	certauto__json_put_text(&w, "certificate", certauto__buffer_text(&der));
	certauto__json_put_number(&w, "reason", revocation->reason);
	certauto__json_object_end(&w);
	verdict = certauto__acme_post_as(
		job, x, acme->directory.revoke_cert, &payload, revocation->key);
	certauto__buffer_free(&der);
	return verdict;
}

static certauto__verdict revoke_read(certauto_job *job, certauto__exchange *x)
{
	if ((x->status >= 200 && x->status <= 299) ||
	    certauto__acme_says(x, "alreadyRevoked"))
		return CERTAUTO__NEXT;
	if (certauto__acme_says(x, "badRevocationReason"))
		certauto__error_advise(&x->error, "give a reason the CA takes: most take 0 "
			"(unspecified), 1 (key compromise), 4 (superseded), 5 (cessation of "
			"operation)");
	return certauto__fail_with(job, &x->error);
}

static const struct certauto__step revoke_steps[] = {
	{.name = "check", .ask = check_ask, .flags = CERTAUTO__READS},
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = account_ask},
	{.name = "revoke",
		.ask = revoke_ask,
		.read = revoke_read,
		.flags = CERTAUTO__ERRORS},
};

const struct certauto__table certauto__revoke_table = {
	.name = "revoke",
	.steps = revoke_steps,
	.n_steps = 4,
};
