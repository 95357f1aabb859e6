/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_APPLIANCE_H
#define CERTAUTO_TESTS_FAKE_APPLIANCE_H

/* A target that keeps what it is told only when it is told to save, once for all, and that makes
 * keys: a row like those of the library, whose steps write down what they were asked. */

#include "unit.h"

#include "core/clock.h"
#include "core/context.h"
#include "crypto_fixtures.h"
#include "jobs/target.h"

#define APPLIANCE_FOR_EVER_MS 3600000

static struct {
	char calls[1024];
	const char *fails;       /* step that is refused */
	const char *fails_for;   /* of the certificate of that name only; NULL = of any */
	const char *hangs;       /* step that waits for ever */
	const char *owed;        /* step of the finish that is */
	int unproved;
	int sessions;
	const char *request_name; /* in the request it makes, instead of the one asked for */
	void (*saving)(void);     /* called by "save" */
} appliance;

static inline void appliance_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void appliance_note(const char *format, ...)
{
	size_t len = strlen(appliance.calls);
	va_list args;

	va_start(args, format);
	vsnprintf(appliance.calls + len, sizeof(appliance.calls) - len, format, args);
	va_end(args);
}

/* 0, or the refusal of that step. */
static inline int appliance_refuses(certauto__exchange *x, const char *step, const char *name)
{
	if (!certauto__text_equal(appliance.fails, step) ||
	    (appliance.fails_for != NULL && strcmp(appliance.fails_for, name) != 0))
		return 0;
	return certauto__error_set(&x->error, CERTAUTO_EREFUSED, name, "the appliance does not %s",
		step);
}

static inline certauto__verdict appliance_ask(certauto_job *job, certauto__exchange *x,
	const char *step, certauto__call_fn call)
{
	if (certauto__text_equal(appliance.hangs, step))
		return certauto__again(job, APPLIANCE_FOR_EVER_MS);
	return certauto__ask_call(x, call);
}

/* ---- session ---- */

static inline certauto__verdict appliance_bye(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	appliance.sessions = 0;
	appliance_note("bye;");
	return CERTAUTO__NEXT;
}

static const struct certauto__step appliance_bye_steps[] = {{.name = "bye", .ask = appliance_bye}};
static const struct certauto__table appliance_bye_table = {
	.name = "bye", .steps = appliance_bye_steps, .n_steps = 1};

static inline const struct certauto__table *appliance_farewell(certauto__peer *peer)
{
	(void)peer;
	return appliance.sessions > 0 ? &appliance_bye_table : NULL;
}

static const struct certauto__peer_ops appliance_peer_ops = {
	.kind = "appliance", .farewell = appliance_farewell};

static inline int appliance_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	int made;

	if (certauto__peer_get(out, target->object.cx, &appliance_peer_ops,
		    certauto__option_text(target, "device"), 4, &made) == 0)
		return 0;
	return certauto__error_nomem(err);
}

/* ---- deploy ---- */

static inline int appliance_put_call(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = certauto__job_env(job);

	appliance.sessions++;
	appliance_note("put %s", deployment->name);
	if (deployment->key == NULL)
		appliance_note(" keyless %s", deployment->key_type);
	appliance_note(";");
	if (!deployment->recovering &&
	    certauto__list_add_text(&deployment->superseded, deployment->name) < 0)
		return certauto__error_nomem(&x->error);
	return appliance_refuses(x, "put", deployment->name);
}

static inline certauto__verdict appliance_put(certauto_job *job, certauto__exchange *x)
{
	return appliance_ask(job, x, "put", appliance_put_call);
}

static inline int appliance_take_call(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = certauto__job_env(job);

	appliance_note("take %s;", deployment->name);
	return appliance_refuses(x, "take", deployment->name);
}

static inline certauto__verdict appliance_take(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, appliance_take_call);
}

static inline certauto__verdict appliance_prove(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = certauto__job_env(job);

	(void)x;
	if (certauto__text_equal(appliance.fails, "prove"))
		return certauto__fail(job, CERTAUTO_ENOTSERVED, NULL, "not served");
	if (certauto__text_equal(appliance.hangs, "prove") &&
	    (appliance.fails_for == NULL || strcmp(appliance.fails_for, deployment->name) == 0))
		return certauto__again(job, APPLIANCE_FOR_EVER_MS);
	deployment->proof = appliance.unproved ? CERTAUTO__PROOF_UNPROVED : CERTAUTO__PROOF_SERVED;
	return CERTAUTO__NEXT;
}

static inline certauto__verdict appliance_committed(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	return CERTAUTO__NEXT;
}

static const struct certauto__step appliance_deploy_steps[] = {
	{.name = "put", .ask = appliance_put, .undo = appliance_take},
	{.name = "prove", .ask = appliance_prove, .flags = CERTAUTO__READS},
	{.name = "committed", .ask = appliance_committed, .flags = CERTAUTO__COMMIT},
};

static const struct certauto__table appliance_deploy = {
	.name = "appliance-deploy",
	.steps = appliance_deploy_steps,
	.n_steps = sizeof(appliance_deploy_steps) / sizeof(appliance_deploy_steps[0]),
};

/* ---- finish ---- */

static inline int appliance_save_call(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__finish *finish = certauto__job_env(job);
	size_t i, n_superseded = 0, n_recovering = 0;

	for (i = 0; i < finish->n_deployments; i++) {
		assert_ptr_equal(finish->deployments[i]->target->row, finish->target->row);
		n_superseded += finish->deployments[i]->superseded.n;
		n_recovering += finish->deployments[i]->recovering != 0;
	}
	appliance_note("save %s %zu", certauto__option_text(finish->target, "device"),
		finish->n_deployments);
	if (n_superseded > 0)
		appliance_note(" old %zu", n_superseded);
	if (n_recovering > 0)
		appliance_note(" recovering %zu", n_recovering);
	appliance_note(";");
	if (appliance.saving != NULL)
		appliance.saving();
	return appliance_refuses(x, "save", finish->deployments[0]->name);
}

static inline certauto__verdict appliance_save(certauto_job *job, certauto__exchange *x)
{
	return appliance_ask(job, x, "save", appliance_save_call);
}

static inline certauto__verdict appliance_tidy(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__text_equal(appliance.owed, "tidy"))
		return certauto__fail(job, CERTAUTO_EREFUSED, NULL, "a file is in use");
	return CERTAUTO__NEXT;
}

static const struct certauto__step appliance_finish_steps[] = {
	{.name = "save", .ask = appliance_save},
	{.name = "tidy", .ask = appliance_tidy, .flags = CERTAUTO__OWED},
};

static const struct certauto__table appliance_finish = {
	.name = "appliance-finish",
	.steps = appliance_finish_steps,
	.n_steps = sizeof(appliance_finish_steps) / sizeof(appliance_finish_steps[0]),
};

/* ---- csr ---- */

static inline int appliance_request_call(certauto_job *job, certauto__exchange *x)
{
	const char *name = certauto__fact(job, "name"), *names = certauto__fact(job, "names");
	certauto__buffer pem = CERTAUTO__BUFFER(65536);
	certauto__list list = {0};
	certauto__pkey *key = NULL;
	certauto__req *req = NULL;

	appliance.sessions++;
	appliance_note("key %s %s %s;", name, certauto__fact(job, "key"), names);
	assert_int_equal(certauto__list_add_text(&list,
				 appliance.request_name != NULL ? appliance.request_name : names),
		0);
	assert_int_equal(certauto__pkey_parse(&key, key_p256, strlen(key_p256), NULL), 0);
	assert_int_equal(certauto__req_new(&req, key, &list, NULL, NULL), 0);
	assert_int_equal(certauto__req_format(&pem, req), 0);
	certauto__fact_set(job, "csr", certauto__buffer_text(&pem));
	certauto__buffer_free(&pem);
	certauto__list_free(&list);
	certauto__req_free(req);
	certauto__pkey_free(key);
	return appliance_refuses(x, "key", name);
}

static inline certauto__verdict appliance_request(certauto_job *job, certauto__exchange *x)
{
	return appliance_ask(job, x, "key", appliance_request_call);
}

static const struct certauto__step appliance_csr_steps[] = {
	{.name = "request", .ask = appliance_request},
};

static const struct certauto__table appliance_csr = {
	.name = "appliance-csr", .steps = appliance_csr_steps, .n_steps = 1};

/* ---- the row ---- */

static inline int appliance_recipe(const certauto_target *target, certauto__buffer *out,
	certauto_error *err)
{
	(void)err;
	return certauto__buffer_printf(out, "add account for %s\n",
		certauto__option_is_set(target, "device") ?
		certauto__option_text(target, "device") : "DEVICE");
}

static inline certauto__verdict appliance_answer(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	return CERTAUTO__NEXT;
}

static const struct certauto__step appliance_present_steps[] = {
	{.name = "answer", .ask = appliance_answer},
};

static const struct certauto__table appliance_present = {
	.name = "appliance-present", .steps = appliance_present_steps, .n_steps = 1};

static const struct certauto__option appliance_options[] = {
	{.name = "device", .flags = CERTAUTO_OPTION_REQUIRED, .help = "which one"},
	{.name = NULL},
};

static const struct certauto__target_row appliance_row = {
	.name = "appliance",
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY | CERTAUTO_TARGET_CSR,
	.options = appliance_options,
	.peer = appliance_peer,
	.present = &appliance_present,
	.deploy = &appliance_deploy,
	.finish = &appliance_finish,
	.csr = &appliance_csr,
	.recipe = appliance_recipe,
};

static inline void appliance_attach(certauto_target *target, struct certauto__target_type *type)
{
	(void)target, (void)type;
}

/* The context knows the type from now on. */
static inline void appliance_add(certauto_context *cx)
{
	static struct certauto__target_type type = {
		.row = &appliance_row, .attach = appliance_attach};

	memset(&appliance, 0, sizeof(appliance));
	cx->target_types = &type;
}

#endif
