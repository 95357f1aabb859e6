/* SPDX-License-Identifier: Apache-2.0 */
/* What one job opens for all. See gate.h. */
#include "targets/gate.h"

#include "core/error.h"

static void gate_ended(certauto_job *job, void *arg)
{
	certauto__gate_opened(job, arg);
}

certauto__verdict certauto__gate_need(certauto_job *job, struct certauto__gate *gate,
	const struct certauto__start *start)
{
	struct certauto__start opens = *start;
	certauto_error error = {0};

	if (gate->refused.code != 0) {
		certauto__error_copy(&error, &gate->refused);
		return certauto__fail_with(job, &error);
	}
	opens.silent = 1;
	if (opens.ended == NULL) {
		opens.ended = gate_ended;
		opens.ended_arg = gate;
	}
	if (!gate->opening &&
		certauto__job_start(NULL, certauto__job_cx(job), &opens, &error) < 0)
		return certauto__fail_with(job, &error);
	gate->opening = 1;
	return certauto__park(job, &gate->waiting);
}

void certauto__gate_warn(certauto_job *job, struct certauto__gate *gate,
	const certauto_target *target)
{
	const char *url = certauto__option_text(target, "url");

	if (gate->warned || !certauto__option_flag(target, "insecure") ||
		certauto__option_text(target, "pin") != NULL) /* nobody else has that key */
		return;
	gate->warned = 1;
	certauto__warn(job, target->label,
		"%s: insecure: whoever answers at %s is believed, and learns what is sent there; "
		"give its CA as ca_file, or its key as pin",
		target->label, url != NULL ? url : "its URLs");
}

void certauto__gate_opened(const certauto_job *job, struct certauto__gate *gate)
{
	const certauto_error *error = certauto_job_error(job);

	gate->opening = 0;
	if (error != NULL) {
		certauto__queue_fail(&gate->waiting, error);
		return;
	}
	gate->ready = 1;
	gate->proved = 0;
	gate->serial++;
	certauto__queue_wake(&gate->waiting, SIZE_MAX);
}

void certauto__gate_refuse(struct certauto__gate *gate, const certauto_error *error)
{
	certauto__error_clear(&gate->refused);
	certauto__error_copy(&gate->refused, error);
}

int certauto__gate_is_former(const struct certauto__gate *gate, uintptr_t serial)
{
	return !gate->ready || serial != gate->serial;
}

int certauto__gate_vain(struct certauto__gate *gate)
{
	gate->vain = gate->proved ? 0 : gate->vain + 1;
	return gate->vain;
}

void certauto__gate_forget(struct certauto__gate *gate)
{
	certauto__error_clear(&gate->refused);
	gate->vain = gate->warned = 0;
}
