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
	deployment = certauto__deployment_new(target, name,
		key != NULL ? leaf->key_type : certauto__deployment_keyless(target, chain->certs));
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

/* ---- in two halves: where the target's row has a finish ----
 * What was deployed is made permanent, and what it has replaced is removed, when it is proved. The
 * record tells a later run that this one has not come to its end. */

#define FACT_DEPLOYED "deployed"

static certauto__verdict delivery_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = certauto__job_env(job);
	certauto__peer *peer = certauto__job_peer(job);

	(void)x;
	deployment->recovering = certauto__record_found(job);
	return certauto__child_start(job, deployment->target->row->deploy, deployment->name,
		       deployment, NULL, peer, peer != NULL ? CERTAUTO__CHILD_TURN : 0) != NULL
		? CERTAUTO__JOIN
		: CERTAUTO__FAILED;
}

static certauto__verdict deployed_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	certauto__fact_set(job, FACT_DEPLOYED, "1");
	certauto__save_now(job);
	return CERTAUTO__NEXT;
}

static certauto__verdict finish_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = certauto__job_env(job);

	(void)x;
	return certauto__finish_child(job, deployment->name, &deployment, 1) != NULL
		? CERTAUTO__JOIN
		: CERTAUTO__FAILED;
}

static certauto__verdict finish_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target =
		((struct certauto__deployment *)certauto__job_env(job))->target;
	const certauto_job *child = certauto__child(job, target->row->finish, 0);
	certauto_error error = {0};

	(void)x;
	if (certauto__child_result(child) >= 0 && !certauto__job_owes(child))
		return CERTAUTO__NEXT;
	certauto__unsaved_error(&error, child, target->label);
	return certauto__fail_with(job, &error);
}

static const struct certauto__step delivery_steps[] = {
	{.name = "deploy", .ask = delivery_ask},
	{.name = "deployed", .ask = deployed_ask, .flags = CERTAUTO__COMMIT},
	{.name = "finish", .ask = finish_ask, .read = finish_read},
};

static int delivery_revive(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	struct certauto__deployment *deployment = certauto__job_env(job);
	const struct certauto__target_row *row = deployment->target->row;

	(void)key;
	if (strcmp(table, row->deploy->name) != 0)
		return CERTAUTO_ENOTFOUND;
	*table_out = row->deploy;
	*env_out = deployment;
	return row->peer != NULL ? row->peer(deployment->target, peer_out, NULL) : 0;
}

static const struct certauto__table delivery_table = {
	.name = "delivery",
	.steps = delivery_steps,
	.n_steps = sizeof(delivery_steps) / sizeof(delivery_steps[0]),
	.revive = delivery_revive,
};

static void deployment_start(struct certauto__start *start, struct certauto__deployment *deployment)
{
	const struct certauto__target_row *row = deployment->target->row;

	start->table = row->finish != NULL ? &delivery_table : row->deploy;
	start->name = deployment->name;
	start->env = deployment;
	start->env_free = certauto__deployment_free;
	/* Of the two halves each takes its own turn. */
	start->one_at_a_time = row->peer != NULL && row->finish == NULL;
	start->identity = certauto__certs_info(deployment->chain, 0)->fingerprint;
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
	deployment_start(&start, deployment);
	start.journal_id = id.data;
	start.alone = 1; /* the way back of another would take away what this one has done */
	rc = start_job(out, target, &start, deadline_ms, err);
	if (rc == CERTAUTO_EBUSY)
		certauto__error_prefix(err, "deploying %s to %s", name, target->label);
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

/* ---- test, renew ---- */

static const struct certauto__table nothing_to_test = {.name = "nothing"};

/* A table that hangs on the target itself. */
static int start_plain(certauto_job **out, certauto_target *target,
	const struct certauto__table *table, int deadline_ms, certauto_error *err)
{
	struct certauto__start start = {0};
	int rc;

	if (out == NULL)
		return CERTAUTO_EINVAL;
	if ((rc = certauto__target_check_options(target, err)) < 0)
		return rc;
	start.table = table;
	start.name = target->label;
	start.env = certauto__object_ref(target);
	start.env_free = target_env_free;
	return start_job(out, target, &start, deadline_ms, err);
}

int certauto_target_start_test(certauto_job **out, certauto_target *target, int deadline_ms)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	rc = start_plain(out, target,
		target->row->test != NULL ? target->row->test : &nothing_to_test, deadline_ms,
		&cx->error);
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

int certauto_target_start_renew(certauto_job **out, certauto_target *target, int deadline_ms)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (target->row->renew == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EUNSUPPORTED, target->label,
			"%s: a target of type %s does not renew certificates by itself",
			target->label, target->row->name);
	else
		rc = start_plain(out, target, target->row->renew, deadline_ms, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_target_renew(certauto_target *target, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = may_block(certauto_target_context(target))) < 0)
		return rc;
	rc = certauto_target_start_renew(&job, target, timeout_ms);
	return wait_job(job, rc);
}

/* ---- a request for a key of the device's ---- */

struct requesting {
	certauto_target *target; /* shared (+1) */
	char *name, *key_type;
	certauto__list names;
};

static void requesting_free(void *env)
{
	struct requesting *r = env;

	certauto__object_unref(r->target);
	certauto__free(r->name);
	certauto__free(r->key_type);
	certauto__list_free(&r->names);
	certauto__free(r);
}

static certauto__verdict requesting_ask(certauto_job *job, certauto__exchange *x)
{
	struct requesting *r = certauto__job_env(job);

	(void)x;
	if (certauto__csr_facts(job, r->name, r->key_type, &r->names) < 0)
		return CERTAUTO__FAILED;
	return certauto__csr_child(job, r->target) != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static certauto__verdict requesting_read(certauto_job *job, certauto__exchange *x)
{
	struct requesting *r = certauto__job_env(job);
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	int rc;

	(void)x;
	if (certauto__children_errors(job, NULL) > 0)
		return CERTAUTO__FAILED;
	rc = certauto__csr_take(job, r->target, &r->names, &pem, certauto__job_error_of(job));
	if (rc == 0) {
		certauto__free(r->target->csr);
		if ((r->target->csr = certauto__strdup(certauto__buffer_text(&pem))) == NULL)
			rc = certauto__error_nomem(certauto__job_error_of(job));
	}
	certauto__buffer_free(&pem);
	return rc == 0 ? CERTAUTO__NEXT : CERTAUTO__FAILED;
}

static const struct certauto__step requesting_steps[] = {
	{.name = "request", .ask = requesting_ask, .read = requesting_read},
};

static const struct certauto__table requesting_table = {
	.name = "request",
	.steps = requesting_steps,
	.n_steps = 1,
};

/* As certificates have them: lower case, each once. */
static int add_names(certauto__list *out, const char *const *names, size_t n_names,
	certauto_error *err)
{
	char name[CERTAUTO__NAME_SIZE];
	const char *why = NULL;
	size_t i;

	for (i = 0; i < n_names; i++) {
		if (names[i] == NULL || certauto__name_normal(name, names[i], &why) < 0)
			return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
				"\"%.300s\" is not a name a certificate can have: %s",
				names[i] != NULL ? names[i] : "", why != NULL ? why : "NULL");
		if (!certauto__list_has(out, name) && certauto__list_add_text(out, name) < 0)
			return certauto__error_nomem(err);
	}
	return 0;
}

static int start_request(certauto_job **out, struct requesting *r, int deadline_ms,
	certauto_error *err)
{
	struct certauto__start start = {.table = &requesting_table, .name = r->name, .env = r,
		.env_free = requesting_free};

	return start_job(out, r->target, &start, deadline_ms, err);
}

static int make_request(certauto_job **out, certauto_target *target, const char *name,
	const char *key_type, const char *const *names, size_t n_names, int deadline_ms,
	certauto_error *err)
{
	struct requesting *r;
	int rc;

	if ((rc = certauto__key_type_check(key_type, err)) < 0 ||
		(rc = certauto__target_able(target, CERTAUTO_TARGET_CSR, err)) < 0 ||
		(rc = certauto__target_check_options(target, err)) < 0)
		return rc;
	if ((r = certauto__alloc(sizeof(*r))) == NULL)
		return certauto__error_nomem(err);
	r->target = certauto__object_ref(target);
	r->name = certauto__strdup(name);
	r->key_type = certauto__strdup(key_type);
	if (r->name == NULL || r->key_type == NULL)
		rc = certauto__error_nomem(err);
	else
		rc = add_names(&r->names, names, n_names, err);
	if (rc == 0)
		return start_request(out, r, deadline_ms, err);
	requesting_free(r);
	return rc;
}

int certauto_target_start_make_csr(certauto_job **out, certauto_target *target, const char *name,
	const char *key_type, const char *const *names, size_t n_names, int deadline_ms)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || name == NULL || key_type == NULL || names == NULL || n_names == 0)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"the name of a certificate, a type of key and names are needed");
	else if ((rc = name_check(cx, name)) == 0)
		rc = make_request(out, target, name, key_type, names, n_names, deadline_ms,
			&cx->error);
	return certauto__leave(cx, rc);
}

int certauto_target_dup_csr(certauto_csr **out, const certauto_target *target)
{
	certauto_context *cx = certauto_target_context(target);
	certauto__req *req = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = CERTAUTO_EINVAL;
	else if (target->csr == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_ENOTFOUND, target->label,
			"%s: no request was made", target->label);
	else if ((rc = certauto__req_parse(&req, target->csr, strlen(target->csr),
			  &cx->error)) == 0)
		rc = certauto__csr_wrap(out, cx, req, NULL, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_target_make_csr(certauto_csr **out, certauto_target *target, const char *name,
	const char *key_type, const char *const *names, size_t n_names, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = may_block(certauto_target_context(target))) < 0)
		return rc;
	rc = certauto_target_start_make_csr(
		&job, target, name, key_type, names, n_names, timeout_ms);
	if ((rc = wait_job(job, rc)) < 0)
		return rc;
	return certauto_target_dup_csr(out, target);
}

/* ---- recipe ---- */

int certauto_target_dup_recipe(char **out, const certauto_target *target)
{
	certauto_context *cx = certauto_target_context(target);
	certauto__buffer text = CERTAUTO__BUFFER(1024 * 1024);
	char *given = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = CERTAUTO_EINVAL;
	else if (target->row->recipe == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EUNSUPPORTED, target->label,
			"there is no recipe for a target of type \"%s\"", target->row->name);
	else
		rc = target->row->recipe(target, &text, &cx->error);
	if (rc == 0 && (given = certauto__give(certauto__buffer_text(&text), text.len)) == NULL)
		rc = certauto__error_nomem(&cx->error);
	if (rc == 0)
		*out = given;
	certauto__buffer_free(&text);
	return certauto__leave(cx, rc);
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
	const struct certauto__step *step = clean_step(job);
	const int *accept = step->undo_accept;

	if (step->undo_read != NULL)
		return step->undo_read(job, x);
	for (; accept != NULL && *accept != 0; accept++) {
		if (x->rc == 0 && x->kind == CERTAUTO__X_HTTP && x->status == *accept)
			return CERTAUTO__NEXT;
	}
	if (x->rc < 0 || x->error.code != 0)
		return certauto__fail_with(job, &x->error);
	return CERTAUTO__NEXT;
}

static const struct certauto__step clean_steps[] = {
	CERTAUTO__STEP_DNS_DELEGATION,
	{.name = "clean",
		.ask = clean_ask,
		.read = clean_read,
		.each = clean_each,
		.flags = CERTAUTO__ERRORS},
};

static const struct certauto__table clean_table = {
	.name = "cleanup",
	.steps = clean_steps,
	.n_steps = sizeof(clean_steps) / sizeof(clean_steps[0]),
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

static int begin_presentation(certauto_job **out, certauto_target *target,
	const struct presentation *what, int deadline_ms)
{
	certauto_context *cx = certauto_target_context(target);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || what->name == NULL || what->token == NULL ||
		(what->value == NULL && !what->clean))
		rc = CERTAUTO_EINVAL;
	else
		rc = start_presentation(out, target, what, deadline_ms, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_target_start_present(certauto_job **out, certauto_target *target,
	const char *challenge, const char *name, const char *token, const char *value,
	int deadline_ms)
{
	const struct presentation what = {
		NULL, 0, (char *)challenge, (char *)name, (char *)token, (char *)value};

	return begin_presentation(out, target, &what, deadline_ms);
}

int certauto_target_present(certauto_target *target, const char *challenge, const char *name,
	const char *token, const char *value, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = may_block(certauto_target_context(target))) < 0)
		return rc;
	rc = certauto_target_start_present(
		&job, target, challenge, name, token, value, timeout_ms);
	return wait_job(job, rc);
}

int certauto_target_start_cleanup(certauto_job **out, certauto_target *target,
	const char *challenge, const char *name, const char *token, const char *value,
	int deadline_ms)
{
	const struct presentation what = {
		NULL, 1, (char *)challenge, (char *)name, (char *)token, (char *)value};

	return begin_presentation(out, target, &what, deadline_ms);
}

int certauto_target_cleanup(certauto_target *target, const char *challenge, const char *name,
	const char *token, const char *value, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = may_block(certauto_target_context(target))) < 0)
		return rc;
	rc = certauto_target_start_cleanup(
		&job, target, challenge, name, token, value, timeout_ms);
	return wait_job(job, rc);
}
