/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the operations of targets written outside: one generic pair of tables, whose steps are
 * calls. What an operation notes is a fact of the job, "note:NAME": durable, and there in the
 * undo of a later process. The proof between swap and save is ours. */

#include "targets/outside.h"

#include <string.h>

#include "core/memory.h"
#include "crypto/objects.h"

#define NOTE_MAX 64 /* bytes of a note's name */
#define PAIR_MAX (16 * 1024)
#define PAIR_KEY "-----BEGIN PRIVATE KEY" /* behind the certificate */

struct certauto_work {
	certauto_job *job;
	certauto__exchange *x;
	certauto_target *target;
	struct certauto__deployment *deployment; /* NULL where there is none */
	const char *op;
	int noted, waits;
};

static int run_op(certauto_job *job, certauto__exchange *x, certauto_target *target,
	struct certauto__deployment *deployment, const char *name, certauto_op_cb op)
{
	struct certauto_work work = {job, x, target, deployment, name, 0, 0};
	certauto_context *cx = certauto__job_cx(job);
	int rc;

	if (op == NULL)
		return 0;
	cx->in_callback++;
	rc = op(&work, certauto__outside_of(target)->payload);
	cx->in_callback--;
	if (rc == 0 || (rc == CERTAUTO_AGAIN && (work.noted || work.waits)))
		return rc;
	if (rc == CERTAUTO_AGAIN)
		return certauto__error_set(&x->error, CERTAUTO_EINVAL, target->label,
			"%s: operation \"%s\" asks to be called again, but has neither noted "
			"anything nor told what it waits for",
			target->label, name);
	if (rc > 0)
		return certauto__error_set(&x->error, CERTAUTO_EINVAL, target->label,
			"%s: operation \"%s\" answers %d, which means nothing", target->label, name,
			rc);
	if (x->error.code == 0)
		certauto__error_set(&x->error, rc, target->label, "%s: operation \"%s\" failed: %s",
			target->label, name, certauto_error_text(rc));
	return x->error.code;
}

/* ---- one call for each operation ---- */

#define PRESENT_CALL(op) \
	static int call_##op(certauto_job *job, certauto__exchange *x) \
	{ \
		certauto_target *target = certauto__job_env(job); \
\
		return run_op(job, x, target, NULL, #op, certauto__outside_of(target)->ops.op); \
	}

#define DEPLOY_CALL(op) \
	static int call_##op(certauto_job *job, certauto__exchange *x) \
	{ \
		struct certauto__deployment *deployment = certauto__job_env(job); \
		certauto_target *target = deployment->target; \
\
		return run_op(job, x, target, deployment, #op, \
			certauto__outside_of(target)->ops.op); \
	}

PRESENT_CALL(present)
PRESENT_CALL(cleanup)
PRESENT_CALL(csr)
DEPLOY_CALL(observe)
DEPLOY_CALL(stage)
DEPLOY_CALL(swap)
DEPLOY_CALL(save)
DEPLOY_CALL(tidy)
DEPLOY_CALL(undo)

/* Each is sent even where the operation is missing: the undo record of stage must be written. */
static certauto__verdict ask_op(certauto__exchange *x, const char *op, certauto__call_fn call)
{
	certauto__verdict verdict = certauto__ask_call(x, call);

	x->method = op;
	return verdict;
}

#define ASK(op) \
	static certauto__verdict ask_##op(certauto_job *job, certauto__exchange *x) \
	{ \
		(void)job; \
		return ask_op(x, #op, call_##op); \
	}

ASK(present)
ASK(cleanup)
ASK(csr)
ASK(observe)
ASK(stage)
ASK(swap)
ASK(save)
ASK(tidy)
ASK(undo)

static const struct certauto__step outside_present_steps[] = {
	CERTAUTO__STEP_DNS_DELEGATION,
	{.name = "present", .ask = ask_present, .undo = ask_cleanup, .flags = CERTAUTO__HALVES},
	CERTAUTO__STEP_CHALLENGE_CHECK,
	CERTAUTO__STEP_DNS_SEEN,
};

const struct certauto__table certauto__outside_present = {
	.name = "outside-present",
	.steps = outside_present_steps,
	.n_steps = sizeof(outside_present_steps) / sizeof(outside_present_steps[0]),
};

static const struct certauto__step outside_deploy_steps[] = {
	{.name = "observe", .ask = ask_observe, .flags = CERTAUTO__READS},
	{.name = "stage", .ask = ask_stage, .undo = ask_undo, .flags = CERTAUTO__HALVES},
	{.name = "swap", .ask = ask_swap},
	CERTAUTO__STEP_PROVE,
	{.name = "save", .ask = ask_save, .flags = CERTAUTO__COMMIT | CERTAUTO__OWED},
	{.name = "tidy", .ask = ask_tidy, .flags = CERTAUTO__OWED},
};

const struct certauto__table certauto__outside_deploy = {
	.name = "outside-deploy",
	.steps = outside_deploy_steps,
	.n_steps = sizeof(outside_deploy_steps) / sizeof(outside_deploy_steps[0]),
};

static const struct certauto__step outside_csr_steps[] = {
	{.name = "csr", .ask = ask_csr},
};

const struct certauto__table certauto__outside_csr = {
	.name = "outside-csr",
	.steps = outside_csr_steps,
	.n_steps = sizeof(outside_csr_steps) / sizeof(outside_csr_steps[0]),
};

/* ---- what an operation may ask ---- */

static const char *work_fact(const certauto_work *work, const char *name)
{
	return work != NULL && work->deployment == NULL ? certauto__fact(work->job, name) : NULL;
}

const char *certauto_work_op(const certauto_work *work)
{
	return work != NULL ? work->op : NULL;
}

const char *certauto_work_name(const certauto_work *work)
{
	return work != NULL && work->deployment != NULL ? work->deployment->name
							: work_fact(work, "name");
}

const char *certauto_work_challenge(const certauto_work *work)
{
	return work_fact(work, "challenge");
}

const char *certauto_work_token(const certauto_work *work)
{
	return work_fact(work, "token");
}

/* The text of a TXT record is public, and is there in cleanup too. */
const char *certauto_work_value(const certauto_work *work)
{
	const char *txt = work_fact(work, "txt");

	return txt != NULL ? txt : work_fact(work, ".value");
}

const char *certauto_work_record(const certauto_work *work)
{
	return work_fact(work, "record");
}

const char *certauto_work_option(const certauto_work *work, const char *name)
{
	return work != NULL && name != NULL ? certauto__option_text(work->target, name) : NULL;
}

/* Certificate and key for tls-alpn-01, made once for an operation: its calls share the exchange,
 * whose body no call has a use for. Returns where the key begins. */
static int challenge_pair(const certauto_work *work, size_t *key_at)
{
	certauto__buffer *pair = &work->x->body;
	int rc = 0;

	if (work->deployment != NULL || !certauto__text_equal(work->op, "present") ||
		!certauto__text_equal(work_fact(work, "challenge"), "tls-alpn-01"))
		return CERTAUTO_ENOTFOUND;
	if (pair->len == 0) {
		certauto__buffer_init(pair, PAIR_MAX);
		rc = certauto__present_pair(pair, work->job, NULL);
	}
	if (rc == 0)
		*key_at = (size_t)(strstr(pair->data, PAIR_KEY) - pair->data);
	else
		certauto__buffer_free(pair);
	return rc;
}

static int challenge_dup_chain(certauto_chain **out, const certauto_work *work)
{
	certauto__certs *certs = NULL;
	size_t key_at;
	int rc;

	if ((rc = challenge_pair(work, &key_at)) < 0 ||
		(rc = certauto__certs_parse(&certs, work->x->body.data, key_at, 1, NULL)) < 0)
		return rc;
	return certauto__chain_wrap(out, certauto__job_cx(work->job), certs, NULL);
}

static int challenge_dup_key(certauto_key **out, const certauto_work *work)
{
	const certauto__buffer *pair = &work->x->body;
	certauto__pkey *key = NULL;
	size_t key_at;
	int rc;

	if ((rc = challenge_pair(work, &key_at)) < 0 ||
		(rc = certauto__pkey_parse_own(&key, pair->data + key_at, pair->len - key_at,
			 NULL)) < 0)
		return rc;
	return certauto__key_wrap(out, certauto__job_cx(work->job), key, NULL);
}

int certauto_work_dup_chain(certauto_chain **out, const certauto_work *work)
{
	certauto__buffer pem = CERTAUTO__BUFFER(1024 * 1024);
	certauto__certs *copy = NULL;
	int rc;

	if (out == NULL || work == NULL)
		return CERTAUTO_EINVAL;
	if (work->deployment == NULL)
		return challenge_dup_chain(out, work);
	if (work->deployment->chain == NULL)
		return CERTAUTO_ENOTFOUND;
	if ((rc = certauto__certs_format(&pem, work->deployment->chain, CERTAUTO__PART_FULL)) ==
			0 &&
		(rc = certauto__certs_parse(&copy, pem.data, pem.len, 0, NULL)) == 0)
		rc = certauto__chain_wrap(out, certauto__job_cx(work->job), copy, NULL);
	certauto__buffer_free(&pem);
	return rc;
}

int certauto_work_dup_key(certauto_key **out, const certauto_work *work)
{
	const struct certauto__deployment *deployment = work != NULL ? work->deployment : NULL;
	certauto__secret *pem = NULL;
	certauto__pkey *copy = NULL;
	int rc;

	if (out == NULL || work == NULL)
		return CERTAUTO_EINVAL;
	if (deployment == NULL)
		return challenge_dup_key(out, work);
	if (deployment->key == NULL ||
		certauto__pkey_is_signer(deployment->key))
		return CERTAUTO_ENOTFOUND;
	if (deployment->key_of != NULL) {
		*out = certauto__object_ref(deployment->key_of);
		return 0;
	}
	if ((rc = certauto__pkey_format(&pem, deployment->key, NULL)) == 0 &&
		(rc = certauto__pkey_parse(&copy, certauto__secret_data(pem),
			 certauto__secret_len(pem), NULL)) == 0)
		rc = certauto__key_wrap(out, certauto__job_cx(work->job), copy, NULL);
	certauto__secret_free(pem);
	return rc;
}

static int note_name(certauto__buffer *out, const char *name)
{
	if (name == NULL || name[0] == '\0' || strlen(name) > NOTE_MAX)
		return CERTAUTO_EINVAL;
	return certauto__buffer_printf(out, "note:%s", name);
}

int certauto_work_note(certauto_work *work, const char *name, const char *value)
{
	certauto__buffer fact = CERTAUTO__BUFFER(NOTE_MAX + 16);
	int rc;

	if (work == NULL)
		return CERTAUTO_EINVAL;
	if ((rc = note_name(&fact, name)) == 0) {
		certauto__fact_set(work->job, fact.data, value);
		work->noted = 1;
	}
	certauto__buffer_free(&fact);
	return rc;
}

const char *certauto_work_noted(const certauto_work *work, const char *name)
{
	certauto__buffer fact = CERTAUTO__BUFFER(NOTE_MAX + 16);
	const char *value = NULL;

	if (work != NULL && note_name(&fact, name) == 0)
		value = certauto__fact_own(work->job, fact.data);
	certauto__buffer_free(&fact);
	return value;
}

int certauto_work_set_wait_ms(certauto_work *work, int wait_ms)
{
	if (work == NULL || wait_ms < 0)
		return CERTAUTO_EINVAL;
	work->x->again_ms = wait_ms;
	work->waits = 1;
	return 0;
}

int certauto_work_set_wait_fd(certauto_work *work, int fd, int events)
{
	if (work == NULL || fd < 0 || events < 1 ||
		events > (CERTAUTO__HTTP_IN | CERTAUTO__HTTP_OUT))
		return CERTAUTO_EINVAL;
	work->x->wait_fd = fd;
	work->x->wait_events = events;
	work->waits = 1;
	return 0;
}

int certauto_work_set_csr(certauto_work *work, const unsigned char *data, size_t data_len)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	certauto__req *req = NULL;
	int rc;

	if (work == NULL || data == NULL)
		return CERTAUTO_EINVAL;
	certauto__error_clear(&work->x->error);
	if ((rc = certauto__req_parse(&req, data, data_len, &work->x->error)) == 0 &&
		(rc = certauto__req_format(&pem, req)) == 0)
		certauto__fact_set(work->job, "csr", pem.data);
	certauto__req_free(req);
	certauto__buffer_free(&pem);
	return rc;
}

int certauto_work_fail(certauto_work *work, int code, const char *message)
{
	if (work == NULL || code >= 0)
		return CERTAUTO_EINVAL;
	certauto__error_clear(&work->x->error);
	return certauto__error_set(&work->x->error, code, work->target->label, "%s: %s: %s",
		work->target->label, work->op,
		message != NULL ? message : certauto_error_text(code));
}
