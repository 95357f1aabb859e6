/* SPDX-License-Identifier: Apache-2.0 */
/* `certauto target test` on an Avi controller: who we are there, whether the account may do what
 * will have to be done, and whether what the options name is there and fit for it. Nothing is
 * changed. */

#include "targets/avi.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define ITEM_MAX 512

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

/* The error, told as that of this controller. */
static certauto__verdict told(certauto_job *job, certauto_error *error, const char *advice)
{
	certauto__device_sign(error, target_of(job));
	certauto__error_advise(error, "%s", advice);
	return certauto__fail_with(job, error);
}

/* What the option names is not as it should be. */
static certauto__verdict unfit(certauto_job *job, int code, const char *kind, const char *name,
	const char *matter, const char *advice)
{
	certauto_error error = {0};

	certauto__error_set(&error, code, name, "the %s \"%s\" %s", kind, name, matter);
	return told(job, &error, advice);
}

/* Not for us: what is asked out of curiosity, or to see just that. */
static int is_denied(const certauto__exchange *x)
{
	return x->rc == 0 && x->status >= 400 && x->status < 500 && x->status != 401 &&
		x->status != 419;
}

/* ---- who we are ---- */

static certauto__verdict list_ask(certauto_job *job, certauto__exchange *x, const char *type,
	const char *field, const char *value)
{
	certauto__buffer query = CERTAUTO__BUFFER(2048);
	certauto__verdict verdict;

	certauto__avi_arg(&query, field, value);
	certauto__avi_arg(&query, "include_name", "true");
	verdict = certauto__avi_call(x, target_of(job), "GET", type, NULL,
		certauto__buffer_text(&query));
	if (query.rc < 0)
		x->url.rc = query.rc;
	certauto__buffer_free(&query);
	return verdict;
}

static certauto__verdict user_ask(certauto_job *job, certauto__exchange *x)
{
	return list_ask(job, x, "user", "username", option_of(job, "user"));
}

/* References come with names where the controller does as it was asked. */
static int is_tenant(const char *ref, const char *tenant)
{
	const char *name = strchr(ref, '#');

	return name != NULL && strcmp(name + 1, tenant) == 0;
}

static int user_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;
	char role[ITEM_MAX], tenant[ITEM_MAX], all[ITEM_MAX], uuid[CERTAUTO__AVI_UUID];
	size_t i;

	if (!certauto__text_equal(values[0], option_of(job, "user")))
		return 0;
	if (certauto__text_equal(values[1], "true"))
		certauto__fact_set(job, ".super", "yes");
	for (i = 0; item_at(role, values[2], i) && item_at(tenant, values[3], i) &&
		item_at(all, values[4], i); i++) {
		if (strcmp(all, "true") != 0 && !is_tenant(tenant, option_of(job, "tenant")))
			continue;
		certauto__rest_id(uuid, role);
		certauto__fact_printf(job, ".roles", "%s%s%s",
			certauto__fact_own(job, ".roles") != NULL ?
			certauto__fact_own(job, ".roles") : "",
			certauto__fact_own(job, ".roles") != NULL ? "," : "", uuid);
	}
	return 0;
}

/* Most accounts may not look at accounts: what they may is then seen by trying to read. */
static certauto__verdict user_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"username", "is_superuser", "access[].role_ref",
		"access[].tenant_ref", "access[].all_tenants", NULL};

	certauto__progress(job, target_of(job)->label,
		"controller %s, API version %s, tenant \"%s\"",
		*certauto__avi_version(job) != '\0' ? certauto__avi_version(job) :
		"of unknown version", certauto__avi_speaks(job), option_of(job, "tenant"));
	if (is_denied(x))
		return CERTAUTO__NEXT;
	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, option_of(job, "user"),
			"looking at the account");
	return certauto__rest_rows(x, fields, user_row, job, NULL, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- what we may do ---- */

static int role_each(certauto_job *job)
{
	char uuid[ITEM_MAX];
	int n = 0;

	while (item_at(uuid, certauto__fact_own(job, ".roles"), (size_t)n))
		n++;
	return certauto__fact_own(job, ".super") != NULL ? 0 : n;
}

static certauto__verdict role_ask(certauto_job *job, certauto__exchange *x)
{
	char uuid[ITEM_MAX];

	(void)item_at(uuid, certauto__fact_own(job, ".roles"), (size_t)certauto__index(job));
	return certauto__avi_call(x, target_of(job), "GET", "role", uuid, NULL);
}

static void fact_of(char out[48], const char *what, const char *resource)
{
	(void)snprintf(out, 48, ".%.1s%.44s", what, resource + strlen("PERMISSION"));
}

static int role_row(void *arg, const char *const *values)
{
	char resource[ITEM_MAX], type[ITEM_MAX], fact[48];
	const struct certauto__avi_right *right;
	size_t i;

	for (i = 0; item_at(resource, values[0], i) && item_at(type, values[1], i); i++) {
		for (right = certauto__avi_rights; right->resource != NULL; right++) {
			if (strcmp(right->resource, resource) != 0 ||
				strcmp(type, "NO_ACCESS") == 0)
				continue;
			fact_of(fact, "read", resource);
			certauto__fact_set(arg, fact, "yes");
			fact_of(fact, "write", resource);
			if (strcmp(type, "WRITE_ACCESS") == 0)
				certauto__fact_set(arg, fact, "yes");
		}
	}
	return 0;
}

static certauto__verdict role_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"privileges[].resource", "privileges[].type", NULL};

	if (is_denied(x)) {
		certauto__fact_set(job, ".unread", "yes");
		return CERTAUTO__NEXT;
	}
	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, option_of(job, "user"),
			"looking at the role of the account");
	certauto__fact_set(job, ".known", "yes");
	return certauto__rest_object(x, fields, role_row, job, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* All roles that count were read. */
static int is_known(const certauto_job *job)
{
	return certauto__fact_own(job, ".super") != NULL ||
		(certauto__fact_own(job, ".known") != NULL &&
			certauto__fact_own(job, ".unread") == NULL);
}

static int right_each(certauto_job *job)
{
	int n = 0;

	while (certauto__avi_rights[n].resource != NULL)
		n++;
	return is_known(job) ? 0 : n;
}

/* Without a profile that is to be verified nothing is asked about profiles and scripts. */
static int is_needed(const certauto_job *job, const struct certauto__avi_right *right)
{
	return (strcmp(right->type, CERTAUTO__AVI_PROFILES) != 0 &&
		strcmp(right->type, CERTAUTO__AVI_SCRIPTS) != 0) ||
		option_of(job, "profile") != NULL;
}

static certauto__verdict right_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__avi_right *right = &certauto__avi_rights[certauto__index(job)];

	if (!is_needed(job, right))
		return CERTAUTO__NEXT;
	return certauto__avi_call(x, target_of(job), "GET", right->type, NULL,
		"page_size=1&fields=name");
}

static certauto__verdict right_read(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__avi_right *right = &certauto__avi_rights[certauto__index(job)];
	char fact[48];

	if (certauto__avi_is_no(x) && x->status != 403)
		return certauto__avi_refused(job, x, right->type, right->what);
	if (!certauto__avi_is_no(x)) {
		fact_of(fact, "read", right->resource);
		certauto__fact_set(job, fact, "yes");
		fact_of(fact, "write", right->resource);
		certauto__fact_set(job, fact, "unseen");
	}
	return CERTAUTO__NEXT;
}

static certauto__verdict judge_ask(certauto_job *job, certauto__exchange *x)
{
	const char *user = option_of(job, "user");
	const struct certauto__avi_right *right;
	certauto_error error = {0};
	char fact[48];

	(void)x;
	if (certauto__fact_own(job, ".super") != NULL)
		return CERTAUTO__NEXT;
	for (right = certauto__avi_rights; right->resource != NULL; right++) {
		fact_of(fact, right->writes ? "write" : "read", right->resource);
		if (certauto__fact_own(job, fact) != NULL || !is_needed(job, right))
			continue;
		if (error.code == 0)
			certauto__error_set(&error, CERTAUTO_EPERM, user,
				"the account %s has no right to %s %s (%s)", user,
				right->writes ? "write" : "read", right->resource, right->what);
		certauto__error_add_subproblem(&error, right->resource, NULL, right->what);
	}
	if (error.code != 0)
		return told(job, &error,
			"\"certauto target recipe\", with the same options, writes the role that "
			"has all rights it needs");
	if (!is_known(job))
		certauto__progress(job, target_of(job)->label,
			"the account may read all it has to; whether it may write too is not seen "
			"without a change, or the right to read its own role");
	return CERTAUTO__NEXT;
}

/* ---- the virtual service of the challenges ---- */

static certauto__verdict vs_ask(certauto_job *job, certauto__exchange *x)
{
	return option_of(job, "virtualservice") != NULL ? certauto__avi_find_ask(job, x) :
		CERTAUTO__NEXT;
}

static certauto__verdict port80_ask(certauto_job *job, certauto__exchange *x)
{
	const char *name = certauto__fact_own(job, ".vs.name");

	(void)x;
	if (name == NULL || certauto__fact_own(job, ".vs.port80") != NULL)
		return CERTAUTO__NEXT;
	if (!certauto__option_flag(target_of(job), "temporary_port80"))
		return unfit(job, CERTAUTO_EREFUSED, "virtual service", name,
			"does not listen at port 80: it would not answer a challenge",
			"give it a service at port 80 without SSL, or set temporary_port80");
	certauto__progress(job, target_of(job)->label,
		"port 80 is opened while challenges are answered");
	return CERTAUTO__NEXT;
}

/* ---- those of the certificate ---- */

static int bind_each(certauto_job *job)
{
	return (int)certauto__option_list(target_of(job), "bind")->n;
}

static const char *bind_name(const certauto_job *job)
{
	return certauto__option_list(target_of(job), "bind")->items[certauto__index(job)];
}

static certauto__verdict bind_ask(certauto_job *job, certauto__exchange *x)
{
	char value[CERTAUTO__AVI_NAME];
	const char *key = certauto__avi_key(value, "virtualservice", bind_name(job));

	certauto__fact_set(job, ".found", NULL);
	if (certauto__step_attempts(job) > 1)
		return certauto__avi_call(x, target_of(job), "GET", "virtualservice",
			certauto__fact_own(job, ".parent"), NULL);
	return list_ask(job, x, "virtualservice", key, value);
}

static int bind_row(void *arg, const char *const *values)
{
	char uuid[CERTAUTO__AVI_UUID] = "";

	certauto__fact_set(arg, ".found", "yes");
	certauto__fact_set(arg, ".tls", values[0] != NULL && strstr(values[0], "true") != NULL ?
		"yes" : NULL);
	if (values[1] != NULL)
		certauto__rest_id(uuid, values[1]);
	certauto__fact_set(arg, ".parent", uuid[0] != '\0' ? uuid : NULL);
	certauto__fact_set(arg, ".disabled",
		certauto__text_equal(values[2], "false") ? "yes" : NULL);
	return 0;
}

/* A child has no services of its own: its parent is looked at then. */
static certauto__verdict bind_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"services[].enable_ssl", "vh_parent_vs_ref",
		"enabled", NULL};

	int rc;

	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, bind_name(job),
			"looking for the virtual service of the option bind");
	rc = certauto__step_attempts(job) > 1
		? certauto__rest_object(x, fields, bind_row, job, certauto__job_error_of(job))
		: certauto__rest_rows(x, fields, bind_row, job, NULL, certauto__job_error_of(job));
	if (rc < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".found") == NULL)
		return unfit(job, CERTAUTO_ENOTFOUND, "virtual service", bind_name(job),
			"of the option bind is not there",
			"write it as the controller has it, upper and lower case; it must be in "
			"the tenant of the option tenant");
	if (certauto__fact_own(job, ".disabled") != NULL)
		return unfit(job, CERTAUTO_EREFUSED, "virtual service", bind_name(job),
			certauto__step_attempts(job) > 1 ? "has a parent that is disabled"
							 : "is disabled",
			"enable it, or take it out of the option bind");
	if (certauto__fact_own(job, ".parent") != NULL && certauto__step_attempts(job) == 1)
		return certauto__again(job, 0);
	if (certauto__fact_own(job, ".tls") == NULL)
		return unfit(job, CERTAUTO_EREFUSED, "virtual service", bind_name(job),
			"has no service with SSL: it would not serve a certificate",
			"switch SSL on for its port 443");
	return CERTAUTO__NEXT;
}

/* ---- the object of the certificate ---- */

static certauto__verdict named_ask(certauto_job *job, certauto__exchange *x, const char *type,
	const char *option)
{
	const char *name = option_of(job, option);

	return name != NULL ? list_ask(job, x, type, "name", name) : CERTAUTO__NEXT;
}

static certauto__verdict certificate_ask(certauto_job *job, certauto__exchange *x)
{
	return named_ask(job, x, "sslkeyandcertificate", "certificate");
}

static int certificate_row(void *arg, const char *const *values)
{
	certauto__fact_set(arg, ".type", values[0]);
	certauto__fact_set(arg, ".managed", values[1]);
	return 0;
}

static certauto__verdict certificate_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"type", "certificate_management_profile_ref", NULL};
	const char *name = option_of(job, "certificate"), *type;

	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, name, "looking for the certificate");
	if (certauto__rest_rows(x, fields, certificate_row, job, NULL,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	type = certauto__fact_own(job, ".type");
	if (type != NULL && strcmp(type, "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE") != 0)
		return unfit(job, CERTAUTO_EREFUSED, "certificate", name,
			"is not one for virtual services",
			"set the option certificate to another name");
	if (certauto__fact_own(job, ".managed") != NULL)
		certauto__progress(job, name,
			"the controller renews it by its own profile: certauto target renew has it "
			"done now, and nothing else is deployed there");
	return CERTAUTO__NEXT;
}

/* ---- the certificate management profile ---- */

static certauto__verdict profile_ask(certauto_job *job, certauto__exchange *x)
{
	return named_ask(job, x, CERTAUTO__AVI_PROFILES, "profile");
}

struct profile {
	certauto_job *job;
	certauto_error error;
	int found;
	char script[CERTAUTO__AVI_UUID];
};

static void profile_wrong(struct profile *profile, const char *name, const char *matter)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * ITEM_MAX);

	certauto__text_escape(&shown, name, strlen(name));
	if (profile->error.code == 0)
		certauto__error_set(&profile->error, CERTAUTO_EREFUSED,
			option_of(profile->job, "profile"),
			"the certificate management profile \"%s\": the parameter \"%s\" %s",
			option_of(profile->job, "profile"), certauto__buffer_text(&shown), matter);
	certauto__error_add_subproblem(
		&profile->error, certauto__buffer_text(&shown), NULL, matter);
	certauto__buffer_free(&shown);
}

static const struct certauto__avi_param *param_find(const char *name)
{
	const struct certauto__avi_param *param = certauto__avi_params;

	while (param->name != NULL && strcmp(param->name, name) != 0)
		param++;
	return param->name != NULL ? param : NULL;
}

static void param_judge(struct profile *profile, const char *name, const char *value,
	const char *is_sensitive)
{
	const struct certauto__avi_param *param = param_find(name);

	if (param == NULL)
		profile_wrong(profile, name, "is none that the scripts of certauto take");
	else if ((param->flags & CERTAUTO__AVI_SENSITIVE) != 0 && strcmp(is_sensitive, "true") != 0)
		profile_wrong(profile, name,
			"is not marked as sensitive: whoever may see the profile can read it");
	else if (strcmp(name, "tenant") == 0 && *value != '\0' &&
		strcmp(value, option_of(profile->job, "tenant")) != 0)
		profile_wrong(profile, name, "is another tenant than that of the option tenant");
}

static int profile_row(void *arg, const char *const *values)
{
	static const char *const wanted[] = {"user", "password"};
	char name[ITEM_MAX], value[ITEM_MAX], sensitive[ITEM_MAX];
	struct profile *profile = arg;
	int has[] = {0, 0};
	size_t i, k;

	profile->found = 1;
	certauto__rest_id(profile->script, values[0] != NULL ? values[0] : "");
	for (i = 0; item_at(name, values[1], i); i++) {
		if (!item_at(value, values[2], i))
			value[0] = '\0';
		if (!item_at(sensitive, values[3], i))
			sensitive[0] = '\0';
		param_judge(profile, name, value, sensitive);
		for (k = 0; k < 2; k++)
			has[k] |= strcmp(name, wanted[k]) == 0;
	}
	for (k = 0; k < 2; k++) {
		if (!has[k])
			profile_wrong(profile, wanted[k], "is missing");
	}
	return 0;
}

static certauto__verdict profile_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"run_script_ref", "script_params[].name",
		"script_params[].value", "script_params[].is_sensitive", NULL};
	static const char advice[] =
		"\"certauto target recipe\" writes the profile as it should be";
	const char *name = option_of(job, "profile");
	struct profile profile = {.job = job};

	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, name,
			"looking for the certificate management profile");
	if (certauto__rest_rows(x, fields, profile_row, &profile, NULL,
		    certauto__job_error_of(job)) < 0) {
		certauto__error_clear(&profile.error);
		return CERTAUTO__FAILED;
	}
	if (profile.error.code != 0)
		return told(job, &profile.error, advice);
	if (!profile.found)
		return unfit(job, CERTAUTO_ENOTFOUND, "certificate management profile", name,
			"is not there", advice);
	certauto__fact_set(job, ".script", profile.script);
	return CERTAUTO__NEXT;
}

static certauto__verdict script_ask(certauto_job *job, certauto__exchange *x)
{
	const char *uuid = certauto__fact_own(job, ".script");

	if (uuid == NULL || *uuid == '\0')
		return CERTAUTO__NEXT;
	return certauto__avi_call(x, target_of(job), "GET", CERTAUTO__AVI_SCRIPTS, uuid, NULL);
}

static int script_row(void *arg, const char *const *values)
{
	*(int *)arg = values[0] != NULL && strstr(values[0], "certificate_request") != NULL;
	return 0;
}

static certauto__verdict script_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"action_script", NULL};
	const char *name = option_of(job, "profile");
	int is_script = 0;

	if (certauto__avi_is_no(x))
		return certauto__avi_refused(job, x, name, "looking for the script of the profile");
	if (certauto__rest_object(x, fields, script_row, &is_script,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (!is_script)
		return unfit(job, CERTAUTO_EREFUSED, "certificate management profile", name,
			"has a script without certificate_request()",
			"\"certauto target recipe\" writes the script");
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
	STEP(user),
	STEP_EACH(role),
	STEP_EACH(right),
	{.name = "judge", .ask = judge_ask, .flags = CERTAUTO__READS},
	{.name = "vs",
		.ask = vs_ask,
		.read = certauto__avi_find_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "port80", .ask = port80_ask, .flags = CERTAUTO__READS},
	STEP_EACH(bind),
	STEP(certificate),
	STEP(profile),
	STEP(script),
};

const struct certauto__table certauto__avi_test = {
	.name = "avi-test",
	.steps = test_steps,
	.n_steps = sizeof(test_steps) / sizeof(test_steps[0]),
};
