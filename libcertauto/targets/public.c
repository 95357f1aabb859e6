/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun target: options, and the verbs as jobs. */

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "crypto/objects.h"
#include "jobs/target_options.h"

#define NAME_LEN 64 /* of a certificate */

/* ---- types and options ---- */

int certauto_target_new(certauto_target **out, certauto_context *cx, const char *type)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || type == NULL)
		rc = CERTAUTO_EINVAL;
	else
		rc = certauto__target_make(out, cx, type, NULL, &cx->error);
	return certauto__leave(cx, rc);
}

size_t certauto_target_n_types(const certauto_context *cx)
{
	size_t n = 0;

	while (cx != NULL && certauto__target_row_at(cx, n) != NULL)
		n++;
	return n;
}

const char *certauto_target_type_name(const certauto_context *cx, size_t i)
{
	const struct certauto__target_row *row = cx != NULL ? certauto__target_row_at(cx, i) : NULL;

	return row != NULL ? row->name : NULL;
}

int certauto_target_set(certauto_target *target, const char *name, const char *value)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (name == NULL || value == NULL)
		rc = CERTAUTO_EINVAL;
	else
		rc = certauto__target_set_option(target, name, value, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_target_insecure_noverify(certauto_target *target)
{
	return certauto_target_set(target, "insecure", "yes");
}

int certauto_target_check(certauto_target *target)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	return certauto__leave(cx, certauto__target_check_options(target, &cx->error));
}

const char *certauto_target_type(const certauto_target *target)
{
	return target != NULL ? target->row->name : NULL;
}

int certauto_target_caps(const certauto_target *target)
{
	return target != NULL ? certauto__target_caps(target) : 0;
}

static const struct certauto__option *option_at(const certauto_target *target, size_t i)
{
	return target != NULL && i < target->n_options ? target->values[i].option : NULL;
}

size_t certauto_target_n_options(const certauto_target *target)
{
	return target != NULL ? target->n_options : 0;
}

const char *certauto_target_option_name(const certauto_target *target, size_t i)
{
	const struct certauto__option *option = option_at(target, i);

	return option != NULL ? option->name : NULL;
}

const char *certauto_target_option_help(const certauto_target *target, size_t i)
{
	const struct certauto__option *option = option_at(target, i);

	return option != NULL ? option->help : NULL;
}

const char *certauto_target_option_default(const certauto_target *target, size_t i)
{
	const struct certauto__option *option = option_at(target, i);

	return option != NULL ? option->value : NULL;
}

const char *certauto_target_option_type(const certauto_target *target, size_t i)
{
	const struct certauto__option *option = option_at(target, i);

	return option != NULL ? certauto__option_type_name(option) : NULL;
}

int certauto_target_option_flags(const certauto_target *target, size_t i)
{
	const struct certauto__option *option = option_at(target, i);

	return option != NULL ? certauto__option_flags(option) : 0;
}

certauto_context *certauto_target_context(const certauto_target *target)
{
	return target != NULL ? target->object.cx : NULL;
}

void certauto_target_free(certauto_target *target)
{
	certauto__object_unref(target);
}

/* ---- starting ---- */

static void target_env_free(void *env)
{
	certauto__object_unref(env);
}

/* env of start is taken, also on failure. */
static int start_job(certauto_job **out, certauto_target *target, struct certauto__start *start,
	int deadline_ms, certauto_error *err)
{
	certauto__peer *peer = NULL;
	int rc;

	if (target->row->peer != NULL && (rc = target->row->peer(target, &peer, err)) < 0) {
		start->env_free(start->env);
		return rc;
	}
	start->peer = peer;
	start->deadline_ms = deadline_ms > 0 ? deadline_ms : 0;
	rc = certauto__job_start(out, target->object.cx, start, err);
	certauto__peer_unref(peer);
	return rc;
}

/* The blocking form of what a start function has answered. */
static int wait_job(certauto_job *job, int rc)
{
	if (rc < 0)
		return rc;
	rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
}

/* A blocking call inside a callback must not leave a job behind. */
static int may_block(certauto_context *cx)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	return certauto__leave(cx, certauto__not_in_callback(cx));
}

/* ---- deploy ---- */

static int name_check(certauto_context *cx, const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && len <= NAME_LEN && name[0] != '.' &&
		name[strspn(name,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] ==
			'\0')
		return 0;
	return certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
		"the name of a certificate is 1 to %d letters, digits, \".\", \"_\" and \"-\", and "
		"has no dot in front",
		NAME_LEN);
}

static int deployment_make(struct certauto__deployment **out, certauto_target *target,
	const char *name, certauto_chain *chain, certauto_key *key, certauto_error *err)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(chain->certs, 0);
	struct certauto__deployment *deployment;

	if (key != NULL && !certauto__certs_has_key(chain->certs, key->pkey))
		return certauto__error_set(err, CERTAUTO_EINVAL, name,
			"the key is not that of the certificate");
	deployment = certauto__deployment_new(target, name, key != NULL ? leaf->key_type : "csr");
	if (deployment == NULL)
		return certauto__error_nomem(err);
	deployment->chain_of = certauto__object_ref(chain);
	deployment->chain = chain->certs;
	deployment->key_of = certauto__object_ref(key);
	deployment->key = key != NULL ? key->pkey : NULL;
	deployment->generation = certauto__strdup("api");
	if (deployment->generation == NULL ||
		certauto__list_copy(&deployment->names, leaf->names) < 0) {
		certauto__deployment_free(deployment);
		return certauto__error_nomem(err);
	}
	*out = deployment;
	return 0;
}

/* Where the journal of this deployment is: one for each target and certificate, so that a run
 * that was killed is found by the next. What makes a target that target is what its capabilities
 * need. */
static int journal_id(certauto__buffer *out, const struct certauto__deployment *deployment)
{
	const certauto_target *target = deployment->target;
	certauto__buffer what = CERTAUTO__BUFFER(64 * 1024);
	char digest[65];
	size_t i;
	int rc;

	certauto__buffer_printf(&what, "%s\n", target->row->name);
	for (i = 0; i < target->n_options; i++) {
		const struct certauto__option *option = target->values[i].option;

		if ((option->flags & CERTAUTO_OPTION_SENSITIVE) == 0 &&
			((option->flags & CERTAUTO_OPTION_REQUIRED) != 0 ||
				option->needed_for != 0))
			certauto__buffer_printf(&what, "%s=%s\n", option->name,
				certauto__option_text(target, option->name) != NULL
					? certauto__option_text(target, option->name)
					: "");
	}
	rc = what.rc < 0 ? what.rc : certauto__sha256_hex(digest, what.data, what.len);
	certauto__buffer_free(&what);
	if (rc < 0)
		return rc;
	return certauto__buffer_printf(out, "deploy-%s-%s-%.8s", deployment->name,
		deployment->key_type, digest);
}

static int start_deploy(certauto_job **out, certauto_target *target, const char *name,
	certauto_chain *chain, certauto_key *key, int deadline_ms, certauto_error *err)
{
	certauto__buffer id = CERTAUTO__BUFFER(512);
	struct certauto__deployment *deployment = NULL;
	struct certauto__start start = {0};
	int rc;

	if ((rc = certauto__target_able(target, CERTAUTO_TARGET_DEPLOY, err)) < 0 ||
		(rc = certauto__target_check_options(target, err)) < 0 ||
		(rc = deployment_make(&deployment, target, name, chain, key, err)) < 0)
		return rc;
	if (journal_id(&id, deployment) < 0) {
		certauto__deployment_free(deployment);
		certauto__buffer_free(&id);
		return certauto__error_nomem(err);
	}
	start.table = target->row->deploy;
	start.name = name;
	start.env = deployment;
	start.env_free = certauto__deployment_free;
	start.one_at_a_time = target->row->peer != NULL;
	start.journal_id = id.data;
	start.identity = certauto__certs_info(chain->certs, 0)->fingerprint;
	rc = start_job(out, target, &start, deadline_ms, err);
	certauto__buffer_free(&id);
	return rc;
}

int certauto_target_start_deploy(certauto_job **out, certauto_target *target, const char *name,
	certauto_chain *chain, certauto_key *key, int deadline_ms)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || name == NULL || chain == NULL || chain->object.cx != cx ||
		(key != NULL && key->object.cx != cx))
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"a name, and chain and key of the target's own context are needed");
	else if ((rc = name_check(cx, name)) == 0)
		rc = start_deploy(out, target, name, chain, key, deadline_ms, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_target_deploy(certauto_target *target, const char *name, certauto_chain *chain,
	certauto_key *key, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = may_block(certauto_target_context(target))) < 0)
		return rc;
	rc = certauto_target_start_deploy(&job, target, name, chain, key, timeout_ms);
	return wait_job(job, rc);
}

/* ---- test ---- */

static const struct certauto__table nothing_to_test = {.name = "nothing"};

int certauto_target_start_test(certauto_job **out, certauto_target *target, int deadline_ms)
{
	certauto_context *cx = certauto_target_context(target);
	struct certauto__start start = {0};
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL) {
		rc = CERTAUTO_EINVAL;
	} else if ((rc = certauto__target_check_options(target, &cx->error)) == 0) {
		start.table = target->row->test != NULL ? target->row->test : &nothing_to_test;
		start.name = target->label;
		start.env = certauto__object_ref(target);
		start.env_free = target_env_free;
		rc = start_job(out, target, &start, deadline_ms, &cx->error);
	}
	return certauto__leave(cx, rc);
}

int certauto_target_test(certauto_target *target, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = may_block(certauto_target_context(target))) < 0)
		return rc;
	rc = certauto_target_start_test(&job, target, timeout_ms);
	return wait_job(job, rc);
}

/* ---- present and cleanup ---- Both take the challenge as arguments, from which the facts of a
 * parent are made: the rows' own tables run below it. cleanup is what undo does there, asked for
 * without a run before it. */

struct presentation {
	certauto_target *target; /* shared (+1) */
	int clean;
	char *challenge, *name, *token, *value;
};

static void presentation_free(void *env)
{
	struct presentation *p = env;

	certauto__object_unref(p->target);
	certauto__free(p->challenge);
	certauto__free(p->name);
	certauto__free(p->token);
	if (p->value != NULL)
		certauto__wipe(p->value, strlen(p->value));
	certauto__free(p->value);
	certauto__free(p);
}

static int clean_each(certauto_job *job)
{
	const certauto_target *target = certauto__job_env(job);

	return (int)target->row->present->n_steps;
}

/* The step whose undo it is: from the last one down. */
static const struct certauto__step *clean_step(const certauto_job *job)
{
	const struct certauto__table *present =
		((certauto_target *)certauto__job_env(job))->row->present;

	return &present->steps[present->n_steps - 1 - (size_t)certauto__index(job)];
}

static certauto__verdict clean_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__step *step = clean_step(job);
	certauto__verdict verdict = step->undo != NULL ? step->undo(job, x) : CERTAUTO__NEXT;

	/* What an undo has to say is in the exchange: a job that undoes has an error already. */
	if (verdict == CERTAUTO__FAILED && x->error.code != 0)
		return certauto__fail_with(job, &x->error);
	return verdict;
}

static certauto__verdict clean_read(certauto_job *job, certauto__exchange *x)
{
	const int *accept = clean_step(job)->undo_accept;

	for (; accept != NULL && *accept != 0; accept++) {
		if (x->rc == 0 && x->kind == CERTAUTO__X_HTTP && x->status == *accept)
			return CERTAUTO__NEXT;
	}
	if (x->rc < 0 || x->error.code != 0)
		return certauto__fail_with(job, &x->error);
	return CERTAUTO__NEXT;
}

static const struct certauto__step clean_steps[] = {
	{.name = "clean",
		.ask = clean_ask,
		.read = clean_read,
		.each = clean_each,
		.flags = CERTAUTO__ERRORS},
};

static const struct certauto__table clean_table = {
	.name = "cleanup",
	.steps = clean_steps,
	.n_steps = 1,
};

static certauto__verdict presentation_ask(certauto_job *job, certauto__exchange *x)
{
	struct presentation *p = certauto__job_env(job);
	const struct certauto__table *table = p->clean ? &clean_table : p->target->row->present;
	int rc;

	(void)x;
	certauto__fact_set(job, "challenge", p->challenge);
	certauto__fact_set(job, "name", p->name);
	certauto__fact_set(job, "token", p->token);
	certauto__fact_set(job, ".value", p->value);
	if ((rc = certauto__present_facts(job, p->challenge, p->name, p->value, NULL)) < 0)
		return certauto__fail(job, rc, p->name, "%s", certauto_error_text(rc));
	if (certauto__child_start(job, table, "challenge", certauto__object_ref(p->target),
		    target_env_free, certauto__job_peer(job), 0) == NULL)
		return CERTAUTO__FAILED;
	return CERTAUTO__JOIN;
}

/* The child's own error, not one that gathers several. */
static certauto__verdict presentation_read(certauto_job *job, certauto__exchange *x)
{
	struct presentation *p = certauto__job_env(job);
	certauto_job *child =
		certauto__child(job, p->clean ? &clean_table : p->target->row->present, 0);
	certauto_error error = {0};

	(void)x;
	if (child == NULL || certauto__child_result(child) >= 0)
		return CERTAUTO__NEXT;
	certauto__error_copy(&error, certauto_job_error(child));
	return certauto__fail_with(job, &error);
}

static const struct certauto__step presentation_steps[] = {
	{.name = "challenge", .ask = presentation_ask, .read = presentation_read},
};

static const struct certauto__table presentation_table = {
	.name = "presentation",
	.steps = presentation_steps,
	.n_steps = 1,
};

static int challenge_cap(const char *challenge)
{
	if (certauto__text_equal(challenge, "http-01"))
		return CERTAUTO_TARGET_HTTP01;
	if (certauto__text_equal(challenge, "dns-01"))
		return CERTAUTO_TARGET_DNS01;
	return certauto__text_equal(challenge, "tls-alpn-01") ? CERTAUTO_TARGET_TLSALPN01 : 0;
}

static int start_presentation(certauto_job **out, certauto_target *target,
	const struct presentation *what, int deadline_ms, certauto_error *err)
{
	int cap = challenge_cap(what->challenge), rc;
	struct certauto__start start = {0};
	struct presentation *p;

	if (cap == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a challenge is http-01, dns-01 or tls-alpn-01");
	if ((rc = certauto__target_able(target, cap, err)) < 0 ||
		(rc = certauto__target_check_options(target, err)) < 0)
		return rc;
	if ((p = certauto__alloc(sizeof(*p))) == NULL)
		return certauto__error_nomem(err);
	p->target = certauto__object_ref(target);
	p->clean = what->clean;
	p->challenge = certauto__strdup(what->challenge);
	p->name = certauto__strdup(what->name);
	p->token = certauto__strdup(what->token);
	p->value = certauto__strdup(what->value);
	start.table = &presentation_table;
	start.name = what->name;
	start.env = p;
	start.env_free = presentation_free;
	if (p->challenge == NULL || p->name == NULL || p->token == NULL ||
		(what->value != NULL && p->value == NULL)) {
		presentation_free(p);
		return certauto__error_nomem(err);
	}
	return start_job(out, target, &start, deadline_ms, err);
}

static int run_presentation(certauto_target *target, const struct presentation *what,
	int timeout_ms)
{
	certauto_context *cx = certauto_target_context(target);
	certauto_job *job = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = certauto__not_in_callback(cx)) == 0) {
		if (what->name == NULL || what->token == NULL ||
			(what->value == NULL && !what->clean))
			rc = CERTAUTO_EINVAL;
		else
			rc = start_presentation(&job, target, what, timeout_ms, &cx->error);
	}
	rc = certauto__leave(cx, rc);
	return wait_job(job, rc);
}

int certauto_target_present(certauto_target *target, const char *challenge, const char *name,
	const char *token, const char *value, int timeout_ms)
{
	const struct presentation what = {
		NULL, 0, (char *)challenge, (char *)name, (char *)token, (char *)value};

	return run_presentation(target, &what, timeout_ms);
}

int certauto_target_cleanup(certauto_target *target, const char *challenge, const char *name,
	const char *token, const char *value, int timeout_ms)
{
	const struct presentation what = {
		NULL, 1, (char *)challenge, (char *)name, (char *)token, (char *)value};

	return run_presentation(target, &what, timeout_ms);
}
