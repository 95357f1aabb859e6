/* SPDX-License-Identifier: Apache-2.0 */
/* From a generation to the targets: a job for each, side by side, every one its own transaction.
 * What is issued stays issued, whatever happens here. */

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/lineage.h"

/* ---- starting ---- */

static struct certauto__deployment *bare_deployment(const struct certauto__lineage *lineage,
	certauto_target *target, const char *generation)
{
	const char *key_type = lineage->certificate->csr == NULL ? lineage->key :
		certauto__deployment_keyless(target, lineage->view.chain);
	struct certauto__deployment *deployment =
		certauto__deployment_new(target, lineage->certificate->name, key_type);

	if (deployment == NULL)
		return NULL;
	deployment->n_keys = (int)lineage->certificate->keys.n;
	if (generation != NULL && (deployment->generation = certauto__strdup(generation)) == NULL) {
		certauto__deployment_free(deployment);
		return NULL;
	}
	return deployment;
}

static int fill_deployment(struct certauto__deployment *deployment,
	const struct certauto__generation *from, certauto_error *err)
{
	int rc;

	if ((rc = certauto__certs_parse(&deployment->chain, from->fullchain.data,
		     from->fullchain.len, 0, err)) < 0)
		return rc;
	if (from->key != NULL &&
	    (rc = certauto__pkey_parse_own(&deployment->key, certauto__secret_data(from->key),
		     certauto__secret_len(from->key), err)) < 0)
		return rc;
	if (certauto__list_copy(&deployment->names, &from->names) < 0)
		return certauto__error_nomem(err);
	return 0;
}

/* Of the generation that the target is known to serve, if it is still kept. Without it there may be
 * no way back: that is told when it is wanted. */
static void give_former(struct certauto__deployment *deployment,
	const struct certauto__lineage *lineage, const char *label)
{
	const struct certauto__target_state *state =
		certauto__state_find(&lineage->view.state, label);
	certauto_store *store = lineage->run->fleet->store;
	struct certauto__generation former = {0};
	certauto__certs *chain = NULL;

	if (!deployment->target->row->wants_former || state == NULL || state->fingerprint == NULL)
		return;
	if (store->row->load_former(store, lineage->certificate->name, lineage->key, &former,
		    NULL) == 0 && former.key != NULL &&
	    certauto__certs_parse(&chain, former.fullchain.data, former.fullchain.len, 0, NULL) ==
		    0 &&
	    certauto__text_equal(certauto__certs_info(chain, 0)->fingerprint,
		    state->fingerprint) &&
	    certauto__pkey_parse_own(&deployment->former_key, certauto__secret_data(former.key),
		    certauto__secret_len(former.key), NULL) == 0)
		(void)snprintf(deployment->former, sizeof(deployment->former), "%s",
			state->fingerprint);
	certauto__certs_free(chain);
	certauto__generation_free(&former);
}

static int start_one(certauto_job *job, const struct certauto__lineage *lineage,
	const struct certauto__use *use)
{
	const struct certauto__target_state *state =
		certauto__state_find(&lineage->view.state, use->label);
	const struct certauto__generation *current = &lineage->view.current;
	struct certauto__deployment *deployment =
		bare_deployment(lineage, use->target, current->id);
	certauto_error *err = certauto__job_error_of(job);

	if (deployment == NULL)
		return certauto__error_nomem(err);
	if (fill_deployment(deployment, current, err) < 0) {
		certauto__deployment_free(deployment);
		return -1;
	}
	give_former(deployment, lineage, use->label);
	deployment->recovering = certauto__record_found(job) ||
		(state != NULL && state->unfinished);
	return certauto__deploy_child(job, use->label, deployment) != NULL ? 0 : -1;
}

/* Not there, as far as is known. gc finishes what was begun and begins nothing. */
static int is_missing(const struct certauto__lineage *lineage, const struct certauto__use *use)
{
	if (lineage->run->mode == CERTAUTO__MODE_SETTLE && !lineage->deploying)
		return use->target->row->finish != NULL &&
			certauto__view_unsaved(&lineage->view, use->label);
	return lineage->deploy_all || !certauto__view_deployed(&lineage->view, use->label);
}

static int is_wanted(const struct certauto__lineage *lineage, const struct certauto__use *use)
{
	return is_missing(lineage, use) ||
		(use->target->row->drifts && lineage->run->mode == CERTAUTO__MODE_RENEW);
}

static size_t count_wanted(const certauto_job *job, struct certauto__lineage *lineage)
{
	const char *deploying = certauto__fact_own(job, CERTAUTO__FACT_DEPLOYING);
	size_t i, n = 0;

	if (lineage->view.chain == NULL)
		return 0;
	lineage->deploying = certauto__text_equal(deploying, lineage->view.current.id);
	for (i = 0; i < lineage->certificate->n_deploys; i++)
		n += is_wanted(lineage, &lineage->certificate->deploys[i]);
	return n;
}

certauto__verdict certauto__lineage_deploy_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const struct certauto__certificate *certificate = lineage->certificate;
	size_t i;

	(void)x;
	/* Of the leftovers nothing is needed any more, and they have the names of those that come
	 * now. */
	certauto__children_drop(job, NULL);
	if (count_wanted(job, lineage) == 0)
		return CERTAUTO__NEXT;
	certauto__fact_set(job, CERTAUTO__FACT_DEPLOYING, lineage->view.current.id);
	lineage->visited = 1;
	for (i = 0; i < certificate->n_deploys; i++) {
		lineage->deployed |= is_missing(lineage, &certificate->deploys[i]);
		if (is_wanted(lineage, &certificate->deploys[i]) &&
		    start_one(job, lineage, &certificate->deploys[i]) < 0)
			return CERTAUTO__FAILED;
	}
	return CERTAUTO__JOIN;
}

/* ---- how it went ---- */

static const certauto_job *child_of(const certauto_job *job, const struct certauto__use *use)
{
	const certauto_job *child;
	size_t i;

	for (i = 0; (child = certauto__child(job, use->target->row->deploy, i)) != NULL; i++)
		if (strcmp(certauto__job_key(child), use->label) == 0)
			return child;
	return NULL;
}

/* What is served is known only after a proof, and after an undo: then it is what was there
 * before. */
static const char *state_of(const struct certauto__lineage *lineage, const certauto_job *child,
	const struct certauto__target_state *before, const char **fingerprint)
{
	const struct certauto__deployment *deployment = certauto__job_env(child);
	const char *wanted = certauto__certs_info(lineage->view.chain, 0)->fingerprint;
	int rc = certauto__child_result(child);

	*fingerprint = wanted;
	if ((rc == 0 && certauto__job_owes(child)) || (rc < 0 && certauto__job_committed(child)) ||
		(rc == 0 && deployment->target->row->finish != NULL))
		return CERTAUTO__STATE_NOT_SAVED;
	if (rc == 0)
		return deployment->proof == CERTAUTO__PROOF_UNPROVED ? CERTAUTO__STATE_UNPROVED :
			CERTAUTO__STATE_DEPLOYED;
	*fingerprint = before->fingerprint;
	if (rc == CERTAUTO_EROLLBACK || !certauto__job_undone(child)) {
		*fingerprint = NULL;
		return CERTAUTO__STATE_INCONSISTENT;
	}
	if (certauto__job_changed(child))
		return CERTAUTO__STATE_ROLLED_BACK;
	return rc == CERTAUTO_ECANCELED ? before->state : CERTAUTO__STATE_FAILED;
}

/* Where it is finished later, with all that goes to the same device. */
static int note_unsaved(struct certauto__lineage *lineage, const struct certauto__use *use,
	const certauto_job *child)
{
	if (use->target->row->finish == NULL || certauto__child_result(child) < 0)
		return 0;
	return certauto__unsaved_add(lineage->run, use, certauto__job_env(child),
		certauto__certs_info(lineage->view.chain, 0)->fingerprint, lineage->result);
}

/* It was only looked at, and there was something to mend. */
static void tell_drift(certauto_job *job, const certauto_job *child,
	const struct certauto__use *use)
{
	struct certauto__lineage *lineage = certauto__job_env(job);

	if (is_missing(lineage, use) || !certauto__job_changed(child))
		return;
	lineage->deployed = 1;
	if (certauto__child_result(child) == 0)
		certauto__warn(job, lineage->certificate->name,
			"%s was not as it had been deployed: it is again", use->label);
}

static int collect_one(certauto_job *job, const certauto_job *child,
	const struct certauto__use *use)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	struct certauto__target_state *target =
		certauto__state_target(&lineage->view.state, use->label);
	char *fingerprint = NULL, *state;
	const char *shown;
	int rc;

	if (target == NULL)
		return CERTAUTO_ENOMEM;
	tell_drift(job, child, use);
	/* Both may be the ones that are replaced. */
	state = certauto__strdup(state_of(lineage, child, target, &shown));
	fingerprint = certauto__strdup(shown);
	rc = state != NULL ? certauto__target_state_set(target, state, fingerprint)
			   : CERTAUTO_ENOMEM;
	target->checked_at = certauto__clock_now();
	certauto__error_clear(&target->error);
	if (certauto__child_result(child) < 0) {
		certauto__error_copy(&target->error, certauto_job_error(child));
		certauto__progress(job, lineage->certificate->name, "%s: %s", use->label,
			state != NULL ? state : CERTAUTO__STATE_FAILED);
	} else if (certauto__job_owes(child)) {
		certauto__error_copy(&target->error, certauto__job_owed_error(child));
	}
	certauto__free(state);
	certauto__free(fingerprint);
	return rc < 0 ? rc : note_unsaved(lineage, use, child);
}

void certauto__lineage_collect(certauto_job *job)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const struct certauto__certificate *certificate = lineage->certificate;
	certauto_error err = {0};
	const certauto_job *child;
	size_t i, n = 0;
	int rc = 0;

	if (lineage->collected || !lineage->visited)
		return;
	lineage->collected = 1;
	for (i = 0; i < certificate->n_deploys && rc == 0; i++) {
		if ((child = child_of(job, &certificate->deploys[i])) == NULL)
			continue;
		n++;
		rc = collect_one(job, child, &certificate->deploys[i]);
	}
	if (rc == 0 && n > 0)
		rc = certauto__lineage_save_state(lineage, &err);
	if (rc < 0)
		certauto__warn(job, certificate->name, "cannot keep how the deployment went: %s",
			err.code != 0 ? certauto_error_message(&err) : certauto_error_text(rc));
	certauto__error_clear(&err);
}

/* The first target that serves the certificate but still lacks something: NULL if there is none. */
static const certauto_job *first_owing(const certauto_job *job,
	const struct certauto__certificate *certificate)
{
	const certauto_job *child;
	size_t i;

	for (i = 0; i < certificate->n_deploys; i++)
		if ((child = child_of(job, &certificate->deploys[i])) != NULL &&
		    certauto__job_owes(child))
			return child;
	return NULL;
}

static certauto__verdict fail_owing(certauto_job *job, const certauto_job *child)
{
	certauto_error err = {0};

	certauto__unsaved_error(&err, child, certauto__job_key(child));
	return certauto__fail_with(job, &err);
}

certauto__verdict certauto__lineage_deploy_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const certauto_job *owing = first_owing(job, lineage->certificate);

	(void)x;
	certauto__lineage_collect(job);
	if (certauto__children_errors(job, NULL) > 0) {
		/* Of what was wholly taken back there is nothing to remember. */
		if (owing == NULL) {
			certauto__fact_set(job, CERTAUTO__FACT_DEPLOYING, NULL);
			certauto__children_drop(job, NULL);
		}
		return CERTAUTO__FAILED;
	}
	if (owing != NULL)
		return fail_owing(job, owing);
	if (lineage->deployed)
		certauto__progress(job, lineage->certificate->name, "deployed");
	return CERTAUTO__NEXT;
}

/* ---- leftovers of an earlier run ---- */

static int revive_order(certauto_job *job, struct certauto__lineage *lineage, void **env_out,
	certauto__peer **peer_out)
{
	const char *id = certauto__fact(job, CERTAUTO__FACT_GENERATION);
	certauto_store *store = lineage->run->fleet->store;
	struct certauto__generation draft = {0};
	int rc;

	/* The facts of a completed order have gone, and its CSR is that of the current
	 * generation. */
	if ((rc = store->row->load(store, lineage->certificate->name, lineage->key, id, &draft,
		     NULL)) == 0 &&
		(rc = certauto__lineage_make_order(lineage, &draft, NULL)) == 0 &&
		(rc = certauto__account_peer(lineage->certificate->account, peer_out, NULL)) == 0)
		*env_out = lineage->order;
	certauto__generation_free(&draft);
	return rc;
}

/* By its label; a target that this certificate is no longer deployed to, by its name. */
static certauto_target *target_of(const struct certauto__lineage *lineage, const char *label)
{
	const struct certauto__certificate *certificate = lineage->certificate;
	size_t i;

	for (i = 0; i < certificate->n_deploys; i++)
		if (strcmp(certificate->deploys[i].label, label) == 0)
			return certificate->deploys[i].target;
	return certauto__fleet_find_target(lineage->run->fleet, label);
}

static int revive_deployment(certauto_job *job, struct certauto__lineage *lineage,
	certauto_target *target, const char *key, void **env_out, certauto__peer **peer_out)
{
	struct certauto__revived *revived = certauto__alloc(sizeof(*revived));
	int rc = 0;

	if (revived == NULL)
		return CERTAUTO_ENOMEM;
	revived->deployment =
		bare_deployment(lineage, target, certauto__fact(job, CERTAUTO__FACT_DEPLOYING));
	if (revived->deployment == NULL) {
		certauto__free(revived);
		return CERTAUTO_ENOMEM;
	}
	give_former(revived->deployment, lineage, key);
	revived->next = lineage->revived;
	lineage->revived = revived;
	if (target->row->peer != NULL)
		rc = target->row->peer(target, peer_out, NULL);
	*env_out = revived->deployment;
	return rc;
}

static int revive_request(const struct certauto__lineage *lineage, const char *table,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	certauto_target *target = lineage->certificate->maker;

	if (target == NULL || strcmp(target->row->csr->name, table) != 0 ||
	    (target->row->peer != NULL && target->row->peer(target, peer_out, NULL) < 0))
		return 0;
	*table_out = target->row->csr;
	*env_out = target; /* the configuration's, which outlives it */
	return 1;
}

/* The deploy table of that name, as the target is or as it was when that was begun. */
static const struct certauto__table *deploy_table(const certauto_target *target, const char *name)
{
	const struct certauto__target_row *row =
		certauto__target_row_find(target->object.cx, target->row->name);

	for (; row != NULL; row = row->other)
		if (row->deploy != NULL && strcmp(row->deploy->name, name) == 0)
			return row->deploy;
	return NULL;
}

int certauto__lineage_revive(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto_target *target;

	if (strcmp(table, certauto__order_table.name) == 0) {
		*table_out = &certauto__order_table;
		return revive_order(job, lineage, env_out, peer_out);
	}
	if (revive_request(lineage, table, table_out, env_out, peer_out))
		return 0;
	target = target_of(lineage, key);
	if (target == NULL || (*table_out = deploy_table(target, table)) == NULL)
		return CERTAUTO_ENOTFOUND;
	return revive_deployment(job, lineage, target, key, env_out, peer_out);
}
