/* SPDX-License-Identifier: Apache-2.0 */
/* NetScaler (Citrix ADC) 12.1 and later, through its NITRO API: the row and its options. Sessions
 * are in netscaler_session.c, calls in netscaler_call.c, the challenge in netscaler_present.c and
 * netscaler_stateless.c, the certificate in netscaler_deploy.c and what it names, keys made on the
 * device in netscaler_csr.c, the test in netscaler_test.c. */

#include "targets/netscaler.h"

#include <string.h>

#include "targets/device.h"
#include "targets/targets.h"

#define PREFIX_MAX 20     /* room for what follows it in a name of 31 */
#define PARTITION_MAX 127
#define PATIENCE_MS 20000 /* an update works at once on each of the device's packet engines */

static const struct certauto__option netscaler_options[] = {
	{.name = "url",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "management address, https://HOST[:PORT] (http:// needs insecure)"},
	{.name = "user",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "name of the account; \"certauto target recipe\" tells how to make one"},
	{.name = "password",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED | CERTAUTO_OPTION_SENSITIVE,
		.help = "its password"},
	{.name = "auth",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "session",
		.help = "session = log in once, headers = name and password with each call"},
	{.name = "vserver",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "HTTP virtual server (port 80) that answers http-01 challenges"},
	{.name = "vserver_type",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "its type: lb, cs or vpn, looked up if left out; global = all virtual "
			"servers answer, none is named"},
	{.name = "challenge_mode",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "policy",
		.help = "policy = a responder policy for each challenge, stateless = one that "
			"stays and answers all of this ACME account"},
	{.name = "priority",
		.type = CERTAUTO__OPTION_NUMBER,
		.min = 1,
		.max = 2147480000,
		.help = "lowest priority of challenge policies; left out: in front of all that is "
			"bound there"},
	{.name = "ssl_vserver",
		.type = CERTAUTO__OPTION_LIST,
		.help = "SSL virtual servers (lb, cs, vpn) to bind the certificate to; left out: "
			"it stays bound where it is"},
	{.name = "sni",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "default",
		.help = "how it is bound: default, sni or both"},
	{.name = "prefix",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "certauto",
		.help = "what the names of all objects and files begin with"},
	{.name = "certkey",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "name of a certificate-key pair that is there and is to be taken over; "
			"left out: one is made, named after the certificate"},
	{.name = "name_max",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "31",
		.min = 20,
		.max = 63,
		.help = "longest name of a certificate-key pair the device takes"},
	{.name = "folder",
		.type = CERTAUTO__OPTION_PATH,
		.help = "folder of keys and certificates; default: /nsconfig/ssl/, or the "
			"partition's"},
	{.name = "encrypt_key",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "no",
		.help = "store key files encrypted on the device"},
	{.name = "domain_check",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "no",
		.help = "let the device refuse a renewal with other names"},
	{.name = "partition",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "admin partition to work in"},
	{.name = "ha",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "follow",
		.help = "of a pair: follow = go to the primary, stay = refuse a secondary, ignore "
			"= do not ask"},
	{.name = "save",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "yes",
		.help = "save the configuration at the end of a run that has changed it"},
	{.name = NULL}};

/* ---- options ---- */

static int check_word(const certauto_target *target, const char *name, const char *words,
	certauto_error *err)
{
	const char *text = certauto__option_text(target, name);
	certauto__list list = {0};
	int rc;

	if (text == NULL)
		return 0;
	if (certauto__list_split(&list, words, ',') < 0)
		rc = certauto__error_nomem(err);
	else if (certauto__list_has(&list, text))
		rc = 0;
	else
		rc = certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"%s\" is one of %s", target->label, name, words);
	certauto__list_free(&list);
	return rc;
}

static int check_name(const certauto_target *target, const char *name, size_t max, const char *more,
	certauto_error *err)
{
	return certauto__device_check_name(target, name, certauto__option_text(target, name), max,
		more, err);
}

static int check_vservers(const certauto_target *target, certauto_error *err)
{
	const certauto__list *list = certauto__option_list(target, "ssl_vserver");
	int rc = check_name(target, "vserver", CERTAUTO__NS_NAME - 1, " ", err);
	size_t i;

	for (i = 0; rc == 0 && i < list->n; i++)
		rc = certauto__device_check_name(target, "ssl_vserver", list->items[i],
			CERTAUTO__NS_NAME - 1, " ", err);
	return rc;
}

/* Of an account that may be known elsewhere, with a domain: no rule, but a recipe must hold it. */
static int check_user(const certauto_target *target, certauto_error *err)
{
	if (strchr(certauto__option_text(target, "user"), '"') == NULL)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"user\" has a quote in it", target->label);
}

/* With a slash that may be missing at its end, and a partition's folder is shorter. */
static int check_folder(const certauto_target *target, certauto_error *err)
{
	const char *folder = certauto__option_text(target, "folder");

	if (folder == NULL || strlen(folder) < CERTAUTO__NS_FOLDER - 1)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"folder\" is longer than %d characters", target->label,
		CERTAUTO__NS_FOLDER - 2);
}

static int check_together(const certauto_target *target, certauto_error *err)
{
	if (certauto__option_text(target, "partition") == NULL ||
		!certauto__text_equal(certauto__option_text(target, "auth"), "headers"))
		return 0;
	certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"partition\" needs a session: each call with headers goes to the "
		"default partition",
		target->label);
	certauto__error_advise(err, "leave out auth, or set it to session");
	return CERTAUTO_EINVAL;
}

static int netscaler_check(certauto_target *target, certauto_error *err)
{
	int rc;

	if ((rc = certauto__device_check_url(target, "url", err)) < 0 ||
		(rc = check_word(target, "auth", "session,headers", err)) < 0 ||
		(rc = check_word(target, "vserver_type", "lb,cs,vpn,global", err)) < 0 ||
		(rc = check_word(target, "challenge_mode", "policy,stateless", err)) < 0 ||
		(rc = check_word(target, "sni", "default,sni,both", err)) < 0 ||
		(rc = check_word(target, "ha", "follow,stay,ignore", err)) < 0 ||
		(rc = check_name(target, "prefix", PREFIX_MAX, "", err)) < 0 ||
		(rc = check_name(target, "certkey", 63, "", err)) < 0 ||
		(rc = check_name(target, "partition", PARTITION_MAX, "", err)) < 0 ||
		(rc = check_vservers(target, err)) < 0 || (rc = check_user(target, err)) < 0 ||
		(rc = check_folder(target, err)) < 0)
		return rc;
	return check_together(target, err);
}

static int netscaler_fits(const certauto_target *target, size_t n_keys, int sends,
	certauto_error *err)
{
	if (n_keys > 1 && certauto__option_is_set(target, "certkey"))
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"certkey\" names one pair, and the certificate has %zu keys",
			target->label, n_keys);
	return certauto__device_fits(target, n_keys, sends, err);
}

const struct certauto__target_row certauto__target_netscaler = {
	.name = "netscaler",
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY | CERTAUTO_TARGET_CSR,
	.options = netscaler_options,
	.check = netscaler_check,
	.fits = netscaler_fits,
	.peer = certauto__netscaler_peer,
	.present = &certauto__netscaler_present,
	.deploy = &certauto__netscaler_deploy,
	.finish = &certauto__netscaler_finish,
	.test = &certauto__netscaler_test,
	.csr = &certauto__netscaler_csr,
	.drifts = 1,
	.recipe = certauto__netscaler_recipe,
	.patience_ms = PATIENCE_MS,
	.wants_former = 1,
};
