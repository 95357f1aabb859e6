/* SPDX-License-Identifier: Apache-2.0 */
/* `certauto target test` on NSX managers: which version it is, whether the account may do what will
 * have to be done, and whether what certificates are to be deployed to is there. Nothing is
 * changed. */

#include "targets/nsx.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define ITEM_MAX 256
#define ALL_RIGHTS "enterprise_admin"

static const certauto_target *target_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *option_of(const certauto_job *job, const char *name)
{
	return certauto__option_text(target_of(job), name);
}

/* The i-th of the values with commas between; 0 past the last one. */
static int item_at(char out[ITEM_MAX], const char *list, size_t i)
{
	for (; list != NULL && i > 0; i--) {
		list = strchr(list, ',');
		list = list != NULL ? list + 1 : NULL;
	}
	if (list == NULL)
		return 0;
	(void)snprintf(out, ITEM_MAX, "%.*s", (int)strcspn(list, ","), list);
	return 1;
}

static certauto__verdict unfit(certauto_job *job, int code, const char *object, const char *matter,
	const char *advice)
{
	certauto_error error = {0};

	certauto__error_set(&error, code, object, "%s %s", object, matter);
	certauto__device_sign(&error, target_of(job));
	certauto__error_advise(&error, "%s", advice);
	return certauto__fail_with(job, &error);
}

/* ---- rights ---- */

static int is_needed(const certauto_job *job, const struct certauto__nsx_right *right)
{
	return (right->when &
		       certauto__nsx_uses(target_of(job), certauto__nsx_is_legacy(job))) != 0;
}

static int right_each(certauto_job *job)
{
	int n = 0;

	(void)job;
	while (certauto__nsx_rights[n].feature != NULL)
		n++;
	return n;
}

static certauto__verdict right_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__nsx_right *right = &certauto__nsx_rights[certauto__index(job)];

	if (right->path == NULL || !is_needed(job, right))
		return CERTAUTO__NEXT;
	return certauto__nsx_call(x, target_of(job), "GET", right->path);
}

/* Roles are printed without asking the managers: what only old ones want is one of its own. */
static void right_advise(certauto_error *error, const certauto_job *job,
	const struct certauto__nsx_right *right)
{
	if (right->when == CERTAUTO__NSX_LEGACY && certauto__nsx_has_legacy_role(target_of(job)))
		certauto__error_advise(error,
			"give it the role %s%s too, which \"certauto target recipe\" writes for "
			"managers before 3.2", option_of(job, "name_prefix"),
			CERTAUTO__NSX_LEGACY_ROLE);
	else
		certauto__error_advise(error, "\"certauto target recipe\" writes the role that "
			"has all rights it needs");
}

static certauto__verdict right_read(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__nsx_right *right = &certauto__nsx_rights[certauto__index(job)];
	certauto_error error = {0};

	if (!certauto__nsx_is_no(x))
		return CERTAUTO__NEXT;
	if (x->rc < 0 || x->status != 403 || certauto__nsx_is_login(x))
		return certauto__nsx_refused(job, x, right->path, right->what);
	certauto__error_set(&error, CERTAUTO_EPERM, option_of(job, "user"),
		"the account %s has no right to %s (%s: %s)", option_of(job, "user"),
		right->feature, right->permission, right->what);
	certauto__device_sign(&error, target_of(job));
	right_advise(&error, job, right);
	return certauto__fail_with(job, &error);
}

/* Who may look at roles is told what cannot be seen without a change. */
static certauto__verdict user_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__nsx_call(x, target_of(job), "GET", "/api/v1/aaa/user-info");
}

static int user_row(void *arg, const char *const *values)
{
	certauto__fact_set(arg, ".roles", values[0]);
	return 0;
}

static certauto__verdict user_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"roles[].role", NULL};
	const char *version = certauto__nsx_version(job);

	certauto__progress(job, target_of(job)->label, "version %s%s",
		*version != '\0' ? version : "unknown",
		certauto__nsx_is_lb(target_of(job)) ? "" :
		certauto__nsx_is_legacy(job) ? ", calls of before 3.2"
					     : ", calls of 3.2 and later");
	if (!certauto__nsx_is_no(x))
		(void)certauto__rest_object(x, fields, user_row, job, NULL);
	return CERTAUTO__NEXT;
}

static int role_each(certauto_job *job)
{
	const char *roles = certauto__fact_own(job, ".roles");
	char role[ITEM_MAX];
	int n = 0;

	while (item_at(role, roles, (size_t)n)) {
		if (strcmp(role, ALL_RIGHTS) == 0)
			certauto__fact_set(job, ".all", "yes");
		n++;
	}
	return certauto__fact_own(job, ".all") != NULL ? 0 : n;
}

static certauto__verdict role_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer path = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;
	char role[ITEM_MAX];

	(void)item_at(role, certauto__fact_own(job, ".roles"), (size_t)certauto__index(job));
	certauto__buffer_text_add(&path, "/api/v1/aaa/roles/");
	certauto__url_escape(&path, role);
	verdict = certauto__nsx_call(x, target_of(job), "GET", certauto__buffer_text(&path));
	certauto__buffer_free(&path);
	return verdict;
}

static void fact_of(char out[ITEM_MAX], const char *permission, const char *feature)
{
	(void)snprintf(out, ITEM_MAX, ".%.16s.%.200s", permission, feature);
}

static int is_asked_for(const char *feature)
{
	const struct certauto__nsx_right *right = certauto__nsx_rights;

	while (right->feature != NULL && strcmp(right->feature, feature) != 0)
		right++;
	return right->feature != NULL;
}

static int role_row(void *arg, const char *const *values)
{
	char feature[ITEM_MAX], permission[ITEM_MAX], fact[ITEM_MAX];
	size_t i;

	/* Large roles have more features than a job takes facts. */
	for (i = 0; item_at(feature, values[0], i) && item_at(permission, values[1], i); i++) {
		certauto__fact_set(arg, ".known", "yes");
		if (!is_asked_for(feature))
			continue;
		fact_of(fact, permission, feature);
		certauto__fact_set(arg, fact, "yes");
	}
	return 0;
}

static certauto__verdict role_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"features[].feature", "features[].permission", NULL};

	if (certauto__nsx_is_no(x))
		certauto__fact_set(job, ".unread", "yes");
	else
		(void)certauto__rest_object(x, fields, role_row, job, NULL);
	return CERTAUTO__NEXT;
}

static int is_granted(const certauto_job *job, const struct certauto__nsx_right *right)
{
	char fact[ITEM_MAX];

	fact_of(fact, "crud", right->feature);
	if (certauto__fact_own(job, fact) != NULL)
		return 1;
	fact_of(fact, right->permission, right->feature);
	return certauto__fact_own(job, fact) != NULL;
}

/* Releases differ in what they call a feature: a warning, for it may be the account after all. */
static certauto__verdict judge_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__nsx_right *right;

	(void)x;
	if (certauto__fact_own(job, ".all") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__fact_own(job, ".known") == NULL ||
		certauto__fact_own(job, ".unread") != NULL) {
		certauto__progress(job, target_of(job)->label,
			"the account may read all it has to; whether it may write too is not seen "
			"without a change, or the right to read its own roles");
		return CERTAUTO__NEXT;
	}
	for (right = certauto__nsx_rights; right->feature != NULL; right++)
		if (is_needed(job, right) && !is_granted(job, right))
			certauto__warn(job, option_of(job, "user"),
				"nsx: no role of the account %s has %s for %s (%s)",
				option_of(job, "user"), right->permission, right->feature,
				right->what);
	return CERTAUTO__NEXT;
}

/* ---- the root ---- */

static certauto__verdict root_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__nsx_check_root(target_of(job), certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- managers and virtual IP ---- */

static certauto__verdict cluster_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__nsx_is_lb(target_of(job)))
		return CERTAUTO__NEXT;
	return certauto__nsx_call(x, target_of(job), "GET", "/api/v1/cluster/status");
}

static int cluster_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;

	if (values[0] != NULL && strcmp(values[0], "STABLE") != 0)
		certauto__warn(job, target_of(job)->label,
			"nsx: the cluster says that it is %.64s, not STABLE", values[0]);
	return 0;
}

static certauto__verdict cluster_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"mgmt_cluster_status.status", NULL};

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, target_of(job)->label,
			"asking how the cluster is");
	return certauto__rest_object(x, fields, cluster_row, job,
		certauto__job_error_of(job)) < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static certauto__verdict nodes_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__option_list(target_of(job), "nodes")->n == 0)
		return CERTAUTO__NEXT;
	return certauto__nsx_call(x, target_of(job), "GET", "/api/v1/cluster");
}

static int nodes_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;
	const certauto__list *nodes = certauto__option_list(target_of(job), "nodes");
	size_t i;

	for (i = 0; i < nodes->n; i++) {
		if (certauto__nsx_has_node(values, nodes->items[i]))
			continue;
		certauto__fact_set(job, ".nobody", nodes->items[i]);
	}
	return 0;
}

static certauto__verdict nodes_read(certauto_job *job, certauto__exchange *x)
{
	const char *nobody;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, target_of(job)->label, "reading the cluster");
	if (certauto__rest_object(x, certauto__nsx_node_fields, nodes_row, job,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	nobody = certauto__fact_own(job, ".nobody");
	return nobody == NULL ? CERTAUTO__NEXT
			      : unfit(job, CERTAUTO_ENOTFOUND, nobody,
					"of the option nodes is no manager of the cluster",
					CERTAUTO__NSX_NODES_ADVICE);
}

static certauto__verdict vip_ask(certauto_job *job, certauto__exchange *x)
{
	const char *service = option_of(job, "service");

	if (certauto__nsx_is_lb(target_of(job)) || strcmp(service, "node") == 0)
		return CERTAUTO__NEXT;
	return certauto__nsx_call(x, target_of(job), "GET", "/api/v1/cluster/api-virtual-ip");
}

static int vip_row(void *arg, const char *const *values)
{
	static const char *const unset[] = {"", "0.0.0.0", "::"};
	int set = 0;
	size_t i, k;

	for (i = 0; i < 2; i++) {
		for (k = 0; values[i] != NULL && k < 3 && strcmp(values[i], unset[k]) != 0; k++)
			;
		set |= k == 3;
	}
	certauto__fact_set(arg, ".vip", set ? "yes" : NULL);
	return 0;
}

static certauto__verdict vip_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"ip_address", "ip6_address", NULL};

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, target_of(job)->label,
			"asking for the virtual IP");
	if (certauto__rest_object(x, fields, vip_row, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".vip") != NULL || option_of(job, "vip") != NULL)
		return CERTAUTO__NEXT;
	return unfit(job, CERTAUTO_EREFUSED, "the cluster",
		"has no virtual IP that could serve a certificate",
		"set it on the managers (System, Appliances, Set Virtual IP) or by the option vip; "
		"or set service=node");
}

/* ---- virtual servers ---- */

static int server_each(certauto_job *job)
{
	return (int)certauto__option_list(target_of(job), "virtual_server")->n;
}

static const char *server_name(const certauto_job *job)
{
	const char *id = certauto__option_list(target_of(job), "virtual_server")
				 ->items[certauto__index(job)];

	return certauto__text_starts(id, "sni:") ? id + strlen("sni:") : id;
}

static certauto__verdict server_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer path = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	certauto__buffer_text_add(&path, "/policy/api/v1/infra/lb-virtual-servers/");
	certauto__url_escape(&path, server_name(job));
	verdict = certauto__nsx_call(x, target_of(job), "GET", certauto__buffer_text(&path));
	certauto__buffer_free(&path);
	return verdict;
}

static int server_row(void *arg, const char *const *values)
{
	certauto__fact_set(arg, ".tls", values[0]);
	return 0;
}

static certauto__verdict server_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"client_ssl_profile_binding.default_certificate_path",
		NULL};

	certauto__fact_set(job, ".tls", NULL);
	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, server_name(job),
			"looking for the virtual server");
	if (certauto__rest_object(x, fields, server_row, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".tls") == NULL)
		certauto__progress(job, server_name(job),
			"it has no certificate yet: it does not speak TLS");
	return CERTAUTO__NEXT;
}

#define STEP(step) \
	{ \
		.name = #step, .ask = step##_ask, .read = step##_read, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}
#define STEP_EACH(step) \
	{ \
		.name = #step, .ask = step##_ask, .read = step##_read, .each = step##_each, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}

static const struct certauto__step test_steps[] = {
	{.name = "root", .ask = root_ask, .flags = CERTAUTO__READS},
	STEP_EACH(right),
	{.name = "user",
		.ask = user_ask,
		.read = user_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
	{.name = "role",
		.ask = role_ask,
		.read = role_read,
		.each = role_each,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
	{.name = "judge", .ask = judge_ask, .flags = CERTAUTO__READS},
	STEP(cluster),
	STEP(nodes),
	STEP(vip),
	STEP_EACH(server),
};

const struct certauto__table certauto__nsx_test = {
	.name = "nsx-test",
	.steps = test_steps,
	.n_steps = sizeof(test_steps) / sizeof(test_steps[0]),
};
