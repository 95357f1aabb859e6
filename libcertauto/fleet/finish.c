/* SPDX-License-Identifier: Apache-2.0 */
/* Where a device keeps what it is told only when it is told so once more: what all certificates of
 * a run have brought there is made permanent together, after the last of them. Until then they
 * count as not saved, so that a run that ends before leaves that to the next. */

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/fleet.h"

/* ---- noting ---- */

static void unsaved_free(struct certauto__unsaved *unsaved)
{
	certauto__deployment_free(unsaved->deployment);
	certauto__free(unsaved);
}

void certauto__unsaved_free(struct certauto__run *run)
{
	struct certauto__unsaved *unsaved;

	while ((unsaved = run->unsaved) != NULL) {
		run->unsaved = unsaved->next;
		unsaved_free(unsaved);
	}
}

/* The job the deployment hangs on is gone by then, and neither chain nor key is needed. */
static struct certauto__deployment *keep_deployment(struct certauto__deployment *from)
{
	struct certauto__deployment *kept =
		certauto__deployment_new(from->target, from->name, from->key_type);

	if (kept == NULL)
		return NULL;
	kept->n_keys = from->n_keys;
	kept->recovering = from->recovering;
	kept->proof = from->proof;
	kept->superseded = from->superseded; /* moved */
	memset(&from->superseded, 0, sizeof(from->superseded));
	return kept;
}

int certauto__unsaved_add(struct certauto__run *run, const struct certauto__use *use,
	struct certauto__deployment *deployment, const char *fingerprint,
	struct certauto__result *result)
{
	struct certauto__unsaved *unsaved = certauto__alloc(sizeof(*unsaved)), **at;

	if (unsaved == NULL)
		return CERTAUTO_ENOMEM;
	if ((unsaved->deployment = keep_deployment(deployment)) == NULL) {
		certauto__free(unsaved);
		return CERTAUTO_ENOMEM;
	}
	unsaved->use = use;
	unsaved->result = result;
	(void)snprintf(unsaved->fingerprint, sizeof(unsaved->fingerprint), "%s", fingerprint);
	for (at = &run->unsaved; *at != NULL; at = &(*at)->next)
		;
	*at = unsaved;
	return 0;
}

/* ---- how it ended ---- */

/* error NULL: it is saved. */
static int change_state(struct certauto__target_state *target,
	const struct certauto__unsaved *unsaved, const certauto_error *error)
{
	const char *state = unsaved->deployment->proof == CERTAUTO__PROOF_UNPROVED ?
		CERTAUTO__STATE_UNPROVED : CERTAUTO__STATE_DEPLOYED;

	target->checked_at = certauto__clock_now();
	certauto__error_clear(&target->error);
	if (error == NULL)
		return certauto__target_state_set(target, state, unsaved->fingerprint);
	certauto__error_copy(&target->error, error);
	return 0;
}

/* Not where another run has been there since: it knows better. */
static int keep_state(certauto_store *store, const struct certauto__unsaved *unsaved,
	const certauto_error *error, certauto_error *err)
{
	const struct certauto__result *of = unsaved->result; /* name and key of the lineage */
	const char *label = unsaved->use->label;
	struct certauto__lineage_state state;
	const struct certauto__target_state *found;
	int rc;

	if ((rc = certauto__state_load(&state, store, of->name, of->key, err)) < 0)
		return rc;
	found = certauto__state_find(&state, label);
	if (found != NULL && strcmp(found->state, CERTAUTO__STATE_NOT_SAVED) == 0 &&
	    certauto__text_equal(found->fingerprint, unsaved->fingerprint)) {
		rc = change_state(certauto__state_target(&state, label), unsaved, error);
		rc = rc < 0 ? certauto__error_nomem(err)
			    : certauto__state_save(&state, store, of->name, of->key, err);
	}
	certauto__state_free(&state);
	return rc;
}

/* One that is locked is worked on by another run, which finishes it itself. */
static void keep_locked(certauto_job *job, certauto_store *store,
	const struct certauto__unsaved *unsaved, const certauto_error *error)
{
	const struct certauto__result *of = unsaved->result; /* name and key of the lineage */
	certauto_error err = {0};
	void *lock = NULL;
	char id[160];
	int rc;

	certauto__lineage_id(id, sizeof(id), of->name, of->key);
	if ((rc = store->row->lock(store, CERTAUTO__LOCK_CERT, id, &lock, &err)) == 0) {
		rc = keep_state(store, unsaved, error, &err);
		store->row->unlock(store, lock);
	}
	if (rc < 0 && rc != CERTAUTO_EBUSY)
		certauto__warn(job, of->name, "cannot keep how the deployment went: %s",
			certauto_error_message(&err));
	certauto__error_clear(&err);
}

/* by: the job that tells how it ended. */
static void settle(certauto_job *by, struct certauto__run *run, struct certauto__unsaved *unsaved)
{
	struct certauto__result *result = unsaved->result;
	certauto_error err = {0};
	int failed = certauto_job_result(by) < 0;

	if (failed)
		certauto__unsaved_error(&err, by, unsaved->use->label);
	keep_locked(by, run->fleet->store, unsaved, failed ? &err : NULL);
	/* What failed besides is not made better by it, and was first. */
	if (failed && (result->outcome == NULL || strcmp(result->outcome, "failed") != 0))
		certauto__result_set(result, certauto__outcome_of(err.code), &err);
	certauto__error_clear(&err);
	unsaved->settled = 1;
}

void certauto__unsaved_ended(certauto_job *job, struct certauto__run *run)
{
	struct certauto__unsaved *unsaved;

	for (unsaved = run->unsaved; unsaved != NULL; unsaved = unsaved->next)
		if (!unsaved->settled)
			settle(job, run, unsaved);
}

/* ---- a device ---- */

struct device {
	struct certauto__run *run;
	int group;
};

static struct certauto__unsaved *next_of(const struct device *device,
	struct certauto__unsaved *unsaved)
{
	while (unsaved != NULL && unsaved->group != device->group)
		unsaved = unsaved->next;
	return unsaved;
}

static certauto__verdict device_ask(certauto_job *job, certauto__exchange *x)
{
	const struct device *device = certauto__job_env(job);
	struct certauto__unsaved *first = next_of(device, device->run->unsaved), *unsaved;
	struct certauto__deployment **deployments;
	certauto_job *child;
	size_t n = 0;

	(void)x;
	for (unsaved = first; unsaved != NULL; unsaved = next_of(device, unsaved->next))
		n++;
	if ((deployments = certauto__alloc(n * sizeof(*deployments))) == NULL)
		return certauto__fail(job, CERTAUTO_ENOMEM, NULL, "%s",
			certauto_error_text(CERTAUTO_ENOMEM));
	n = 0;
	for (unsaved = first; unsaved != NULL; unsaved = next_of(device, unsaved->next))
		deployments[n++] = unsaved->deployment;
	child = certauto__finish_child(job, first->use->label, deployments, n);
	certauto__free(deployments);
	return child != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static certauto__verdict device_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_job *child = certauto__child(job, NULL, 0);
	certauto_error error = {0};

	(void)x;
	if (certauto__children_errors(job, NULL) > 0)
		return CERTAUTO__FAILED;
	if (!certauto__job_owes(child)) {
		if (certauto__job_changed(child))
			certauto__progress(job, NULL, "finished");
		return CERTAUTO__NEXT;
	}
	certauto__error_copy(&error, certauto__job_owed_error(child));
	return certauto__fail_with(job, &error);
}

static const struct certauto__step device_steps[] = {
	{.name = "finish", .ask = device_ask, .read = device_read},
};

static const struct certauto__table device_table = {
	.name = "device",
	.steps = device_steps,
	.n_steps = 1,
};

static void device_ended(certauto_job *job, void *arg)
{
	const struct device *device = arg;
	struct certauto__unsaved *unsaved = next_of(device, device->run->unsaved);

	for (; unsaved != NULL; unsaved = next_of(device, unsaved->next))
		settle(job, device->run, unsaved);
}

static int start_device(certauto_job *job, struct certauto__run *run, const char *label)
{
	struct certauto__start start = {.table = &device_table, .name = label,
		.env_free = certauto__free, .ended = device_ended};
	struct device *device = certauto__alloc(sizeof(*device));

	if (device == NULL)
		return certauto__error_nomem(certauto__job_error_of(job));
	device->run = run;
	device->group = run->n_groups;
	start.env = start.ended_arg = device;
	return certauto__child_start_as(job, &start) != NULL ? 0 : -1;
}

/* ---- all of them ---- */

/* What cannot be reached is told by its finish, which asks for the same. */
static void find_peer(struct certauto__unsaved *unsaved)
{
	certauto_target *target = unsaved->use->target;

	if (target->row->peer != NULL &&
	    target->row->peer(target, &unsaved->peer, NULL) == 0)
		certauto__peer_unref(unsaved->peer); /* the loop has it as long as there are jobs */
}

static int is_same_device(const struct certauto__unsaved *a, const struct certauto__unsaved *b)
{
	const certauto_target *one = a->use->target, *other = b->use->target;

	return one->row == other->row && a->peer == b->peer && (a->peer != NULL || one == other);
}

certauto__verdict certauto__unsaved_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__run *run = certauto__job_env(job);
	struct certauto__unsaved *first, *other;
	int n = run->n_groups;

	(void)x;
	for (first = run->unsaved; first != NULL; first = first->next)
		if (first->group == 0)
			find_peer(first);
	for (first = run->unsaved; first != NULL; first = first->next) {
		if (first->group != 0)
			continue;
		run->n_groups++;
		for (other = first; other != NULL; other = other->next)
			if (other->group == 0 && is_same_device(first, other))
				other->group = run->n_groups;
		if (start_device(job, run, first->use->label) < 0)
			return CERTAUTO__FAILED;
	}
	return run->n_groups > n ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}
