/* SPDX-License-Identifier: Apache-2.0 */
/* The types of challenges: what is shown for each, and where (RFC 8555 8, RFC 8737, RFC 8738,
 * draft-ietf-acme-dns-account-label, draft-ietf-acme-dns-persist). How it gets there is the
 * target's affair, when it is shown that of authz.c. */
#include "acme/order.h"

#include <string.h>

#include "acme/jws.h"

static const struct certauto__challenge_type types[] = {
	{.name = "http-01", .cap = CERTAUTO_TARGET_HTTP01, .addresses = 1, .token = 1},
	{.name = "dns-01", .cap = CERTAUTO_TARGET_DNS01, .wildcards = 1, .token = 1},
	{.name = "dns-account-01", .cap = CERTAUTO_TARGET_DNS01, .wildcards = 1, .token = 1},
	{.name = "dns-persist-01", .cap = CERTAUTO_TARGET_DNS01, .wildcards = 1},
	{.name = "tls-alpn-01", .cap = CERTAUTO_TARGET_TLSALPN01, .addresses = 1, .token = 1},
};

const struct certauto__challenge_type *certauto__challenge_type_at(size_t i)
{
	return i < sizeof(types) / sizeof(types[0]) ? &types[i] : NULL;
}

const struct certauto__challenge_type *certauto__challenge_type(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (certauto__text_equal(types[i].name, name))
			return &types[i];
	return NULL;
}

int certauto__challenge_proves(const struct certauto__challenge_type *type, const char *name)
{
	return (type->wildcards || !certauto__text_starts(name, "*.")) &&
		(type->addresses || !certauto__ip_check(name));
}

/* ---- dns-persist-01 ---- */

/* The names by which the CA is known to the DNS (RFC 8659 4.2). The first is taken, but all are
 * checked: a list with one that is none is a CA's error, or somebody else's doing. */
static int check_issuers(const certauto__list *issuers, const char *name, certauto_error *err)
{
	const char *why = NULL;
	size_t i;

	if (issuers->n == 0 || issuers->n > CERTAUTO__ISSUERS_MAX)
		return certauto__error_set(err, CERTAUTO_EPROTO, name,
			"the CA's dns-persist-01 challenge for %s has %zu issuer names: there must "
			"be 1 to %d", name, issuers->n, CERTAUTO__ISSUERS_MAX);
	for (i = 0; i < issuers->n; i++)
		if (certauto__dns_name_check(issuers->items[i], &why) < 0 ||
		    issuers->items[i][0] == '*')
			return certauto__error_set(err, CERTAUTO_EPROTO, name,
				"the CA's dns-persist-01 challenge for %s has an issuer name that "
				"is none: %s", name, why != NULL ? why : "it is a wildcard");
	return 0;
}

static int persist_facts(certauto_job *job, const struct certauto__challenge *offered,
	const char *name, const char *account_url, certauto_error *err)
{
	int wildcard = certauto__text_starts(name, "*.");
	int rc;

	if ((rc = check_issuers(&offered->issuers, name, err)) < 0)
		return rc;
	/* It would end the parameter (RFC 8659 4.2). */
	if (strchr(account_url, ';') != NULL)
		return certauto__error_set(err, CERTAUTO_EPROTO, name,
			"the account's URL has a \";\" in it: dns-persist-01 cannot name it");
	certauto__fact_printf(job, "record", "_validation-persist.%s", name + 2 * wildcard);
	certauto__fact_printf(job, "txt", "%s; accounturi=%s%s", offered->issuers.items[0],
		account_url, wildcard ? "; policy=wildcard" : "");
	return 0;
}

/* ---- all ---- */

int certauto__challenge_facts(certauto_job *job, const struct certauto__challenge_type *type,
	const struct certauto__challenge *offered, const char *name, certauto_error *err)
{
	const certauto_order *order = certauto__job_env(job);
	const certauto_account *account = order->account;
	certauto__buffer value = CERTAUTO__BUFFER(512);
	int rc;

	/* Those of an earlier run may be of another type. */
	certauto__fact_set(job, "token", NULL);
	certauto__fact_set(job, "record", NULL);
	certauto__fact_set(job, "txt", NULL);
	certauto__fact_set(job, "challenge", type->name);
	if (!type->token)
		return persist_facts(job, offered, name, account->url, err);
	/* The token becomes part of a path on a balancer: nothing but its alphabet gets there. */
	if (!certauto__token_check(offered->token))
		return certauto__error_set(err, CERTAUTO_EPROTO, name,
			"the CA's %s token for %s is not 22 to 255 characters of base64url",
			type->name, name);
	if ((rc = certauto__key_authorization(&value, account->pkey, offered->token)) == 0) {
		certauto__fact_set(job, "token", offered->token);
		certauto__fact_set(job, ".value", certauto__buffer_text(&value));
		rc = certauto__present_facts(job, type->name, name, value.data, account->url);
	}
	certauto__buffer_free(&value);
	return rc == 0 ? 0
		       : certauto__error_set(err, rc, name, "cannot make the answer for %s: %s",
				 name, certauto_error_text(rc));
}
