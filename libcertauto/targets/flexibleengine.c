/* SPDX-License-Identifier: Apache-2.0 */
/* FlexibleEngine, and clouds of the same family (Open Telekom Cloud, Huawei Cloud): the row and its
 * options. Sessions are in fe_session.c, signatures in fe_sign.c, calls in fe_call.c, zones in
 * fe_zone.c, record sets in fe_record.c, the challenge in fe_present.c, the certificate in
 * fe_deploy.c, the test in fe_test.c. */

#include "targets/fe.h"

#include <string.h>

#include "targets/device.h"
#include "targets/targets.h"

#define PREFIX_MAX 32
#define LONGEST_NAME 200   /* of a certificate: room for a suffix */
#define PATIENCE_MS 30000  /* a change goes to the balancer's nodes one by one */
#define TTL_MAX 86400

static const struct certauto__option fe_options[] = {
	{.name = "region",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "region, as eu-west-0: its endpoints are used, and its project unless one "
			"is told"},
	{.name = "domain_name",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "name of the account (tenant) that the user belongs to, as OCB0001234"},
	{.name = "user",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "IAM user; \"certauto target recipe\" writes the policy it needs"},
	{.name = "password",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_SENSITIVE,
		.help = "its password"},
	{.name = "access_key",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_SENSITIVE,
		.help = "access key (AK) to sign requests with, instead of user and password"},
	{.name = "secret_key",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_SENSITIVE,
		.help = "the secret (SK) of the access key"},
	{.name = "security_token",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_SENSITIVE,
		.help = "the security token of a temporary access key"},
	{.name = "project_id",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "id of the project that zones, listeners and certificates are in"},
	{.name = "project",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "its name, instead of the id; left out: the region's own"},
	{.name = "iam_url",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "where IAM is, https://HOST[:PORT]; left out: that of the region"},
	{.name = "dns_url",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "where DNS is; left out: as IAM tells it, or the provider's"},
	{.name = "elb_url",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "where ELB (v3) is; left out: as IAM tells it, or that of the region"},
	{.name = "elb_v2_url",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "where ELB v2.0 is; left out: as IAM tells it, or that of the region"},
	{.name = "zone_id",
		.type = CERTAUTO__OPTION_LIST,
		.help = "ids of the public zones to put challenges into; left out: the zone of "
			"each name is found"},
	{.name = "ttl",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "300",
		.min = 1,
		.max = TTL_MAX,
		.help = "time to live of record sets that are made, in seconds"},
	{.name = "listener",
		.type = CERTAUTO__OPTION_LIST,
		.needed_for = CERTAUTO_TARGET_DEPLOY,
		.help = "ids of listeners that are to serve the certificate: ID as their default "
			"one, sni:ID to clients that ask for its names"},
	{.name = "certificate",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "name of the certificate on the ELB; left out: it is named after the "
			"certificate"},
	{.name = "update",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "in-place",
		.help = "how it is renewed: in-place (the certificate on the ELB is changed) or "
			"new (another one is made, and the listeners are switched to it)"},
	{.name = "elb_api",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "auto",
		.help = "API of the ELB: v3, v2.0 (shared load balancers of older regions), or "
			"auto: v3 where it is"},
	{.name = "prefix",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "certauto",
		.help = "what the names of certificates made begin with"},
	{.name = NULL}};

/* ---- options ---- */

static int is_set(const certauto_target *target, const char *name)
{
	return certauto__option_text(target, name) != NULL;
}

static int wrong(const certauto_target *target, const char *name, const char *what,
	certauto_error *err)
{
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label, "%s: option \"%s\" %s",
		target->label, name, what);
}

static int check_urls(const certauto_target *target, certauto_error *err)
{
	static const char *const names[] = {"iam_url", "dns_url", "elb_url", "elb_v2_url"};
	int rc = 0;
	size_t i;

	for (i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		rc = certauto__device_check_url(target, names[i], err);
	return rc;
}

static int check_user(const certauto_target *target, certauto_error *err)
{
	if (!is_set(target, "user"))
		return wrong(target, "user",
			"is missing: set user and password, or access_key and secret_key", err);
	if (!is_set(target, "password"))
		return wrong(target, "password", "is missing", err);
	if (!is_set(target, "domain_name"))
		return wrong(target, "domain_name",
			"is missing: the name of the account that the user belongs to", err);
	if (is_set(target, "security_token") || is_set(target, "secret_key"))
		return wrong(target, "access_key", "is missing: its secret or token is set", err);
	return 0;
}

/* It becomes part of a header. */
static int check_access_key(const certauto_target *target, certauto_error *err)
{
	const char *key = certauto__option_text(target, "access_key");

	if (key[strcspn(key, " ,\t\r\n")] != '\0')
		return wrong(target, "access_key", "is not one", err);
	if (!is_set(target, "secret_key"))
		return wrong(target, "secret_key", "is missing", err);
	if (is_set(target, "password"))
		return wrong(target, "password",
			"stands beside \"access_key\": one of them is enough", err);
	return 0;
}

/* One that has to be told where no region tells it, and no catalog; NULL: none. */
static const char *missing_url(const certauto_target *target, int by_name)
{
	int signs = is_set(target, "access_key");

	if ((!signs || by_name) && !is_set(target, "iam_url"))
		return "iam_url";
	if (signs && !is_set(target, "dns_url"))
		return "dns_url";
	return signs && !is_set(target, "elb_url") &&
		certauto__option_list(target, "listener")->n > 0 ? "elb_url" : NULL;
}

/* The endpoints of regions are known of one provider only. */
static int check_region(const certauto_target *target, certauto_error *err)
{
	const char *region = certauto__option_text(target, "region"), *missing;
	int by_name = !is_set(target, "project_id"), is_elsewhere;

	if (region != NULL &&
		region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-_")] != '\0')
		return wrong(target, "region", "is a name as \"eu-west-0\"", err);
	if (region == NULL && by_name && !is_set(target, "project"))
		return wrong(target, "region", "is missing: set it, or project_id", err);
	is_elsewhere = certauto__fe_is_elsewhere(target);
	missing = region == NULL || is_elsewhere ? missing_url(target, by_name) : NULL;
	if (missing == NULL)
		return 0;
	return wrong(target, missing, is_elsewhere ?
		"is missing: the other URLs are those of another provider" :
		"is missing: set it, or region", err);
}

/* They become part of a path. */
static int is_id(const char *text)
{
	return *text != '\0' && strlen(text) < CERTAUTO__FE_ID &&
		text[strspn(text, "0123456789abcdefABCDEF-_")] == '\0';
}

static int check_ids(const certauto_target *target, const char *name, const char *mark,
	certauto_error *err)
{
	const certauto__list *ids = certauto__option_list(target, name);
	const char *id;
	size_t i;

	for (i = 0; i < ids->n; i++) {
		id = ids->items[i];
		id += certauto__text_starts(id, mark) ? strlen(mark) : 0;
		if (!is_id(id))
			return wrong(target, name, *mark != '\0' ?
				"is an id, or sni: and an id" : "is an id", err);
	}
	return 0;
}

static int check_words(const certauto_target *target, certauto_error *err)
{
	const char *update = certauto__option_text(target, "update"),
		*api = certauto__option_text(target, "elb_api"),
		*name = certauto__option_text(target, "certificate");

	if (strcmp(update, "in-place") != 0 && strcmp(update, "new") != 0)
		return wrong(target, "update", "is in-place or new", err);
	if (strcmp(api, "auto") != 0 && strcmp(api, "v3") != 0 && strcmp(api, "v2.0") != 0)
		return wrong(target, "elb_api", "is auto, v3 or v2.0", err);
	if (name != NULL && strlen(name) > LONGEST_NAME)
		return wrong(target, "certificate", "is a name of at most 200 bytes", err);
	return 0;
}

static int check_project(const certauto_target *target, certauto_error *err)
{
	const char *id = certauto__option_text(target, "project_id");

	if (id == NULL)
		return 0;
	if (is_set(target, "project"))
		return wrong(target, "project", "stands beside \"project_id\": one is enough", err);
	return is_id(id) ? 0 : wrong(target, "project_id", "is an id", err);
}

static int fe_check(certauto_target *target, certauto_error *err)
{
	int rc = is_set(target, "access_key") ? check_access_key(target, err)
					      : check_user(target, err);

	if (rc < 0 || (rc = check_words(target, err)) < 0 ||
		(rc = check_project(target, err)) < 0 ||
		(rc = check_urls(target, err)) < 0 || (rc = check_region(target, err)) < 0 ||
		(rc = check_ids(target, "zone_id", "", err)) < 0 ||
		(rc = check_ids(target, "listener", "sni:", err)) < 0)
		return rc;
	return certauto__device_check_name(target, "prefix",
		certauto__option_text(target, "prefix"), PREFIX_MAX, "", err);
}

static int fe_fits(const certauto_target *target, size_t n_keys, int sends, certauto_error *err)
{
	const certauto__list *listeners = certauto__option_list(target, "listener");
	size_t i;

	for (i = 0; n_keys > 1 && i < listeners->n; i++) {
		if (certauto__text_starts(listeners->items[i], "sni:"))
			continue;
		wrong(target, "listener",
			"names one that has one default certificate, and this one has several keys",
			err);
		return certauto__error_advise(err,
			"write sni: before the listener's id: for SNI both kinds of keys are "
			"served; or give the certificate one key");
	}
	return certauto__device_fits(target, n_keys, sends, err);
}

const struct certauto__target_row certauto__target_flexibleengine = {
	.name = "flexibleengine",
	.caps = CERTAUTO_TARGET_DNS01 | CERTAUTO_TARGET_DEPLOY,
	.options = fe_options,
	.check = fe_check,
	.fits = fe_fits,
	.peer = certauto__fe_peer,
	.present = &certauto__fe_present,
	.deploy = &certauto__fe_deploy,
	.test = &certauto__fe_test,
	.drifts = 1,
	.recipe = certauto__fe_recipe,
	.patience_ms = PATIENCE_MS,
	.wants_former = 1,
};
