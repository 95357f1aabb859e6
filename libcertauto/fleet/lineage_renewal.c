/* SPDX-License-Identifier: Apache-2.0 */
/* When the CA would have the certificate renewed: asked before it is decided what is due, and once
 * right after a certificate came. Whatever goes wrong here, the certificate is renewed in time by
 * our own reckoning, so that nothing of it fails the job. */

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/lineage.h"

#define QUESTION_MS 10000 /* a dead CA must not hold up what is to be deployed */

/* An answer could change nothing where a new certificate is to come anyway, or must not be
 * ordered. */
static int is_open(const struct certauto__lineage *lineage, int64_t now)
{
	char why[CERTAUTO__WHY_SIZE];

	return certauto__state_blocked(&lineage->view.state, &lineage->run->wish, now) == 0 &&
		(certauto__view_is_early(&lineage->view, now) ||
			certauto__view_action(&lineage->view, lineage->certificate,
				&lineage->run->wish, now, why, sizeof(why)) < CERTAUTO__RENEW);
}

static int is_askable(const struct certauto__lineage *lineage, int64_t now)
{
	const struct certauto__view *view = &lineage->view;

	return view->chain != NULL && view->id != NULL &&
		certauto__text_equal(view->current.server, lineage->certificate->account->server) &&
		certauto__renewal_is_due(&view->state.renewal, view->id,
			certauto__certs_info(view->chain, 0)->not_after, now);
}

static int fill_question(struct certauto__lineage *lineage)
{
	struct certauto__renewal_question *question = &lineage->question;
	const struct certauto__view *view = &lineage->view;

	certauto__free(question->id);
	certauto__renewal_free(&question->renewal);
	question->id = certauto__strdup(view->id);
	question->not_after = certauto__certs_info(view->chain, 0)->not_after;
	if (question->id == NULL)
		return CERTAUTO_ENOMEM;
	return certauto__renewal_copy(&question->renewal, &view->state.renewal);
}

static void tell(certauto_job *job, const struct certauto__lineage *lineage,
	const certauto_error *error)
{
	certauto__warn(job, lineage->certificate->name,
		"cannot ask the CA when it would have this certificate renewed: %s",
		certauto_error_message(error));
}

static certauto__verdict start(certauto_job *job, struct certauto__lineage *lineage)
{
	struct certauto__start start = {
		.table = &certauto__renewal_table,
		.name = lineage->certificate->name,
		.env = &lineage->question,
		.deadline_ms = QUESTION_MS,
	};
	certauto_error err = {0};
	certauto_job *child;

	if (fill_question(lineage) < 0) {
		(void)certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	if (certauto__account_peer(lineage->certificate->account, &start.peer, &err) < 0) {
		tell(job, lineage, &err);
		certauto__error_clear(&err);
		return CERTAUTO__NEXT;
	}
	child = certauto__child_start_as(job, &start);
	certauto__peer_unref(start.peer);
	return child != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

certauto__verdict certauto__lineage_renewal_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	int64_t now = certauto__clock_now();

	(void)x;
	if (lineage->run->mode != CERTAUTO__MODE_RENEW || !is_askable(lineage, now) ||
	    !is_open(lineage, now))
		return CERTAUTO__NEXT;
	return start(job, lineage);
}

certauto__verdict certauto__lineage_renewal_first(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);

	(void)x;
	if (!lineage->issued || !is_askable(lineage, certauto__clock_now()))
		return CERTAUTO__NEXT;
	return start(job, lineage);
}

certauto__verdict certauto__lineage_renewal_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	struct certauto__renewal *renewal = &lineage->view.state.renewal;
	const certauto_job *child = certauto__child(job, &certauto__renewal_table, 0);
	certauto_error err = {0};

	(void)x;
	if (certauto__child_result(child) < 0) {
		tell(job, lineage, certauto_job_error(child));
		certauto__renewal_failed(renewal, lineage->question.id, certauto_job_error(child),
			certauto__clock_now());
	} else {
		certauto__renewal_free(renewal);
		*renewal = lineage->question.renewal; /* moved */
		memset(&lineage->question.renewal, 0, sizeof(lineage->question.renewal));
	}
	certauto__children_drop(job, &certauto__renewal_table);
	if (certauto__lineage_save_state(lineage, &err) < 0)
		certauto__warn(job, lineage->certificate->name, "cannot keep what the CA said: %s",
			certauto_error_message(&err));
	certauto__error_clear(&err);
	return CERTAUTO__NEXT;
}
