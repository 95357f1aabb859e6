/* SPDX-License-Identifier: Apache-2.0 */
/* A lineage's current certificate is revoked. Nothing is taken from the targets: what they serve
 * is replaced by the next renewal, for which it counts as due. */

#include "core/memory.h"
#include "fleet/lineage.h"

static int is_compromise(const struct certauto__run *run)
{
	/* A CA takes a request that is signed by the key itself as proof of it. */
	return run->reason == CERTAUTO_REVOKE_KEY_COMPROMISE || run->by_key;
}

static int load_key(struct certauto__lineage *lineage, certauto_error *err)
{
	const certauto__secret *key = lineage->view.current.key;

	if (key != NULL)
		return certauto__pkey_parse_own(&lineage->own_key, certauto__secret_data(key),
			certauto__secret_len(key), err);
	certauto__error_set(err, CERTAUTO_ENOTFOUND, lineage->certificate->name,
		"the key of %s %s is not kept here: it cannot sign the revocation",
		lineage->certificate->name, lineage->key);
	return certauto__error_advise(err, "revoke it by the account");
}

static int check(const struct certauto__lineage *lineage, certauto_error *err)
{
	const struct certauto__view *view = &lineage->view;
	const char *name = lineage->certificate->name;

	if (view->chain == NULL)
		return certauto__error_set(err, CERTAUTO_ENOTFOUND, name,
			"%s %s was never issued: there is nothing to revoke", name, lineage->key);
	if (certauto__text_equal(view->current.server, lineage->certificate->account->server))
		return 0;
	certauto__error_set(err, CERTAUTO_EINVAL, name, "%s %s is from another CA than configured",
		name, lineage->key);
	return certauto__error_advise(err, "it is from %s: configure that as its account's server",
		view->current.server);
}

/* Kept before the CA hears of it: whatever comes of that, the key is used no more. */
static int keep_compromise(struct certauto__lineage *lineage, certauto_error *err)
{
	if (!is_compromise(lineage->run) || lineage->view.state.key_compromised)
		return 0;
	lineage->view.state.key_compromised = 1;
	return certauto__lineage_save_state(lineage, err);
}

static certauto__verdict look_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto_error *err = certauto__job_error_of(job);

	(void)x;
	if (certauto__view_load(&lineage->view, lineage->run->fleet->store,
		    lineage->certificate->name, lineage->key, err) < 0 ||
	    check(lineage, err) < 0 || (lineage->run->by_key && load_key(lineage, err) < 0) ||
	    keep_compromise(lineage, err) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

static certauto__verdict revoke_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	struct certauto__revocation *revocation = &lineage->revocation;
	certauto__peer *peer = NULL;
	certauto_job *child;

	(void)x;
	if (certauto__view_revoked(&lineage->view))
		return CERTAUTO__NEXT;
	if (certauto__account_peer(lineage->certificate->account, &peer,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	revocation->certs = lineage->view.chain;
	revocation->key = lineage->own_key;
	revocation->reason = lineage->run->reason;
	child = certauto__child_start(
		job, &certauto__revoke_table, "revoke", revocation, NULL, peer, 0);
	certauto__peer_unref(peer);
	return child != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static certauto__verdict revoke_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const char *serial = certauto__certs_info(lineage->view.chain, 0)->serial;
	struct certauto__lineage_state *state = &lineage->view.state;
	certauto_error *err;

	(void)x;
	if (certauto__children_errors(job, &certauto__revoke_table) > 0)
		return CERTAUTO__FAILED;
	err = certauto__job_error_of(job);
	certauto__free(state->revoked);
	if ((state->revoked = certauto__strdup(serial)) == NULL) {
		(void)certauto__error_nomem(err);
		return CERTAUTO__FAILED;
	}
	if (certauto__lineage_save_state(lineage, err) < 0)
		return CERTAUTO__FAILED;
	lineage->settled = 1;
	certauto__progress(job, lineage->certificate->name, "revoked: serial %s", serial);
	return CERTAUTO__NEXT;
}

static const struct certauto__step revoke_steps[] = {
	{.name = "look", .ask = look_ask},
	{.name = "revoke", .ask = revoke_ask, .read = revoke_read},
};

const struct certauto__table certauto__lineage_revoke_table = {
	.name = "lineage-revoke",
	.steps = revoke_steps,
	.n_steps = sizeof(revoke_steps) / sizeof(*revoke_steps),
};
