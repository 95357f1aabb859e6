/* SPDX-License-Identifier: Apache-2.0 */
/* Avi (VMware NSX Advanced Load Balancer), through its controller's API: the row and its options.
 * Sessions are in avi_session.c, calls in avi_call.c, the virtual service of a name is found in
 * avi_find.c, the challenge in avi_present.c, the certificate in avi_deploy.c and what it names,
 * renewal by the controller in avi_renew.c, the test in avi_test.c. */

#include "targets/avi.h"

#include <string.h>

#include "targets/device.h"
#include "targets/targets.h"

#define PREFIX_MAX 32
#define LONGEST_NAME 200  /* of an object of somebody else's: room for a suffix */
#define PATIENCE_MS 30000 /* a change goes to the service engines one by one */

static const struct certauto__option avi_options[] = {
	{.name = "url",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "controller, https://HOST[:PORT] (http:// needs insecure)"},
	{.name = "user",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "name of the account; \"certauto target recipe\" tells how to make one"},
	{.name = "password",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_SENSITIVE,
		.help = "its password"},
	{.name = "token",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_SENSITIVE,
		.help = "token to log in with instead of the password"},
	{.name = "tenant",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "admin",
		.help = "tenant that the objects are in"},
	{.name = "api_version",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "API version to speak; left out: the controller's own"},
	{.name = "virtualservice",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "virtual service (name, or uuid virtualservice-...) that answers http-01 "
			"challenges of all names; left out: it is found by each name"},
	{.name = "temporary_port80",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "yes",
		.help = "open port 80 of the virtual service while a challenge is answered, where "
			"it is not open"},
	{.name = "settle_ms",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "5000",
		.max = 600000,
		.help = "with challenge_check=no: how long a change takes to reach the service "
			"engines, in milliseconds"},
	{.name = "certificate",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "name of the certificate object, which may be there; left out: one is "
			"made, named after the certificate"},
	{.name = "bind",
		.type = CERTAUTO__OPTION_LIST,
		.help = "virtual services (name or uuid) that are to use the certificate; left "
			"out: those use it that do so already"},
	{.name = "prefix",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "certauto",
		.help = "what the names of all objects made begin with"},
	{.name = "profile",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "certificate management profile that \"certauto target test\" verifies"},
	{.name = NULL}};

/* ---- options ---- */

static int wrong(const certauto_target *target, const char *name, const char *what,
	certauto_error *err)
{
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label, "%s: option \"%s\" %s",
		target->label, name, what);
}

static int check_length(const certauto_target *target, const char *name, const char *text,
	certauto_error *err)
{
	if (text == NULL || strlen(text) <= LONGEST_NAME)
		return 0;
	return wrong(target, name, "is longer than 200 bytes", err);
}

/* The controller takes almost anything in a name. */
static int check_names(const certauto_target *target, certauto_error *err)
{
	static const char *const names[] = {"tenant", "virtualservice", "certificate", "profile"};
	const certauto__list *bind = certauto__option_list(target, "bind");
	int rc = 0;
	size_t i;

	for (i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		rc = check_length(target, names[i], certauto__option_text(target, names[i]), err);
	for (i = 0; rc == 0 && i < bind->n; i++)
		rc = check_length(target, "bind", bind->items[i], err);
	return rc;
}

static int check_login(const certauto_target *target, certauto_error *err)
{
	int password = certauto__option_text(target, "password") != NULL,
		token = certauto__option_text(target, "token") != NULL;

	if (password && token)
		return wrong(target, "token", "stands beside \"password\": one of them is enough",
			err);
	if (!password && !token)
		return wrong(target, "password", "is missing: set it, or \"token\"", err);
	/* That would be all tenants at once, where names are not unique. */
	if (certauto__text_equal(certauto__option_text(target, "tenant"), "*"))
		return wrong(target, "tenant", "is one tenant, by its name", err);
	return 0;
}

static int check_version(const certauto_target *target, certauto_error *err)
{
	const char *text = certauto__option_text(target, "api_version");
	struct certauto__avi_version version;

	if (text == NULL || certauto__avi_version_parse(&version, text) == strlen(text))
		return 0;
	return wrong(target, "api_version", "is a version as \"22.1.6\"", err);
}

static int avi_check(certauto_target *target, certauto_error *err)
{
	int rc;

	if ((rc = certauto__device_check_url(target, "url", err)) < 0 ||
		(rc = check_login(target, err)) < 0 || (rc = check_version(target, err)) < 0 ||
		(rc = certauto__device_check_name(target, "prefix",
			 certauto__option_text(target, "prefix"), PREFIX_MAX, "", err)) < 0)
		return rc;
	return check_names(target, err);
}

const struct certauto__target_row certauto__target_avi = {
	.name = "avi",
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY,
	.options = avi_options,
	.check = avi_check,
	.fits = certauto__device_fits,
	.peer = certauto__avi_peer,
	.present = &certauto__avi_present,
	.deploy = &certauto__avi_deploy,
	.test = &certauto__avi_test,
	.renew = &certauto__avi_renew,
	.drifts = 1,
	.recipe = certauto__avi_recipe,
	.patience_ms = PATIENCE_MS,
	.wants_former = 1,
};
