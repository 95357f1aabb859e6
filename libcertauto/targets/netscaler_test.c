/* SPDX-License-Identifier: Apache-2.0 */
/* `certauto target test` on a NetScaler: what it is, what must be there and switched on, and
 * whether the account may do what will have to be done. Nothing is changed. */

#include "targets/netscaler.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "targets/device.h"

#define POLICIES_MAX 32
#define SPEC_MAX 1024        /* of a policy that is looked at: the device's own limit is 255 */
#define GROUP_BEHIND 1000000 /* policies of groups come after the user's own */

static const certauto_target *target_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static int is_missing(const certauto__exchange *x)
{
	int code = certauto__netscaler_code(x);

	return code == CERTAUTO__NS_NO_RESOURCE || code == CERTAUTO__NS_NO_BIND_RESOURCE;
}

/* ---- what it is ---- */

static certauto__verdict version_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__netscaler_get(x, target_of(job), "nsversion", NULL, NULL);
}

static int version_row(void *arg, const char *const *values)
{
	const char *version = values[0] != NULL ? values[0] : "NetScaler";

	return certauto__text_escape(arg, version, strcspn(version, ","));
}

static certauto__verdict version_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"version", NULL};
	const char *label = target_of(job)->label;
	certauto__buffer version = CERTAUTO__BUFFER(4096);
	int rc = certauto__netscaler_rows(x, "nsversion", fields, version_row, &version,
		certauto__job_error_of(job));

	if (rc == 0)
		certauto__progress(job, label, "%s", certauto__buffer_text(&version));
	certauto__buffer_free(&version);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static certauto__verdict role_ask(certauto_job *job, certauto__exchange *x)
{
	const char *label = target_of(job)->label, *other;

	(void)x;
	if (certauto__netscaler_role(job, &other))
		certauto__progress(job, label, "the primary of a pair%s%s",
			*other != '\0' ? " with " : "", other);
	else if (!certauto__text_equal(certauto__option_text(target_of(job), "ha"), "ignore"))
		certauto__progress(job, label, "not one of a pair");
	return CERTAUTO__NEXT;
}

/* ---- features ---- */

static const char *const features[] = {"responder", "ssl", "lb", "cs", "sslvpn", NULL};

static int is_challenged(const certauto_target *target)
{
	return certauto__option_text(target, "vserver") != NULL ||
		certauto__text_equal(certauto__option_text(target, "vserver_type"), "global");
}

static certauto__verdict features_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__netscaler_get(x, target_of(job), "nsfeature", NULL, NULL);
}

/* What is said to be off is kept; what is not told of may be on. */
static int features_row(void *arg, const char *const *values)
{
	certauto__buffer *off = arg;
	size_t i;

	for (i = 0; features[i] != NULL; i++) {
		if (certauto__text_equal_nocase(values[i], "false"))
			certauto__buffer_printf(off, "%s ", features[i]);
	}
	return off->rc;
}

static certauto__verdict feature_off(certauto_job *job, const char *feature, const char *what)
{
	const certauto_target *target = target_of(job);
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EREFUSED, target->label,
		"the feature %s is off, which is needed %s", feature, what);
	certauto__device_sign(&error, target);
	certauto__error_advise(&error, "switch it on: enable ns feature %s", feature);
	return certauto__fail_with(job, &error);
}

static int is_off(const certauto_job *job, const char *feature)
{
	const char *off = certauto__fact_own(job, ".off"), *at;
	size_t len = strlen(feature);

	for (at = off; at != NULL && (at = strstr(at, feature)) != NULL; at += len) {
		if ((at == off || at[-1] == ' ') && at[len] == ' ')
			return 1;
	}
	return 0;
}

static certauto__verdict features_read(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer off = CERTAUTO__BUFFER(256);
	int rc = certauto__netscaler_rows(x, "nsfeature", features, features_row, &off,
		certauto__job_error_of(job));

	certauto__fact_set(job, ".off", certauto__buffer_text(&off));
	certauto__buffer_free(&off);
	if (rc < 0)
		return CERTAUTO__FAILED;
	if (is_off(job, "responder") && is_challenged(target_of(job)))
		return feature_off(job, "responder", "to answer http-01 challenges");
	if (is_off(job, "ssl"))
		return feature_off(job, "ssl", "to serve certificates");
	return CERTAUTO__NEXT;
}

/* ---- the virtual server of the challenge ---- */

static const struct kind {
	const char *name, *type, *feature;
} kinds[] = {
	{"cs", "csvserver", "cs"}, {"lb", "lbvserver", "lb"}, {"vpn", "vpnvserver", "sslvpn"}};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int vserver_each(certauto_job *job)
{
	return certauto__option_text(target_of(job), "vserver") != NULL &&
			!certauto__text_equal(
				certauto__option_text(target_of(job), "vserver_type"), "global")
		? (int)N_KINDS : 0;
}

static certauto__verdict vserver_ask(certauto_job *job, certauto__exchange *x)
{
	const char *wanted = certauto__option_text(target_of(job), "vserver_type");
	const struct kind *kind = &kinds[certauto__index(job)];

	if (certauto__fact_own(job, ".kind") != NULL ||
		(wanted != NULL && strcmp(wanted, kind->name) != 0))
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, target_of(job), kind->type,
		certauto__option_text(target_of(job), "vserver"), NULL);
}

static int vserver_row(void *arg, const char *const *values)
{
	certauto__fact_set(arg, ".state", values[0]);
	certauto__fact_set(arg, ".service", values[1]);
	return 0;
}

static certauto__verdict vserver_wrong(certauto_job *job, const char *advice, const char *is,
	const char *value)
{
	const certauto_target *target = target_of(job);
	const char *vserver = certauto__option_text(target, "vserver");
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	certauto_error error = {0};

	certauto__text_escape(&shown, value, strlen(value));
	certauto__error_set(&error, CERTAUTO_EREFUSED, vserver,
		"the virtual server %s %s %s: it would not answer a challenge", vserver, is,
		certauto__buffer_text(&shown));
	certauto__device_sign(&error, target);
	certauto__error_advise(&error, "%s", advice);
	certauto__buffer_free(&shown);
	return certauto__fail_with(job, &error);
}

static certauto__verdict vserver_judge(certauto_job *job, const struct kind *kind)
{
	const char *state = certauto__fact_own(job, ".state"),
		*service = certauto__fact_own(job, ".service");

	if (is_off(job, kind->feature))
		return feature_off(job, kind->feature, "by the virtual server of the challenge");
	/* A gateway's redirect from port 80 is its own. */
	if (service != NULL && strcmp(kind->name, "vpn") != 0 && strcmp(service, "HTTP") != 0)
		return vserver_wrong(job,
			"the CA asks at port 80 without TLS: name a virtual server of type HTTP",
			"is of type", service);
	if (state != NULL && !certauto__text_equal_nocase(state, "UP"))
		return vserver_wrong(job,
			"responder policies work only where it is UP: see that it is enabled and "
			"has a service that is UP",
			"is", state);
	return CERTAUTO__NEXT;
}

static certauto__verdict vserver_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"curstate", "servicetype", NULL};
	const struct kind *kind = &kinds[certauto__index(job)];

	if (is_missing(x))
		return CERTAUTO__NEXT;
	if (certauto__netscaler_code(x) != 0)
		return certauto__netscaler_refused(job, x,
			certauto__option_text(target_of(job), "vserver"),
			"looking at the virtual server");
	if (certauto__netscaler_rows(x, kind->type, fields, vserver_row, job,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	certauto__fact_set(job, ".kind", kind->name);
	return vserver_judge(job, kind);
}

static certauto__verdict found_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = target_of(job);
	const char *wanted = certauto__option_text(target, "vserver_type"),
		*vserver = certauto__option_text(target, "vserver");
	certauto_error error = {0};

	(void)x;
	if (vserver_each(job) == 0 || certauto__fact_own(job, ".kind") != NULL)
		return CERTAUTO__NEXT;
	certauto__error_set(&error, CERTAUTO_ENOTFOUND, vserver,
		"there is no %s virtual server \"%s\"",
		wanted != NULL ? wanted : "cs, lb or vpn", vserver);
	certauto__device_sign(&error, target);
	certauto__error_advise(&error,
		"name it as \"show cs vserver\" or \"show lb vserver\" does, upper and lower case "
		"included; one in an admin partition needs the option partition");
	return certauto__fail_with(job, &error);
}

/* ---- those of the certificate ---- */

static int ssl_each(certauto_job *job)
{
	return (int)certauto__option_list(target_of(job), "ssl_vserver")->n;
}

static const char *ssl_name(const certauto_job *job)
{
	return certauto__option_list(target_of(job), "ssl_vserver")->items[certauto__index(job)];
}

static certauto__verdict ssl_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__netscaler_get(x, target_of(job), "sslvserver", ssl_name(job), NULL);
}

static certauto__verdict ssl_read(certauto_job *job, certauto__exchange *x)
{
	char doing[300];

	if (certauto__netscaler_code(x) == 0)
		return CERTAUTO__NEXT;
	(void)snprintf(doing, sizeof(doing), "looking for the SSL virtual server %.200s",
		ssl_name(job));
	return certauto__netscaler_refused(job, x, ssl_name(job), doing);
}

/* ---- rights ---- */

static certauto__verdict unread(certauto_job *job, const char *why)
{
	const char *label = target_of(job)->label;

	if (certauto__fact_own(job, ".unread") == NULL)
		certauto__warn(job, label,
			"whether the account has all the rights it needs cannot be seen (%s); "
			"\"certauto target recipe\" writes the commands that give them",
			why);
	certauto__fact_set(job, ".unread", "yes");
	return CERTAUTO__NEXT;
}

static void line_append(certauto_job *job, const char *fact, const char *text)
{
	const char *former = certauto__fact_own(job, fact);

	certauto__fact_printf(job, fact, "%s%s\n", former != NULL ? former : "", text);
}

static int binding_row(void *arg, const char *const *values)
{
	int64_t priority = GROUP_BEHIND - 1;
	char line[300];

	if (values[0] == NULL)
		return 0;
	if (values[1] != NULL)
		(void)certauto__number_parse(values[1], 0, INT32_MAX, &priority);
	if (certauto__fact_own(arg, ".group") != NULL)
		priority += GROUP_BEHIND;
	(void)snprintf(line, sizeof(line), "%lld %.250s", (long long)priority, values[0]);
	line_append(arg, ".bound", line);
	return 0;
}

static int group_row(void *arg, const char *const *values)
{
	if (values[0] != NULL)
		line_append(arg, ".groups", values[0]);
	return 0;
}

static certauto__verdict user_ask(certauto_job *job, certauto__exchange *x)
{
	const char *user = certauto__option_text(target_of(job), "user");

	if (strcmp(user, "nsroot") == 0) { /* nothing can be kept from it */
		certauto__fact_set(job, ".unread", "yes");
		return CERTAUTO__NEXT;
	}
	return certauto__netscaler_get(x, target_of(job), "systemuser_systemcmdpolicy_binding",
		user, NULL);
}

static certauto__verdict bindings_read(certauto_job *job, certauto__exchange *x, const char *type)
{
	static const char *const fields[] = {"policyname", "priority", NULL};

	if (x->rc < 0 || certauto__netscaler_code(x) != 0)
		return unread(job, "the device does not tell its command policies");
	return certauto__netscaler_rows(x, type, fields, binding_row, job,
		       certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static certauto__verdict user_read(certauto_job *job, certauto__exchange *x)
{
	return bindings_read(job, x, "systemuser_systemcmdpolicy_binding");
}

static certauto__verdict groups_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".unread") != NULL)
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, target_of(job), "systemuser_systemgroup_binding",
		certauto__option_text(target_of(job), "user"), NULL);
}

/* A device that does not tell of groups is taken to have none. */
static certauto__verdict groups_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"groupname", NULL};

	if (x->rc < 0 || certauto__netscaler_code(x) != 0)
		return CERTAUTO__NEXT;
	return certauto__netscaler_rows(x, "systemuser_systemgroup_binding", fields, group_row,
		       job, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static int group_each(certauto_job *job)
{
	const char *groups = certauto__fact_own(job, ".groups");
	int n = 0;

	for (; groups != NULL && *groups != '\0'; groups++)
		n += *groups == '\n';
	return n;
}

static certauto__verdict group_ask(certauto_job *job, certauto__exchange *x)
{
	const char *groups = certauto__fact_own(job, ".groups");
	char name[256];
	int i;

	for (i = certauto__index(job); i > 0; i--)
		groups = strchr(groups, '\n') + 1;
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(groups, "\n"), groups);
	certauto__fact_set(job, ".group", name);
	return certauto__netscaler_get(x, target_of(job), "systemgroup_systemcmdpolicy_binding",
		name, NULL);
}

static certauto__verdict group_read(certauto_job *job, certauto__exchange *x)
{
	return bindings_read(job, x, "systemgroup_systemcmdpolicy_binding");
}

static certauto__verdict policies_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".unread") != NULL)
		return CERTAUTO__NEXT;
	/* Rights there are, or this job had not come this far. */
	if (certauto__fact_own(job, ".bound") == NULL)
		return unread(job, "it has no command policies of its own");
	return certauto__netscaler_get(x, target_of(job), "systemcmdpolicy", NULL, NULL);
}

struct policies {
	const char *bound;         /* lines "PRIORITY NAME" */
	size_t n;
	struct {
		int64_t priority;
		int allows;
		regex_t spec;
	} items[POLICIES_MAX];
	int unreadable;
};

/* The priority of the policy where it is bound; -1: it is not. */
static int64_t bound_at(const char *bound, const char *name)
{
	size_t len = strlen(name);
	long long priority;
	int skip;

	for (; *bound != '\0'; bound += strcspn(bound, "\n") + 1) {
		if (sscanf(bound, "%lld %n", &priority, &skip) == 1 &&
			strncmp(bound + skip, name, len) == 0 && bound[skip + (int)len] == '\n')
			return priority;
	}
	return -1;
}

/* Without Perl's extensions, which POSIX does not have, and what makes a short expression cost
 * gigabytes or hours here: numbers of repetitions, and references back. */
static int is_plain(const char *spec)
{
	const char *at;

	if (strlen(spec) > SPEC_MAX || strstr(spec, "(?") != NULL || strchr(spec, '{') != NULL)
		return 0;
	for (at = spec; (at = strchr(at, '\\')) != NULL && at[1] != '\0'; at += 2) {
		if (at[1] >= '0' && at[1] <= '9')
			return 0;
	}
	return 1;
}

static int policy_row(void *arg, const char *const *values)
{
	struct policies *policies = arg;
	const char *spec = values[2];
	int64_t priority;

	if (values[0] == NULL || (priority = bound_at(policies->bound, values[0])) < 0)
		return 0;
	if (spec == NULL || !is_plain(spec) || policies->n == POLICIES_MAX ||
		regcomp(&policies->items[policies->n].spec, spec,
			REG_EXTENDED | REG_NOSUB | REG_ICASE) != 0) {
		policies->unreadable = 1;
		return 0;
	}
	policies->items[policies->n].priority = priority;
	policies->items[policies->n++].allows = certauto__text_equal_nocase(values[1], "ALLOW");
	return 0;
}

/* The first by priority that matches decides, and none means no. */
static int policies_allow(const struct policies *policies, const char *line)
{
	int64_t first = INT64_MAX;
	int allows = 0;
	size_t i;

	for (i = 0; i < policies->n; i++) {
		if (policies->items[i].priority >= first ||
			regexec(&policies->items[i].spec, line, 0, NULL, 0) != 0)
			continue;
		first = policies->items[i].priority;
		allows = policies->items[i].allows;
	}
	return allows;
}

/* Of a virtual server of another kind than the one that was found. */
static int is_other_kind(const certauto_job *job, const char *line)
{
	const char *kind = certauto__fact_own(job, ".kind");
	char own[32];

	if (kind == NULL || strstr(line, " vserver ") == NULL || strstr(line, " ssl ") != NULL)
		return 0;
	(void)snprintf(own, sizeof(own), " %s vserver ", kind);
	return strstr(line, own) == NULL;
}

static certauto__verdict rights_judge(certauto_job *job, const struct policies *policies)
{
	const certauto_target *target = target_of(job);
	const char *user = certauto__option_text(target, "user"), *what;
	certauto_error error = {0};
	int n = 0, n_keys = 0, rc;
	char line[256];
	size_t i;

	for (i = 0; (rc = certauto__netscaler_command(line, &what, target, i)) > 0; i++) {
		if (policies_allow(policies, line) || is_other_kind(job, line))
			continue;
		if (strcmp(what, CERTAUTO__NS_DEVICE_KEYS) == 0) {
			n_keys++;
			continue;
		}
		if (n++ == 0)
			certauto__error_set(&error, CERTAUTO_EPERM, user,
				"the account %s has no right to \"%s\" (%s)", user, line, what);
		certauto__error_add_subproblem(&error, line, NULL, what);
	}
	if (n_keys > 0)
		certauto__warn(job, target->label,
			"the account %s has no right to make keys on the device", user);
	if (rc < 0)
		certauto__error_nomem(&error);
	else if (n == 0)
		return CERTAUTO__NEXT;
	certauto__device_sign(&error, target);
	certauto__error_advise(&error, "\"certauto target recipe\" writes the commands that give "
		"all rights it needs");
	return certauto__fail_with(job, &error);
}

static certauto__verdict policies_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"policyname", "action", "cmdspec", NULL};
	struct policies policies = {.bound = certauto__fact_own(job, ".bound")};
	certauto__verdict verdict = CERTAUTO__FAILED;

	if (bound_at(policies.bound, "superuser") >= 0)
		return CERTAUTO__NEXT;
	if (x->rc < 0 || certauto__netscaler_code(x) != 0)
		return unread(job, "the device does not tell its command policies");
	if (certauto__netscaler_rows(x, "systemcmdpolicy", fields, policy_row, &policies,
		    certauto__job_error_of(job)) == 0)
		verdict = policies.unreadable || policies.n == 0
			? unread(job, "its command policies are of a kind that is not known here")
			: rights_judge(job, &policies);
	while (policies.n > 0)
		regfree(&policies.items[--policies.n].spec);
	return verdict;
}

#define STEP(step, more) \
	{.name = #step, .ask = step##_ask, .read = step##_read, .flags = CERTAUTO__READS | (more)}
#define STEP_EACH(step, more) \
	{ \
		.name = #step, .ask = step##_ask, .read = step##_read, .each = step##_each, \
		.flags = CERTAUTO__READS | (more) \
	}

static const struct certauto__step test_steps[] = {
	STEP(version, 0),
	{.name = "role", .ask = role_ask, .flags = CERTAUTO__READS},
	STEP(features, 0),
	STEP_EACH(vserver, CERTAUTO__ERRORS),
	{.name = "found", .ask = found_ask, .flags = CERTAUTO__READS},
	STEP_EACH(ssl, CERTAUTO__ERRORS),
	STEP(user, CERTAUTO__ERRORS),
	STEP(groups, CERTAUTO__ERRORS),
	STEP_EACH(group, CERTAUTO__ERRORS),
	STEP(policies, CERTAUTO__ERRORS),
};

const struct certauto__table certauto__netscaler_test = {
	.name = "netscaler-test",
	.steps = test_steps,
	.n_steps = sizeof(test_steps) / sizeof(test_steps[0]),
};
