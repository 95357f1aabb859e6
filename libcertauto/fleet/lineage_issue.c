/* SPDX-License-Identifier: Apache-2.0 */
/* From nothing to a new generation: key and CSR on disk first, then the order, then the switch. */

#include <string.h>

#include "acme/order.h"
#include "core/clock.h"
#include "core/memory.h"
#include "fleet/lineage.h"

#define CSR_MAX 65536

/* ---- draft ---- */

/* The key of the current generation, where it is to be kept and may be; else a new one. */
static int make_key(struct certauto__lineage *lineage, certauto__pkey **out, certauto_error *err)
{
	const certauto__secret *kept = lineage->view.current.key;

	if (lineage->certificate->reuse_key && kept != NULL &&
	    !lineage->view.state.key_compromised)
		return certauto__pkey_parse_own(out, certauto__secret_data(kept),
			certauto__secret_len(kept), err);
	return certauto__pkey_new(out, lineage->key, err);
}

static int check_csr(const struct certauto__lineage *lineage, certauto_error *err)
{
	if (!lineage->view.state.key_compromised ||
	    !certauto__view_same_csr(&lineage->view, lineage->certificate))
		return 0;
	certauto__error_set(err, CERTAUTO_EINVAL, lineage->certificate->name,
		"the csr of %s is for a key that was compromised", lineage->certificate->name);
	return certauto__error_advise(err, "make a new key and a csr for it");
}

static int make_draft(struct certauto__lineage *lineage, struct certauto__generation *draft,
	certauto_error *err)
{
	const struct certauto__certificate *certificate = lineage->certificate;
	certauto__pkey *key = NULL;
	certauto__req *req = NULL;
	int rc;

	if (certificate->csr != NULL) {
		if ((rc = check_csr(lineage, err)) < 0)
			return rc;
		rc = certauto__req_format(&draft->csr, certificate->csr);
		return rc < 0 ? certauto__error_nomem(err) : 0;
	}
	if (certificate->maker != NULL) {
		draft->key_on = certauto__strdup(certificate->maker->label);
		rc = certauto__buffer_text_add(&draft->csr, lineage->request);
		return draft->key_on == NULL || rc < 0 ? certauto__error_nomem(err) : 0;
	}
	if ((rc = make_key(lineage, &key, err)) < 0 ||
	    (rc = certauto__pkey_format(&draft->key, key, err)) < 0 ||
	    (rc = certauto__req_new(&req, key, &certificate->names, NULL, err)) < 0)
		goto out;
	if (certauto__req_format(&draft->csr, req) < 0)
		rc = certauto__error_nomem(err);
out:
	certauto__req_free(req);
	certauto__pkey_free(key);
	return rc;
}

/* 1: the half-made generation has the key that must not be used any more. */
static int is_tainted(const struct certauto__lineage *lineage,
	const struct certauto__generation *draft)
{
	const certauto__secret *ours = draft->key, *theirs = lineage->view.current.key;

	return lineage->view.state.key_compromised && ours != NULL && theirs != NULL &&
		certauto__secret_len(ours) == certauto__secret_len(theirs) &&
		certauto__equal_secret(certauto__secret_data(ours), certauto__secret_data(theirs),
			certauto__secret_len(ours));
}

/* A half-made generation of an interrupted run is gone on with, byte for byte: the CA may have
 * seen it. */
static int have_draft(certauto_job *job, struct certauto__lineage *lineage, int *out,
	certauto_error *err)
{
	const char *id = certauto__fact_own(job, CERTAUTO__FACT_GENERATION);
	struct certauto__generation draft = {0};
	certauto_store *store = lineage->run->fleet->store;
	int rc;

	*out = 0;
	if (id == NULL)
		return 0;
	rc = store->row->load(store, lineage->certificate->name, lineage->key, id, &draft, err);
	*out = rc == 0 && !is_tainted(lineage, &draft);
	certauto__generation_free(&draft);
	if (rc != CERTAUTO_ENOTFOUND)
		return rc;
	certauto__error_clear(err);
	return 0;
}

static int new_draft(certauto_job *job, struct certauto__lineage *lineage, certauto_error *err)
{
	certauto_store *store = lineage->run->fleet->store;
	struct certauto__generation draft = {0};
	int rc;

	certauto__buffer_init(&draft.csr, CSR_MAX);
	if ((rc = make_draft(lineage, &draft, err)) == 0 &&
	    (rc = store->row->draft(store, lineage->certificate->name, lineage->key, &draft,
			 err)) == 0) {
		certauto__fact_set(job, CERTAUTO__FACT_GENERATION, draft.id);
		certauto__save_now(job);
	}
	certauto__generation_free(&draft);
	return rc;
}

/* ---- request: of a target that makes the key ---- */

certauto__verdict certauto__lineage_request_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const struct certauto__certificate *certificate = lineage->certificate;
	int there;

	(void)x;
	if (!lineage->issue || certificate->maker == NULL)
		return CERTAUTO__NEXT;
	if (have_draft(job, lineage, &there, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (there)
		return CERTAUTO__NEXT;
	certauto__children_drop(job, certificate->maker->row->csr); /* of an earlier run */
	if (certauto__csr_facts(job, certificate->name, lineage->key, &certificate->names) < 0 ||
	    certauto__csr_child(job, certificate->maker) == NULL)
		return CERTAUTO__FAILED;
	certauto__progress(job, certificate->name, "%s makes the key", certificate->maker->label);
	return CERTAUTO__JOIN;
}

static int keep_request(certauto_job *job, struct certauto__lineage *lineage, certauto_error *err)
{
	const struct certauto__certificate *certificate = lineage->certificate;
	certauto__buffer pem = CERTAUTO__BUFFER(CSR_MAX);
	int rc;

	rc = certauto__csr_take(job, certificate->maker, &certificate->names, &pem, err);
	if (rc == 0) {
		certauto__free(lineage->request);
		if ((lineage->request = certauto__buffer_take(&pem)) == NULL)
			rc = certauto__error_nomem(err);
	}
	certauto__buffer_free(&pem);
	return rc;
}

certauto__verdict certauto__lineage_request_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const struct certauto__table *table = lineage->certificate->maker->row->csr;

	(void)x;
	(void)certauto__csr_facts(job, NULL, NULL, NULL);
	if (certauto__children_errors(job, table) > 0 ||
	    keep_request(job, lineage, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	certauto__children_drop(job, table);
	return CERTAUTO__NEXT;
}

/* An order of an earlier run is of no use without the key that was made for it. */
certauto__verdict certauto__lineage_draft(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto_error *err;
	int there;

	(void)x;
	if (!lineage->issue)
		return CERTAUTO__NEXT;
	err = certauto__job_error_of(job);
	if (have_draft(job, lineage, &there, err) < 0)
		return CERTAUTO__FAILED;
	if (there)
		return CERTAUTO__NEXT;
	if (new_draft(job, lineage, err) < 0)
		return CERTAUTO__FAILED;
	return certauto__children_release(job, &certauto__order_table) > 0 ? CERTAUTO__JOIN
									    : CERTAUTO__NEXT;
}

/* ---- order ---- */

static int add_uses(certauto_order *order, const struct certauto__certificate *certificate,
	certauto_error *err)
{
	const struct certauto__use *use;
	size_t i, j;
	int rc;

	for (i = 0; i < certificate->n_challenges; i++) {
		use = &certificate->challenges[i];
		if (use->patterns.n == 0 &&
		    (rc = certauto__order_add_use(order, "*", use->challenge, use->target,
				 err)) < 0)
			return rc;
		for (j = 0; j < use->patterns.n; j++)
			if ((rc = certauto__order_add_use(order, use->patterns.items[j],
				     use->challenge, use->target, err)) < 0)
				return rc;
	}
	return 0;
}

static int copy_text(char **at, const char *text, certauto_error *err)
{
	if (text == NULL || (*at = certauto__strdup(text)) != NULL)
		return 0;
	return certauto__error_nomem(err);
}

/* What it replaces is told to the CA that issued it, unless that would not hear of it before. */
static int add_wishes(certauto_order *order, const struct certauto__lineage *lineage,
	certauto_error *err)
{
	const struct certauto__certificate *certificate = lineage->certificate;
	const struct certauto__view *view = &lineage->view;
	int rc;

	order->profile_required = certificate->profile_required;
	if ((rc = copy_text(&order->profile, certificate->profile, err)) < 0 ||
	    (rc = copy_text(&order->preferred_chain, certificate->preferred_chain, err)) < 0)
		return rc;
	if (view->id == NULL || certauto__text_equal(view->state.no_replaces, view->id) ||
	    !certauto__text_equal(view->current.server, certificate->account->server))
		return 0;
	return copy_text(&order->replaces, view->id, err);
}

int certauto__lineage_make_order(struct certauto__lineage *lineage,
	const struct certauto__generation *draft, certauto_error *err)
{
	certauto_order *order = NULL;
	certauto__req *req = NULL;
	int rc;

	if ((rc = certauto__req_parse_own(&req, draft->csr.data, draft->csr.len, err)) < 0 ||
	    (rc = certauto__order_make(&order, lineage->certificate->account, req, err)) < 0 ||
	    (rc = add_wishes(order, lineage, err)) < 0 ||
	    (rc = add_uses(order, lineage->certificate, err)) < 0)
		goto out;
	certauto_order_free(lineage->order);
	lineage->order = order;
	order = NULL;
out:
	certauto_order_free(order);
	certauto__req_free(req);
	return rc;
}

static int load_and_order(certauto_job *job, struct certauto__lineage *lineage, certauto_error *err)
{
	const char *id = certauto__fact_own(job, CERTAUTO__FACT_GENERATION);
	certauto_store *store = lineage->run->fleet->store;
	struct certauto__generation draft = {0};
	int rc;

	if ((rc = store->row->load(store, lineage->certificate->name, lineage->key, id, &draft,
		     err)) == 0)
		rc = certauto__lineage_make_order(lineage, &draft, err);
	certauto__generation_free(&draft);
	return rc;
}

certauto__verdict certauto__lineage_order_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto__peer *peer = NULL;
	certauto_error *err;
	certauto_job *child = NULL;

	(void)x;
	if (!lineage->issue)
		return CERTAUTO__NEXT;
	err = certauto__job_error_of(job);
	certauto__children_drop(job, &certauto__order_table); /* of an earlier run */
	if (load_and_order(job, lineage, err) == 0 &&
	    certauto__account_peer(lineage->certificate->account, &peer, err) == 0 &&
	    certauto__order_check(lineage->order, err) == 0)
		child = certauto__child_start(job, &certauto__order_table, "order", lineage->order,
			NULL, peer, CERTAUTO__CHILD_TURN);
	certauto__peer_unref(peer);
	if (child == NULL)
		return CERTAUTO__FAILED;
	lineage->ordering = 1;
	return CERTAUTO__JOIN;
}

/* What was issued is not acceptable: it is kept for diagnosis, and the next run makes a new
 * order with a new key instead of fetching the same again. */
static void reject(certauto_job *job, struct certauto__lineage *lineage)
{
	const char *name = lineage->certificate->name;
	const char *id = certauto__fact_own(job, CERTAUTO__FACT_GENERATION);
	certauto_store *store = lineage->run->fleet->store;
	const certauto__buffer *chain = &lineage->order->rejected;

	if (chain->len > 0)
		(void)store->row->reject(store, name, lineage->key, id, chain->data, chain->len,
			NULL);
	(void)store->row->discard(store, name, lineage->key, id, NULL);
	certauto__fact_set(job, CERTAUTO__FACT_GENERATION, NULL);
	certauto__children_drop(job, &certauto__order_table);
}

certauto__verdict certauto__lineage_order_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const certauto_job *child = certauto__child(job, &certauto__order_table, 0);

	(void)x;
	if (certauto__children_errors(job, &certauto__order_table) > 0) {
		if (certauto__child_result(child) == CERTAUTO_ECERT)
			reject(job, lineage);
		return CERTAUTO__FAILED;
	}
	return CERTAUTO__NEXT;
}

/* ---- complete ---- */

/* The generation's directory is the truth from here on; the order's facts go. */
static int forget_order(certauto_job *job, struct certauto__lineage *lineage, certauto_error *err)
{
	const struct certauto__certificate *certificate = lineage->certificate;
	struct certauto__lineage_state *state = &lineage->view.state;
	struct certauto__target_state *target;
	size_t i;

	certauto__state_issued(state, certauto__fact_own(job, CERTAUTO__FACT_EARLY) != NULL,
		certauto__clock_now());
	certauto__fact_set(job, CERTAUTO__FACT_GENERATION, NULL);
	certauto__fact_set(job, CERTAUTO__FACT_EARLY, NULL);
	certauto__children_drop(job, &certauto__order_table);
	lineage->ordering = 0;
	lineage->issue = 0;
	lineage->issued = lineage->deploy_all = 1;
	for (i = 0; i < certificate->n_deploys; i++) {
		if ((target = certauto__state_target(state, certificate->deploys[i].label)) ==
				NULL ||
			certauto__target_state_set(target, CERTAUTO__STATE_PENDING,
				target->fingerprint) < 0)
			return certauto__error_nomem(err);
		certauto__error_clear(&target->error);
	}
	if (certauto__lineage_save_state(lineage, err) < 0)
		return -1;
	certauto__view_free(&lineage->view);
	return certauto__view_load(&lineage->view, lineage->run->fleet->store, certificate->name,
		lineage->key, err);
}

static int complete(certauto_job *job, struct certauto__lineage *lineage, certauto_error *err)
{
	const struct certauto__certificate *certificate = lineage->certificate;
	certauto_store *store = lineage->run->fleet->store;
	struct certauto__generation generation = {0};
	int rc;

	generation.made_at = generation.issued_at = certauto__clock_now();
	generation.id = certauto__strdup(certauto__fact_own(job, CERTAUTO__FACT_GENERATION));
	generation.server = certauto__strdup(certificate->account->server);
	generation.order_url = certauto__strdup(lineage->order->url);
	generation.profile = certauto__strdup(certificate->profile);
	if (generation.id == NULL || generation.server == NULL ||
	    (lineage->order->url != NULL && generation.order_url == NULL) ||
	    (certificate->profile != NULL && generation.profile == NULL) ||
	    certauto__list_copy(&generation.names, &certificate->names) < 0)
		rc = certauto__error_nomem(err);
	else
		rc = store->row->complete(store, certificate->name, lineage->key, &generation,
			lineage->order->chain, err);
	certauto__generation_free(&generation);
	return rc;
}

certauto__verdict certauto__lineage_complete(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const struct certauto__cert_info *leaf;
	certauto_error *err;
	char until[32];

	(void)x;
	if (!lineage->issue)
		return CERTAUTO__NEXT;
	err = certauto__job_error_of(job);
	if (complete(job, lineage, err) < 0 || forget_order(job, lineage, err) < 0)
		return CERTAUTO__FAILED;
	leaf = certauto__certs_info(lineage->view.chain, 0);
	certauto__progress(job, lineage->certificate->name, "issued: serial %s, valid until %s",
		leaf->serial, certauto__clock_format(until, sizeof(until), leaf->not_after));
	certauto__save_now(job);
	return CERTAUTO__NEXT;
}
